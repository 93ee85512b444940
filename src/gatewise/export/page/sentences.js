// Sentences as tokens, as `tasks.tag.sentences.tokens_of` cuts them, and their parts.

const gw_parts = {
  word: (word) => gw_plain_digits(word.toLowerCase()),
  exact: (word) => word,
  shape: gw_shape,
  prefix: (word) => gw_letters(word, 0, 3),
  suffix: (word) => gw_letters(word, -3),
  ending: (word) => gw_letters(word, -2),
};
for (const n of [1, 2, 3, 4, 5]) {
  gw_parts[`prefix ${n}`] = (word) => gw_letters(word, 0, n);
  gw_parts[`suffix ${n}`] = (word) => gw_letters(word, -n);
}

function gw_plain_digits(word) { return word.replace(/[1-9]/g, "0"); }
function gw_letters(word, ...slice) { return Array.from(word).slice(...slice).join("").toLowerCase(); }

// "McDonald's" is "XxXx'x".
function gw_shape(word) {
  const found = [];
  for (const c of word) {
    const kind = /\p{Lt}/u.test(c) ? "z" : /\p{Uppercase}/u.test(c) ? "X" : /\p{Lowercase}/u.test(c) ? "x" : /[\p{Nd}²³¹⁰⁴-⁹₀-₉]/u.test(c) ? "d" : /\p{L}/u.test(c) ? "z" : c;
    if (found[found.length - 1] !== kind) found.push(kind);
  }
  return found.slice(0, 12).join("");
}

const gw_numbers = Object.fromEntries(Object.entries({ ...gw_model.page.parts, letters: gw_model.page.letters, pairs: gw_model.page.pairs })
  .map(([name, texts]) => [name, new Map(texts.map((text, place) => [text, place + 1]))]));
const gw_knows = (word) => gw_numbers.word.has(gw_parts.word(word));

// [{ start, text }, ...]
function gw_tokens(sentence) {
  if (gw_model.page.single) return [...sentence.matchAll(new RegExp(`[^${gw_space}]`, "gu"))].map(({ index, 0: text }) => ({ start: index, text }));
  return [...sentence.matchAll(new RegExp(`[^${gw_space}]+`, "gu"))].flatMap(({ index, 0: text }) => gw_cut(index, text));
}

function gw_cut(start, piece) {
  const end = piece[piece.length - 1];
  if (Array.from(piece).length < 2 || gw_knows(piece)) return [{ start, text: piece }];
  if (".,;:!?)]}>\"'”’»…".includes(end)) {
    let same = 0;
    while (same < piece.length && piece[piece.length - 1 - same] === end) same++;
    const mark = piece.length - (gw_knows(piece.slice(-same)) ? same : 1);
    return [...(mark ? gw_cut(start, piece.slice(0, mark)) : []), { start: start + mark, text: piece.slice(mark) }];
  }
  if ("([{<\"'“‘„«¿¡".includes(piece[0])) return [{ start, text: piece[0] }, ...gw_cut(start + 1, piece.slice(1))];
  const found = piece.match(/(?:n['’]t|['’](?:s|re|ve|m|ll|d))$/iu);
  if (found && found.index && gw_knows(found[0].replace("’", "'"))) {
    return [...gw_cut(start, piece.slice(0, found.index)), { start: start + found.index, text: found[0] }];
  }
  return [{ start, text: piece }];
}
