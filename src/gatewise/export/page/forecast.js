// What comes after the numbers that were pasted.

const { names, context, horizon, levels } = gw_model.page;

// A missing value becomes the one before it. Of what is too short, the first value is repeated at the beginning.
function filled(values) {
  const found = [];
  for (const value of values) found.push(Number.isFinite(value) ? value : found[found.length - 1]);
  const first = found.find((value) => value !== undefined);
  if (first === undefined) throw new Error(both("A column has no number.", "有一列没有数字。"));
  const whole = found.map((value) => value ?? first).slice(-context);
  return [...Array(context - whole.length).fill(whole[0]), ...whole];
}

function go() {
  const rows = pasted(() => numbersOf(at("numbers").value, names.length, names));
  const columns = rows && pasted(() => names.map((_, c) => filled(rows.map((row) => row[c]))));
  if (!columns) return;
  const found = gw_step(gw_state(), Float32Array.from(columns.flat()));
  const point = (c, h) => found.forecast[c * horizon + h];
  const level = (c, h, k) => found.quantiles[(c * horizon + h) * levels.length + k];
  const steps = Array.from({ length: horizon }, (_, h) => h), n = rows.length, shown = Math.min(n, 4 * horizon + 20);
  at("charts").replaceChildren(...names.map((name, c) => {
    const svg = s("svg");
    const past = rows.slice(-shown).map((row, t) => [n - shown + t, row[c]]);
    const band = levels.length > 1 ? steps.map((h) => [n + h, level(c, h, 0), level(c, h, levels.length - 1)]) : undefined;
    chart(svg, [{ values: past, colour: COLOURS[0] }, { values: steps.map((h) => [n + h, point(c, h)]), colour: COLOURS[1], band }]);
    return h("figure", {}, h("figcaption", {}, name), svg);
  }));
  const short = rows.length < context;
  at("said").textContent = (short ? both(`The model was trained to read ${context} steps, and there are ${rows.length}: what is missing was filled with the first. `,
    `模型按 ${context} 步训练，而这里只有 ${rows.length} 步，缺少的用第一个值补齐。`) : "")
    + (levels.length > 1 ? both(`The band lies between the levels ${levels[0]} and ${levels[levels.length - 1]}.`, `色带介于分位数 ${levels[0]} 与 ${levels[levels.length - 1]} 之间。`) : "");
  const header = ["step", ...names.flatMap((name) => [name, ...levels.map((q) => `${name}_${q}`)])];
  const lines = steps.map((h) => [h + 1, ...names.flatMap((_, c) => [point(c, h), ...levels.map((_, k) => level(c, h, k))])]);
  at("made").value = [header, ...lines.map((line) => line.map((v) => Number(v.toPrecision(6))))].map((line) => line.join(",")).join("\n");
}

at("go").addEventListener("click", go);
say({
  title: ["Forecast", "预测"],
  "numbers-label": [`The past, a step a line, the newest last: ${names.join(", ")}`, `过去的数据，每行一步，最新的在最后：${names.join("、")}`],
  go: ["Forecast", "预测"],
  "made-label": ["The forecast, as CSV", "预测结果（CSV）"],
});
