// Text to tokens and back.

function gw_reader(vocabulary) {
  return vocabulary.kind === "characters" ? gw_characters(vocabulary) : gw_byte_pairs(vocabulary.tokenizer.model);
}

function gw_characters(vocabulary) {
  const letters = Array.from(vocabulary.characters), ids = new Map(letters.map((letter, id) => [letter, id]));
  return {
    encode: (text) => Array.from(text).map((letter) => ids.get(letter)).filter((id) => id !== undefined),
    decoder: () => (id) => letters[id],
    unknown: (text) => [...new Set(Array.from(text).filter((letter) => !ids.has(letter)))],
  };
}

function gw_byte_pairs(model) {
  // Tokens are written in letters that stand for bytes: themselves where Latin-1 prints them, else from U+0100 on.
  const letters = [], printed = (b) => (b > 0x20 && b < 0x7f) || (b > 0xa0 && b < 0xad) || b > 0xad;
  for (let b = 0, n = 0; b < 256; b++) letters.push(String.fromCharCode(printed(b) ? b : 256 + n++));
  const bytes = new Map(letters.map((letter, b) => [letter, b]));
  const ranks = new Map(model.merges.map((pair, rank) => [(Array.isArray(pair) ? pair : pair.split(" ")).join(" "), rank]));
  const texts = [];
  for (const [token, id] of Object.entries(model.vocab)) texts[id] = Uint8Array.from(Array.from(token), (c) => bytes.get(c));
  const words = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

  function joined(word) {
    let parts = Array.from(new TextEncoder().encode(word), (b) => letters[b]);
    for (;;) {
      let best = Infinity, pair = "";
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = ranks.get(`${parts[i]} ${parts[i + 1]}`);
        if (rank < best) [best, pair] = [rank, `${parts[i]} ${parts[i + 1]}`];
      }
      if (best === Infinity) return parts.map((part) => model.vocab[part]);
      const next = [];
      for (let i = 0; i < parts.length; i++) {
        const meets = i + 1 < parts.length && `${parts[i]} ${parts[i + 1]}` === pair;
        next.push(meets ? parts[i] + parts[++i] : parts[i]);
      }
      parts = next;
    }
  }
  return {
    encode: (text) => (text.match(words) || []).flatMap(joined),
    decoder: () => { const utf8 = new TextDecoder(); return (id) => utf8.decode(texts[id], { stream: true }); },
    unknown: () => [],
  };
}
