// Words as numbers, as `zlib.crc32` has them of their UTF-8, and where such numbers stand in a table.

const gw_crcs = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});
const gw_utf8 = new TextEncoder();

function gw_crc32(text) {
  let found = 0xffffffff;
  for (const byte of gw_utf8.encode(text)) found = gw_crcs[(found ^ byte) & 255] ^ (found >>> 8);
  return (found ^ 0xffffffff) >>> 0;
}

// The place of a number in an ascending table of 32 bits each, or -1.
function gw_place(table, number) {
  let low = 0, high = table.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1, found = table[middle] >>> 0;
    if (found === number) return middle;
    if (found < number) low = middle + 1; else high = middle - 1;
  }
  return -1;
}
