// The comic: a column for each step, panels below one another, forward and then backward.

class Strip extends Drawing {
  draw(into) {
    this.live = [];
    this.panels = [];
    const T = this.now.story.steps.length,
      grid = h("div", { class: "grid" });
    const heading = (row, key) => {
      const words = h("h2", { style: { gridRow: row, gridColumn: "1 / -1" } });
      this.live.push(() => {
        words.textContent = said(key);
      });
      return words;
    };
    grid.append(heading(1, "forward"));
    for (let t = 0; t < T; t++) grid.append(this.top(t), this.arrives(t), this.doors(t), this.shelf(t), this.speaks(t));
    grid.append(heading(7, "backward"));
    for (let t = T - 1; t >= 0; t--) grid.append(this.answer(t), this.through(t), this.handed(t), this.share(t));
    into.replaceChildren(grid);
  }

  top(t) {
    const e = h("div", { class: "top" }),
      word = h("strong"),
      step = h("span");
    word.textContent = this.now.story.steps[t];
    this.live.push(() => {
      step.textContent = said("step", { t: t + 1 });
    });
    e.append(step, word);
    e.style.gridRow = 2;
    e.style.gridColumn = t + 1;
    return e;
  }

  arrives(t) {
    const { features } = this.now.story,
      places = this.shown("D");
    const numbers = h(
      "div",
      { class: "numbers" },
      ...places.map((j) => {
        const n = this.number(this.spots.value(this.doc.x, t, j));
        const name = h("span", { class: "word" });
        name.textContent = features[j];
        n.append(name);
        return n;
      }),
    );
    const lines = this.doc.before.map((i) => this.line(this.maths.name(i, t + 1), i, t));
    return this.panel(
      3,
      t,
      "arrives",
      this.labelled(gw_letter("x", t + 1), numbers, features.length - places.length, "more_features"),
      ...lines.slice(0, 1),
    );
  }

  doors(t) {
    const lines = this.doc.doors.map((name) =>
      this.line(gw_letter(name, t + 1), this.doc.pins[name][0], t, gw_door, gw_word),
    );
    const notes = this.doc.notes.map((name) => this.line(gw_letter(name, t + 1), this.doc.pins[name][0], t));
    return this.panel(
      4,
      t,
      "doors",
      ...(lines.length ? lines : [this.text("said", "no_doors")]),
      ...(notes.length ? [this.text("said", "notes"), ...notes] : []),
    );
  }

  shelf(t) {
    const inside = this.doc.shelves.map(([k, keep, write]) => {
      const after = this.doc.after[k],
        letter = this.doc.nodes[after][1],
        places = this.shown(letter);
      const jars = h(
        "div",
        { class: letter === "M" ? "numbers matrix" : "numbers" },
        ...places.map((j) => {
          const jar = h("span", { class: "picture" });
          this.live.push(() => {
            const v = this.now.run.steps[t],
              had = gw_of(v[this.doc.before[k]])(j);
            jar.innerHTML = gw_jar(gw_of(v[keep])(j) * had, gw_of(v[write])(j), this.scales.carried[k]);
          });
          const number = (i) => this.number(this.spots.value(i, t, j));
          return h("div", { class: "column" }, jar, number(this.doc.before[k]), number(keep), number(write), number(after));
        }),
      );
      if (letter === "M") jars.style.setProperty("--columns", Math.min(this.now.story.sizes.K, 4));
      const names = h(
        "div",
        { class: "column names" },
        h("span", { class: "picture" }),
        ...["had", "keep", "write", "now"].map((key) => this.text("name", key)),
      );
      names.firstChild.innerHTML = gw_math(gw_letter(this.doc.cell.carry[k], t + 1));
      return h("div", { class: "jars" }, names, jars);
    });
    const kept = new Set(this.doc.shelves.map(([k]) => k)),
      others = this.doc.cell.carry.flatMap((name, k) =>
        k && !kept.has(k) && !this.doc.doors.includes(name) ? [k] : [],
      );
    const rest = others.map((k) => this.line(gw_letter(this.doc.cell.carry[k], t + 1), this.doc.after[k], t));
    return this.panel(
      5,
      t,
      "shelf",
      ...(inside.length ? inside : [this.text("said", "no_shelf")]),
      ...(rest.length ? [this.text("said", "carried"), ...rest] : []),
    );
  }

  speaks(t) {
    const { story } = this.now,
      line = this.line(gw_letter(this.doc.cell.carry[0], t + 1), this.doc.after[0], t);
    if (!story.head) return this.panel(6, t, "speaks", line);
    const { symbols } = story.head,
      inside = [line];
    if (symbols.length) {
      inside.push(
        h(
          "div",
          { class: "bars" },
          ...symbols.map((s, r) => {
            const bar = h("span", { class: "bar" }),
              name = h("span", { class: "name" }),
              number = this.number(this.spots.chance(t, r));
            name.textContent = s;
            this.live.push(() => {
              bar.style.setProperty("--share", this.now.run.chances[t][r]);
            });
            return h("div", { class: "guess" }, name, bar, number);
          }),
        ),
      );
    } else
      inside.push(
        this.labelled(this.spots.score(t, 0).name, h("div", { class: "numbers" }, this.number(this.spots.score(t, 0)))),
      );
    inside.push(this.asked(t));
    return this.panel(6, t, "speaks", ...inside);
  }

