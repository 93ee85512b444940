// Lines over steps, as SVG.

const COLOURS = ["#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2"];

// series: [{ values: [[step, value], ...], colour, dash, band: [[step, low, high], ...] }]; marks: steps to point out; names: of series.
function chart(svg, series, marks = [], names = []) {
  const W = 720, H = 320, points = series.flatMap((one) => one.values.concat((one.band || []).flatMap(([step, a, b]) => [[step, a], [step, b]])));
  const seen = points.filter(([, v]) => Number.isFinite(v));
  if (!seen.length) return svg.replaceChildren();
  const bounds = (place) => seen.reduce(([a, b], p) => [Math.min(a, p[place]), Math.max(b, p[place])], [Infinity, -Infinity]);
  const [left, right] = bounds(0), [low, high] = bounds(1);
  const x = (step) => 50 + ((step - left) / (right - left || 1)) * (W - 60), y = (v) => H - 25 - ((v - low) / (high - low || 1)) * (H - 40);
  const shown = [];
  for (const step of marks) shown.push(s("line", { x1: x(step), x2: x(step), y1: 10, y2: H - 25, stroke: "#dc2626", "stroke-width": 2, opacity: 0.5 }));
  for (const { values, colour, dash, band } of series) {
    if (band) {
      const outline = [...band.map(([step, a]) => `${x(step)},${y(a)}`), ...band.slice().reverse().map(([step, , b]) => `${x(step)},${y(b)}`)];
      shown.push(s("polygon", { points: outline.join(" "), fill: colour, opacity: 0.2 }));
    }
    const path = values.filter(([, v]) => Number.isFinite(v)).map(([step, v]) => `${x(step)},${y(v)}`).join(" ");
    shown.push(s("polyline", { points: path, fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dash || "none" }));
  }
  const label = (v) => Number(v.toPrecision(4)).toString();
  shown.push(s("text", { x: 4, y: y(high) + 4, fill: "currentColor", "font-size": 12 }, label(high)));
  shown.push(s("text", { x: 4, y: y(low) + 4, fill: "currentColor", "font-size": 12 }, label(low)));
  names.forEach((name, n) => shown.push(s("text", { x: W - 8, y: 22 + 16 * n, fill: COLOURS[n % COLOURS.length], "font-size": 13, "text-anchor": "end", stroke: "Canvas", "stroke-width": 4, "paint-order": "stroke" }, name)));
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
  svg.replaceChildren(...shown);
}

// Rows of numbers out of pasted text: a header is passed over, an empty cell is NaN. `columns` numbers in each. Of a column
// with `levels`, the number of the level from 1 on; 0 is any other text.
function numbersOf(text, columns, names, levels = []) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  const cells = lines.map((line) => line.split(line.includes("\t") ? "\t" : line.includes(";") ? ";" : line.includes(",") ? "," : /\s+/).map((c) => c.trim()));
  if (!cells.length) throw new Error(both("Paste numbers first.", "请先粘贴数字。"));
  const number = (cell) => (cell === "" || /^(nan|na|null)$/i.test(cell) ? NaN : Number(cell));
  let places = Array.from({ length: columns }, (_, i) => i);
  const named = names.every((name) => cells[0].includes(name)), known = (place) => levels[places.indexOf(place)];
  if (named || cells[0].some((cell, place) => !known(place) && cell !== "" && !/^(nan|na|null)$/i.test(cell) && Number.isNaN(Number(cell)))) {
    const header = cells.shift();
    if (named) places = names.map((name) => header.indexOf(name));
  }
  if (columns === 1 && cells.length === 1 && !levels.length) return cells[0].map((cell) => [number(cell)]);
  return cells.map((row, line) => {
    const found = places.map((place, i) => (levels[i] ? levels[i].indexOf(row[place] ?? "") + 1 : number(row[place] ?? "")));
    const wrong = places.find((place, i) => Number.isNaN(found[i]) && row[place] && !/^(nan|na|null)$/i.test(row[place]));
    if (row.length < columns || wrong !== undefined) {
      throw new Error(both(`Row ${line + 1} is not ${columns} numbers: ${row.join(", ").slice(0, 60)}`, `第 ${line + 1} 行不是 ${columns} 个数：${row.join(", ").slice(0, 60)}`));
    }
    return found;
  });
}
