// The class, the labels or a number of a sequence that was pasted; or of each row of a table.

const { way, target, classes, names, fixed, categories } = gw_model.page, MOST = 6; // lines of the chart
const columns = [...names, ...fixed, ...categories.map(({ name }) => name)];
const levels = columns.length > names.length + fixed.length ? columns.map((name) => categories.find((one) => one.name === name)?.levels) : [];

// What the model makes of rows: of each of them, or of the steps so far, or once of all. What a sequence has once stands in
// all of its rows.
function read(rows) {
  const [steps, once] = [names.length, names.length + fixed.length];
  const parts = (row) => [row.slice(0, steps), row.slice(steps, once)].filter((part) => part.length).map((part) => Float32Array.from(part));
  const output = (found) => Array.from(found.probabilities || found.number);
  if (way === "sequence") {
    const codes = categories.map(({ fixed: one }, k) => (one ? rows[0][once + k] : rows.map((row) => row[once + k])));
    const values = Float32Array.from(rows.flatMap((row) => row.slice(0, steps)));
    return [output(gw_read(rows.length, ...codes, ...(steps ? [values] : []), ...parts(rows[0]).slice(steps ? 1 : 0)))];
  }
  const state = gw_state();
  return rows.map((row) => output(gw_step(way === "row" ? gw_state() : state, ...row.slice(once), ...parts(row))));
}

function shown(row) { return row.map((v, i) => (levels[i] ? levels[i][v - 1] ?? "" : Number.isNaN(v) ? "" : v)); }

function go() {
  const rows = pasted(() => numbersOf(at("numbers").value, columns.length, columns, levels));
  if (!rows) return;
  const found = read(rows), { said, rows: chances } = answer(gw_model.page, found[found.length - 1]);
  at("csv").hidden = way !== "row";
  at("course").hidden = way !== "steps" || rows.length < 2;
  bars(at("chances"), way === "row" && rows.length > 1 ? [] : chances);
  at("said").textContent = way === "row" && rows.length > 1 ? both(`${rows.length} rows`, `${rows.length} 行`) : said;
  if (way === "row") {
    const header = [...columns, `predicted ${gw_model.page.name}`];
    const lines = rows.map((row, n) => [...shown(row), `"${answer(gw_model.page, found[n]).said.replace(/"/g, '""')}"`]);
    at("made").value = [header, ...lines].map((line) => line.join(",")).join("\n");
  }
  if (way === "steps") {
    const drawn = target === "number" ? [0] : chances.slice(0, MOST).map(([label]) => classes.indexOf(label));
    chart(at("chart"), drawn.map((k, n) => ({ values: found.map((own, t) => [t, own[k]]), colour: COLOURS[n] })), [], drawn.map((k) => classes[k]));
  }
}

at("go").addEventListener("click", go);
say({
  title: [target === "number" ? "Estimate" : "Classify", target === "number" ? "估计数值" : "分类"],
  "numbers-label": way === "row"
    ? [`A row a line: ${columns.join(", ")}. Leave empty what is missing.`, `每行一条：${columns.join("、")}。缺失的值留空。`]
    : [`A sequence, a step a line: ${columns.join(", ")}. Leave empty what is missing.`, `一个序列，每行一步：${columns.join("、")}。缺失的值留空。`],
  go: [target === "number" ? "Estimate" : "Classify", target === "number" ? "估计" : "分类"],
  "course-label": ["After each step", "每一步之后"],
  "made-label": ["The result, as CSV", "结果（CSV）"],
});
