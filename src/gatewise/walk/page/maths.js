// Expressions of the graph as MathML: with symbols, and with the values of one step and unit put in.

const GW_CALLED = {
  sigmoid: "σ",
  tanh: "tanh",
  relu: "relu",
  exp: "exp",
  log: "log",
  softplus: "softplus",
  maximum: "max",
  minimum: "min",
  mean: "mean",
  spread: "spread",
  head_sum: "sum",
  rows: "rows",
  row_sum: "row sum",
  columns: "columns",
  column_sum: "column sum",
  step: "step",
};
const GW_TIGHT = ["mul", "neg", "sub", "matmul", "matmul_t"];
const GW_MOST = 6; // terms of a sum that are written out

const mi = (text) => `<mi>${gw_safe(text)}</mi>`;
const mo = (text) => `<mo>${text}</mo>`;
const row = (...parts) => `<mrow>${parts.join("")}</mrow>`;
const wrapped = (inside) => row(mo("("), inside, mo(")"));
const gw_safe = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

// A name of the equations at a step: "h_prev" at step 2 is h₁.
function gw_letter(name, t) {
  if (name.endsWith("_prev")) return gw_letter(name.slice(0, -5), t === "t" ? "t−1" : t - 1);
  const [base, gate] = name.split("."),
    [stem, ...under] = base.split("_");
  const letters = stem.replace(/\d+$/, "") || stem,
    above = stem.slice(letters.length);
  const below = [...under, ...(gate ? [gate] : t === null ? [] : [String(t)])].join(",");
  const base_ = mi(letters);
  if (above && below) return `<msubsup>${base_}<mn>${below}</mn>${wrapped(`<mn>${above}</mn>`)}</msubsup>`;
  if (above) return `<msup>${base_}${wrapped(`<mn>${above}</mn>`)}</msup>`;
  return below ? `<msub>${base_}<mtext>${gw_safe(below)}</mtext></msub>` : base_;
}

const gw_blame = (inside) => `<mfrac><mrow>${mo("∂")}<mi>L</mi></mrow><mrow>${mo("∂")}${inside}</mrow></mfrac>`;

class Maths {
  constructor(doc) {
    this.doc = doc;
    this.names = {}; // node -> what the equations call it
    this.blames = {}; // node -> the value whose gradient it is
    this.free = new Set();
    this.held = new Set();
    for (const [name, [value, computed, free, held]] of Object.entries(doc.pins)) {
      this.names[value] = this.names[computed] = name;
      this.free.add(free);
      this.held.add(held);
    }
    for (const w of doc.weights) this.names[w.node] = w.name;
    this.names[doc.x] = "x";
    doc.before.forEach((i, k) => {
      this.names[i] = `${doc.cell.carry[k]}_prev`;
    });
    for (const [i, name] of Object.entries(doc.helpers)) this.names[i] = name;
    const sums = Object.fromEntries(
      Object.entries(doc.sums).map(([name, i]) => [i, doc.pins[`z_${name}`] ? `a_${name}` : `z_${name}`]),
    );
    this.sums = sums;
    for (const [of, gradient] of doc.gradients) this.blames[gradient] ??= this.names[of] ?? sums[of];
    this.seeds = new Set(doc.seeds);
  }

  // What a node stands for where nothing is held: `free * v + held` is v.
  plain(i) {
    const [op, , a, b] = this.doc.nodes[i];
    if (op === "add" && this.held.has(b)) return this.plain(a);
    if (op === "mul" && this.free.has(a)) return this.plain(b);
    if (op === "mul" && this.free.has(b)) return this.plain(a);
    return i;
  }

  // The name of a value or gradient at a step, or null for a part of an expression.
  name(i, t) {
    if (this.blames[i] !== undefined) return gw_blame(gw_letter(this.blames[i], t));
    if (this.seeds.has(i))
      return `<mover>${gw_blame(gw_letter(this.doc.cell.carry[this.doc.seeds.indexOf(i)], t))}${mo("←")}</mover>`;
    const name = this.names[i];
    return name === undefined ? null : gw_letter(name, this.doc.weights.some((w) => w.node === i) ? null : t);
  }

  // An expression in symbols.
  symbols(i, t, top = true, parent = "") {
    const named = top ? null : this.name(i, t);
    if (named) return named;
    const p = this.plain(i);
    if (p !== i) return this.symbols(p, t, top, parent);
    const [op, , ...args] = this.doc.nodes[i];
    if (op === "constant") return `<mn>${Number(args[0])}</mn>`;
    if (this.held.has(i) || this.free.has(i)) return `<mn>${this.held.has(i) ? 0 : 1}</mn>`;
    const inside = (k, under = op) => this.symbols(args[k], t, false, under);
    const text = this.written(op, inside, this.doc.nodes[args[0]]?.[0] === "constant");
    return this.loose(op, parent) ? wrapped(text) : text;
  }

  loose(op, parent) {
    return (
      (["add", "sub", "neg"].includes(op) && GW_TIGHT.includes(parent)) || (op === "mul" && parent.startsWith("matmul"))
    );
  }

