// Draws the page, anew after a change of language, theme or question.

let pending = [];

function draw(focus) {
  const w = words();
  document.title = `${report.answer.text} · Gatewise`;
  followers = [], pending = [];
  const walkNote = report.walk ? section("walk", w.walk, w.walkNote) : null;
  at("main").replaceChildren(...[answerSection(), compositionSection(), trustSection(), inputSection(), becauseSection(), flipSection(), togetherSection(), mapSection(), memorySection(), gatesSection(), gridsSection(), gateForSection(), unitsSection(), walkNote, madeSection()].filter(Boolean));
  moveTo(cursor.input, cursor.step);
  if (focus) at(focus)?.focus();
  return Promise.all(pending);
}

if (report.attribution) {
  const sizes = report.attribution.added.map((one) => largestOf(one.steps));
  cursor.input = sizes.indexOf(Math.max(...sizes));
  cursor.step = Math.max(0, report.attribution.added[cursor.input].steps.findIndex((value) => Math.abs(value) === sizes[cursor.input]));
}
switches(draw).then(() => { document.body.dataset.ready = performance.now().toFixed(0); });
