// The quantities that the page shows. A row has `name` and `words` of TEXTS, `log` for a logarithmic axis, and
// `series(layer)`: a list of { name, points: [[step, value], ...] }, of one layer, or of all if it is null. The lags are
// drawn as a map: `map(layer)` gives [step, [[lag, value], ...]].
const record = JSON.parse(at("record").textContent);
const layers = [...new Set(record.look.flatMap((look) => Object.keys(look.layers)))];

const points = (lines, value) => lines.map((line) => [line.step, value(line)]).filter((point) => Number.isFinite(point[1]));
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const chosen = (look, layer) => Object.entries(look.layers).filter(([name]) => layer === null || name === layer).map(([, own]) => own);
const averaged = (layer, value) => points(record.look, (look) => {
  const found = chosen(look, layer).map(value).filter(Number.isFinite);
  return found.length ? mean(found) : NaN;
});
const among = (values, share) => [...values].sort((a, b) => a - b)[Math.round(share * (values.length - 1))];
const named = (names, points_of) => names.map((name) => ({ name: say(name), points: points_of(name) }));
const keysOf = (layer, part) => [...new Set(record.look.flatMap((look) => chosen(look, layer).flatMap((own) => Object.keys(own[part]))))];

const validated = (line) => line.validation_loss ?? line.evaluation_loss;

const ROWS = [
  { name: "loss", words: "lossWords", series: () => [
    { name: say("training"), points: points(record.train.length ? record.train : record.evaluation, (line) => line.train_loss) },
    { name: say("validation"), points: points(record.evaluation, validated) },
  ] },
  { name: "gap", words: "gapWords", series: () => named(["training", "validation"], (name) =>
    points(record.look, (look) => look.losses[name === "training" ? 0 : 1] ?? NaN)) },
  { name: "spread", words: "spreadWords", series: () => named(["spreadOne"], () => points(record.look, (look) => look.spread ?? NaN)) },
  { name: "saturation", words: "saturationWords", series: (layer) => keysOf(layer, "gates").map((gate) => ({
    name: gate, points: averaged(layer, (own) => (own.gates[gate] ? (own.gates[gate].low || 0) + own.gates[gate].high : NaN)),
  })) },
  { name: "idle", words: "idleWords", series: (layer) => named(["dead", "twin", "zero"], (name) => averaged(layer, (own) => own[name] ?? NaN)) },
  { name: "lives", words: "livesWords", log: true, series: (layer) => keysOf(layer, "half_lives").flatMap((value) =>
    ["lower", "middle", "upper"].map((quartile, place) => ({
      name: `${value}, ${say(quartile)}`, points: averaged(layer, (own) => (own.half_lives[value] || [])[place]),
    }))) },
  { name: "lags", words: "lagsWords", map: (layer) => record.look.map((look) => {
    const sums = new Map();
    for (const own of chosen(look, layer)) for (const [lag, norm] of own.lags) sums.set(lag, [...(sums.get(lag) || []), norm]);
    return [look.step, [...sums].map(([lag, norms]) => [lag, mean(norms)]).sort((a, b) => a[0] - b[0])];
  }) },
  { name: "updates", words: "updatesWords", log: true, series: () => named(["least", "middle", "most"], (name) =>
    points(record.look, (look) => among(Object.values(look.updates), { least: 0, middle: 0.5, most: 1 }[name]) ?? NaN)),
    all: () => [...new Set(record.look.flatMap((look) => Object.keys(look.updates)))].map((tensor) => ({
      name: tensor, points: points(record.look, (look) => look.updates[tensor] ?? NaN) })) },
  { name: "gradient", words: "gradientWords", log: true, series: () => named(["gradient"], () =>
    points(record.train.length ? record.train : record.evaluation, (line) => line.gradient_norm)) },
  { name: "clipped", words: "clippedWords", series: () => named(["share"], () => points(record.look, (look) => (look.clipped ? look.clipped.share : NaN))) },
  { name: "rate", words: "rateWords", log: true, series: () => named(["rate"], () =>
    points(record.train.length ? record.train : record.evaluation, (line) => line.learning_rate)) },
];
