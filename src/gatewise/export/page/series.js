// A model of numbers goes on with what was pasted.

const names = gw_model.page.names;

function go() {
  const rows = pasted(() => {
    const found = at("numbers").value.trim() ? numbersOf(at("numbers").value, names.length, names)
      : [gw_model.page.beginnings[Math.floor(Math.random() * gw_model.page.beginnings.length)]];
    if (found.some((row) => row.some((v) => !Number.isFinite(v)))) throw new Error(both("A number is missing.", "缺少数字。"));
    return found;
  });
  if (!rows) return;
  const state = gw_state(), made = [];
  let found = null;
  for (const row of rows) found = gw_step(state, Float32Array.from(row));
  const most = Number(at("length").value) || 100, temperature = Number(at("temperature").value);
  while (made.length < most) {
    const step = gw_draw(found, temperature);
    if (!step) break;
    made.push(Array.from(step));
    found = gw_step(state, step);
  }
  const lines = names.flatMap((_, c) => [
    { values: rows.map((row, t) => [t, row[c]]), colour: COLOURS[c % 6] },
    { values: [[rows.length - 1, rows[rows.length - 1][c]], ...made.map((row, t) => [rows.length + t, row[c]])], colour: COLOURS[c % 6], dash: "5 4" },
  ]);
  chart(at("chart"), lines);
  at("said").textContent = both(`${made.length} steps were made; they are dashed.`, `生成了 ${made.length} 步，以虚线表示。`);
  at("made").value = [names.join(","), ...made.map((row) => row.map((v) => Number(v.toPrecision(6))).join(","))].join("\n");
}

at("go").addEventListener("click", go);
at("temperature").addEventListener("input", () => { at("temperature-value").textContent = at("temperature").value; });
say({
  title: ["Go on with numbers", "续写数列"],
  "numbers-label": [`Steps to go on from, one a line: ${names.join(", ")}. Empty: one of its own.`, `要接续的步骤，每行一步：${names.join("、")}。留空则用模型自己的开头。`],
  go: ["Go on", "续写"],
  "temperature-label": ["Temperature", "温度"],
  "length-label": ["At most so many steps", "最多步数"],
  "made-label": ["What was made, as CSV", "结果（CSV）"],
});
