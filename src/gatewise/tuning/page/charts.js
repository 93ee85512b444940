// Points over trials, time or a knob's values, and the bars of importance, as SVG.
const LEFT = 52, RIGHT = 12, TOP = 14, BOTTOM = 22;

// The range of losses that is drawn: a few that are far above the others would press all of them together.
function lossRange() {
  const values = known.map((own) => own.loss).sort((a, b) => a - b);
  if (!values.length) return [0, 1];
  const low = values[0], most = values[values.length - 1];
  const upper = Math.max(values[Math.floor(0.75 * (values.length - 1))], ...defaults);
  const high = most > low + 2.5 * (upper - low) && upper > low ? low + 1.5 * (upper - low) : most;
  const rim = 0.05 * (high - low) || Math.abs(high) / 10 || 1;
  return [low - rim, high + rim];
}

// A diamond, a square, a circle, or a triangle at the upper edge for what is above it.
function mark(own, x, y, range) {
  const kind = `mark ${isDefault(own) ? "default" : ""} ${own.state === "finished" ? "" : "open"}`;
  if (own.loss > range[1]) return s("path", { d: `M${x} ${y - 5}l5 8h-10z`, class: kind });
  if (isDefault(own)) return s("path", { d: `M${x} ${y - 6}l6 6l-6 6l-6 -6z`, class: kind });
  if (own.kind === "repeat") return s("rect", { x: x - 4, y: y - 4, width: 8, height: 8, class: kind });
  return s("circle", { cx: x, cy: y, r: 4.5, class: kind });
}

// An empty picture of losses, with the default's line and band. `points` are put in by `put`.
function lossFrame(label, width, height) {
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": label });
  const range = lossRange(), y = scale(...range, height - BOTTOM, TOP, false);
  for (const value of y.marks) {
    svg.append(s("line", { x1: LEFT, x2: width - RIGHT, y1: y.place(value), y2: y.place(value), class: "grid" }),
      s("text", { x: LEFT - 6, y: y.place(value) + 4, "text-anchor": "end" }, plain(value)));
  }
  svg.append(s("rect", { x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: height - TOP - BOTTOM, class: "frame" }));
  if (defaults.length) {
    const top = y.place(Math.max(...defaults)), middle = y.place(mean(defaults));
    svg.append(s("rect", { x: LEFT, width: width - LEFT - RIGHT, y: top, height: Math.max(1, y.place(Math.min(...defaults)) - top), class: "band" }),
      s("line", { x1: LEFT, x2: width - RIGHT, y1: middle, y2: middle, class: "middle" }));
  }
  const chart = { svg, width, points: [] };
  chart.at = (loss) => y.place(Math.min(loss, range[1]));
  chart.put = (own, x) => {
    const shape = mark(own, x, chart.at(own.loss), range);
    svg.append(shape);
    chart.points.push({ trial: own.trial, x, y: chart.at(own.loss), shape });
  };
  return chart;
}

const ticks = (svg, axis, height) => svg.append(...axis.marks.map((value) => s("text", { x: axis.place(value), y: height - 6, "text-anchor": "middle" }, plain(value))));

function historyChart(width, byTime) {
  const height = 240, chart = lossFrame(say("history"), width, height);
  let spent = 0;
  const positions = new Map(study.trials.map((own) => [own.trial, byTime ? (spent += own.seconds) : own.trial]));
  const last = Math.max(...positions.values(), 1), x = scale(0, last, LEFT + 8, width - RIGHT - 8, false);
  ticks(chart.svg, byTime ? x : { ...x, marks: x.marks.filter(Number.isInteger) }, height);
  let best = Infinity, path = "";
  for (const own of known) {
    if (own.state !== "finished" || own.kind === "repeat" || own.loss >= best) continue;
    best = own.loss;
    const there = x.place(positions.get(own.trial));
    path += path ? `H${there}V${chart.at(best)}` : `M${there} ${chart.at(best)}`;
  }
  if (path) chart.svg.append(s("path", { d: `${path}H${x.place(last)}`, class: "best" }));
  for (const own of known) chart.put(own, x.place(positions.get(own.trial)));
  return chart;
}

