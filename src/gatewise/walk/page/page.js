// The page: which story is told, what was changed, keys, languages, and the pane in which a number unfolds.

const said = (key, values = {}) => both(...TEXTS[key]).replace(/\{(\w+)\}/g, (_, name) => values[name]);
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

const gw_doc = JSON.parse(at("document").textContent);
const gw_maths = new Maths(gw_doc);
const now = { story: null, run: null, first: null, changed: new Set(), again };
const spots = new Spots(gw_doc, gw_maths, () => now);
const strip = new Strip(gw_doc, spots, gw_maths, unfold);
let tables = []; // what the tables of weights draw anew
let here = 0; // the panel at which the reader is
let playing = null;

function open(story) {
  stop();
  close();
  now.story = gw_open(gw_doc, story);
  now.changed.clear();
  now.first = null;
  now.run = gw_run(gw_doc, now.story);
  strip.draw(at("comic"));
  drawTables();
  now.first = now.run.loss;
  here = 0;
  again();
  go(0, false);
}

// After any change: all values and gradients anew.
function again() {
  now.run = gw_run(gw_doc, now.story);
  strip.refresh();
  for (const draw of tables) draw();
  if (pane.trail.length) showPane();
  at("learn").hidden = at("loss").hidden = now.run.loss === null;
  if (now.run.loss !== null) {
    const [loss, was] = [now.run.loss, now.first].map(gw_text);
    at("loss").textContent = said(loss === was ? "loss" : "loss_was", { loss, was });
  }
  at("reset").disabled = !now.changed.size && !now.story.held.length;
}

// Tables of weights, each with its gradient below.
function drawTables() {
  const { story } = now,
    list = [];
  const kept = strip.live;
  strip.live = [];
  for (const w of gw_doc.weights) {
    const rows = strip.shown(w.rows),
      columns = w.columns ? strip.shown(w.columns) : [0];
    list.push(
      weightTable(gw_letter(w.name, null), rows, columns, (r, c) =>
        gw_inside(w, story.sizes, r, c) ? [spots.weight(w, r, c), spots.total(w, r, c)] : null,
      ),
    );
  }
  if (story.head) {
    const rows = story.head.bias.map((_, r) => r),
      columns = gw_many(story.head.weight.columns, (c) => c);
    list.push(weightTable(mi("V"), rows, columns, (r, c) => [spots.headed("V", r, c), spots.headTotal("V", r, c)]));
    list.push(weightTable(mi("a"), rows, [0], (r, c) => [spots.headed("a", r, c), spots.headTotal("a", r, c)]));
  }
  tables = strip.live;
  strip.live = kept;
  at("tables").replaceChildren(...list);
}

function weightTable(name, rows, columns, at_) {
  const caption = h("figcaption");
  caption.innerHTML = gw_math(name);
  const cells = rows.flatMap((r) =>
    columns.map((c) => {
      const pair = at_(r, c);
      return pair ? h("div", { class: "pair" }, strip.number(pair[0]), strip.number(pair[1])) : h("div", { class: "pair none" }, "·");
    }),
  );
  const grid = h("div", { class: "matrix" }, ...cells);
  grid.style.setProperty("--columns", columns.length);
  return h("figure", {}, caption, grid);
}

// The pane: the number at the end of the trail, unfolded.
const pane = { trail: [], from: null };

function unfold(spot, button) {
  if (!at("unfold").contains(button)) {
    pane.trail = [];
    pane.from = button;
  }
  pane.trail.push(spot);
  showPane();
  at("unfold").focus({ preventScroll: true });
  tell(`${spot.say}: ${gw_text(spot.value())}`);
}

function close() {
  pane.trail = [];
  at("unfold").hidden = true;
  document.body.classList.remove("unfolded");
  pane.from?.focus({ preventScroll: true });
  pane.from = null;
}

