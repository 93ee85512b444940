// The page: rows, the line that moves through the validations, and the two languages.
const at = (id) => document.getElementById(id);
const stops = [...new Set([...record.look, ...record.evaluation].map((line) => line.step))].sort((a, b) => a - b);
const all = [...record.train, ...record.evaluation, ...record.look].map((line) => line.step);
const steps = [Math.min(0, ...all), Math.max(...all)];
const epochs = new Map([...record.train, ...record.evaluation, ...record.look].map((line) => [line.step, line.epoch]));
let stop = stops.length - 1, layer = null, charts = [];

function element(name, words, parent, attributes = {}) {
  const found = document.createElement(name);
  if (words !== undefined) found.textContent = words;
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  if (parent) parent.append(found);
  return found;
}

function table(head, body) {
  const found = element("table");
  const top = element("tr", undefined, element("thead", undefined, found));
  for (const word of head) element("th", word, top, { scope: "col" });
  const rest = element("tbody", undefined, found);
  for (const cells of body) {
    const line = element("tr", undefined, rest);
    for (const cell of cells) element("td", typeof cell === "number" ? text(cell) : cell, line);
  }
  return found;
}

// One line for each step, one column for each series.
function tableOf(series) {
  const values = series.map((own) => new Map(own.points));
  const every = [...new Set(series.flatMap((own) => own.points.map((point) => point[0])))].sort((a, b) => a - b);
  return table([say("step"), say("epoch"), ...series.map((own) => own.name)],
    every.map((step) => [String(step), epochs.get(step) ?? NaN, ...values.map((own) => own.get(step) ?? NaN)]));
}

function drawRow(row, parent) {
  const columns = row.map ? row.map(layer).filter(([, own]) => own.length) : null;
  const series = row.map ? [] : row.series(layer).filter((own) => own.points.length);
  if (!(columns ? columns.length : series.length)) return;
  const box = element("section", undefined, parent, { class: "row", id: `row-${row.name}`, "aria-labelledby": `name-${row.name}` });
  element("h2", say(row.name), box, { id: `name-${row.name}` });
  element("p", say(row.words), box, { class: "note" });
  const chart = columns ? mapChart(say(row.name), columns, steps) : lineChart(say(row.name), series, steps, row.log);
  chart.line = made("line", { y1: TOP, y2: HIGH - BOTTOM, class: "cursor" }, chart.svg);
  chart.told = (step) => (columns ? toldOf(columns, step) : series.map((own) => `${own.name} ${text(nearest(own.points, step))}`).join(", "));
  chart.name = row.name;
  box.append(chart.svg);
  listen(chart);
  if (series.length > 1) {
    const legend = element("ul", undefined, box, { class: "legend" });
    series.forEach((own, place) => {
      const item = element("li", undefined, legend);
      const sample = made("svg", { viewBox: "0 0 35 12", "aria-hidden": "true" }, item);
      made("line", { x1: 0, x2: 35, y1: 6, y2: 6, stroke: `var(--s${place % 6})`, "stroke-width": 2.5, "stroke-dasharray": DASHES[place % 6] }, sample);
      item.append(` ${own.name}`);
    });
  }
  const details = element("details", undefined, box);
  element("summary", say("numbers"), details);
  const scroll = element("div", undefined, details, { class: "scroll", tabindex: "0", role: "region", "aria-label": `${say(row.name)}: ${say("numbers")}` });
  details.addEventListener("toggle", () => {
    if (!details.open || scroll.childNodes.length) return;
    if (!columns) { scroll.append(tableOf(row.all ? row.all() : series)); return; }
    const lags = [...new Set(columns.flatMap(([, own]) => own.map(([lag]) => lag)))].sort((a, b) => a - b);
    scroll.append(tableOf(lags.map((lag) => ({ name: `${say("lag")} ${lag}`,
      points: columns.map(([step, own]) => [step, new Map(own).get(lag)]).filter((point) => point[1] !== undefined) }))));
  });
  charts.push(chart);
}

const toldOf = (columns, step) => nearest(columns, step).map(([lag, norm]) => `${say("lag")} ${lag}: ${text(norm)}`).join(", ");

