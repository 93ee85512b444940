// What went on inside: which step reaches which, memory, gates over time, what gates and units are for.

function mapSection() {
  const w = words(), found = report.connectivity;
  if (!found) return null;
  const values = numbers(found.strength), rows = found.outputs.length, width = found.inputs.length, most = largestOf(values);
  const labels = report.inputs.find((one) => one.name === found.input).labels, line = h("p", { class: "reading" });
  const picture = walked(pixels(rows, width, (r, c) => Math.sqrt(values[r * width + c] / (most || 1))), rows, width, w.map, Math.min(420, Math.max(160, rows * 6)), [rows - 1, 0], (r, c) => {
    line.textContent = w.mapCell(found.outputs[r], `${found.inputs[c]}${labels[found.inputs[c]] ? ` “${labels[found.inputs[c]]}”` : ""}`, plain(values[r * width + c]));
    return line.textContent;
  });
  return section("map", w.map, w.mapNote, figure("", h("div", {}, picture, line), [w.output, w.inputStep, w.value], () => Array.from(values, (value, i) => [found.outputs[Math.floor(i / width)], found.inputs[i % width], value]), w.map), found.skipped ? h("p", { class: "quiet" }, found.skipped) : null);
}

let memoryAt = 0;

function memorySection() {
  const w = words(), all = report.memory;
  if (!all?.length) return null;
  const place = h("div", {}), fill = () => place.replaceChildren(...memoryOf(all[memoryAt]));
  const choice = h("select", { id: "memory-layer", onchange: (event) => { memoryAt = Number(event.target.value); fill(); } },
    ...all.map((one, i) => h("option", { value: i, selected: i === memoryAt }, `${layerName(one.layer)}: ${one.name}`)));
  fill();
  return section("memory", w.memory, w.memoryNote, h("p", { class: "row" }, h("label", {}, w.layer, choice)), place);
}

function memoryOf(one) {
  const w = words(), lives = one.half_lives.map((life) => life ?? Infinity).sort((a, b) => b - a), never = lives.filter((life) => life === Infinity).length;
  const logs = lives.map((life) => (Number.isFinite(life) ? Math.log10(1 + life) : NaN)), middle = lives[Math.floor(lives.length / 2)];
  return [...(one.rewrites ? [h("p", { class: "warning" }, w.rewrites)] : []), h("p", {}, w.half(plain(middle), never, lives.length)), h("p", { class: "quiet" }, w.kept(percent(one.kept), plain(one.age), percent(one.initial))),
    figure(w.halfLives, columns(logs, w.halfLives, (value) => plain(10 ** value - 1), w.unit), [w.unit, w.steps], () => one.half_lives.map((life, unit) => [unit, life === null ? w.halfEver : life])),
    figure(w.written, columns(one.written, w.written, percent, w.step), [w.step, w.written, w.stays], () => one.written.map((part, step) => [step, part, one.life_lines[step] === null ? w.halfEver : one.life_lines[step]])),
    figure(w.stays, columns(one.life_lines.map((life) => life ?? NaN), w.stays, plain, w.step), [w.step, w.stays], () => one.life_lines.map((life, step) => [step, life === null ? w.halfEver : life]))];
}

