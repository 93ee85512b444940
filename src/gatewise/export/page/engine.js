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
  const [kind, first, count] = place, width = { float32: 4, int32: 4, float16: 2, int8: 1 }[kind];
  const data = gw_bytes.slice(first, first + count * width).buffer;
  if (kind === "int32") return new Int32Array(data);
  return kind === "float32" ? new Float32Array(data) : kind === "int8" ? Float32Array.from(new Int8Array(data))
    : gw_halves(new Uint16Array(data));
}

function gw_scaled(place, scale) { // rows of whole numbers, each with a scale
  const values = gw_vector(place), scales = gw_vector(scale), width = values.length / scales.length;
  return values.map((value, i) => value * scales[Math.floor(i / width)]);
}

// Where matrices lie, and behind them what the kernel reads and writes.
const gw_memory = new WebAssembly.Memory({ initial: Math.ceil((4 * (gw_model.floats + 2 * gw_model.widest)) / 65536) });
const gw_x = new Float32Array(gw_memory.buffer, 4 * gw_model.floats, gw_model.widest);
const gw_y = new Float32Array(gw_memory.buffer, 4 * (gw_model.floats + gw_model.widest), gw_model.widest);
const gw_kernel = gw_simd(gw_memory);
let gw_taken = 0;

// A matrix is in blocks of 16 rows, the last filled up with zeros, and within one column by column.
function gw_matrix(place, scale) {
  const [, , count, rows, columns] = place, values = new Float32Array(gw_memory.buffer, gw_taken, count);
  gw_taken += 4 * count;
  values.set(gw_vector(place));
  if (scale) {
    const scales = gw_vector(scale);
    for (let i = 0; i < count; i++) values[i] *= scales[Math.floor(i / (16 * columns)) * 16 + (i % 16)] || 0;
  }
  return { values, rows, columns };
}

function gw_row(y, m, row) {
  for (let j = 0; j < m.columns; j++) y[j] = m.values[(Math.floor(row / 16) * m.columns + j) * 16 + (row % 16)];
}

function gw_add(y, m, x) { // y += m x
  const rows = m.rows;
  if (gw_kernel) {
    gw_x.set(x);
    gw_kernel(m.values.byteOffset, gw_x.byteOffset, gw_y.byteOffset, Math.ceil(rows / 16), m.columns);
  } else gw_plain(m, x);
  for (let r = 0; r < rows; r++) y[r] += gw_y[r];
}

function gw_plain({ values: w, rows, columns }, x) { // the same without SIMD
  for (let r = 0, o = 0; r < rows; r += 16) {
    gw_y.fill(0, r, r + 16);
    for (let j = 0; j < columns; j++, o += 16) for (let k = 0; k < 16; k++) gw_y[r + k] += w[o + k] * x[j];
  }
}
