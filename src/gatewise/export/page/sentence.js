// The tags of a sentence that was typed: spans with their kind, or a label or number under each token.

const { classes, roles } = gw_model.page;

// [first token, token behind the last one, kind], as `tagging_schemes.spans` finds them.
function spansOf(chosen) {
  const found = [];
  let start = 0, before = "O", kindBefore = "";
  [...chosen.map((k) => roles[k]), ["O", ""]].forEach(([role, kind], place) => {
    const goesOn = "IE".includes(role) && "BI".includes(before) && kind === kindBefore;
    if (before !== "O" && !goesOn) found.push([start, place, kindBefore]);
    if (!goesOn) start = place;
    [before, kindBefore] = [role, kind];
  });
  return found;
}

function piece(text, label, kinds) {
  const ruby = h("ruby", {}, text, h("rt", {}, label));
  if (kinds) ruby.style.setProperty("--kind", `hsl(${Math.round(360 * kinds.indexOf(label) / kinds.length)} 70% 50%)`);
  return ruby;
}

function go() {
  const sentence = at("sentence").value, found = gw_answer(sentence);
  at("tagged").hidden = !found.tokens.length;
  if (!found.tokens.length) {
    at("said").textContent = both("Type a sentence first.", "请先输入一句话。");
    return;
  }
  const ends = found.places.map(({ start, text }) => start + text.length), width = gw_model.page.outputs;
  const each = (t) => (classes.length ? found.labels[t] : Array.from(found.numbers.slice(t * width, (t + 1) * width), (v) => Number(v.toPrecision(4))).join(", "));
  const marked = roles ? spansOf(found.chosen) : found.tokens.map((_, t) => [t, t + 1, each(t)]);
  const kinds = roles ? [...new Set(roles.map(([, kind]) => kind))] : null, shown = [];
  let place = 0;
  for (const [first, end, kind] of marked) {
    const start = found.places[first].start, stop = ends[end - 1];
    shown.push(sentence.slice(place, start), piece(sentence.slice(start, stop), kind, kinds));
    place = stop;
  }
  at("tagged").replaceChildren(...shown, sentence.slice(place));
  at("said").textContent = roles ? both(`${marked.length} spans in ${found.tokens.length} tokens`, `${found.tokens.length} 个词元，${marked.length} 个片段`)
    : both(`${found.tokens.length} tokens`, `${found.tokens.length} 个词元`);
}

at("go").addEventListener("click", go);
say({
  title: ["Tag a sentence", "标注句子"],
  "sentence-label": ["A sentence", "一句话"],
  go: ["Tag", "标注"],
});
