"use strict";
// What the functions below, one for each layer and one for a step, are written with.

function gw_sigmoid(v) { return 1 / (1 + Math.exp(-v)); }
function gw_relu(v) { return v > 0 ? v : 0; }
function gw_step_up(v) { return v > 0 ? 1 : 0; }
function gw_known(v) { return Number.isFinite(v) ? 1 : 0; }
function gw_or_else(a, b) { return Number.isFinite(a) ? a : b; }
function gw_softplus(v) { return Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v))); }
const gw_tanh = Math.tanh, gw_exp = Math.exp, gw_log = Math.log, gw_sqrt = Math.sqrt, gw_arcsinh = Math.asinh;
const gw_maximum = Math.max, gw_minimum = Math.min;

// Weights: one string of base64, in which each array has a place: [kind, first byte, how many numbers, rows, columns].
const gw_bytes = Uint8Array.from(atob(gw_model.weights), (c) => c.charCodeAt(0));

function gw_halves(words) { // float16 to float32
  const found = new Float32Array(words.length);
  for (let i = 0; i < words.length; i++) {
    const sign = words[i] & 0x8000 ? -1 : 1, power = (words[i] >> 10) & 31, rest = words[i] & 1023;
    found[i] = sign * (power ? 2 ** (power - 15) * (1 + rest / 1024) : 2 ** -14 * (rest / 1024));
  }
  return found;
}

function gw_vector(place) {
  const [kind, first, count] = place, width = { float32: 4, float16: 2, int8: 1 }[kind];
  const data = gw_bytes.slice(first, first + count * width).buffer;
  return kind === "float32" ? new Float32Array(data) : kind === "int8" ? Float32Array.from(new Int8Array(data))
    : gw_halves(new Uint16Array(data));
}

// A matrix is in blocks of 16 rows, the last filled up with zeros, and within one column by column.
function gw_matrix(place, scale) {
  const [, , , rows, columns] = place, values = gw_vector(place);
  if (scale) {
    const scales = gw_vector(scale);
    for (let i = 0; i < values.length; i++) values[i] *= scales[Math.floor(i / (16 * columns)) * 16 + (i % 16)] || 0;
  }
  return { values, rows, columns };
}

function gw_row(y, m, row) {
  for (let j = 0; j < m.columns; j++) y[j] = m.values[(Math.floor(row / 16) * m.columns + j) * 16 + (row % 16)];
}

function gw_add(y, m, x) { // y += m x, sixteen sums at a time
  const w = m.values, rows = m.rows, columns = m.columns;
  for (let r = 0, o = 0; r < rows; r += 16) {
    let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0, k = 0, l = 0, n = 0, p = 0, q = 0, s = 0, t = 0;
    for (let j = 0; j < columns; j++, o += 16) {
      const v = x[j];
      a += w[o] * v; b += w[o + 1] * v; c += w[o + 2] * v; d += w[o + 3] * v;
      e += w[o + 4] * v; f += w[o + 5] * v; g += w[o + 6] * v; h += w[o + 7] * v;
      i += w[o + 8] * v; k += w[o + 9] * v; l += w[o + 10] * v; n += w[o + 11] * v;
      p += w[o + 12] * v; q += w[o + 13] * v; s += w[o + 14] * v; t += w[o + 15] * v;
    }
    const sums = [a, b, c, d, e, f, g, h, i, k, l, n, p, q, s, t];
    for (let j = 0; j < 16 && r + j < rows; j++) y[r + j] += sums[j];
  }
}
