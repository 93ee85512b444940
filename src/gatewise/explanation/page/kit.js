// What every part of the page is made of: packed arrays, sections, charts with a table behind them.

const report = JSON.parse(at("report").textContent);
const words = () => WORDS[both("en", "zh")];

function bytes(base64) {
  const text = atob(base64), found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found;
}

// Numbers of a packed array, row after row: exact, or in 256 shades where there are many.
function numbers(packed) {
  const raw = bytes(packed.base64);
  if (packed.shades === undefined) return new Float32Array(raw.buffer);
  const [low, high] = packed.shades;
  return Float32Array.from(raw, (code) => (code === 255 ? NaN : low + ((high - low) * code) / 254));
}

const share = (value, largest) => (largest ? Math.max(-1, Math.min(1, value / largest)) : 0);
const largestOf = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value) || 0), 0);

// A heading, a sentence, and what belongs to it.
function section(id, title, note, ...children) {
  return h("section", { id, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), note ? h("p", { class: "quiet" }, note) : null, ...children);
}

// A picture with its numbers. `rows()`: an array of arrays. Without a caption it needs a name.
function figure(caption, picture, head, rows, name = caption) {
  return h("figure", {}, caption ? h("figcaption", {}, caption) : null, picture, numbersBehind(name, () => [head, rows()]));
}

// Rows with a label, a bar from one number to another, and a number: [{ text, from, to, shown, kind }].
function bars(rows, label) {
  const low = Math.min(0, ...rows.flatMap((row) => [row.from, row.to])), high = Math.max(0, ...rows.flatMap((row) => [row.from, row.to]));
  const x = (value) => (100 * (value - low)) / (high - low || 1);
  return h("div", { class: "bars", role: "img", "aria-label": `${label}: ${rows.map((row) => `${row.text} ${row.shown}`).join("; ")}` }, ...rows.flatMap(({ text, from, to, shown, kind }) => [
    h("span", { class: "name" }, text),
    h("span", { class: "track" }, h("span", { class: "zero", style: { left: `${x(0)}%` } }), h("span", { class: `bar ${kind || (to >= from ? "plus" : "minus")}`, style: { left: `${Math.min(x(from), x(to))}%`, width: `max(2px, ${Math.abs(x(to) - x(from))}%)` } })),
    h("span", { class: "shown" }, shown)]));
}

// Pictures in which there is text are drawn as wide as they are shown, so that it can be read on a phone.
const wide = () => Math.max(300, Math.min(760, at("main").clientWidth - 32));

// Columns over steps or units, one number each, with what the highest one is. What is not finite is paler, and fills its place.
function columns(values, label, shown, over) {
  const W = 720, H = 110, seen = values.filter(Number.isFinite), most = Math.max(0, ...seen) || 1, width = W / values.length;
  const high = (value) => ((H - 4) * (Number.isFinite(value) ? value : most)) / most;
  const all = values.map((value, i) => s("rect", { x: i * width, width: Math.max(0.4, width * 0.85), class: "plus", y: H - high(value), height: high(value), opacity: Number.isFinite(value) ? 1 : 0.35 }));
  return h("div", {}, h("div", { class: "edge" }, `${shown(Math.max(0, ...seen))}`),
    s("svg", { viewBox: `0 0 ${W} ${H + 1}`, preserveAspectRatio: "none", role: "img", "aria-label": label, class: "low" }, ...all, s("line", { x1: 0, x2: W, y1: H, y2: H, class: "axis" })),
    h("div", { class: "edge ends" }, h("span", {}, `${over} 0`), h("span", {}, String(values.length - 1))));
}

// A colour of the style sheet as three numbers.
function colour(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((place) => parseInt(text.slice(place, place + 2), 16));
}

// Pixels of a table of shares from -1 to 1: towards one colour above 0, towards another below.
function pixels(rows, width, valueAt) {
  const canvas = h("canvas", { width, height: rows, "aria-hidden": "true" }), image = new ImageData(width, rows);
  const paper = colour("--paper"), plus = colour("--plus"), minus = colour("--minus");
  for (let row = 0, place = 0; row < rows; row++) {
    for (let column = 0; column < width; column++, place += 4) {
      const value = valueAt(row, column), ink = value < 0 ? minus : plus, part = Math.min(1, Math.abs(value) || 0);
      for (let i = 0; i < 3; i++) image.data[place + i] = paper[i] + (ink[i] - paper[i]) * part;
      image.data[place + 3] = 255;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// A picture in which arrow keys and a finger move a mark over rows and columns. `moved(row, column)` says where it is.
function walked(canvas, rows, width, label, height, start, moved) {
  const mark = h("div", { class: "mark" }), box = h("div", { class: "picture", tabindex: 0, role: "slider", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": rows * width - 1 }, canvas, mark);
  canvas.style.height = `${height}px`;
  let [row, column] = start;
  function show(tell) {
    Object.assign(mark.style, { left: `${(100 * column) / width}%`, width: `${100 / width}%`, top: `${(100 * row) / rows}%`, height: `${100 / rows}%` });
    box.setAttribute("aria-valuenow", row * width + column);
    box.setAttribute("aria-valuetext", moved(row, column, tell));
  }
  box.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!by) return;
    event.preventDefault();
    row = Math.max(0, Math.min(rows - 1, row + by[0])), column = Math.max(0, Math.min(width - 1, column + by[1]));
    show(true);
  });
  box.addEventListener("click", (event) => {
    const place = canvas.getBoundingClientRect();
    column = Math.max(0, Math.min(width - 1, Math.floor(((event.clientX - place.left) / place.width) * width)));
    row = Math.max(0, Math.min(rows - 1, Math.floor(((event.clientY - place.top) / place.height) * rows)));
    show(true);
  });
  show(false);
  box.at = (r, c) => { row = r, column = c; show(false); };
  return box;
}

// Parts of sentences that come from the model: "encoder, layer 2, backward".
function layerName(text) {
  return text.split(", ").map((part) => {
    const [, kind, number] = part.match(/^(layer|members) (\d+)$/) ?? [];
    return kind === "layer" ? words().layerName(number) : kind ? words().member(Number(number) + 1) : part === "backward" ? words().backwards : words().parts[part] ?? part;
  }).join(chinese ? "" : ", ");
}

function targetName(target) {
  const w = words();
  let text = { value: () => target.name, quantile: () => w.quantile(plain(target.quantile)) + target.name, number: () => w.number(target.name),
    anomaly: w.anomaly, next: () => w.next(w.class(target.name, target.against)) }[target.kind]?.() ?? w.class(target.name, target.against);
  if (target.horizon !== null) text = w.ahead(text, target.horizon);
  return target.step !== null && target.kind !== "next" ? w.at(text, target.step) : text;
}
