// Spots: every number of the page by its place, with where it comes from and how it is changed.
// A spot is { key, name (MathML), place (unit, or row and column), say (words), value, lines (MathML), parts (spots), set (changes it, if it is given), pin }.

class Spots {
  constructor(doc, maths, now) {
    this.doc = doc;
    this.maths = maths;
    this.now = now;
  } // now() -> { story, run }

  // A value of the graph, forward or backward, at step t.
  value(i, t, j) {
    const { story, run } = this.now(),
      k = this.doc.before.indexOf(i);
    if (k >= 0 && t > 0) return this.value(this.doc.after[k], t - 1, j);
    if (k >= 0)
      return this.given(
        `start ${k} ${j}`,
        gw_letter(this.doc.cell.carry[k], 0),
        `${this.doc.cell.carry[k]} 0`,
        j,
        () => this.now().story.start[k],
        j,
      );
    if (i === this.doc.x)
      return this.given(
        `x ${t} ${j}`,
        gw_letter("x", t + 1),
        `x, ${said("of_step", { t: t + 1 })}`,
        j,
        () => this.now().story.x[t],
        j,
      );
    const seed = this.doc.seeds.indexOf(i);
    if (seed >= 0) return this.seed(seed, t, j);
    const label = this.maths.name(i, t + 1) ?? "",
      named = Object.entries(this.doc.pins).find(([, pin]) => pin[0] === i || pin[1] === i);
    return {
      key: `${i} ${t} ${j}`,
      place: `${j + 1}`,
      name: label,
      say: `${this.words(i)}, ${said("of_step", { t: t + 1 })}, ${said("unit", { j: j + 1 })}`,
      value: () => gw_of(this.now().run.steps[t][i])(j),
      lines: () => this.lines(i, t, j),
      parts: () => this.parts(i, t, j),
      pin: named && named[1][0] === i ? { name: named[0], t, j } : null,
    };
  }

  words(i) {
    const blame = this.maths.blames[i];
    if (blame !== undefined) return said("gradient", { name: blame.replace("_prev", "") });
    return this.maths.names[i] ?? this.maths.sums[i] ?? "";
  }

  lines(i, t, j) {
    const { story, run } = this.now(),
      v = run.steps[t],
      label = this.maths.name(i, t + 1);
    const lines = [row(label ?? "", label ? mo("=") : "", this.maths.symbols(i, t + 1))];
    const text = this.maths.numbers(i, j, v, story.sizes, []);
    lines.push(row(mo("="), text));
    const plain = this.maths.plain(i),
      [op, , a] = this.doc.nodes[plain];
    if (GW_CALLED[op] && this.doc.nodes[plain].length === 3 && this.maths.name(a, 0) === null && v[a]?.length) {
      lines.push(
        row(mo("="), mi(GW_CALLED[op]), mo("("), gw_number(gw_of(v[a])(Math.min(j, v[a].length - 1))), mo(")")),
      );
    }
    return lines;
  }

  parts(i, t, j) {
    const { story, run } = this.now(),
      found = [],
      seen = new Map();
    this.maths.numbers(i, j, run.steps[t], story.sizes, found);
    for (const [node, ...at] of found) {
      const w = this.doc.weights.find((each) => each.node === node);
      const spot = w ? this.weight(w, at[0], at[1] ?? 0) : this.value(node, t, at[0]);
      seen.set(spot.key, spot);
    }
    return [...seen.values()];
  }

  // A number that nothing was computed for: an input, a weight, a start.
  given(key, name, words, j, array, at) {
    return {
      key,
      place: `${j + 1}`,
      name,
      say: `${words}, ${said("unit", { j: j + 1 })}`,
      value: () => array()[at],
      lines: () => [],
      parts: () => [],
      set: (v) => {
        array()[at] = v;
      },
    };
  }

  weight(w, r, c) {
    const place = w.columns ? said("place", { r: r + 1, c: c + 1 }) : said("unit", { j: r + 1 });
    const spot = this.given(
      `weight ${w.name} ${r} ${c}`,
      gw_letter(w.name, null),
      w.name,
      0,
      () => this.now().story.weights[w.name].values,
      r * this.now().story.weights[w.name].columns + c,
    );
    return { ...spot, place: w.columns ? `${r + 1},${c + 1}` : `${r + 1}`, say: `${w.name}, ${place}` };
  }

  headed(part, r, c) {
    const of = () => (part === "V" ? this.now().story.head.weight.values : this.now().story.head.bias);
    const spot = this.given(
      `${part} ${r} ${c}`,
      mi(part),
      said("head"),
      0,
      of,
      part === "V" ? r * this.now().story.head.weight.columns + c : r,
    );
    return {
      ...spot,
      place: part === "V" ? `${r + 1},${c + 1}` : `${r + 1}`,
      say: `${part}, ${part === "V" ? said("place", { r: r + 1, c: c + 1 }) : said("unit", { j: r + 1 })}`,
    };
  }

