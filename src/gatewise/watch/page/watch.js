// The page: rows, the line that moves through the validations, and the two languages.
const stops = [...new Set([...record.look, ...record.evaluation].map((line) => line.step))].sort((a, b) => a - b);
const all = [...record.train, ...record.evaluation, ...record.look].map((line) => line.step);
const steps = [Math.min(0, ...all), Math.max(...all)];
const epochs = new Map([...record.train, ...record.evaluation, ...record.look].map((line) => [line.step, line.epoch]));
let stop = stops.length - 1, layer = null, charts = [];

// One line for each step, one column for each series.
function tableOf(series) {
  const values = series.map((own) => new Map(own.points));
  const every = [...new Set(series.flatMap((own) => own.points.map((point) => point[0])))].sort((a, b) => a - b);
  return [[say("step"), say("epoch"), ...series.map((own) => own.name)],
    every.map((step) => [String(step), epochs.get(step) ?? NaN, ...values.map((own) => own.get(step) ?? NaN)])];
}

function drawRow(row, parent) {
  const columns = row.map ? row.map(layer).filter(([, own]) => own.length) : null;
  const series = row.map ? [] : row.series(layer).filter((own) => own.points.length);
  if (!(columns ? columns.length : series.length)) return;
  const chart = columns ? mapChart(say(row.name), columns, steps) : lineChart(say(row.name), series, steps, row.log);
  chart.line = s("line", { y1: TOP, y2: HIGH - BOTTOM, class: "cursor" });
  chart.svg.append(chart.line);
  chart.told = (step) => (columns ? toldOf(columns, step) : series.map((own) => `${own.name} ${plain(nearest(own.points, step))}`).join(", "));
  chart.name = row.name;
  listen(chart);
  const legend = series.map((own, place) => h("li", {}, s("svg", { viewBox: "0 0 35 12", "aria-hidden": "true" },
    s("line", { x1: 0, x2: 35, y1: 6, y2: 6, stroke: `var(--s${place % 6})`, "stroke-width": 2.5, "stroke-dasharray": DASHES[place % 6] })), ` ${own.name}`));
  const tabled = () => tableOf(columns ? byLag(columns) : row.all ? row.all() : series);
  parent.append(h("section", { class: "chart", id: `row-${row.name}`, "aria-labelledby": `name-${row.name}` },
    h("h2", { id: `name-${row.name}` }, say(row.name)), h("p", { class: "note" }, say(row.words)), chart.svg,
    series.length > 1 ? h("ul", { class: "legend" }, ...legend) : null, numbersBehind(say(row.name), tabled)));
  charts.push(chart);
}

// A series of each lag.
function byLag(columns) {
  const lags = [...new Set(columns.flatMap(([, own]) => own.map(([lag]) => lag)))].sort((a, b) => a - b);
  return lags.map((lag) => ({ name: `${say("lag")} ${lag}`,
    points: columns.map(([step, own]) => [step, new Map(own).get(lag)]).filter((point) => point[1] !== undefined) }));
}

const toldOf = (columns, step) => nearest(columns, step).map(([lag, norm]) => `${say("lag")} ${lag}: ${plain(norm)}`).join(", ");

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
  if (chart) at("cursor").textContent = `${say("step")} ${step} (${say("epoch")} ${plain(epochs.get(step))}) · ${say(chart.name)}: ${chart.told(step)}`;
}

// All of it, in the language of now.

function show() {
  document.title = at("title").textContent = record.title;
  at("layer-label").textContent = say("layer");
  at("help").textContent = say("help");
  at("made").textContent = say("made");
  at("course").textContent = course();
  showAdvice();
  at("layer").replaceChildren(h("option", { value: "" }, say("every")), ...layers.map((name) => h("option", { value: name }, name)));
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
    words.push(`${say("best")} ${plain(validated(best))} ${say("at")} ${best.step} ${say("atEnd")}`.trim());
  }
  if (record.race.length) words.push(`${say("raced")}: ${record.race.map((line) =>
    `${plain(line.learning_rate)} (${Number.isFinite(validated(line)) ? plain(validated(line)) : say("diverged")})`).join(", ")}`);
  return words.join(" · ");
}

function showAdvice() {
  const box = at("advice");
  box.classList.toggle("ill", record.advice.length > 0);
  if (!record.advice.length) {
    box.replaceChildren(h("p", { id: "advice-title" }, say(record.look.length ? "well" : "unseen")));
    return;
  }
  box.replaceChildren(h("h2", { id: "advice-title" }, say("wrong")), h("ul", {}, ...record.advice.map((own) =>
    h("li", {}, `${both(own.english, own.chinese)} (${`${say("since")} ${own.step} ${say("sinceEnd")}`.trim()})`))));
}

addEventListener("resize", () => { if (widthNow() !== wide) drawRows(); });
at("layer").addEventListener("change", () => { layer = at("layer").value || null; drawRows(); });
switches(show);
document.documentElement.dataset.ready = "yes";
