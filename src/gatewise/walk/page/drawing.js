// What panels are drawn with: numbers that unfold, lines of them, captions.

class Drawing {
  constructor(doc, spots, maths, unfold) {
    this.doc = doc;
    this.spots = spots;
    this.maths = maths;
    this.unfold = unfold;
    this.live = []; // what is drawn anew after each change
    this.panels = []; // [{ t, row, element }], in the order in which they are read
  }

  get now() {
    return this.spots.now();
  }

  shown(letter) {
    const { sizes, units, heads } = this.now.story,
      all = gw_many(sizes[letter], (i) => i);
    if (letter === "H" && units) return [...units];
    if (letter === "M") {
      const of = new Set(this.shown("H")),
        K = sizes.K;
      const some = all.filter(
        (i) =>
          of.has(Math.floor(i / (K * K)) * K + (Math.floor(i / K) % K)) &&
          of.has(Math.floor(i / (K * K)) * K + (i % K)),
      );
      return some.slice(0, 64);
    }
    return letter === "N" ? all.slice(0, heads) : this.most(letter, all);
  }

  most(letter, all) {
    // of inputs and projected outputs that are many, the largest
    if (all.length <= 12) return all;
    const size = (i) => (letter === "D" ? this.now.story.x.reduce((sum, x) => sum + Math.abs(x[i]), 0) : -i);
    return [...all]
      .sort((a, b) => size(b) - size(a))
      .slice(0, 8)
      .sort((a, b) => a - b);
  }

  // A number that unfolds; `picture` is drawn above it from its value.
  number(spot, picture = null, below = null) {
    const button = h("button", { class: "n" }),
      name = h("span", { class: "unseen" }),
      text = h("span", { class: "digits" }),
      above = h("span", { class: "picture" }),
      word = h("span", { class: "word" });
    button.type = "button";
    button.dataset.spot = spot.key;
    button.append(name);
    if (picture) button.append(above);
    button.append(text);
    if (below) button.append(word);
    button.addEventListener("click", () => this.unfold(spot, button));
    this.live.push(() => {
      const v = spot.value();
      text.textContent = gw_short(v);
      if (picture) above.innerHTML = picture(v);
      if (below) word.textContent = said(below(v));
      name.textContent = `${spot.say}:`;
      button.classList.toggle(
        "held",
        Boolean(spot.pin) &&
          this.now.story.held.some((h) => h.name === spot.pin.name && h.t === spot.pin.t && h.j === spot.pin.j),
      );
      button.classList.toggle("changed", this.now.changed.has(spot.key));
    });
    return button;
  }

  // One line of a panel: a name, and a number for each unit that is shown.
  line(name, i, t, picture = null, below = null) {
    const letter = this.doc.nodes[i][1],
      places = this.shown(letter),
      hidden = this.now.story.sizes[letter] - places.length;
    const numbers = h(
      "div",
      { class: letter === "M" ? "numbers matrix" : "numbers" },
      ...places.map((j) => this.number(this.spots.value(i, t, j), picture, below)),
    );
    if (letter === "M") numbers.style.setProperty("--columns", Math.min(this.now.story.sizes.K, 8));
    return this.labelled(name, numbers, hidden, letter === "D" ? "more_features" : "more");
  }

  labelled(name, numbers, hidden = 0, more = "more") {
    const line = h("div", { class: "line" });
    const label = h("span", { class: "name" });
    label.innerHTML = name.startsWith("<") ? gw_math(name) : "";
    if (!name.startsWith("<"))
      this.live.push(() => {
        label.textContent = TEXTS[name] ? said(name) : name;
      });
    line.append(label, numbers);
    if (hidden > 0) {
      const rest = h("span", { class: "rest" });
      this.live.push(() => {
        rest.textContent = said(more, { n: hidden });
      });
      line.append(rest);
    }
    return line;
  }

  text(kind, key, values = () => ({})) {
    const e = h("p", { class: kind });
    this.live.push(() => {
      e.textContent = said(key, values());
    });
    return e;
  }

  // A panel of a step, with its caption; `row` is its place from the top.
  panel(row, t, kind, ...inside) {
    const element = h("section", { class: `panel ${kind}` }),
      caption = h("h3");
    this.live.push(() => {
      caption.textContent = said(kind);
      element.setAttribute("aria-label", `${said("step", { t: t + 1 })} ${this.now.story.steps[t]}: ${said(kind)}`);
    });
    element.append(caption, ...inside);
    element.style.gridRow = row;
    element.style.gridColumn = t + 1;
    element.tabIndex = -1;
    this.panels.push({ t, row, element });
    return element;
  }
}

const gw_math = (inside) => `<math>${inside}</math>`;
const gw_below = (n) => String(n).replace(/\d/g, (d) => "₀₁₂₃₄₅₆₇₈₉"[d]);