function showPane() {
  const spot = pane.trail[pane.trail.length - 1],
    kept = strip.live,
    inside = [];
  const editing = at("unfold").contains(document.activeElement) ? document.activeElement.id : "";
  strip.live = [];
  const button = (key, act) => h("button", { type: "button", onclick: act }, said(key));
  const title = h("h2"),
    equation = h("div", { class: "lines", tabindex: 0, role: "group", "aria-label": said("made_of") });
  title.innerHTML = `${gw_math(row(spot.name || mi("·"), mo("="), gw_number(spot.value())))} <small>${gw_safe(spot.say)}</small>`;
  for (const line of spot.lines()) {
    const p = h("p");
    p.innerHTML = gw_math(line);
    equation.append(p);
  }
  const buttons = h(
    "div",
    { class: "row" },
    ...(pane.trail.length > 1
      ? [
          button("return", () => {
            pane.trail.pop();
            showPane();
          }),
        ]
      : []),
    button("close", close),
  );
  buttons.lastChild.id = "close";
  inside.push(h("div", { class: "head" }, title, buttons), equation);
  if (spot.set)
    inside.push(
      field("given", spot.value(), (v) => {
        spot.set(v);
        now.changed.add(spot.key);
        again();
      }),
    );
  if (spot.pin) inside.push(...pinning(spot, button));
  const parts = spot.parts();
  if (parts.length) {
    const list = h("div", { class: "parts" }, h("span", { class: "name" }));
    list.firstChild.textContent = said("made_of");
    for (const part of parts.slice(0, 40)) {
      const b = strip.number(part),
        name = h("span", { class: "word" });
      name.innerHTML = `${gw_math(part.name)}${part.place ? ` [${part.place}]` : ""}`;
      b.prepend(name);
      list.append(b);
    }
    inside.push(list);
  }
  at("unfold").replaceChildren(...inside);
  for (const draw of strip.live) draw();
  strip.live = kept;
  at("unfold").hidden = false;
  at("unfold").setAttribute("aria-label", said("unfold"));
  document.body.classList.add("unfolded");
  if (editing) at(editing)?.focus({ preventScroll: true });
}

function field(key, value, act) {
  const input = h("input"),
    label = h("label", { class: "row" }, said(key), input);
  input.type = "number";
  input.step = "any";
  input.id = `field_${key}`;
  input.value = String(Math.round(value * 1e6) / 1e6);
  input.addEventListener("change", () => {
    if (input.value !== "" && Number.isFinite(Number(input.value))) act(Number(input.value));
  });
  return label;
}

// "What if": a value is held at a number, here or at every step.
function pinning(spot, button) {
  const { name, t, j } = spot.pin,
    mine = (h) => h.name === name && h.j === j,
    held = now.story.held.filter((h) => mine(h) && h.t === t);
  const every = h("input"),
    label = h("label", { class: "row" }, every, said("hold_all"));
  every.type = "checkbox";
  every.id = "field_every";
  every.checked = held.length > 0 && now.story.held.filter(mine).length === now.story.steps.length;
  const hold = (value) => {
    const all = every.checked;
    now.story.held = [
      ...now.story.held.filter((h) => !(mine(h) && (all || h.t === t))),
      ...now.story.steps.map((_, s) => ({ name, t: s, j, value })).filter((h) => all || h.t === t),
    ];
    again();
  };
  const inside = [h("div", { class: "row" }, field("hold", spot.value(), hold), label)];
  every.addEventListener("change", () => {
    if (held.length) hold(held[0].value);
  });
  if (held.length) {
    const note = h("p", { class: "said" }),
      free = button("let_go", () => {
        now.story.held = now.story.held.filter((h) => !(mine(h) && (every.checked || h.t === t)));
        again();
      });
    note.textContent = said("is_held");
    free.id = "let_go";
    inside.push(note, free);
  }
  return inside;
}

// Where the reader is. Numbers of other panels are passed over by Tab, so that it does not take a hundred keys.
function go(n, move = true) {
  here = Math.max(0, Math.min(strip.panels.length - 1, n));
  strip.panels.forEach(({ element }, k) => {
    element.tabIndex = k === here ? 0 : -1;
    element.classList.toggle("here", k === here);
    for (const b of element.querySelectorAll("button, select, input")) b.tabIndex = k === here ? 0 : -1;
  });
  if (!move) return;
  const { element, t } = strip.panels[here];
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "nearest", inline: "center", behavior: calm() ? "auto" : "smooth" });
  const numbers = [...element.querySelectorAll(".n")].slice(0, 12).map((b) => [...b.children].map((e) => e.textContent).filter(Boolean).join(" "));
  tell(`${element.getAttribute("aria-label")}. ${numbers.join("; ")}`);
}

