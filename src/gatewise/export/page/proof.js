// Runs the engine of a page on steps of its model, and prints the largest difference.
const fs = require("fs"), path = require("path");
const page = fs.readFileSync(path.join(__dirname, "page.html"), "utf8");
const proof = JSON.parse(fs.readFileSync(path.join(__dirname, "proof.json"), "utf8"));
const [, engine] = page.match(/<script id="engine">([^]*?)<\/script>/);
const { gw_state, gw_step, gw_reader } = new Function(
  `${engine}; return { gw_state, gw_step, gw_reader: typeof gw_reader === "undefined" ? null : gw_reader };`)();
let worst = 0;
const state = gw_state();
for (const [inputs, outputs] of proof.steps) {
  const found = gw_step(state, ...inputs.map((input) => (Array.isArray(input) ? input.map((v) => (v === null ? NaN : v)) : input)));
  for (const [name, wanted] of Object.entries(outputs)) {
    for (let i = 0; i < wanted.length; i++) {
      const off = Math.abs(found[name][i] - wanted[i]) / Math.max(1, Math.abs(wanted[i]));
      if (!(off <= worst)) worst = off;
    }
  }
}
if (proof.text) {
  const [vocabulary, text, tokens] = proof.text, reader = gw_reader(vocabulary), decode = reader.decoder();
  if (String(reader.encode(text)) !== String(tokens)) throw new Error("the page cuts text into other tokens");
  if (tokens.map(decode).join("") !== text) throw new Error("the page writes tokens as another text");
}
console.log(`${proof.steps.length} steps, largest difference ${worst.toExponential(2)}`);
process.exit(worst <= proof.tolerance ? 0 : 1);