function nearest(points, step) {
  return points.reduce((found, point) => (Math.abs(point[0] - step) < Math.abs(found[0] - step) ? point : found))[1];
}

// The line through all charts.

function listen(chart) {
  chart.svg.addEventListener("pointermove", (event) => follow(chart, event));
  chart.svg.addEventListener("pointerdown", (event) => follow(chart, event));
  chart.svg.addEventListener("focus", () => move(stop, chart));
  chart.svg.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: stop - 1, ArrowRight: stop + 1, Home: 0, End: stops.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(to, chart);
  });
}

function follow(chart, event) {
  const box = chart.svg.getBoundingClientRect(), place = ((event.clientX - box.left) / box.width) * wide;
  const distances = stops.map((step) => Math.abs(chart.x.place(step) - place));
  move(distances.indexOf(Math.min(...distances)), chart);
}

function move(to, chart) {
  if (!stops.length) return;
  stop = Math.max(0, Math.min(stops.length - 1, to));
  const step = stops[stop];
  for (const own of charts) for (const end of ["x1", "x2"]) own.line.setAttribute(end, own.x.place(step));
  if (chart) at("cursor").textContent = `${say("step")} ${step} (${say("epoch")} ${text(epochs.get(step))}) · ${say(chart.name)}: ${chart.told(step)}`;
}

// All of it, in the language of now.

function show() {
  document.documentElement.lang = languages.now ? "zh" : "en";
  document.title = at("title").textContent = record.title;
  at("language").textContent = languages.now ? "English" : "中文";
  at("language").lang = languages.now ? "en" : "zh";
  at("theme").textContent = say(darkNow() ? "light" : "dark");
  at("layer-label").textContent = say("layer");
  at("help").textContent = say("help");
  at("made").textContent = say("made");
  at("course").textContent = course();
  showAdvice();
  at("layer").replaceChildren();
  element("option", say("every"), at("layer"), { value: "" });
  for (const name of layers) element("option", name, at("layer"), { value: name });
  at("layer").value = layer ?? "";
  at("layer").parentElement.hidden = !layers.length;
  drawRows();
}

const widthNow = () => Math.max(300, at("rows").clientWidth);

function drawRows() {
  charts = [];
  wide = widthNow();
  at("cursor").textContent = "";
  at("rows").replaceChildren();
  for (const row of ROWS) drawRow(row, at("rows"));
  move(stop);
}

function course() {
  const words = [];
  const known = record.evaluation.filter((line) => Number.isFinite(validated(line)));
  if (known.length) {
    const best = known.reduce((found, line) => (validated(line) < validated(found) ? line : found));
    words.push(`${say("best")} ${text(validated(best))} ${say("at")} ${best.step} ${say("atEnd")}`.trim());
  }
  if (record.race.length) words.push(`${say("raced")}: ${record.race.map((line) =>
    `${text(line.learning_rate)} (${text(validated(line) ?? NaN) || say("diverged")})`).join(", ")}`);
  return words.join(" · ");
}

function showAdvice() {
  const box = at("advice");
  box.replaceChildren();
  box.classList.toggle("ill", record.advice.length > 0);
  if (!record.advice.length) {
    element("p", say(record.look.length ? "well" : "unseen"), box, { id: "advice-title" });
    return;
  }
  element("h2", say("wrong"), box, { id: "advice-title" });
  const list = element("ul", undefined, box);
  for (const own of record.advice)
    element("li", `${languages.now ? own.chinese : own.english} (${say("since")} ${own.step} ${say("sinceEnd")}`.trim() + ")", list);
}

const darkNow = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

at("language").addEventListener("click", () => { languages.now = 1 - languages.now; show(); });
at("theme").addEventListener("click", () => { document.documentElement.dataset.theme = darkNow() ? "light" : "dark"; show(); });
addEventListener("resize", () => { if (widthNow() !== wide) drawRows(); });
at("layer").addEventListener("change", () => { layer = at("layer").value || null; drawRows(); });
show();
document.documentElement.dataset.ready = "yes";