  written(op, inside, scaled) {
    switch (op) {
      case "add":
        return row(inside(0), mo("+"), inside(1));
      case "sub":
        return row(inside(0), mo("−"), inside(1));
      case "mul":
        return row(inside(0), mo(scaled ? "·" : "⊙"), inside(1));
      case "div":
        return `<mfrac>${row(inside(0))}${row(inside(1))}</mfrac>`;
      case "neg":
        return row(mo("−"), inside(0));
      case "sqrt":
        return `<msqrt>${inside(0)}</msqrt>`;
      case "matmul":
        return row(inside(0), inside(1));
      case "matmul_t":
        return row(`<msup>${inside(0)}<mo>⊤</mo></msup>`, inside(1));
      case "maximum":
      case "minimum":
        return row(mi(GW_CALLED[op]), mo("("), inside(0, ""), mo(","), inside(1, ""), mo(")"));
      default:
        return row(mi(GW_CALLED[op]), mo("("), inside(0, ""), mo(")"));
    }
  }

  // The same with numbers, for one unit; `parts` collects [node, unit] of what has a name, and weights [node, row, column].
  numbers(i, j, v, sizes, parts, top = true, parent = "") {
    const number = (value) =>
      value < 0 && parent && parent !== "first" ? wrapped(gw_number(value)) : gw_number(value);
    const known = !top && this.name(i, 0) !== null;
    const [op, , ...args] = this.doc.nodes[i];
    if (known) {
      parts.push([i, j]);
      return number(gw_of(v[i])(j));
    }
    if (op === "constant" || this.held.has(i) || this.free.has(i)) return number(gw_of(v[i])(j));
    const p = this.plain(i);
    if (p !== i) return this.numbers(p, j, v, sizes, parts, top, parent);
    if (op === "matmul" || op === "matmul_t") {
      const m = v[args[0]],
        across = op === "matmul",
        count = across ? m.columns : m.rows;
      const terms = gw_many(count, (k) => [across ? j : k, across ? k : j, k]).filter(
        ([r, c]) => !this.outside(args[0], sizes, r, c),
      );
      const text = this.sum(
        terms,
        ([r, c, k]) => m.values[r * m.columns + c] * gw_of(v[args[1]])(k),
        ([r, c, k], first) => {
          parts.push([args[0], r, c]);
          const weight = m.values[r * m.columns + c];
          return row(
            first ? gw_number(weight) : gw_factor(weight),
            mo("·"),
            this.numbers(args[1], k, v, sizes, parts, false, "mul"),
          );
        },
      );
      return ["", "add", "first"].includes(parent) ? text : wrapped(text);
    }
    if (["mean", "spread", "head_sum", "rows", "row_sum", "columns", "column_sum"].includes(op)) {
      const from = gw_read(op, sizes, j);
      const text = this.sum(
        from,
        (k) => gw_of(v[args[0]])(k),
        (k, first) =>
          this.numbers(args[0], k, v, sizes, parts, false, from.length === 1 ? parent : first ? "first" : "add"),
      );
      const whole = op === "mean" ? `<mfrac>${row(text)}<mn>${from.length}</mn></mfrac>` : text;
      return from.length > 1 && parent && op !== "mean" ? wrapped(whole) : whole;
    }
    const inside = (k, under = op) =>
      this.numbers(args[k], j, v, sizes, parts, false, k === 0 && under === "add" ? "first" : under);
    const text = this.written(op, inside, true);
    return this.loose(op, parent) ? wrapped(text) : text;
  }

  outside(node, sizes, r, c) {
    const w = this.doc.weights.find((each) => each.node === node);
    return w && !gw_inside(w, sizes, r, c);
  }

  // A sum of many terms: the largest written out, the rest as one number.
  sum(terms, value, text) {
    let shown = terms,
      rest = 0,
      hidden = 0;
    if (terms.length > GW_MOST) {
      const sorted = [...terms].sort((a, b) => Math.abs(value(b)) - Math.abs(value(a)));
      const most = new Set(sorted.slice(0, GW_MOST - 1));
      shown = terms.filter((term) => most.has(term));
      hidden = terms.length - shown.length;
      rest = sorted.slice(GW_MOST - 1).reduce((sum, term) => sum + value(term), 0);
    }
    const written = shown.map((term, n) => text(term, n === 0));
    if (hidden) written.push(row(gw_factor(rest), `<mtext> [${hidden}]</mtext>`));
    return row(written.join(mo("+")));
  }
}

// A number as people read it: three digits that count.
function gw_text(v) {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  if (!Number.isFinite(v)) return v > 0 ? "∞" : "−∞";
  const size = Math.abs(v);
  const text =
    v === 0
      ? "0"
      : size < 1e-4 || size >= 1e5
        ? v.toExponential(size < 1e-3 && Number(v.toPrecision(1)) === v ? 0 : 1).replace("e+", "e")
        : v.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size))));
  return (text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text).replace(/-/g, "−");
}
// The same in little room.
const gw_short = (v) => {
  const size = Math.abs(v);
  return gw_text(
    size && size < 0.1 && size >= 1e-3 ? Number(v.toPrecision(2)) : size < 1e-3 && size ? Number(v.toPrecision(1)) : v,
  );
};
const gw_number = (v) => `<mn>${gw_text(v)}</mn>`;
const gw_factor = (v) => (v < 0 ? wrapped(gw_number(v)) : gw_number(v)); // inside a product or a sum
