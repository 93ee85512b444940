
// Draws the page, anew after a change of language, theme or question.

let pending = [];

function draw(focus) {
  const w = words(), root = document.documentElement, main = document.getElementById("main");
  root.lang = chinese ? "zh" : "en";
  document.title = `${report.answer.text} · Gatewise`;
  const language = document.getElementById("language"), theme = document.getElementById("theme");
  language.textContent = w.switch;
  language.lang = chinese ? "en" : "zh";
  theme.textContent = root.dataset.theme === "dark" ? w.light : w.dark;
  followers = [], pending = [];
  const walkNote = report.walk ? section("walk", w.walk, w.walkNote) : null;
  main.replaceChildren(...[answerSection(), compositionSection(), trustSection(), inputSection(), becauseSection(), flipSection(), togetherSection(), mapSection(), memorySection(), gatesSection(), gridsSection(), gateForSection(), unitsSection(), walkNote, madeSection()].filter(Boolean));
  moveTo(cursor.input, cursor.step);
  if (focus) document.getElementById(focus)?.focus();
  return Promise.all(pending);
}

document.getElementById("language").addEventListener("click", () => { chinese = !chinese; draw(); });
document.getElementById("theme").addEventListener("click", () => { const { dataset } = document.documentElement; dataset.theme = dataset.theme === "dark" ? "light" : "dark"; draw(); });
document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
if (report.attribution) {
  const sizes = report.attribution.added.map((one) => largestOf(one.steps));
  cursor.input = sizes.indexOf(Math.max(...sizes));
  cursor.step = Math.max(0, report.attribution.added[cursor.input].steps.findIndex((value) => Math.abs(value) === sizes[cursor.input]));
}
draw().then(() => { document.body.dataset.ready = performance.now().toFixed(0); });