  // The gradient of a weight: the sum of what each step adds.
  total(w, r, c) {
    const { columns } = this.now().story.weights[w.name];
    const shares = () => this.now().run.steps.map((v) => gw_share(w, v, r, c));
    return {
      key: `total ${w.name} ${r} ${c}`,
      name: gw_blame(gw_letter(w.name, null)),
      say: said("gradient", {
        name: `${w.name}, ${w.columns ? said("place", { r: r + 1, c: c + 1 }) : said("unit", { j: r + 1 })}`,
      }),
      value: () => this.now().run.weights[w.name][r * columns + c],
      lines: () => [
        row(
          gw_blame(gw_letter(w.name, null)),
          mo("="),
          `<munder><mo>∑</mo><mi>t</mi></munder>`,
          w.sum !== null
            ? (this.maths.name(w.sum, "t") ?? this.maths.symbols(w.sum, "t"))
            : w.outer
                .map(([g, v]) =>
                  row(
                    this.maths.name(g, "t") ?? wrapped(this.maths.symbols(g, "t")),
                    `<msup>${this.maths.name(v, "t") ?? wrapped(this.maths.symbols(v, "t"))}<mo>⊤</mo></msup>`,
                  ),
                )
                .join(mo("+")),
        ),
        row(
          mo("="),
          this.maths.sum(
            this.now().run.steps.map((_, t) => t),
            (t) => shares()[t],
            (t, first) => {
              const v = this.now().run.steps[t];
              const one = (i, unit) => gw_factor(gw_of(v[i])(unit));
              if (w.sum !== null) {
                const n = gw_of(v[w.sum])(r);
                return first ? gw_number(n) : gw_factor(n);
              }
              return w.outer.map(([g, x]) => row(one(g, r), mo("·"), one(x, c))).join(mo("+"));
            },
          ),
        ),
      ],
      parts: () =>
        this.now()
          .run.steps.flatMap((_, t) =>
            w.sum !== null
              ? [this.value(w.sum, t, r)]
              : w.outer.flatMap(([g, v]) => [this.value(g, t, r), this.value(v, t, c)]),
          )
          .filter((s) => s.name),
    };
  }

  headTotal(part, r, c) {
    const at = part === "V" ? r * this.now().story.head.weight.columns + c : r,
      steps = () => this.now().run.steps.map((_, t) => t);
    const h = (t) => gw_of(this.now().run.steps[t][this.doc.after[0]])(c),
      g = (t) => this.now().run.blame[t][r];
    return {
      key: `total ${part} ${r} ${c}`,
      name: gw_blame(mi(part)),
      say: said("gradient", { name: part }),
      value: () => this.now().run.head[part === "V" ? "weight" : "bias"][at],
      lines: () => [
        row(
          gw_blame(mi(part)),
          mo("="),
          this.maths.sum(
            steps(),
            (t) => g(t) * (part === "V" ? h(t) : 1),
            (t) => (part === "V" ? row(gw_factor(g(t)), mo("·"), gw_factor(h(t))) : gw_factor(g(t))),
          ),
        ),
      ],
      parts: () =>
        steps().flatMap((t) => [this.blame(t, r), ...(part === "V" ? [this.value(this.doc.after[0], t, c)] : [])]),
    };
  }

  // Scores of the head, chances, their gradients, and the loss of a step.
  score(t, r) {
    const { story } = this.now(),
      columns = gw_many(story.head.weight.columns, (c) => c),
      s = story.head.symbols[r] ?? "y";
    const term = (c) => [
      story.head.weight.values[r * columns.length + c],
      gw_of(this.now().run.steps[t][this.doc.after[0]])(c),
    ];
    return {
      key: `score ${t} ${r}`,
      name: `<msub>${mi(story.head.symbols.length ? `s(${s})` : "y")}<mn>${t + 1}</mn></msub>`,
      say: `${s}, ${said("of_step", { t: t + 1 })}`,
      value: () => this.now().run.scores[t][r],
      lines: () => [
        row(mi("V"), gw_letter(this.doc.cell.carry[0], t + 1), mo("+"), mi("a")),
        row(
          mo("="),
          this.maths.sum(
            columns,
            (c) => term(c)[0] * term(c)[1],
            (c, first) => {
              const [w, h] = term(c);
              return row(first ? gw_number(w) : gw_factor(w), mo("·"), gw_factor(h));
            },
          ),
          mo("+"),
          gw_factor(story.head.bias[r]),
        ),
      ],
      parts: () => [
        ...columns.flatMap((c) => [this.headed("V", r, c), this.value(this.doc.after[0], t, c)]),
        this.headed("a", r, 0),
      ],
    };
  }

