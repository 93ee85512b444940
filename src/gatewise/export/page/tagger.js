// What a tagger makes of a sentence: its network and its regression, and the likeliest labels.

const gw_spellings = new Map();

function gw_spelled(word) {
  const { letters, longest } = gw_model.page, all = Array.from(word);
  if (!gw_spellings.has(word)) {
    const read = all.length <= longest ? all : [...all.slice(0, longest / 2), ...all.slice(-longest / 2)];
    const ids = read.map((letter) => gw_numbers.letters.get(letter) ?? letters.length + 1);
    gw_spellings.set(word, gw_read_letters(ids.length, ids).spelled);
  }
  return gw_spellings.get(word);
}

function gw_network(words) {
  const { parts, pairs, ahead, spelled } = gw_model.page;
  const inputs = Object.keys(parts).map((name) => words.map((word) => gw_numbers[name].get(gw_parts[name](word)) ?? 0));
  if (pairs.length) {
    inputs.push(words.map((word, t) => gw_numbers.pairs.get(`${t ? words[t - 1] : ""} ${word}`) ?? 0));
    if (ahead) inputs.push(words.map((word, t) => gw_numbers.pairs.get(`${word} ${words[t + 1] ?? ""}`) ?? 0));
  }
  if (spelled) {
    const each = words.map(gw_spelled), found = new Float32Array(words.length * each[0].length);
    each.forEach((own, t) => found.set(own, t * own.length));
    inputs.push(found);
  }
  return gw_read(words.length, ...inputs).scores;
}

// The finaliser of splitmix64.
function gw_mixed(x) {
  const u64 = (v) => BigInt.asUintN(64, v);
  x = u64((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = u64((x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return x ^ (x >> 31n);
}

function gw_regression(words) {
  const { slots, outputs } = gw_model.page, table = gw_tables["plain.weights"], scores = new Float64Array(words.length * outputs);
  const names = new Set(slots.flatMap(([, slot]) => slot.map(([part]) => part)));
  const values = Object.fromEntries([...names].map((part) => [part, words.map((word) => BigInt(gw_crc32(gw_parts[part](word))))]));
  words.forEach((_, t) => {
    for (let k = 0; k < outputs; k++) scores[t * outputs + k] = gw_tables["plain.bias"][k];
    for (const [begin, slot] of slots) {
      let total = BigInt(begin);
      for (const [part, away] of slot) total = gw_mixed(BigInt.asUintN(64, total * 0x9e3779b97f4a7c15n + (values[part][t + away] ?? 1n << 61n)));
      const place = gw_place(gw_tables["plain.buckets"], Number(total >> 32n));
      if (place >= 0) for (let k = 0; k < outputs; k++) scores[t * outputs + k] += table[place * outputs + k];
    }
  });
  return scores;
}

function gw_answer(sentence) {
  const { outputs, classes, share, bias, outside, chained, center, scale } = gw_model.page, places = gw_tokens(sentence);
  const tokens = places.map(({ text }) => text);
  if (!tokens.length) return { tokens, places, scores: [], labels: [], numbers: [] };
  const network = share > 0 ? gw_network(tokens) : null, plain = share < 1 ? gw_regression(tokens) : null;
  const scores = Float64Array.from({ length: tokens.length * outputs }, (_, i) => (network ? share * network[i] : 0) + (plain ? (1 - share) * plain[i] : 0));
  if (!classes.length) return { tokens, places, scores, numbers: scores.map((v, i) => v * scale[i % outputs] + center[i % outputs]) };
  const moved = scores.map((v, i) => (i % outputs === outside ? v - bias : v));
  const best = (t) => { const own = moved.slice(t * outputs, (t + 1) * outputs); return own.indexOf(Math.max(...own)); };
  const chosen = chained ? gw_viterbi(moved, outputs) : tokens.map((_, t) => best(t));
  return { tokens, places, scores, labels: chosen.map((k) => classes[k]), chosen };
}
