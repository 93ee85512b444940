// Drawings: strokes of points, in sides of the box around them, as the model learned them.

const canvas = at("canvas"), paper = canvas.getContext("2d");
let strokes = [], added = 0, pen = null, cursor = { x: 400, y: 250 };

function paint() {
  paper.clearRect(0, 0, canvas.width, canvas.height);
  paper.lineWidth = 3;
  paper.lineCap = paper.lineJoin = "round";
  strokes.forEach((stroke, i) => {
    paper.strokeStyle = i >= strokes.length - added ? getComputedStyle(document.documentElement).getPropertyValue("--accent") : "#888";
    paper.beginPath();
    stroke.forEach((p, k) => (k ? paper.lineTo(p.x, p.y) : paper.moveTo(p.x, p.y)));
    paper.stroke();
  });
  paper.fillStyle = pen ? "#dc2626" : "#8888";
  if (document.activeElement === canvas) paper.fillRect(cursor.x - 3, cursor.y - 3, 6, 6);
}

function placeOf(event) {
  const box = canvas.getBoundingClientRect();
  return { x: ((event.clientX - box.left) * canvas.width) / box.width, y: ((event.clientY - box.top) * canvas.height) / box.height };
}

canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  added = 0;
  pen = [placeOf(event)];
  strokes.push(pen);
});
canvas.addEventListener("pointermove", event => {
  if (!pen || !event.buttons) return;
  pen.push((cursor = placeOf(event)));
  paint();
});
canvas.addEventListener("pointerup", () => { pen = null; paint(); });
canvas.addEventListener("pointercancel", () => { pen = null; paint(); });
canvas.addEventListener("focus", paint);
canvas.addEventListener("blur", () => { pen = null; paint(); });
canvas.addEventListener("keydown", event => {
  const move = { ArrowLeft: [-12, 0], ArrowRight: [12, 0], ArrowUp: [0, -12], ArrowDown: [0, 12] }[event.key];
  if (event.key === " ") {
    pen = pen ? null : [{ ...cursor }];
    if (pen) strokes.push(pen);
    added = 0;
  } else if (move) {
    cursor = { x: cursor.x + move[0], y: cursor.y + move[1] };
    if (pen) pen.push({ ...cursor });
  } else return;
  event.preventDefault();
  paint();
});

function spaced(stroke, spacing) {
  const found = [stroke[0]];
  for (const point of stroke.slice(1)) {
    const last = found[found.length - 1];
    const far = Math.hypot(point.x - last.x, point.y - last.y), count = Math.floor(far / spacing);
    for (let k = 1; k <= count; k++) {
      found.push({ x: last.x + ((point.x - last.x) * k * spacing) / far, y: last.y + ((point.y - last.y) * k * spacing) / far });
    }
  }
  return found;
}

async function complete() {
  const drawn = strokes.filter(stroke => stroke.length > 1);
  const scale = 400;  // pixels to a side of the box of a whole drawing
  const steps = [];
  let last = drawn[0]?.[0];
  for (const stroke of drawn.map(one => spaced(one, scale * 0.05))) {
    stroke.forEach((p, i) => {
      steps.push([(p.x - last.x) / scale, (last.y - p.y) / scale, i === stroke.length - 1 ? 1 : 0]);
      last = p;
    });
  }
  if (steps.length) steps[steps.length - 1][2] = 0;  // it may go on with the last stroke
  const found = (await (await post(path("continue"), { steps, length: 300, temperature: 0.5 })).json()).steps;
  let place = last ?? { x: 300, y: 250 }, stroke = null;
  added = 0;
  for (const [dx, dy, up] of found) {
    if (!stroke) {
      stroke = last ? [place] : [];
      last = null;
      strokes.push(stroke);
      added += 1;
    }
    place = { x: place.x + dx * scale, y: place.y - dy * scale };
    stroke.push(place);
    if (up) stroke = null;
  }
  paint();
  return words().drawn(found.length);
}
