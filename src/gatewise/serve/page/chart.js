// A chart of what is predicted, and its rows.

function line(values, low, high, width, colour) {
  const points = values.map((value, i) => {
    const x = values.length > 1 ? (i / (values.length - 1)) * width : width / 2;
    return Number.isFinite(value) ? `${x.toFixed(1)},${(195 - (190 * (value - low)) / (high - low || 1)).toFixed(1)}` : null;
  });
  return s("polyline", { points: points.filter(Boolean).join(" "), stroke: colour });
}

function chart(rows) {
  const names = Object.keys(rows[0]).filter((name) => !["series", "step", "event", "alarm"].includes(name));
  const numeric = names.filter((name) => rows.every((row) => row[name] === null || typeof row[name] === "number"));
  const wanted = model.task === "detect" ? ["score"] : numeric;
  if (!wanted.length) return [];
  const columns = wanted.map((name) => rows.map((row) => row[name] ?? NaN));
  const all = columns.flat().filter(Number.isFinite);
  const low = all.reduce((a, b) => Math.min(a, b), Infinity), high = all.reduce((a, b) => Math.max(a, b), -Infinity);
  const width = 800 / rows.length;
  const alarms = rows.map((row, i) => row.alarm && s("rect", { x: i * width, y: 0, width: Math.max(width, 2), height: 200 })).filter(Boolean);
  const lines = columns.map((values, i) => line(values, low, high, 800, `hsl(${220 + i * 47} 70% 50%)`));
  return [s("svg", { viewBox: "0 0 800 200", preserveAspectRatio: "none", role: "img", "aria-label": wanted.join(", ") }, ...alarms, ...lines)];
}

// The first rows, in a box of its own that scrolls.
function tableOf(rows) {
  const shown = (value) => (typeof value === "number" ? String(Number(value.toPrecision(5))) : String(value ?? ""));
  const found = table(Object.keys(rows[0]), rows.slice(0, 200).map((row) => Object.values(row).map(shown)));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": words().answer }, found);
}