// Where a value of a knob lies on an axis from one place to another, and which values are written there.
function axisOf(knob, from, to) {
  const values = [...new Set([...study.trials.map((own) => own[knob.name]), knob.default])];
  if (knob.choices.length) {
    const choices = [...new Set([...knob.choices, ...values])], width = (to - from) / choices.length;
    return { place: (value) => from + (choices.indexOf(value) + 0.5) * width, marks: choices };
  }
  const low = Math.min(knob.low, ...values), high = Math.max(knob.high, ...values);
  const axis = scale(low, high, from, to, knob.log && low > 0);
  return knob.whole ? { ...axis, marks: axis.marks.map(Math.round).filter((value, i, all) => all.indexOf(value) === i && value >= low && value <= high) } : axis;
}

function sliceChart(knob, width) {
  const height = 180, chart = lossFrame(`${say("slices")}: ${knob.name}`, width, height);
  const axis = axisOf(knob, LEFT + 10, width - RIGHT - 10);
  chart.svg.append(...axis.marks.map((value) => s("text", { x: axis.place(value), y: height - 6, "text-anchor": "middle" }, shown(value))));
  for (const { trial, losses } of study.found ? study.found.seeds : []) {
    const x = axis.place(trialOf.get(trial)[knob.name]), ends = [Math.min(...losses), Math.max(...losses)].map(chart.at);
    if (!isDefault(trialOf.get(trial))) chart.svg.append(s("line", { x1: x, x2: x, y1: ends[0], y2: ends[1], class: "seeds" }), ...ends.map((y) => s("line", { x1: x - 6, x2: x + 6, y1: y, y2: y, class: "seeds" })));
  }
  for (const own of known) if (own.kind !== "repeat") chart.put(own, axis.place(own[knob.name]));
  return chart;
}

const NARROW = 520; // pixels, below which the figures of a bar stand below its name
const rounded = (share) => `${Math.round(100 * share)} %`.replace("-", "−");
const important = (own) => `${rounded(Math.max(0, own.share))} (${rounded(own.low)} ${both("to", "至")} ${rounded(own.high)})${own.low > 0 ? "" : ` · ${say("unsure")}`}`;

// A bar for each knob, from 0 to its share, with its interval.
function importanceChart(width) {
  const all = study.importance, narrow = width < NARROW, row = narrow ? 60 : 44;
  const low = Math.min(0, ...all.map((own) => own.low)), high = Math.max(0.05, ...all.map((own) => Math.max(own.high, own.share)));
  const x = scale(low, high, 8, width - 8, false);
  const label = `${say("importance")}: ${all.map((own) => `${own.knob} ${important(own)}`).join("; ")}`;
  const svg = s("svg", { viewBox: `0 0 ${width} ${row * all.length}`, role: "img", "aria-label": label });
  svg.append(s("line", { x1: x.place(0), x2: x.place(0), y1: 0, y2: row * all.length, class: "axis" }));
  all.forEach((own, i) => {
    const y = (i + 1) * row - 13, ends = [own.low, own.high].map(x.place);
    svg.append(s("text", { x: 8, y: i * row + 16, class: "name" }, own.knob),
      narrow ? s("text", { x: 8, y: i * row + 31 }, important(own)) : s("text", { x: width - 8, y: i * row + 16, "text-anchor": "end" }, important(own)),
      s("rect", { x: x.place(0), width: Math.max(1, x.place(own.share) - x.place(0)), y: y - 6, height: 12, class: own.low > 0 ? "bar sure" : "bar" }),
      s("line", { x1: ends[0], x2: ends[1], y1: y, y2: y, class: "whisker" }), ...ends.map((end) => s("line", { x1: end, x2: end, y1: y - 5, y2: y + 5, class: "whisker" })));
  });
  return svg;
}
