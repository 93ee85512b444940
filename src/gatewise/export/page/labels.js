// A label, or numbers, for each step that was pasted.

const { names, classes, targets } = gw_model.page;

function go() {
  let rows;
  try {
    rows = numbersOf(at("numbers").value, names.length, names);
  } catch (error) {
    at("said").textContent = error.message;
    return;
  }
  const state = gw_state(), counts = new Map();
  const made = rows.map((row) => {
    const found = gw_step(state, Float32Array.from(row));
    if (!classes.length) return Array.from(found.numbers, (v) => Number(v.toPrecision(6)));
    const label = classes[found.scores.indexOf(Math.max(...found.scores))];
    counts.set(label, (counts.get(label) || 0) + 1);
    return [label];
  });
  at("said").textContent = [...counts].map(([label, count]) => `${label}: ${count}`).join(" · ");
  const header = [...names, ...(classes.length || !targets.length ? ["predicted"] : targets.map((name) => `predicted_${name}`))];
  at("made").value = [header, ...rows.map((row, t) => [...row.map((v) => (Number.isNaN(v) ? "" : v)), ...made[t]])].map((line) => line.join(",")).join("\n");
}

at("go").addEventListener("click", go);
say({
  title: ["Label steps", "标注每一步"],
  "numbers-label": [`Numbers, a step a line: ${names.join(", ")}. Leave empty what is missing.`, `数据，每行一步：${names.join("、")}。缺失的值留空。`],
  go: ["Label", "标注"],
  "made-label": ["The result, as CSV", "结果（CSV）"],
});
