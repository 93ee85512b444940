// Probabilities of classes or labels, the largest first, or a number.

const SHOWN = 20; // classes

function answer({ target, classes, name }, found) {
  if (target === "number") return { said: `${name}: ${Number(found[0].toPrecision(6))}`, rows: [] };
  const rows = classes.map((label, k) => [label, found[k]]).sort((a, b) => b[1] - a[1]);
  const chosen = target === "labels" ? rows.filter(([, p]) => p > 0.5).map(([label]) => label) : [rows[0][0]];
  return { said: chosen.length ? chosen.join(", ") : both("no label", "没有标签"), rows };
}

function bars(table, rows) {
  table.hidden = !rows.length;
  table.tBodies[0].replaceChildren(...rows.slice(0, SHOWN).map(([label, p]) => h("tr", {}, h("th", { scope: "row" }, label),
    h("td", {}, h("progress", { max: 1, value: p, "aria-label": label }), ` ${p.toFixed(3)}`))));
}
