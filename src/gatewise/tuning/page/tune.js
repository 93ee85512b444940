// The page: its parts, and the trial that is chosen in all of them.
let here = study.found ? study.found.chosen : study.order[0] ?? null, byTime = false, charts = [];

const widthNow = () => Math.max(280, at("charts").clientWidth);
let width = widthNow();

function choose(number, words = true) {
  here = number;
  for (const chart of charts) for (const { trial, shape } of chart.points) shape.classList.toggle("here", trial === number);
  for (const chart of charts) for (const { trial, shape } of chart.points) if (trial === number) chart.svg.append(shape);
  if (words) at("cursor").textContent = told(trialOf.get(number));
}

// The keyboard goes through the trials in their order; a finger or a pointer takes the nearest.
function listen(chart) {
  charts.push(chart);
  const follow = (event) => {
    const box = chart.svg.getBoundingClientRect(), factor = chart.width / box.width;
    const [x, y] = [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor];
    const away = (point) => (point.x - x) ** 2 + (point.y - y) ** 2;
    if (chart.points.length) choose(chart.points.reduce((found, point) => (away(point) < away(found) ? point : found)).trial);
  };
  chart.svg.addEventListener("pointermove", follow);
  chart.svg.addEventListener("pointerdown", follow);
  chart.svg.addEventListener("focus", () => { if (here !== null) choose(here); });
  chart.svg.addEventListener("keydown", (event) => {
    const all = known.map((own) => own.trial), i = all.indexOf(here);
    const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || !all.length) return;
    event.preventDefault();
    choose(all[Math.max(0, Math.min(all.length - 1, to))]);
  });
  return chart.svg;
}

const section = (name, ...children) => h("section", { id: name, "aria-labelledby": `${name}-title` }, h("h2", { id: `${name}-title` }, say(name)), h("p", { class: "quiet" }, say(`${name}Words`)), ...children);

function legend(...names) {
  const line = (kind) => s("line", { x1: 0, x2: 28, y1: 7, y2: 7, class: kind });
  const samples = {
    finishedMark: [s("circle", { cx: 14, cy: 7, r: 4.5, class: "mark" })],
    openMark: [s("circle", { cx: 14, cy: 7, r: 4.5, class: "mark open" })],
    defaultMark: [s("path", { d: "M14 1l6 6l-6 6l-6 -6z", class: "mark default" })],
    repeatMark: [s("rect", { x: 10, y: 3, width: 8, height: 8, class: "mark" })],
    above: [s("path", { d: "M14 2l5 8h-10z", class: "mark open" })],
    bestLine: [line("best")],
    bandMark: [s("rect", { x: 0, y: 1, width: 28, height: 12, class: "band" }), line("middle")],
    seedsMark: [s("line", { x1: 14, x2: 14, y1: 1, y2: 13, class: "seeds" }), s("line", { x1: 9, x2: 19, y1: 1, y2: 1, class: "seeds" }), s("line", { x1: 9, x2: 19, y1: 13, y2: 13, class: "seeds" })],
  };
  return h("ul", { class: "legend" }, ...names.map((name) => h("li", {}, s("svg", { viewBox: "0 0 28 14", "aria-hidden": "true" }, ...samples[name]), say(name))));
}

function drawHistory() {
  const order = h("select", { id: "order", onchange: () => { byTime = order.value === "time"; draw(); at("order").focus(); } },
    h("option", { value: "trial" }, say("byTrial")), h("option", { value: "time" }, say("byTime")));
  order.value = byTime ? "time" : "trial";
  const above = known.some((own) => own.loss > lossRange()[1]) ? ["above"] : [];
  return section("history", h("div", { class: "row" }, h("label", { for: "order" }, say("over")), order), listen(historyChart(width, byTime)),
    legend("finishedMark", "openMark", "defaultMark", "repeatMark", ...above, "bestLine", "bandMark"));
}

function drawSlices() {
  const count = Math.max(1, Math.floor((width + 16) / (288 + 16))), each = (width - 16 * (count - 1)) / count;
  return section("slices", legend("finishedMark", "openMark", "defaultMark", "bandMark", "seedsMark"),
    h("div", { class: "slices" }, ...study.knobs.map((knob) => h("div", {}, h("h3", {}, knob.name), listen(sliceChart(knob, each))))));
}

function drawImportance() {
  if (study.importance) {
    return section("importance", importanceChart(width), numbersBehind(say("importance"), () => [["knob", "share", "low", "high"].map(say), study.importance.map((own) => [own.knob, own.share, own.low, own.high])]));
  }
  const { enough, order } = study;
  return section("importance", h("p", {}, both(`Not enough trials to say: ${enough} are needed, and ${order.length} can be compared.`, `试验太少，无法判断：需要 ${enough} 次，目前可比较的有 ${order.length} 次。`)));
}

function drawVerdict() {
  const title = h("h2", { id: "verdict-title" }, say("found"));
  if (!study.found) return at("verdict").replaceChildren(title, h("p", {}, say("early")));
  const scaled = trialOf.get(study.found.chosen)["fit learning_rate"] !== undefined;
  const text = study.command ?? flags(study.found.options);
  return at("verdict").replaceChildren(title, ...verdict().map((sentence) => h("p", {}, sentence)),
    ...(text ? [h("p", { class: "quiet" }, say(study.command ? "command" : "options")), h("pre", {}, text)] : []), ...(scaled ? [h("p", { class: "quiet" }, say("rate"))] : []));
}

function draw() {
  charts = [];
  width = widthNow();
  const parts = known.length ? [drawHistory(), drawSlices(), drawImportance(), section("parallel", listen(parallelChart(width)))] : [];
  const trials = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": say("region") }, table(...trialTable()));
  at("charts").replaceChildren(...parts, section("table", trials));
  if (here !== null) choose(here);
}

function show() {
  document.title = at("title").textContent = study.title;
  at("counts").textContent = counts();
  at("help").textContent = say("help");
  at("made").textContent = say("made");
  drawVerdict();
  draw();
}

addEventListener("resize", () => { if (widthNow() !== width) draw(); });
switches(show);
document.documentElement.dataset.ready = "yes";