// Streams come in few shades of each unit's own range, unit by unit, deflated.
async function unfold(stream) {
  const reader = new Blob([bytes(stream.data)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const codes = new Uint8Array(await new Response(reader).arrayBuffer()), [T, U] = stream.shape, found = new Float32Array(T * U), top = stream.shades - 1;
  for (let u = 0, place = 0; u < U; u++) {
    const [scale, most] = stream.gate ? [0, 1] : stream.ranges[u], end = Math.asinh(most / (scale || 1));
    for (let t = 0; t < T; t++, place++) {
      const code = stream.shades > 16 ? codes[place] : (codes[place >> 1] >> (4 * (place & 1))) & 15;
      found[place] = stream.gate ? code / top : scale * Math.sinh((2 * (code / top) - 1) * end);
    }
  }
  return found; // (U, T)
}

const unfolded = new Map();
const gatesAt = { layer: 0, name: 0, unit: 0 };
const DASHES = ["none", "6 3", "2 3", "8 3 2 3", "1 4", "12 4", "4 4", "10 2 2 2 2 2"];

function gatesSection() {
  const w = words(), streams = report.streams;
  if (!streams?.length) return null;
  const layers = [...new Set(streams.map((one) => one.layer))], place = h("div", {});
  const layerChoice = h("select", { id: "gates-layer", onchange: (event) => { Object.assign(gatesAt, { layer: Number(event.target.value), name: 0, unit: 0 }); fill(); } }, ...layers.map((name, i) => h("option", { value: i, selected: i === gatesAt.layer }, layerName(name))));
  const nameChoice = h("select", { id: "gates-value", onchange: (event) => { gatesAt.name = Number(event.target.value); fill(); } });
  async function fill() {
    const own = streams.filter((one) => one.layer === layers[gatesAt.layer]), stream = own[Math.min(gatesAt.name, own.length - 1)], [T, U] = stream.shape;
    nameChoice.replaceChildren(...own.map((one, i) => h("option", { value: i, selected: i === gatesAt.name }, one.name)));
    if (typeof DecompressionStream === "undefined") return place.replaceChildren(h("p", {}, w.noUnpack));
    const need = async (one) => { if (!unfolded.has(one)) unfolded.set(one, await unfold(one)); };
    await need(stream);
    const values = unfolded.get(stream), line = h("p", { class: "reading" }), lines = h("div", {});
    const most = stream.gate ? null : stream.ranges.map(([, most]) => most);
    const canvas = pixels(U, T, (u, t) => (stream.gate ? values[u * T + t] : most[u] ? values[u * T + t] / most[u] : 0));
    let shown = -1;
    const picture = walked(canvas, U, T, `${w.gates}: ${stream.name}`, Math.min(380, Math.max(120, U * 5)), [Math.min(gatesAt.unit, U - 1), Math.min(cursor.step, T - 1)], (u, t, tell) => {
      const value = values[u * T + t];
      gatesAt.unit = u;
      line.textContent = `${w.unit} ${stream.units[u]}, ${w.step} ${t}: ${stream.name} = ${plain(value)}${stream.gate ? (value > 0.95 ? ` (${w.open})` : value < 0.05 ? ` (${w.shut})` : "") : ""}`;
      if (u !== shown) Promise.all(own.map(need)).then(() => { if (u === shown) lines.replaceChildren(unitLines(own, u, stream.units[u])); });
      shown = u;
      if (tell && T === report.inputs[cursor.input].labels.length) moveTo(cursor.input, t);
      return line.textContent;
    });
    const dropped = stream.units_in_all > U ? h("p", { class: "quiet" }, w.dropped(U, stream.units_in_all)) : null;
    place.replaceChildren(figure(stream.name, h("div", {}, picture, line), [w.step, ...stream.units.map((unit) => `${w.unit} ${unit}`).slice(0, 12)], () => Array.from({ length: T }, (_, t) => [t, ...Array.from({ length: Math.min(U, 12) }, (_, u) => values[u * T + t])])), h("p", { class: "quiet" }, w.shades(stream.shades)), ...(dropped ? [dropped] : []), lines);
  }
  const done = fill();
  pending.push(done);
  return section("gates", w.gates, "", h("p", { class: "row" }, h("label", {}, w.layer, layerChoice), h("label", {}, w.value, nameChoice)), place);
}

// All values of one unit as lines: gates above, states below.
function unitLines(own, u, unit) {
  const W = wide(), H = 150, T = own[0].shape[0], x = (t) => 10 + (t / Math.max(1, T - 1)) * (W - 90);
  const panel = (streams, low, high) => {
    const y = (v) => H - 12 - ((v - low) / (high - low || 1)) * (H - 24);
    const ends = streams.map((one, i) => ({ i, place: y(unfolded.get(one)[u * T + T - 1]) })).sort((a, b) => a.place - b.place);
    ends.forEach((end, k) => { if (k) end.place = Math.max(end.place, ends[k - 1].place + 13); });
    return s("svg", { viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true" }, s("line", { x1: 10, x2: W - 80, y1: y(0), y2: y(0), class: "axis" }),
      ...streams.map((one, i) => s("path", { class: `ink line${(i + (streams[0].gate ? 0 : 3)) % 6}`, "stroke-dasharray": DASHES[i % DASHES.length], d: Array.from({ length: T }, (_, t) => `${t ? "L" : "M"}${x(t).toFixed(1)} ${y(unfolded.get(one)[u * T + t]).toFixed(1)}`).join("") })),
      ...ends.map(({ i, place }) => s("text", { x: W - 74, y: place + 4 }, streams[i].name)));
  };
  const gates = own.filter((one) => one.gate && one.shape[1] > u), states = own.filter((one) => !one.gate && one.shape[1] > u);
  const all = states.flatMap((one) => Array.from(unfolded.get(one).subarray(u * T, (u + 1) * T)));
  return figure(words().unitLines(unit), h("div", {}, gates.length ? panel(gates, 0, 1) : null, states.length ? panel(states, Math.min(...all), Math.max(...all)) : null),
    [words().step, ...gates.concat(states).map((one) => one.name)], () => Array.from({ length: T }, (_, t) => [t, ...gates.concat(states).map((one) => unfolded.get(one)[u * T + t])]));
}

function gateForSection() {
  const w = words(), found = report.gate_ablation;
  if (!found?.length) return null;
  const rows = found.map(({ layer, gate, effect, answer }) => ({ text: `${layerName(layer)}, ${gate}`, from: 0, to: effect, shown: signed(effect), answer }));
  const turned = found.filter((one) => one.answer).map((one) => h("li", {}, `${layerName(one.layer)}, ${one.gate}: ${w.becomes(one.answer)}`));
  return section("gate-for", w.gateFor, w.gateForNote, figure("", bars(rows, w.gateFor), [w.layer, w.gate, w.effect, w.answer], () => found.map((one) => [layerName(one.layer), one.gate, one.effect, one.answer]), w.gateFor), turned.length ? h("ul", {}, ...turned) : null);
}

function unitsSection() {
  const w = words();
  if (!report.units?.length) return null;
  return section("units", w.units, w.unitsNote, h("ul", { class: "plain" }, ...report.units.map((one) => {
    const costs = Object.entries(one.silenced).map(([kind, nats]) => `${kind} ${signed(nats)}`).join(", ");
    return h("li", {}, h("strong", {}, w.follows(one.unit, layerName(one.layer), one.feature)), ` ${one.confirmed ? "✓" : "?"} `, one.confirmed ? w.confirmed : w.proposed, h("br", {}),
      h("span", { class: "quiet" }, w.correlated(plain(one.correlation), plain(one.unseen), plain(one.null)), costs ? `. ${w.costs}: ${costs}` : ""));
  })));
}
