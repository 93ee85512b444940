// The input, coloured by what each step adds, with a cursor that other parts follow.

const cursor = { input: 0, step: 0, contrast: -1 };
let followers = []; // called with (input, step) after the cursor moved

function moveTo(input, step) {
  const steps = report.inputs[input].labels.length;
  Object.assign(cursor, { input, step: Math.max(0, Math.min(steps - 1, step)) });
  for (const follow of followers) follow(cursor.input, cursor.step);
}

const chosen = () => (cursor.contrast < 0 ? { target: report.target, attribution: report.attribution } : report.contrasts[cursor.contrast]);
const addedTo = (input) => chosen().attribution?.added[input] ?? null;

// What a step is called: its word or time, or where it is in an image.
const stepName = (one, step) => (one.grid ? words().gridCell(Math.floor(step / one.grid[1]), step % one.grid[1]) : one.labels[step]);

function reading(input, step) {
  const one = report.inputs[input], added = addedTo(input);
  const values = one.values && one.channels.length <= 6 ? one.channels.map((name, c) => `${name} ${plain(numbersOf(one)[step * one.channels.length + c])}`.trim()).join(", ") : "";
  const label = [stepName(one, step), values].filter(Boolean).join(", ");
  return added ? words().adds(label, step, signed(added.steps[step])) : `${words().step} ${step}${label ? `: ${label}` : ""}`;
}

const unpacked = new Map();
function numbersOf(one) {
  if (!unpacked.has(one)) unpacked.set(one, numbers(one.values));
  return unpacked.get(one);
}

function inputSection() {
  const w = words(), attributed = report.attribution !== null;
  const parts = report.inputs.map((one, input) => {
    const show = one.values || one.kind === "image" ? { tokens, image: imageOf, spectrum: spectrumOf, numbers: seriesOf }[one.kind] : tokens;
    const line = h("p", { class: "reading" });
    followers.push((i, step) => { if (i === input) line.textContent = reading(input, step); });
    const head = [w.step, w.label, ...(attributed ? [w.added] : []), ...(addedTo(input)?.occluded ? [w.occluded] : [])];
    const rows = () => one.labels.map((_, step) => [step, stepName(one, step), ...(attributed ? [addedTo(input).steps[step]] : []), ...(addedTo(input)?.occluded ? [addedTo(input).occluded[step]] : [])]);
    const caption = report.inputs.length > 1 ? one.name : "";
    return figure(caption, h("div", {}, show(one, input), line), head, rows);
  });
  return section("input", w.read, attributed ? w.legend : "", contrastChoice(), ...parts);
}

function contrastChoice() {
  if (!report.contrasts?.length) return null;
  const options = [report.target, ...report.contrasts.map((one) => one.target)].map((target, i) => h("option", { value: i - 1, selected: i - 1 === cursor.contrast }, targetName(target)));
  const choice = h("select", { id: "contrast", onchange: (event) => { cursor.contrast = Number(event.target.value); draw("contrast"); } }, ...options);
  return h("p", { class: "row" }, h("label", {}, words().contrast, choice));
}

function keys(box, input, before = 1, back = before) {
  box.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -back, ArrowDown: before, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    moveTo(input, Math.max(0, Math.min(report.inputs[input].labels.length - 1, (cursor.input === input ? cursor.step : 0) + by)));
    at("spoken").textContent = reading(cursor.input, cursor.step);
  });
}

function slider(input, attributes, ...children) {
  const box = h("div", { tabindex: 0, role: "slider", "aria-label": `${words().read}: ${report.inputs[input].name}`, "aria-valuemin": 0, "aria-valuemax": report.inputs[input].labels.length - 1, ...attributes }, ...children);
  followers.push((i, step) => {
    const here = i === input ? step : 0;
    box.setAttribute("aria-valuenow", here);
    box.setAttribute("aria-valuetext", reading(input, here));
  });
  return box;
}

// Words and characters. Sign and size have marks of their own, so that colour is never alone.
function tokens(one, input) {
  const added = addedTo(input)?.steps, most = added ? largestOf(added) : 0;
  const spans = one.labels.map((label, step) => {
    const part = added ? share(added[step], most) : 0, name = part < 0 ? "--minus" : "--plus", size = Math.abs(part);
    const shown = label === "\n" ? "⏎\n" : label === "\t" ? "⇥" : label;
    const style = size > 0.02 ? { backgroundColor: `color-mix(in srgb, var(${name}) ${Math.round(32 * size)}%, transparent)`, borderBottom: `${(4 * size).toFixed(1)}px solid var(${name})` } : {};
    return h("span", { class: "token", "data-step": step, style }, shown, size > 0.25 ? h("sup", {}, part < 0 ? "−" : "+") : null);
  });
  const box = slider(input, { class: "tokens", onclick: (event) => { const token = event.target.closest(".token"); if (token) moveTo(input, Number(token.dataset.step)); } },
    ...spans.flatMap((span, i) => (i && one.separator ? [one.separator, span] : [span])));
  keys(box, input);
  let here = null;
  followers.push((i, step) => {
    here?.classList.remove("here");
    if (i !== input) return;
    here = spans[step];
    here.classList.add("here");
    const place = here.offsetTop - box.offsetTop;
    if (place < box.scrollTop || place > box.scrollTop + box.clientHeight - 40) box.scrollTop = place - box.clientHeight / 2;
  });
  return box;
}

