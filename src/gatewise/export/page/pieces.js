// A text as the tokens of a model of another library, as `tasks.sequential.texts.Tokens` cuts it, and what the model answers.

const gw_numbers = new Map(gw_model.page.vocabulary.tokens.map((token, place) => [token, gw_model.page.vocabulary.ids[place]]));

function gw_number(piece) {
  const { kind, unknown } = gw_model.page.vocabulary;
  if (gw_numbers.has(piece) || kind === "characters") return gw_numbers.get(piece) ?? unknown;
  const small = piece.toLowerCase(), bare = small.replace(/^[^\p{L}\p{N}_]+|[^\p{L}\p{N}_]+$/gu, "");
  return gw_numbers.get(small) ?? gw_numbers.get(bare) ?? unknown;
}

// Null where the model knows nothing of a text.
function gw_answer(text) {
  const { way, masked, vocabulary: { kind } } = gw_model.page;
  const pieces = kind === "characters" ? Array.from(text) : text.split(new RegExp(`[${gw_space}]+`)).filter((piece) => piece);
  const known = pieces.map((piece) => [piece, gw_number(piece)]).filter(([, number]) => number !== null && !(masked && number === 0));
  const tokens = known.map(([piece]) => piece), numbers = known.map(([, number]) => number);
  if (!numbers.length) return null;
  if (way === "sequence") return { tokens, ...gw_read(numbers.length, numbers) };
  const state = gw_state();
  return { tokens, ...numbers.map((number) => gw_step(state, number)).pop() };
}
