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
  table.tBodies[0].replaceChildren(...rows.slice(0, SHOWN).map(([label, p]) => {
    const line = document.createElement("tr"), head = document.createElement("th"), cell = document.createElement("td");
    const bar = document.createElement("progress");
    Object.assign(bar, { max: 1, value: p, ariaLabel: label });
    cell.append(bar, ` ${p.toFixed(3)}`);
    head.textContent = label;
    head.scope = "row";
    line.append(head, cell);
    return line;
  }));
}