function beside(steps, rows) {
  // from this panel to the one so far away in the drawing
  const { t, row: from } = strip.panels[here],
    all = [...new Set(strip.panels.map((p) => p.row))].sort((a, b) => a - b);
  const want = { t: t + steps, row: all[all.indexOf(from) + rows] };
  const n = strip.panels.findIndex((p) => p.t === want.t && p.row === want.row);
  if (n >= 0) go(n);
}

function stop() {
  clearInterval(playing);
  playing = null;
  at("play").setAttribute("aria-pressed", "false");
  words();
}
function play() {
  if (playing) {
    stop();
    return;
  }
  if (here === strip.panels.length - 1) go(0);
  playing = setInterval(() => (here === strip.panels.length - 1 ? stop() : go(here + 1)), 1600);
  at("play").setAttribute("aria-pressed", "true");
  words();
}

function tell(text) {
  at("live").textContent = text;
}

function learn() {
  const { story, run } = now,
    rate = 0.3,
    down = (values, gradient) =>
      gradient.forEach((g, i) => {
        values[i] -= rate * g;
      });
  for (const w of gw_doc.weights) down(story.weights[w.name].values, run.weights[w.name]);
  down(story.head.weight.values, run.head.weight);
  down(story.head.bias, run.head.bias);
  now.changed.add("learned");
  again();
  tell(at("loss").textContent);
}

// Words, in the language of the reader.
function words() {
  const story = gw_doc.stories[at("story").selectedIndex] ?? gw_doc.stories[0];
  for (const e of document.querySelectorAll("[data-text]")) e.textContent = said(e.dataset.text);
  at("title").textContent = document.title = said("title", { cell: gw_doc.cell.name });
  at("summary").textContent = gw_doc.cell.summary;
  const target = story.head?.targets.findLast((v) => v !== null);
  at("told").textContent = said(TEXTS[`told_${story.name}`] ? `told_${story.name}` : story.assumed ? "told_assumed" : "told_own", {
    last: gw_below(story.steps.length),
    target: gw_text(target),
  });
  at("about").textContent = said("about", { source: gw_doc.cell.source.replace(/\.$/, "") });
  for (const [id, key] of [
    ["back", "back"],
    ["next", "next"],
  ])
    at(id).setAttribute("aria-label", said(key));
  at("play").textContent = said(playing ? "pause" : "play");
  at("learn").textContent = said("learn");
  at("reset").textContent = said("reset");
  at("comic").setAttribute("aria-label", said("comic"));
  [...at("story").options].forEach((option, k) => {
    const { name } = gw_doc.stories[k];
    option.textContent = TEXTS[name] ? said(name) : name;
  });
  at("legend").replaceChildren(
    ...["arrives", "doors", "shelf", "speaks", "answer", "through", "handed", "share"].flatMap((key) => {
      const [term, meaning] = [h("dt"), h("dd")];
      term.textContent = said(key);
      meaning.textContent = said(`${key}_said`);
      return [term, meaning];
    }),
  );
}

at("story").append(...gw_doc.stories.map(() => new Option()));
at("story").addEventListener("change", () => {
  open(gw_doc.stories[at("story").selectedIndex]);
  words();
});
at("back").addEventListener("click", () => beside(-1, 0));
at("next").addEventListener("click", () => beside(1, 0));
at("play").addEventListener("click", play);
at("learn").addEventListener("click", learn);
at("reset").addEventListener("click", () => open(gw_doc.stories[at("story").selectedIndex]));
at("comic").addEventListener("focusin", (event) => {
  const n = strip.panels.findIndex(({ element }) => element.contains(event.target));
  if (n >= 0 && n !== here) go(n, false);
});
document.addEventListener("keydown", (event) => {
  const editing = event.target.closest("input, select, textarea, summary"),
    inPane = at("unfold").contains(event.target);
  if (event.key === "Escape") {
    if (pane.trail.length) close();
    else stop();
    return;
  }
  if (editing || inPane || event.ctrlKey || event.metaKey || event.altKey) return;
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (move) beside(...move);
  else if (event.key === " " && event.target.tagName !== "BUTTON") play();
  else if (event.key === "Enter" && event.target.classList.contains("panel")) event.target.querySelector(".n")?.click();
  else return;
  event.preventDefault();
});
switches(() => {
  words();
  if (now.story) again();
});
open(gw_doc.stories[0]);
document.documentElement.dataset.ready = "yes";
