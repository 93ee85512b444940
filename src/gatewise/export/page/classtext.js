// What a classifier makes of a text: its network, and the plain methods that have a share.

const gw_numbered = (() => {
  const { words, characters } = gw_model.page;
  const numbered = (texts) => new Map(texts.map((text, place) => [text, place + 2]));
  return { words: numbered(words), characters: numbered(Array.from(characters)) };
})();
const gw_UNKNOWN = 1, gw_spelled = new Map();

function gw_tokens(text) {
  const { tokens, splits } = gw_model.page;
  const found = tokens === "characters" && !splits ? Array.from(text) : text.match(gw_token) || [];
  return found.length ? found : [""];
}

function gw_network(tokens) {
  const { tokens: kind, spelling } = gw_model.page, fold = (word) => (kind === "characters" ? word : word.toLowerCase());
  const ids = tokens.map((word) => gw_numbered.words.get(fold(word)) ?? gw_UNKNOWN);
  if (!spelling) return gw_read(tokens.length, ids);
  const each = tokens.map((word) => {
    const letters = Array.from(word).slice(0, spelling.longest).map((letter) => gw_numbered.characters.get(letter) ?? gw_UNKNOWN);
    const text = letters.join();
    if (!gw_spelled.has(text)) gw_spelled.set(text, gw_read_letters(letters.length || 1, letters.length ? letters : [0]));
    return gw_spelled.get(text);
  });
  const inputs = spelling.names.map((name) => {
    const found = new Float32Array(tokens.length * spelling.size);
    each.forEach((spelled, t) => found.set(spelled[name], t * spelling.size));
    return found;
  });
  return gw_read(tokens.length, ids, ...inputs);
}

function gw_activated(scores) {
  const { target } = gw_model.page;
  if (target === "number") return scores;
  if (target === "labels") return scores.map((v) => 1 / (1 + Math.exp(-v)));
  const most = Math.max(...scores), powers = scores.map((v) => Math.exp(v - most)), sum = powers.reduce((a, b) => a + b);
  return powers.map((v) => v / sum);
}

// What a linear model makes of places among what it knows, and of their weights.
function gw_linear(name, places, weights) {
  const bias = gw_tables[`${name}.bias`], table = gw_tables[`${name}.weights`], scores = Array.from(bias);
  places.forEach((place, n) => { for (let k = 0; k < bias.length; k++) scores[k] += weights[n] * table[place * bias.length + k]; });
  return scores;
}

function gw_regression(tokens) {
  const plain = tokens.map((word) => word.toLowerCase()), most = gw_model.page.tokens === "characters" ? 3 : 2, runs = new Set();
  for (let n = 1; n <= most; n++) for (let i = 0; i + n <= plain.length; i++) runs.add(gw_crc32(plain.slice(i, i + n).join("\n")) % gw_model.page.buckets);
  const places = [...runs].map((bucket) => gw_place(gw_tables["regression.buckets"], bucket)).filter((place) => place >= 0);
  const scores = gw_linear("regression", places, places.map(() => 1 / Math.sqrt(runs.size)));
  return gw_activated(scores.map((v, k) => v + Math.log(tokens.length) * gw_tables["regression.length"][k]));
}

// Runs of words, or of characters, weighed by how often a text has them and how few texts do.
function gw_ngrams(name, text, tokens) {
  const { longest, most } = gw_model.page.ngrams[name], words = name !== "characters";
  const folded = text.toLowerCase().split(new RegExp(`[${gw_space}]+`, "u")).filter(Boolean).join(" ");
  const symbols = words ? tokens.map((word) => BigInt(gw_crc32(word.toLowerCase()))) : Array.from(folded).slice(0, most).map((letter) => BigInt(letter.codePointAt(0)));
  const counts = new Map(), u64 = (v) => BigInt.asUintN(64, v);
  for (let i = 0; i < symbols.length; i++) {
    let run = 0n;
    for (let n = 1; n <= longest && i + n <= symbols.length; n++) {
      run = u64(run * 0x9e3779b97f4a7c15n + symbols[i + n - 1] + BigInt(n));
      const key = Number(u64((run ^ (run >> 29n)) * 0xc2b2ae3d27d4eb4fn) >> 32n);
      counts.set(key, (counts.get(key) || 0) + 1);
    }
  }
  const places = [], weights = [];
  for (const [key, count] of counts) {
    const place = gw_place(gw_tables[`${name}.keys`], key);
    if (place >= 0) { places.push(place); weights.push((1 + Math.log(count)) * gw_tables[`${name}.idf`][place]); }
  }
  const length = Math.max(Math.hypot(...weights), 1e-30);
  return gw_activated(gw_linear(name, places, weights.map((w) => w / length)));
}

function gw_answer(text) {
  const { target, shares, share, weights, mean, scale, splits } = gw_model.page, tokens = gw_tokens(text);
  const name = target === "number" ? "number" : "probabilities", total = new Array(gw_model.page.outputs).fill(0);
  const add = (own, part) => own.forEach((v, k) => { total[k] += part * v; });
  if (share > 0) add(gw_network(tokens)[name], share);
  for (const [method, part] of Object.entries(share < 1 ? shares : {})) {
    let own = method === "regression" ? gw_regression(tokens) : gw_ngrams(method, splits ? tokens.join(" ") : text, tokens);
    if (weights) { own = own.map((v, k) => v * weights[k]); const sum = own.reduce((a, b) => a + b); own = own.map((v) => v / sum); }
    add(own, (1 - share) * part);
  }
  return { tokens, [name]: target === "number" ? total.map((v) => v * scale + mean) : total };
}
