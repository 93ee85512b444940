// A pen model draws, or completes what was drawn. A drawing's longer side is 1; y grows upwards.

const SPACING = 0.05, MOST = 600, SIDE = 360; // pixels of a drawing's unit
const paper = at("paper"), ink = paper.getContext("2d");
let strokes = [], drawing = false, stop = null; // strokes of points in pixels

function line(from, to, colour) {
  ink.strokeStyle = colour; ink.lineWidth = 4; ink.lineCap = "round";
  ink.beginPath(); ink.moveTo(...from); ink.lineTo(...to); ink.stroke();
}

function place(event) {
  const box = paper.getBoundingClientRect();
  return [((event.clientX - box.left) * paper.width) / box.width, ((event.clientY - box.top) * paper.height) / box.height];
}

// Points along a stroke at equal distances, as the model's drawings have.
function spaced(points) {
  const found = [points[0]], gap = SPACING * SIDE;
  let last = points[0];
  for (const point of points.slice(1)) {
    let away = Math.hypot(point[0] - last[0], point[1] - last[1]);
    while (away >= gap) {
      last = [last[0] + ((point[0] - last[0]) * gap) / away, last[1] + ((point[1] - last[1]) * gap) / away];
      found.push(last);
      away = Math.hypot(point[0] - last[0], point[1] - last[1]);
    }
  }
  return found;
}

function steps() {
  const all = [];
  let last = null;
  for (const stroke of strokes.map(spaced)) {
    stroke.forEach((point, i) => {
      const [dx, dy] = last ? [(point[0] - last[0]) / SIDE, (last[1] - point[1]) / SIDE] : [0, 0];
      all.push(Float32Array.of(dx, dy, i === stroke.length - 1 ? 1 : 0));
      last = point;
    });
  }
  return [all, last];
}

function go(given, where) {
  const state = gw_state();
  let found = null, up = 1, last = where, count = 0;
  for (const step of given) { found = gw_step(state, step); up = step[2]; }
  at("said").textContent = "";
  stop = running(() => {
    const step = gw_draw(found, Number(at("temperature").value));
    if (!step || ++count > MOST) return false;
    const next = [last[0] + step[0] * SIDE, last[1] - step[1] * SIDE];
    if (up < 0.5) line(last, next, "#2563eb");
    [last, up] = [next, step[2]];
    found = gw_step(state, step);
    return true;
  }, () => { stop = null; at("said").textContent = both(`${count} steps drawn`, `画了 ${count} 步`); });
}

function clear() {
  if (stop) stop();
  strokes = [];
  ink.clearRect(0, 0, paper.width, paper.height);
}

paper.addEventListener("pointerdown", (event) => { drawing = true; paper.setPointerCapture(event.pointerId); strokes.push([place(event)]); });
paper.addEventListener("pointermove", (event) => {
  if (!drawing) return;
  const stroke = strokes[strokes.length - 1], next = place(event);
  line(stroke[stroke.length - 1], next, "#111");
  stroke.push(next);
});
for (const end of ["pointerup", "pointercancel"]) paper.addEventListener(end, () => { drawing = false; });
at("clear").addEventListener("click", clear);
at("draw").addEventListener("click", () => {
  clear();
  const all = gw_model.page.beginnings, first = Float32Array.from(all[Math.floor(Math.random() * all.length)]);
  go([first], [paper.width / 2, paper.height / 2]);
});
at("complete").addEventListener("click", () => {
  if (stop) stop();
  const [given, last] = steps();
  if (given.length) go(given, last); else at("said").textContent = both("Draw something first.", "请先画一笔。");
});
at("temperature").addEventListener("input", () => { at("temperature-value").textContent = at("temperature").value; });
say({
  title: ["Draw", "画画"],
  how: ["Draw with a finger, a pen or a mouse, and let the model complete it; or let it draw by itself.",
    "用手指、笔或鼠标画几笔，让模型接着画完；也可以让它自己画。"],
  draw: ["Draw a new one", "画一幅新的"],
  complete: ["Complete mine", "接着我的画"],
  clear: ["Clear", "清空"],
  "temperature-label": ["Temperature", "温度"],
});
