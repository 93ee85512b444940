// A story in numbers, forward and backward, in float64: what `walk/numbers.py` computes, from the same graph.
// A value is an array with one number per unit, or a number that stands for all of them.

const gw_of = (v) => (typeof v === "number" ? () => v : (i) => v[i]);
const gw_many = (size, rule) => Array.from({ length: size }, (_, i) => rule(i));
const gw_one = (f) => (s, n, a) => {
  const A = gw_of(a);
  return gw_many(n, (i) => f(A(i)));
};
const gw_two = (f) => (s, n, a, b) => {
  const A = gw_of(a),
    B = gw_of(b);
  return gw_many(n, (i) => f(A(i), B(i)));
};

// (sizes, length of the result, arguments...) -> the result. A matrix of a weight is { values, rows, columns }.
const GW_OPERATIONS = {
  add: gw_two((a, b) => a + b),
  sub: gw_two((a, b) => a - b),
  mul: gw_two((a, b) => a * b),
  div: gw_two((a, b) => a / b),
  neg: gw_one((a) => -a),
  sigmoid: gw_one((a) => 1 / (1 + Math.exp(-a))),
  tanh: gw_one(Math.tanh),
  relu: gw_one((a) => Math.max(a, 0)),
  step: gw_one((a) => (a > 0 ? 1 : 0)),
  exp: gw_one(Math.exp),
  log: gw_one(Math.log),
  sqrt: gw_one(Math.sqrt),
  softplus: gw_one((a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)))),
  maximum: gw_two(Math.max),
  minimum: gw_two(Math.min),
  matmul: (s, n, m, a) => {
    const A = gw_of(a);
    return gw_many(n, (r) => gw_sum(m.columns, (c) => m.values[r * m.columns + c] * A(c)));
  },
  matmul_t: (s, n, m, a) => {
    const A = gw_of(a);
    return gw_many(n, (c) => gw_sum(m.rows, (r) => m.values[r * m.columns + c] * A(r)));
  },
  ...Object.fromEntries(
    ["mean", "spread", "head_sum", "rows", "row_sum", "columns", "column_sum"].map((map) => [
      map,
      (s, n, a) => {
        const A = gw_of(a);
        return gw_many(n, (i) => {
          const from = gw_read(map, s, i);
          return gw_sum(from.length, (k) => A(from[k])) / (map === "mean" ? n : 1);
        });
      },
    ]),
  ),
};

function gw_sum(count, rule) {
  let total = 0;
  for (let i = 0; i < count; i++) total += rule(i);
  return total;
}

// Which entries of its argument entry i of a map is the sum of (of `mean`, the mean).
function gw_read(map, { K, H }, i) {
  const head = Math.floor(i / (K * K)),
    row = Math.floor(i / K) % K,
    column = i % K;
  return {
    mean: () => gw_many(H, (k) => k),
    spread: () => [Math.floor(i / K)],
    head_sum: () => gw_many(K, (k) => i * K + k),
    rows: () => [head * K + row],
    columns: () => [head * K + column],
    row_sum: () => gw_many(K, (k) => i * K + k),
    column_sum: () => gw_many(K, (k) => (Math.floor(i / K) * K + k) * K + column),
  }[map]();
}

function gw_decode(text) {
  const bytes = Uint8Array.from(atob(text.slice(3)), (c) => c.charCodeAt(0));
  return Array.from(text.startsWith("f4") ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer));
}

const gw_cut = (flat, width) => gw_many(flat.length / width, (r) => flat.slice(r * width, (r + 1) * width));

// A story of the document as numbers that may be changed.
function gw_open(doc, story) {
  const sizes = story.sizes,
    width = (k) => sizes[doc.nodes[doc.before[k]][1]];
  const weights = {};
  for (const w of doc.weights) {
    const columns = w.columns ? sizes[w.columns] : 1;
    weights[w.name] = { values: gw_decode(story.weights[w.name]), rows: sizes[w.rows], columns, vector: !w.columns };
  }
  const head = story.head && {
    ...story.head,
    targets: [...story.head.targets],
    bias: gw_decode(story.head.bias),
    weight: { values: gw_decode(story.head.weight), rows: gw_decode(story.head.bias).length, columns: width(0) },
  };
  const arriving = story.arriving && story.arriving.map((a, k) => gw_cut(gw_decode(a), width(k)));
  return {
    ...story,
    x: gw_cut(gw_decode(story.x), sizes.D),
    start: story.start.map(gw_decode),
    weights,
    head,
    arriving,
    held: [],
  };
}

const gw_inside = (w, s, r, c) => !w.diagonal || Math.floor(r / s.K) === Math.floor(c / s.K);

