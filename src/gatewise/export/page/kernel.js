// A WebAssembly function for the sums of a matrix: y[16 blocks] = m[16 blocks][columns] x[columns].
// null where there is no SIMD, as in old browsers.

function gw_simd(memory) {
  const [w, x, y, blocks, columns, p, end, v, a, b, c, d] = Array.from({ length: 12 }, (_, i) => i);
  const get = (i) => [0x20, i], set = (i) => [0x21, i], number = (n) => [0x41, n]; // n below 64
  const add = [0x6a], less = [0x49], minus = [0x6b], shift = [0x74];
  const loop = (...body) => [0x03, 0x40, ...body.flat(), 0x0b], again = [0x0d, 0];
  const load = (offset) => [0xfd, 0x00, 2, offset], splat = [0xfd, 0x09, 2, 0], store = (offset) => [0xfd, 0x0b, 2, offset];
  const zero = [...number(0), 0xfd, 0x11], plus = [0xfd, 0xe4, 1], times = [0xfd, 0xe6, 1];
  const sums = [a, b, c, d]; // of four rows each

  const code = [
    loop(
      ...sums.map((sum) => [...zero, ...set(sum)]),
      get(x), set(p),
      get(x), get(columns), number(2), shift, add, set(end),
      loop(
        get(p), splat, set(v),
        ...sums.map((sum, i) => [...get(sum), ...get(w), ...load(16 * i), ...get(v), ...times, ...plus, ...set(sum)]),
        get(w), [0x41, 0xc0, 0], add, set(w), // 64
        get(p), number(4), add, set(p),
        get(p), get(end), less, again,
      ),
      ...sums.map((sum, i) => [...get(y), ...get(sum), ...store(16 * i)]),
      get(y), [0x41, 0xc0, 0], add, set(y),
      get(blocks), number(1), minus, set(blocks),
      get(blocks), again,
    ),
    0x0b,
  ].flat();
  const long = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...long(n >> 7)]);
  const sized = (bytes) => [...long(bytes.length), ...bytes];
  const text = (name) => sized(Array.from(name, (letter) => letter.charCodeAt(0)));
  const i32 = 0x7f, v128 = 0x7b;
  const module = Uint8Array.from([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    1, ...sized([1, 0x60, 5, i32, i32, i32, i32, i32, 0]), // the type of the function
    2, ...sized([1, ...text("page"), ...text("memory"), 2, 0, 1]),
    3, ...sized([1, 0]),
    7, ...sized([1, ...text("add"), 0, 0]),
    10, ...sized([1, ...sized([2, 2, i32, 5, v128, ...code])]),
  ]);
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(module), { page: { memory } }).exports.add;
  } catch {
    return null;
  }
}
