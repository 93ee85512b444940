// Steps that lie far from what the network expected.

const names = gw_model.page.names, MOST = 200; // rows of the table

function go() {
  const rows = pasted(() => numbersOf(at("numbers").value, names.length, names));
  if (!rows) return;
  const state = gw_state(), least = Number(at("least").value) || 5;
  let before = null;
  const steps = rows.map((row) => {
    const found = gw_step(state, Float32Array.from(row));
    const step = { row, before, surprise: Array.from(found.surprise) };
    before = { expected: Array.from(found.expected), spread: Array.from(found.spread) };
    return step;
  });
  const far = steps.flatMap((step, t) => step.surprise.map((s, c) => ({ t, c, s, step }))).filter(({ s }) => Math.abs(s) >= least);
  at("charts").replaceChildren(...names.map((name, c) => {
    const svg = s("svg");
    const band = steps.map(({ before: b }, t) => b && [t, b.expected[c] - least * b.spread[c], b.expected[c] + least * b.spread[c]]).filter(Boolean);
    chart(svg, [{ values: steps.map(({ row }, t) => [t, row[c]]), colour: COLOURS[c % 6], band }], far.filter((one) => one.c === c).map(({ t }) => t));
    return h("figure", {}, h("figcaption", {}, name), svg);
  }));
  at("said").textContent = both(
    `${far.length} values lie ${least} spreads or more from what the network expected of them. The detector's own alarms also weigh what is usual in a series.`,
    `有 ${far.length} 个值与网络的预期相差 ${least} 个尺度以上。检测器本身的警报还会考虑序列中的常态。`);
  at("found").hidden = !far.length;
  at("found").querySelector("tbody").replaceChildren(...far.slice(0, MOST).map(({ t, c, s, step }) =>
    h("tr", {}, ...[t, names[c], step.row[c], step.before.expected[c].toPrecision(4), s.toFixed(1)].map((text) => h("td", {}, text)))));
}

at("go").addEventListener("click", go);
say({
  title: ["Watch numbers", "监测数据"],
  "numbers-label": [`Numbers, a step a line: ${names.join(", ")}. Leave empty what is missing.`, `数据，每行一步：${names.join("、")}。缺失的值留空。`],
  go: ["Look", "检查"],
  "least-label": ["Spreads from what was expected", "偏离预期的尺度数"],
  "step-label": ["Step", "步"],
  "channel-label": ["Channel", "通道"],
  "value-label": ["Value", "值"],
  "expected-label": ["Expected", "预期"],
  "surprise-label": ["Spreads", "尺度数"],
});
