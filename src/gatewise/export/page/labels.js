// A label, several of which any number may hold, or numbers, for each step that was pasted.

const { names, classes, targets, labels = [], whole, chained } = gw_model.page;

function scores(rows) {
  const output = (found) => found.scores || found.numbers;
  if (whole) return output(gw_read(rows.length, Float32Array.from(rows.flat())));
  const state = gw_state();
  return Float32Array.from(rows.flatMap((row) => Array.from(output(gw_step(state, Float32Array.from(row))))));
}

function go() {
  const rows = pasted(() => numbersOf(at("numbers").value, names.length, names));
  if (!rows) return;
  const width = classes.length || labels.length || targets.length || 1, counts = new Map();
  const scored = scores(rows), each = rows.map((_, t) => scored.slice(t * width, (t + 1) * width));
  const chosen = chained ? gw_viterbi(scored, width) : each.map((own) => own.indexOf(Math.max(...own)));
  const count = (label) => counts.set(label, (counts.get(label) || 0) + 1);
  const made = each.map((own, t) => {
    if (labels.length) {
      labels.filter((_, k) => own[k] > 0.5).forEach(count);
      return Array.from(own, (p) => Number(p > 0.5));
    }
    if (!classes.length) return Array.from(own, (v) => Number(v.toPrecision(6)));
    const label = classes[chosen[t]];
    count(label);
    return [label];
  });
  at("said").textContent = [...counts].map(([label, count]) => `${label}: ${count}`).join(" · ");
  const numbers = targets.map((name) => `predicted_${name}`), answered = labels.length ? labels : numbers;
  const header = [...names, ...(classes.length || !answered.length ? ["predicted"] : answered)];
  at("made").value = [header, ...rows.map((row, t) => [...row.map((v) => (Number.isNaN(v) ? "" : v)), ...made[t]])].map((line) => line.join(",")).join("\n");
}

at("go").addEventListener("click", go);
say({
  title: ["Label steps", "标注每一步"],
  "numbers-label": [`Numbers, a step a line: ${names.join(", ")}. Leave empty what is missing.`, `数据，每行一步：${names.join("、")}。缺失的值留空。`],
  go: ["Label", "标注"],
  "made-label": ["The result, as CSV", "结果（CSV）"],
});