// Everything that follows from a story as it is now.
function gw_run(doc, story) {
  const sizes = { ...story.sizes, heads: story.heads },
    steps = [];
  const length = (i) => sizes[doc.nodes[i][1]];
  const evaluate = (v, from, to) => {
    for (let i = from; i < to; i++) {
      if (v[i] !== undefined) continue;
      const [op, , ...args] = doc.nodes[i];
      v[i] = op === "constant" ? Number(args[0]) : GW_OPERATIONS[op](sizes, length(i), ...args.map((a) => v[a]));
    }
  };
  let now = story.start;
  for (let t = 0; t < story.x.length; t++) {
    const v = [];
    v[doc.x] = story.x[t];
    doc.before.forEach((i, k) => {
      v[i] = now[k];
    });
    for (const w of doc.weights) v[w.node] = w.columns ? story.weights[w.name] : story.weights[w.name].values;
    for (const [, , free, held] of Object.values(doc.pins)) {
      v[free] = gw_many(length(free), () => 1);
      v[held] = gw_many(length(held), () => 0);
    }
    for (const { name, t: at, j, value } of story.held)
      if (at === t) {
        v[doc.pins[name][2]][j] = 0;
        v[doc.pins[name][3]][j] = value;
      }
    evaluate(v, 0, doc.forward);
    now = doc.after.map((i) => v[i]);
    steps.push(v);
  }
  const judged = gw_judge(doc, story, steps);
  const total = Object.fromEntries(
    doc.weights.map((w) => [w.name, new Array(story.weights[w.name].values.length).fill(0)]),
  );
  let after = doc.before.map((i) => new Array(length(i)).fill(0));
  for (let t = steps.length - 1; t >= 0; t--) {
    const v = steps[t];
    doc.seeds.forEach((i, k) => {
      v[i] = after[k].map((g, j) => judged.arriving[t][k][j] + g);
    });
    evaluate(v, doc.forward, doc.nodes.length);
    after = doc.handed.map((i, k) => {
      const g = gw_of(v[i]);
      return gw_many(after[k].length, g);
    });
    for (const w of doc.weights) {
      const { rows, columns } = story.weights[w.name],
        sum = total[w.name];
      for (let r = 0; r < rows; r++)
        for (let c = 0; c < columns; c++) if (gw_inside(w, sizes, r, c)) sum[r * columns + c] += gw_share(w, v, r, c);
    }
  }
  return { steps, ...judged, weights: total };
}

// What one step adds to the gradient of a weight.
function gw_share(w, v, r, c) {
  if (w.sum !== null) return gw_of(v[w.sum])(r);
  return gw_sum(w.outer.length, (k) => gw_of(v[w.outer[k][0]])(r) * gw_of(v[w.outer[k][1]])(c));
}

// Scores, chances, loss, and the gradient that arrives at each step's carried values from outside.
function gw_judge(doc, story, steps) {
  const { head } = story,
    output = steps.map((v) => v[doc.after[0]]);
  const arriving = steps.map((v, t) =>
    doc.after.map((i, k) => (story.arriving ? [...story.arriving[k][t]] : gw_many(story.start[k].length, () => 0))),
  );
  if (!head) return { arriving, loss: null, head: null };
  const { weight: m, bias } = head,
    judged = { scores: [], chances: [], blame: [], loss: 0, losses: [] };
  const gradient = { weight: m.values.map(() => 0), bias: bias.map(() => 0) };
  output.forEach((h, t) => {
    const scores = bias.map((b, r) => b + gw_sum(m.columns, (c) => m.values[r * m.columns + c] * h[c]));
    const asked = head.targets[t] !== null,
      target = head.targets[t];
    let chances = null,
      blame = bias.map(() => 0),
      loss = 0;
    if (head.symbols.length) {
      const most = Math.max(...scores),
        raised = scores.map((s) => Math.exp(s - most)),
        all = raised.reduce((a, b) => a + b, 0);
      chances = raised.map((r) => r / all);
      if (asked) {
        blame = chances.map((p, r) => p - (r === target ? 1 : 0));
        loss = Math.log(all) - (scores[target] - most);
      }
    } else if (asked) {
      blame = [scores[0] - target];
      loss = 0.5 * blame[0] ** 2;
    }
    blame.forEach((g, r) => {
      gradient.bias[r] += g;
      h.forEach((v, c) => {
        gradient.weight[r * m.columns + c] += g * v;
        arriving[t][0][c] += g * m.values[r * m.columns + c];
      });
    });
    judged.scores.push(scores);
    judged.chances.push(chances);
    judged.blame.push(blame);
    judged.losses.push(loss);
    judged.loss += loss;
  });
  return { ...judged, arriving, head: gradient };
}
