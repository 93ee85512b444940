// The answer, how far to rely on its explanation, the parts that add up, and what would change it.

// A name that can be seen: a token may be a space.
const seen = (name) => name.trim() ? name : JSON.stringify(name);

function answerSection() {
  const w = words(), { answer, provenance } = report;
  const sure = answer.choices.find((one) => one.probability === answer.probability)?.name, part = sure === answer.text ? "" : sure; // of several tokens, one is explained
  const certainty = [answer.probability === null ? "" : w.sure(percent(answer.probability), part), answer.interval ? w.between(plain(answer.interval[0]), plain(answer.interval[1]), percent(answer.coverage)) : ""];
  const own = answer.choices.find((one) => one.name === answer.text), base = own?.base_rate !== undefined && own?.base_rate !== null ? w.base(percent(own.base_rate), answer.base_rate_of) : "";
  const shareText = !answer.plain ? "" : answer.network_share ? w.share(percent(answer.network_share), answer.plain) : w.noShare(answer.plain);
  const choices = answer.choices.filter((one) => one.probability !== null);
  const picture = choices.length ? figure(w.choices, bars(choices.map((one) => ({ text: seen(one.name), from: 0, to: one.probability, shown: percent(one.probability) })), w.choices),
    [w.answer, w.probability, w.score, w.baseRate], () => answer.choices.map((one) => [one.name, one.probability, one.score, one.base_rate])) : null;
  return h("section", { id: "answer" }, h("p", { class: "quiet" }, w.explained(provenance.model, provenance.task)), h("h1", {}, seen(answer.text)),
    ...certainty.filter(Boolean).map((text) => h("p", {}, text)), base ? h("p", { class: "quiet" }, base) : null, shareText ? h("p", { class: "warning" }, shareText) : null,
    h("p", {}, `${w.target}: `, h("strong", {}, targetName(report.target)), report.target.unit ? ` (${w.unitOf(report.target.unit)})` : ""), picture);
}

function trustSection() {
  const w = words(), found = report.reliability;
  if (!found) return null;
  const kind = { reliable: "reliable", rough: "rough", "do not rely on this": "distrust" }[found.verdict];
  const rows = [[w.gap, `${percent(found.gap)}, ${found.points} ${w.points}`, w.wanted.gap], [w.ratio, found.ratio === null ? w.notMeasured : plain(found.ratio), w.wanted.ratio],
    ...["agreement", "randomised", "noise"].map((name) => [w[name], found[name] === null ? w.notMeasured : plain(found[name]), w.wanted[name]])];
  const reasons = found.reasons.length ? h("ul", {}, ...found.reasons.map((text) => h("li", {}, text))) : null;
  return section("trust", w.how, "", h("p", { class: `verdict ${kind}` }, { reliable: "✓", rough: "≈", distrust: "✕" }[kind], " ", w[kind]), reasons,
    h("p", { class: "quiet" }, w.verdictNote), numbersBehind(w.how, () => [[w.measure, w.found, w.reliableFrom], rows]));
}

// What a step is called where it stands alone.
function stepTitle(one, step) {
  const name = stepName(one, step);
  return !name ? `${words().step} ${step}` : one.kind === "tokens" ? `${JSON.stringify(name).slice(1, -1)} (${step})` : name;
}

// The terms of the attribution that is shown: the largest steps, the rest in one.
function terms({ attribution }) {
  const w = words(), parts = attribution.added.flatMap((one, input) => one.steps.map((value, step) => ({ value, input, step, text: stepTitle(report.inputs[input], step), kind: "step" })));
  parts.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const top = parts.slice(0, 5), rest = parts.slice(5);
  const others = attribution.others.map(({ text, value }) => ({ text, value, kind: "other" }));
  return [{ text: w.baseline, value: attribution.baseline }, ...top, ...(rest.length ? [{ text: w.rest(rest.length), value: rest.reduce((sum, one) => sum + one.value, 0) }] : []), ...others,
    ...(attribution.initial_state === null ? [] : [{ text: w.initial, value: attribution.initial_state }]), ...(attribution.remainder ? [{ text: w.remainder, value: attribution.remainder }] : [])];
}

