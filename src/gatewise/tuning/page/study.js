// The study, and what the page says of it in words that have numbers in them.
const study = JSON.parse(at("study").textContent);
const trialOf = new Map(study.trials.map((own) => [own.trial, own]));
const known = study.trials.filter((own) => own.loss !== null && own.state !== "failed");
const place = new Map(study.order.map((number, i) => [number, i])); // 0: the best
const KINDS = { default: "kindDefault", "default again": "kindAgain", search: "kindSearch", repeat: "kindRepeat" };

const isDefault = (own) => own.kind.startsWith("default");
const isTop = (own) => place.get(own.trial) < Math.ceil(place.size / 4);
const shown = (value) => (typeof value === "number" ? plain(value) : value === true ? both("yes", "是") : value === false ? both("no", "否") : value ?? "–");
const settings = (own) => study.knobs.map(({ name }) => `${name} ${shown(own[name])}`).join(", ");
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const lossesOf = (trial) => study.found.seeds.find((own) => own.trial === trial).losses;

// The losses of the default with all its seeds.
const defaults = known.filter((own) => isDefault(own) && own.state === "finished").map((own) => own.loss);

function told(own) {
  const parts = [`${say("trial")} ${own.trial}, ${say(KINDS[own.kind])}, ${say(own.state)}`, `${say("loss")} ${plain(own.loss)}`, settings(own), `${percent(own.share)}, ${plain(own.seconds)} s`];
  return parts.join(" · ") + (own.why ? ` · ${own.why}` : "");
}

function counts() {
  const of = (state) => study.trials.filter((own) => own.state === state).length;
  const each = ["finished", "paused", "running", "failed"].filter(of).map((state) => `${of(state)} ${say(state)}`);
  return `${study.task} · ${both(`${study.trials.length} trials`, `${study.trials.length} 次试验`)}: ${each.join(both(", ", "，"))}`;
}

// What was decided: [sentence, ...].
function verdict() {
  const { chosen, default: own, best, noise, margin } = study.found;
  const before = plain(trialOf.get(own).loss);
  if (best === own) return both([`Nothing better found: the default has the lowest validation loss, ${before}.`], [`没有找到更好的设置：默认设置的验证损失最低，为 ${before}。`]);
  const gap = plain(trialOf.get(own).loss - trialOf.get(best).loss);
  const led = both(`The best trial, ${best}, was ${gap} below the default's ${before}.`, `最好的试验（${best}）的损失比默认设置的 ${before} 低 ${gap}。`);
  if (margin === null) return both([led, "It was not repeated with other seeds, and the best of many trials looks better than it is. So the default is kept."], [led, "它没有用其他随机种子重复过，而多次试验中的最佳结果总是显得比实际更好，因此保留默认设置。"]);
  const seeds = study.found.seeds.reduce((sum, each) => sum + each.losses.length, 0);
  const spread = both(`In ${seeds} fits with several seeds the loss varied by ${plain(noise)} from seed to seed.`, `在用多个种子进行的 ${seeds} 次训练中，损失因种子不同而变化 ${plain(noise)}。`);
  if (chosen === own) return both(["Nothing better found: the default is within noise.", led, spread, `No setting was ahead by the ${plain(margin)} that rules out chance.`], ["没有找到更好的设置：与默认设置的差别在噪声之内。", led, spread, `没有设置领先达到可排除偶然的 ${plain(margin)}。`]);
  const gain = plain(mean(lossesOf(own)) - mean(lossesOf(chosen)));
  return both([`Trial ${chosen} is taken: ${settings(trialOf.get(chosen))}.`, `Repeated with other seeds, its validation loss is ${gain} below the default's, where up to ${plain(margin)} could be chance.`, spread], [`采用试验 ${chosen}：${settings(trialOf.get(chosen))}。`, `用其他种子重复后，其验证损失比默认设置低 ${gain}；其中至多 ${plain(margin)} 可能出于偶然。`, spread]);
}

// Options as the command line has them.
const flags = (options) => Object.entries(options).map(([name, value]) => {
  const flag = name.replaceAll("_", "-");
  return value === true ? `--${flag}` : value === false ? `--no-${flag}` : `--${flag} ${value}`;
}).join(" ");

const TITLES = { share: "done", loss: "loss", trial: "trial", kind: "kind", state: "state", seed: "seed", step: "step", seconds: "seconds", why: "why" };

// Head and rows of the table of all trials.
function trialTable() {
  const names = [...new Set(study.trials.flatMap(Object.keys))];
  const titleOf = (name) => {
    if (TITLES[name]) return say(TITLES[name]);
    if (name.startsWith("loss at ")) return `${say("lossAt")} ${name.slice(8)}`;
    return name.startsWith("fit ") ? `${say("given")} ${name.slice(4)}` : name;
  };
  const cell = (own, name) => {
    if (name === "kind") return say(KINDS[own.kind]);
    if (name === "state") return say(own.state);
    if (name === "share") return percent(own.share);
    return typeof own[name] === "boolean" ? shown(own[name]) : own[name] ?? "–";
  };
  return [names.map(titleOf), study.trials.map((own) => names.map((name) => cell(own, name)))];
}
