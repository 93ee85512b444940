// Parallel coordinates: an axis for each knob and one for the loss, a line for each trial. On a narrow screen the axes lie
// across, one below the other.
const LEAST = 96; // pixels that an upright axis needs for its name

function parallelChart(width) {
  const names = [...study.knobs.map((knob) => knob.name), say("loss")], upright = width / names.length >= LEAST;
  const gap = 64, height = upright ? 300 : gap * names.length;
  const ends = upright ? [height - 24, 40] : [12, width - 12];
  const across = names.map((_, i) => (upright ? ((i + 0.5) * width) / names.length : i * gap + 26));
  const range = lossRange(), losses = scale(...range, ...ends, false);
  const axes = [...study.knobs.map((knob) => ({ key: knob.name, ...axisOf(knob, ...ends) })), { key: "loss", ...losses, place: (loss) => losses.place(Math.min(loss, range[1])) }];
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": say("parallel") });
  const spot = (i, value) => { const along = axes[i].place(value); return upright ? [across[i], along] : [along, across[i]]; };

  const chart = { svg, width, points: [] };
  const lines = known.filter((own) => place.has(own.trial)).sort((a, b) => place.get(b.trial) - place.get(a.trial));
  for (const own of lines) {
    const corners = axes.map((axis, i) => spot(i, own[axis.key]));
    const shape = s("polyline", { points: corners.map((one) => one.map((n) => n.toFixed(1)).join(",")).join(" "), class: `line ${isDefault(own) ? "default" : isTop(own) ? "top" : ""}` });
    svg.append(shape);
    for (const [x, y] of corners) chart.points.push({ trial: own.trial, x, y, shape });
  }
  axes.forEach((axis, i) => {
    const [from, to] = ends, marks = axis.marks.length > 6 ? [axis.marks[0], axis.marks[axis.marks.length - 1]] : axis.marks;
    svg.append(upright ? s("line", { x1: across[i], x2: across[i], y1: from, y2: to, class: "axis" }) : s("line", { x1: from, x2: to, y1: across[i], y2: across[i], class: "axis" }),
      upright ? s("text", { x: across[i], y: 16, "text-anchor": "middle", class: "name" }, names[i]) : s("text", { x: from, y: across[i] - 12, class: "name" }, names[i]),
      ...marks.map((value) => { const [x, y] = spot(i, value); return upright ? s("text", { x: x + 5, y: y + 4 }, shown(value)) : s("text", { x, y: y + 15, "text-anchor": "middle" }, shown(value)); }));
  });
  return chart;
}
