// Runs the engine of a page on steps of its model, and prints the largest difference.
const fs = require("fs"), path = require("path");
const page = fs.readFileSync(path.join(__dirname, "page.html"), "utf8");
const proof = JSON.parse(fs.readFileSync(path.join(__dirname, "proof.json"), "utf8"));
const [, engine] = page.match(/<script id="engine">([^]*?)<\/script>/);
const names = ["gw_state", "gw_step", "gw_read", "gw_reader", "gw_answer", "gw_viterbi"];
const engineOf = new Function(`${engine}; return { ${names.map((name) => `${name}: typeof ${name} === "undefined" ? null : ${name}`)} };`);
const { gw_state, gw_step, gw_read, gw_reader, gw_answer, gw_viterbi } = engineOf();
let worst = 0;
function compare(found, outputs) {
  for (const [name, wanted] of Object.entries(outputs)) {
    for (let i = 0; i < wanted.length; i++) {
      const off = Math.abs(found[name][i] - wanted[i]) / Math.max(1, Math.abs(wanted[i]));
      if (!(off <= worst)) worst = off;
    }
  }
}
const numbers = (input) => (Array.isArray(input) ? Float32Array.from(input, (v) => (v === null ? NaN : v)) : input);
const state = gw_state && gw_state();
for (const [inputs, outputs] of proof.steps) compare(gw_step(state, ...inputs.map(numbers)), outputs);
for (const [steps, inputs, outputs, labels] of proof.sequences || []) {
  const found = gw_read(steps, ...inputs.map(numbers));
  compare(found, outputs);
  if (labels && String(gw_viterbi(found.scores, found.scores.length / steps)) !== String(labels)) throw new Error("the page has other labels");
}
for (const [text, outputs] of proof.answers || []) {
  const found = gw_answer(text), words = Object.entries(outputs).filter(([, wanted]) => typeof wanted[0] === "string");
  for (const [name, wanted] of words) {
    if (JSON.stringify(found[name]) !== JSON.stringify(wanted)) {
      throw new Error(`the page has other ${name} of ${JSON.stringify(text)}: ${JSON.stringify(found[name])}, not ${JSON.stringify(wanted)}`);
    }
  }
  compare(found, Object.fromEntries(Object.entries(outputs).filter(([, wanted]) => typeof wanted[0] !== "string")));
}
if (proof.text) {
  const [vocabulary, text, tokens] = proof.text, reader = gw_reader(vocabulary), decode = reader.decoder();
  if (String(reader.encode(text)) !== String(tokens)) throw new Error("the page cuts text into other tokens");
  if (tokens.map(decode).join("") !== text) throw new Error("the page writes tokens as another text");
}
console.log(`${proof.count} steps, largest difference ${worst.toExponential(2)}`);
process.exit(worst <= proof.tolerance ? 0 : 1);
