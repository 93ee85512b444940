// The inner loops of the engine, once per instruction set. `kernels()` picks the set for this machine.
//
// Everything is cut into vectors of 16 units: values of one row and one block of 16 units are 16 floats, 64 bytes, and
// rows of a block follow one another. A kernel works on a tile: some rows times up to four columns, a column being one
// accumulator's block of 16 units.
//
// The matrix kernels also take their operands in bfloat16 (bf16 in names), two of them in one 32-bit word, where the
// processor multiplies pairs: sums stay float32. In int8 they are four in a word: a row of weights has a scale, and so has
// each row's vector, which is quantised anew whenever it is read. Words are declared as floats, for they are moved, never
// computed with.
//
// Bits: every output is bias + sum over k in ascending order, one fused multiply-add at a time (of one k, or in
//       bfloat16 of two, in int8 of a whole vector), so a row's result does not depend on the tile it sits in.
// None of these allocates, throws or synchronises.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gatewise {

constexpr int LANES = 16;    // units in a block
constexpr int COLUMNS = 4;   // columns of a tile, at most
constexpr int ROWS = 12;     // rows of a tile, at most
constexpr int OUTER = 6;     // rows of a tile of an outer product
constexpr int QUANTISED = 2;  // rows of [columns][16] words ahead of a panel's weights in int8: scales, and integers
constexpr int SLOT = 384;    // floats of a scratch value: 4 blocks of 6 rows, 1 block of 24

using bfloat16 = uint16_t;  // the upper half of a float's bits

enum class Precision : int { float32, bfloat16, int8, count };  // of a product's operands

enum class Op : uint8_t {
    add, sub, mul, div, neg, sigmoid, tanh, relu, step, exp, log, sqrt, softplus, maximum, minimum, fma, fnma, copy, count
};

// values[out] = op(values[a], values[b], values[c]); an operation reads as many as it takes.
struct Instruction {
    Op op;
    uint16_t out, a, b, c;
};

// A product's share of a tile: `depth` values per row of the vector, times packed weights. In bfloat16 a word holds
// the values of k and k + 1, in int8 those of four k, the last with zeros where the size is no multiple; everything here
// is then counted in words.
struct Segment {
    const float* vector;   // [blocks][...][16 values], rows 16 values apart
    ptrdiff_t block;       // from one block of 16 values to the next
    int depth;
    const float* weights;  // [depth][columns][16]
    ptrdiff_t ahead;       // from each k's weights to what should be fetched meanwhile
    const float* scales;   // of int8 alone: one per row of the vector. Those of the weights, [columns][16], and below them
                           // what each sum begins with, as integers, come before the weights: see QUANTISED
};

// Rows over which an outer product is summed, and where they start in either operand, in floats from its base pointer.
struct Span {
    ptrdiff_t left, right;
    int rows;
};

// The matrix kernels for operands of one precision.
struct Products {
    // out[column][row] = start[column][row] + sum of the segments' products. start_row: floats between rows of start.
    void (*multiply)(int rows, int columns, const Segment* segments, int count, const float* const* start,
                     ptrdiff_t start_row, float* const* out);

    // out[i][j] = sum over rows of left[row][i] * right[row][j], added to what is there if `add`; i < height <= OUTER,
    // j < 16 columns, `block` floats from one column of `right` to the next, `out_row` from one i to the next. In
    // bfloat16 a row is a pair of rows, as `Kernels::pair` makes it.
    void (*outer)(int height, int columns, const Span* spans, int count, const float* left, const float* right,
                  ptrdiff_t block, float* out, ptrdiff_t out_row, bool add);
};

struct Kernels {
    const char* name;
    int rows[COLUMNS + 1];  // rows of a tile that fit the registers, by its columns
    Products f32, bf16;      // operands of float32; of bfloat16, null where the processor does not multiply pairs
    Products int8;           // without outer products

    // Runs a pointwise program over `length` floats (a multiple of 16) of each value.
    void (*run)(const Instruction* program, int count, float* const* values, int length);

    // A number that changes with any of the values' bits, and with their order.
    uint64_t (*fingerprint)(const float* values, size_t count);

    // Turns a square of 16 by 16: out[n][j] = values[j * stride + n].
    void (*transpose)(const float* values, ptrdiff_t stride, float* out);

    // total[16] += the rows' sum.
    void (*reduce)(const float* values, int rows, float* total);

    // out[i] = `value` with a chance of 1 - threshold / 2^32, else 0, for `count` numbers of the Philox generator with this
    // key from counter (4 words, the first of them ahead by i / 4 at i) on.
    void (*bernoulli)(const uint32_t* key, const uint32_t* counter, uint64_t count, uint32_t threshold, float value,
                      float* out);

    // out[row][16], all alike = the mean of a row's `units` values. block: floats from one block of 16 units to the next.
    void (*mean)(const float* values, ptrdiff_t block, int rows, int units, float* out);

    // Rows of 16 floats to 16 bfloat16 each, to the nearest, ties to even; those from `lanes` on become zero.
    void (*round)(const float* values, int rows, int lanes, bfloat16* out);

    // The same for two rows at once: words of [rows[2 i]] and [rows[2 i + 1]] (zero after an odd last one) at
    // out + i * stride. Null where the processor does not multiply pairs.
    void (*pair)(const float* values, const int* rows, int count, float* out, ptrdiff_t stride);

    // Rows of `units` floats, rows 16 apart, `block` from one block to the next, to bytes 128 + q with value = q * scale
    // and |q| <= 127: out[block][row][16 bytes], 128 beyond the units, and a scale for each row. A row with a NaN or an
    // infinity has the scale NaN.
    void (*quantise)(const float* values, ptrdiff_t block, int rows, int units, float* out, float* scales);
};

// The best set this machine has, or the one of that name; null if this machine has it not.
const Kernels* kernels(const char* name = nullptr);

}  // namespace gatewise