function becauseSection() {
  if (!report.attribution) return null;
  const w = words(), now = chosen(), parts = terms(now);
  let sum = 0;
  const rows = parts.map(({ text, value }) => { const row = { text, from: sum, to: sum + value, shown: signed(value) }; sum += value; return row; });
  rows.push({ text: w.score, from: 0, to: now.attribution.score, shown: signed(now.attribution.score), kind: "total" });
  const named = parts.filter((one) => one.kind === "step").slice(0, 3).map((one) => `${one.text} ${signed(one.value)}`).join(chinese ? "，" : ", ");
  const sentence = `${named}${chinese ? "。" : ". "}${w.adding}`;
  return section("because", w.because, sentence, figure(targetName(now.target), bars(rows, w.because), [w.label, w.added], () => [...parts.map((one) => [one.text, one.value]), [w.score, now.attribution.score]]),
    h("p", { class: "quiet" }, `${w.usual}: ${now.attribution.usual}`));
}

// How the answer that is printed is put together; of a largest one, what else it could have been.
function compositionSection() {
  const w = words(), found = report.composition;
  if (!found) return null;
  let sum = 0;
  const rows = found.pieces.map(({ text, value }) => { const row = { text, from: sum, to: sum + value, shown: signed(value) }; sum += value; return row; });
  rows.push({ text: w.score, from: 0, to: found.value, shown: signed(found.value), kind: "total" });
  const rivals = found.rivals.length ? h("p", { class: "quiet" }, `${w.rivals}: ${found.rivals.map(({ text, value }) => `${text} ${plain(value)}`).join("; ")}`) : null;
  const most = found.occluded.map((value, step) => ({ value, step })).sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 5).filter(({ value }) => value);
  const own = report.inputs.find((one) => one.name === found.input);
  const hidden = most.length ? h("p", {}, `${w.fallsBy}: ${most.map(({ value, step }) => `${stepTitle(own, step)} ${signed(value)}`).join("; ")}`) : null;
  return section("composition", w.composition, w.compositionNote, figure(found.text, bars(rows, w.composition), [w.label, w.added], () => [...found.pieces.map((one) => [one.text, one.value]), [w.score, found.value]]), rivals, hidden);
}

function flipSection() {
  const w = words(), found = report.flip;
  if (!found) return null;
  const steps = found.places.map(({ input, step }) => stepTitle(report.inputs.find((one) => one.name === input), step)).join(chinese ? "、" : ", ");
  return section("flip", w.flip, "", h("p", {}, found.places.length ? w.flips(steps, found.answer) : w.noFlip), found.places.length ? h("p", { class: "quiet" }, found.exhaustive ? w.fewest : w.greedy) : null);
}

function togetherSection() {
  const w = words();
  if (!report.interactions?.length) return null;
  const beyond = ({ alone, together }) => Math.abs(together - alone[0] - alone[1]);
  const most = [...report.interactions].sort((a, b) => beyond(b) - beyond(a)).slice(0, 4);
  return section("together", w.together, "", h("ul", { class: "plain" }, ...most.map(({ texts, alone, together }) =>
    h("li", {}, w.act(texts[0], texts[1], signed(alone[0]), signed(alone[1]), signed(together), signed(together - alone[0] - alone[1]))))));
}

function madeSection() {
  const w = words(), p = report.provenance, entries = [[w.data, `${p.data}, ${w.rowOf} ${p.row}`], [w.cell, p.cell], [w.fingerprint, p.fingerprint.slice(0, 16)], [w.command, p.command], [w.method, p.method], [w.seed, String(p.seed)],
    [w.seconds, plain(p.seconds)], [w.versions, Object.entries(p.versions).map(([name, version]) => `${name} ${version}`).join(", ")]];
  const titles = { attribution: w.read, because: w.because, composition: w.composition, contrasts: w.contrast, connectivity: w.map, memory: w.memory, streams: w.gates, grids: w.grids, gate_ablation: w.gateFor, units: w.units, flip: w.flip, interactions: w.together, walk: w.walk, reliability: w.how };
  const missing = Object.entries(report.missing).map(([name, why]) => `${titles[name]}: ${why}`);
  const equations = at("equations");
  return section("made", w.made, "", h("dl", {}, ...entries.filter(([, text]) => text).flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])), h("h3", {}, w.equations),
    equations ? equations.content.cloneNode(true) : h("pre", { tabindex: 0 }, p.equations.join("\n")), missing.length ? h("h3", {}, w.missing) : null, missing.length ? h("ul", {}, ...missing.map((text) => h("li", {}, text))) : null);
}