  chance(t, r) {
    const { symbols } = this.now().story.head,
      all = symbols.map((_, k) => k);
    const e = (k) => `<msup><mi>e</mi>${gw_number(this.now().run.scores[t][k])}</msup>`;
    return {
      key: `chance ${t} ${r}`,
      name: `<msub>${mi(`p(${symbols[r]})`)}<mn>${t + 1}</mn></msub>`,
      say: `p(${symbols[r]}), ${said("of_step", { t: t + 1 })}`,
      value: () => this.now().run.chances[t][r],
      lines: () => [
        row(mi("softmax"), wrapped(row(mi("V"), gw_letter(this.doc.cell.carry[0], t + 1), mo("+"), mi("a")))),
        row(mo("="), `<mfrac>${row(e(r))}${row(all.map(e).join(mo("+")))}</mfrac>`),
      ],
      parts: () => all.map((k) => this.score(t, k)),
    };
  }

  blame(t, r) {
    const { symbols } = this.now().story.head,
      score = this.score(t, r),
      target = () => this.now().story.head.targets[t];
    return {
      key: `blame ${t} ${r}`,
      name: gw_blame(score.name),
      say: said("gradient", { name: score.say }),
      value: () => this.now().run.blame[t][r],
      lines: () =>
        target() === null
          ? []
          : [
              row(
                mo("="),
                symbols.length
                  ? row(
                      `<msub>${mi(`p(${symbols[r]})`)}<mn>${t + 1}</mn></msub>`,
                      mo("−"),
                      `<mn>${r === target() ? 1 : 0}</mn>`,
                    )
                  : row(gw_number(this.now().run.scores[t][r]), mo("−"), gw_factor(target())),
              ),
            ],
      parts: () => (target() === null ? [] : [symbols.length ? this.chance(t, r) : score]),
    };
  }

  // What arrives at a carried value of a step from later: the answer, and the step after.
  seed(k, t, j) {
    const node = this.doc.seeds[k],
      { story } = this.now(),
      last = () => t === this.now().run.steps.length - 1;
    const after = () => (last() ? 0 : gw_of(this.now().run.steps[t + 1][this.doc.handed[k]])(j));
    const terms = () =>
      k === 0 && story.head
        ? this.now().run.blame[t].map((g, r) => [g, story.head.weight.values[r * story.head.weight.columns + j]])
        : [];
    return {
      key: `seed ${k} ${t} ${j}`,
      place: `${j + 1}`,
      name: this.maths.name(node, t + 1),
      say: `${said("gradient", { name: this.doc.cell.carry[k] })}, ${said("of_step", { t: t + 1 })}, ${said("unit", { j: j + 1 })}`,
      value: () => this.now().run.steps[t][node][j],
      lines: () => [
        row(
          mo("="),
          ...(terms().length
            ? [
                wrapped(
                  this.maths.sum(
                    terms(),
                    ([g, w]) => g * w,
                    ([g, w]) => row(gw_factor(g), mo("·"), gw_factor(w)),
                  ),
                ),
                `<mtext> ${said("from_answer")}</mtext>`,
                mo("+"),
              ]
            : []),
          ...(story.arriving
            ? [gw_factor(story.arriving[k][t][j]), `<mtext> ${said("from_outside")}</mtext>`, mo("+")]
            : []),
          gw_factor(after()),
          `<mtext> ${said("from_after")}</mtext>`,
        ),
      ],
      parts: () => [
        ...terms().flatMap((_, r) => [this.blame(t, r), this.headed("V", r, j)]),
        ...(last() ? [] : [this.value(this.doc.handed[k], t + 1, j)]),
      ],
    };
  }

  loss(t) {
    const { head } = this.now().story,
      target = () => head.targets[t];
    return {
      key: `loss ${t}`,
      name: `<msub><mi>L</mi><mn>${t + 1}</mn></msub>`,
      say: said("loss", { loss: said("of_step", { t: t + 1 }) }),
      value: () => this.now().run.losses[t],
      lines: () =>
        target() === null
          ? []
          : head.symbols.length
            ? [row(mo("="), mo("−"), mi("log"), mo("("), gw_number(this.now().run.chances[t][target()]), mo(")"))]
            : [
                row(
                  mo("="),
                  `<mfrac><mn>1</mn><mn>2</mn></mfrac>`,
                  `<msup>${wrapped(row(gw_number(this.now().run.scores[t][0]), mo("−"), gw_number(target())))}<mn>2</mn></msup>`,
                ),
              ],
      parts: () => (target() === null ? [] : [head.symbols.length ? this.chance(t, target()) : this.score(t, 0)]),
    };
  }
}