  // What the right answer is, which can be changed, and what it costs to have said another.
  asked(t) {
    const { story } = this.now,
      { symbols } = story.head,
      label = h("label", { class: "asked" }),
      words = h("span"),
      verdict = h("strong");
    const field = h(symbols.length ? "select" : "input");
    if (symbols.length) field.append(new Option("–", ""), ...symbols.map((s, r) => new Option(s, r)));
    else {
      field.type = "number";
      field.step = "any";
      field.placeholder = "–";
    }
    this.live.push(() => {
      const target = this.now.story.head.targets[t],
        chances = this.now.run.chances[t];
      words.textContent = "→";
      field.value = target ?? "";
      field.setAttribute("aria-label", said("target", { t: t + 1 }));
      verdict.textContent =
        target === null
          ? said("nothing")
          : chances
            ? chances.indexOf(Math.max(...chances)) === target
              ? `✓ ${said("right")}`
              : `✗ ${said("wrong")}`
            : "";
    });
    field.addEventListener("change", () => {
      story.head.targets[t] = field.value === "" ? null : Number(field.value);
      this.now.changed.add(`target ${t}`);
      this.now.again();
    });
    label.append(words, field, verdict);
    const loss = this.labelled(this.spots.loss(t).name, h("div", { class: "numbers" }, this.number(this.spots.loss(t))));
    const last = t === story.steps.length - 1 && story.name === "hello";
    return h(
      "div",
      {},
      label,
      loss,
      ...(last
        ? [
            this.text("said", "word_itself", () => ({
              last: gw_below(t + 1),
              n: story.sizes[this.doc.nodes[this.doc.after[0]][1]],
            })),
          ]
        : []),
    );
  }

  // Backward.

  blame(name, i, t) {
    return this.line(name, i, t, (v) => gw_arrow(v, this.scales.gradient));
  }

  answer(t) {
    const { story } = this.now,
      inside = [];
    if (story.head)
      inside.push(
        this.labelled(
          gw_blame(this.spots.score(t, 0).name.replace(/\([^)]*\)/, "")),
          h(
            "div",
            { class: "numbers" },
            ...story.head.bias.map((_, r) => {
              const n = this.number(this.spots.blame(t, r));
              const name = h("span", { class: "word" });
              name.textContent = story.head.symbols[r] ?? "";
              n.append(name);
              return n;
            }),
          ),
        ),
      );
    this.doc.seeds.forEach((i, k) => inside.push(this.blame(this.maths.name(i, t + 1), i, t)));
    return this.panel(8, t, "answer", ...inside);
  }

  through(t) {
    const of = Object.fromEntries(this.doc.gradients),
      lines = [];
    for (const name of this.doc.order) {
      const gradient = of[this.doc.pins[name][0]],
        sum = this.doc.sums[name];
      if (gradient !== undefined && !this.doc.seeds.includes(gradient))
        lines.push(this.blame(this.maths.name(gradient, t + 1), gradient, t));
      if (sum !== undefined && of[sum] !== undefined)
        lines.push(this.blame(this.maths.name(of[sum], t + 1), of[sum], t));
    }
    return this.panel(9, t, "through", ...lines);
  }

  handed(t) {
    const lines = this.doc.handed.map((i, k) => [i, `${this.doc.cell.carry[k]}_prev`]),
      of = Object.fromEntries(this.doc.gradients);
    if (of[this.doc.x] !== undefined) lines.push([of[this.doc.x], "x"]);
    return this.panel(
      10,
      t,
      "handed",
      ...lines
        .filter(([i]) => this.doc.nodes[i][0] !== "constant")
        .map(([i, name]) => this.blame(gw_blame(gw_letter(name, t + 1)), i, t)),
    );
  }

  share(t) {
    const list = h("div", { class: "bars" });
    for (const w of this.doc.weights) {
      const name = h("span", { class: "name" }),
        bar = h("span", { class: "bar" }),
        digits = h("span", { class: "digits" }),
        guess = h("div", { class: "guess" }, name, bar, digits);
      name.innerHTML = gw_math(gw_letter(w.name, null));
      this.live.push(() => {
        const length = this.scales.shares[w.name][t];
        digits.textContent = gw_short(length);
        bar.style.setProperty("--share", length / this.scales.share || 0);
      });
      list.append(guess);
    }
    return this.panel(11, t, "share", list);
  }

  shareOf(w, t) {
    // the length of what step t adds to a weight's gradient
    const { story, run } = this.now,
      { rows, columns } = story.weights[w.name];
    return Math.sqrt(
      gw_sum(rows, (r) =>
        gw_sum(columns, (c) => (gw_inside(w, story.sizes, r, c) ? gw_share(w, run.steps[t], r, c) ** 2 : 0)),
      ),
    );
  }

  refresh() {
    const { steps } = this.now.run,
      largest = (i) => Math.max(0, ...steps.flatMap((v) => (Array.isArray(v[i]) ? v[i].map(Math.abs) : [])));
    const shares = Object.fromEntries(this.doc.weights.map((w) => [w.name, steps.map((_, t) => this.shareOf(w, t))]));
    this.scales = {
      gradient: Math.max(...this.doc.gradients.map(([, i]) => largest(i))),
      carried: this.doc.after.map(largest),
      shares,
      share: Math.max(...Object.values(shares).flat()),
    };
    for (const draw of this.live) draw();
  }
}
