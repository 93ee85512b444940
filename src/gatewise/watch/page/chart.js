// Lines and maps as SVG.
const HIGH = 150, LEFT = 58, RIGHT = 12, TOP = 8, BOTTOM = 22;
let wide = 720; // as the page is, so that letters keep their size
const DASHES = ["", "6 3", "2 3", "8 3 2 3", "1 4", "10 4"];

function bounds(values, log) {
  let low = Math.min(...values), high = Math.max(...values);
  if (!log && low === 0 && high === 0) return [0, 1];
  if (log) return low === high ? [low / 2, high * 2] : [low, high];
  if (low > 0 && low < high / 2) low = 0;
  return low === high ? [low - (Math.abs(low) / 2 || 0.5), high + (Math.abs(high) / 2 || 0.5)] : [low, high];
}

function frame(title, steps) {
  const svg = s("svg", { viewBox: `0 0 ${wide} ${HIGH}`, role: "img", tabindex: 0, "aria-label": title });
  const x = scale(steps[0], steps[1], LEFT, wide - RIGHT, false);
  svg.append(...x.marks.map((mark) => s("text", { x: x.place(mark), y: HIGH - 6, "text-anchor": "middle" }, plain(mark))));
  return { svg, x };
}

// Lines over steps. A series of one point is a dot.
function lineChart(title, series, steps, log) {
  const { svg, x } = frame(title, steps);
  const values = series.flatMap((own) => own.points.map((point) => point[1])).filter((value) => !log || value > 0);
  const y = scale(...bounds(values, log), HIGH - BOTTOM, TOP, log);
  for (const mark of y.marks) {
    svg.append(s("line", { x1: LEFT, x2: wide - RIGHT, y1: y.place(mark), y2: y.place(mark), class: "grid" }),
      s("text", { x: LEFT - 5, y: y.place(mark) + 4, "text-anchor": "end" }, plain(mark)));
  }
  svg.append(s("rect", { x: LEFT, y: TOP, width: wide - LEFT - RIGHT, height: HIGH - TOP - BOTTOM, class: "frame" }));
  series.forEach((own, place) => {
    const drawn = own.points.filter((point) => !log || point[1] > 0).map(([step, value]) => `${x.place(step).toFixed(1)},${y.place(value).toFixed(1)}`);
    const style = { fill: "none", stroke: `var(--s${place % 6})`, "stroke-width": 1.8, "stroke-dasharray": DASHES[place % 6] };
    svg.append(s("polyline", { points: drawn.join(" "), ...style }));
    if (drawn.length < 40) for (const point of drawn) {
      const [cx, cy] = point.split(",");
      svg.append(s("circle", { cx, cy, r: 2, fill: `var(--s${place % 6})` }));
    }
  });
  return { svg, x };
}

// Lags upwards, looks across; the darker, the larger the gradient, over six powers of ten.
function mapChart(title, columns, steps) {
  const { svg, x } = frame(title, steps);
  const lags = [...new Set(columns.flatMap(([, own]) => own.map(([lag]) => lag)))].sort((a, b) => a - b);
  const most = Math.max(...columns.flatMap(([, own]) => own.map(([, norm]) => norm)));
  const height = (HIGH - TOP - BOTTOM) / lags.length;
  const edges = columns.map(([step], place) => (place ? (x.place(step) + x.place(columns[place - 1][0])) / 2 : LEFT));
  columns.forEach(([, own], place) => {
    const right = place + 1 < columns.length ? edges[place + 1] : wide - RIGHT;
    for (const [lag, norm] of own) {
      const shade = norm > 0 ? Math.max(0, 1 + Math.log10(norm / most) / 6) : 0;
      svg.append(s("rect", { x: edges[place], y: HIGH - BOTTOM - (lags.indexOf(lag) + 1) * height, width: Math.max(1, right - edges[place] + 0.3), height: height + 0.3, fill: "var(--s0)", "fill-opacity": shade.toFixed(3) }));
    }
  });
  lags.forEach((lag, place) => {
    if (lags.length > 9 && place % 2) return;
    svg.append(s("text", { x: LEFT - 5, y: HIGH - BOTTOM - (place + 0.5) * height + 4, "text-anchor": "end" }, lag));
  });
  svg.append(s("rect", { x: LEFT, y: TOP, width: wide - LEFT - RIGHT, height: HIGH - TOP - BOTTOM, class: "frame" }));
  return { svg, x };
}