// A line for each channel, and under it columns up and down for what each step adds.
function seriesOf(one, input) {
  const T = one.labels.length, C = one.channels.length, added = addedTo(input), apart = added?.channels ? numbers(added.channels) : null;
  const values = numbersOf(one), size = (c) => (apart ? Array.from({ length: T }, (_, t) => Math.abs(apart[t * C + c])).reduce((a, b) => a + b, 0) : 0);
  const order = Array.from({ length: C }, (_, c) => c).sort((a, b) => size(b) - size(a)).slice(0, 8);
  const W = wide(), H = 136, x = (t) => 45 + ((t + 0.5) / T) * (W - 55), most = apart ? largestOf(Array.from(apart)) : largestOf(added?.steps ?? []);
  const panels = order.map((c) => {
    const own = Array.from({ length: T }, (_, t) => values[t * C + c]), seen = own.filter(Number.isFinite);
    const low = Math.min(...seen), high = Math.max(...seen), y = (v) => 80 - ((v - low) / (high - low || 1)) * 56;
    const path = own.map((v, t) => (Number.isFinite(v) ? `${t && Number.isFinite(own[t - 1]) ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}` : "")).join("");
    const adds = (t) => (apart ? apart[t * C + c] : C === 1 ? added?.steps[t] ?? 0 : 0);
    const columnsUp = added ? own.map((_, t) => { const part = share(adds(t), most) * 24; return part ? s("rect", { x: x(t) - Math.max(0.4, (W - 55) / T / 2.4), width: Math.max(0.8, (W - 55) / T / 1.2), y: part > 0 ? 110 - part : 110, height: Math.abs(part), class: part > 0 ? "plus" : "minus" }) : null; }) : [];
    const line = s("line", { y1: 18, y2: H - 2, class: "cursor" });
    followers.push((i, step) => { const place = x(i === input ? step : 0); line.setAttribute("x1", place); line.setAttribute("x2", place); });
    return s("svg", { viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true" }, s("text", { x: 45, y: 13, class: "name" }, one.channels[c]), s("text", { x: 40, y: 30, "text-anchor": "end" }, plain(high)), s("text", { x: 40, y: 82, "text-anchor": "end" }, plain(low)),
      s("line", { x1: 45, x2: W - 10, y1: 110, y2: 110, class: "axis" }), s("path", { d: path, class: "ink" }), ...columnsUp, line);
  });
  const left = C > order.length ? h("p", { class: "quiet" }, `${order.length} / ${C}`) : null;
  const box = slider(input, { onclick: (event) => { const svg = event.target.closest("svg"); if (!svg) return; const place = svg.getBoundingClientRect(); moveTo(input, Math.floor((((event.clientX - place.left) / place.width) * W - 45) / (W - 55) * T)); } }, ...panels, left);
  keys(box, input);
  return box;
}

// Frequencies over time, and under them what each step adds.
function spectrumOf(one, input) {
  const T = one.labels.length, C = one.channels.length, values = numbersOf(one), sorted = Float32Array.from(values).sort();
  const low = sorted[Math.floor(sorted.length * 0.02)], high = sorted[Math.floor(sorted.length * 0.98)] || low + 1;
  const picture = pixels(C, T, (row, t) => (values[t * C + (C - 1 - row)] - low) / (high - low || 1));
  picture.style.height = "180px";
  return strip(picture, input, T);
}

function strip(picture, input, T) {
  const added = addedTo(input)?.steps, most = added ? largestOf(added) : 0;
  const below = added ? pixels(1, T, (_, t) => share(added[t], most)) : null;
  if (below) below.style.height = "28px";
  const mark = h("div", { class: "mark" });
  const box = slider(input, { class: "picture", onclick: (event) => { const place = box.getBoundingClientRect(); moveTo(input, Math.floor(((event.clientX - place.left) / place.width) * T)); } }, picture, below, mark);
  followers.push((i, step) => Object.assign(mark.style, { left: `${(100 * (i === input ? step : 0)) / T}%`, width: `${100 / T}%`, top: 0, height: "100%" }));
  keys(box, input);
  return box;
}

// Places of a grid: the picture, and beside it the same places by what they add.
function imageOf(one, input) {
  const [rows, width] = one.grid, C = one.channels.length, values = one.values ? numbersOf(one) : null, added = addedTo(input)?.steps, most = added ? largestOf(added) : 0;
  const mean = (place) => Array.from({ length: C }, (_, c) => values[place * C + c]).reduce((a, b) => a + b, 0) / C;
  const all = values ? Array.from({ length: rows * width }, (_, place) => mean(place)) : [], low = Math.min(...all), high = Math.max(...all);
  const pictures = [...(values ? [pixels(rows, width, (r, c) => (all[r * width + c] - low) / (high - low || 1))] : []), ...(added ? [pixels(rows, width, (r, c) => share(added[r * width + c], most))] : [])];
  const boxes = pictures.map((picture) => {
    const mark = h("div", { class: "mark" });
    followers.push((i, step) => { const place = i === input ? step : 0; Object.assign(mark.style, { left: `${(100 * (place % width)) / width}%`, top: `${(100 * Math.floor(place / width)) / rows}%`, width: `${100 / width}%`, height: `${100 / rows}%` }); });
    return h("div", { class: "picture", style: { flex: "1 1 14rem", maxWidth: "24rem" }, onclick: (event) => { const at = picture.getBoundingClientRect(); moveTo(input, Math.floor(((event.clientY - at.top) / at.height) * rows) * width + Math.floor(((event.clientX - at.left) / at.width) * width)); } }, picture, mark);
  });
  const box = slider(input, { class: "row" }, ...boxes);
  keys(box, input, width);
  return box;
}
