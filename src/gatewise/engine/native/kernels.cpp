// The kernels for one instruction set; compiled once for each, with GATEWISE_ISA as its name. See kernels.hpp.
#include "kernels.hpp"

#include "math.hpp"
#include "simd.hpp"

namespace gatewise::GATEWISE_ISA {
namespace {

constexpr int PARTS = LANES / W;  // native vectors in a block of 16
// AVX-512 has 32 registers of a whole block: tiles of several columns, each broadcast used for all of them. Others take
// a tile column by column, as many rows as their registers hold.
constexpr bool WIDE = W == LANES;
#if defined(__AVX2__) || defined(__aarch64__)
constexpr int NARROW_ROWS = 6;
#else
constexpr int NARROW_ROWS = 3;
#endif
constexpr int OUTER_DEPTH = WIDE ? 6 : NARROW_ROWS;

// One k of a product: a broadcast of each row's value times a row of weights.
template <int R, int C>
GATEWISE_INLINE void multiply_one(V (&sum)[R][C][PARTS], const float* weights, const float* vector) {
    V w[C][PARTS];
    for (int c = 0; c < C; c++)
        for (int p = 0; p < PARTS; p++) w[c][p] = load(weights + c * LANES + p * W);
    for (int r = 0; r < R; r++) {
        V v = broadcast(vector[r * LANES]);
        for (int c = 0; c < C; c++)
            for (int p = 0; p < PARTS; p++) sum[r][c][p] = fma(v, w[c][p], sum[r][c][p]);
    }
}

template <int R, int C>
void multiply(const Segment* segments, int count, ptrdiff_t columns, const float* const* start, ptrdiff_t start_row,
              float* const* out) {
    V sum[R][C][PARTS];
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            for (int p = 0; p < PARTS; p++) sum[r][c][p] = load(start[c] + r * start_row + p * W);
    for (const Segment* s = segments; s < segments + count; s++) {
        const float* weights = s->weights;
        const float* block = s->vector;
        for (int left = s->depth; left > 0; left -= LANES, block += s->block) {
            // The next block of the vector is on another page, where the hardware does not look ahead.
            for (int r = 0; r < R; r++) prefetch(block + s->block + r * LANES);
            const float* end = block + (left < LANES ? left : LANES);
            const float* v = block;
            for (; v + 4 <= end; v += 4, weights += 4 * columns * LANES) {
                multiply_one<R, C>(sum, weights, v);
                multiply_one<R, C>(sum, weights + columns * LANES, v + 1);
                multiply_one<R, C>(sum, weights + 2 * columns * LANES, v + 2);
                multiply_one<R, C>(sum, weights + 3 * columns * LANES, v + 3);
            }
            for (; v < end; v++, weights += columns * LANES) multiply_one<R, C>(sum, weights, v);
        }
    }
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            for (int p = 0; p < PARTS; p++) store(out[c] + r * LANES + p * W, sum[r][c][p]);
}

using Multiply = void (*)(const Segment*, int, ptrdiff_t, const float* const*, ptrdiff_t, float* const*);

#define GATEWISE_ROWS_3(C) multiply<1, C>, multiply<2, C>, multiply<3, C>
#define GATEWISE_ROWS_6(C) GATEWISE_ROWS_3(C), multiply<4, C>, multiply<5, C>, multiply<6, C>
#define GATEWISE_ROWS_8(C) GATEWISE_ROWS_6(C), multiply<7, C>, multiply<8, C>
#define GATEWISE_ROWS_12(C) GATEWISE_ROWS_8(C), multiply<9, C>, multiply<10, C>, multiply<11, C>, multiply<12, C>

#if defined(__AVX512F__)
constexpr Multiply MULTIPLY[COLUMNS][ROWS] = {
    {GATEWISE_ROWS_12(1)}, {GATEWISE_ROWS_12(2)}, {GATEWISE_ROWS_8(3)}, {GATEWISE_ROWS_6(4)}};
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr Multiply MULTIPLY[1][ROWS] = {{GATEWISE_ROWS_6(1)}};
#else
constexpr Multiply MULTIPLY[1][ROWS] = {{GATEWISE_ROWS_3(1)}};
#endif

void multiply_tile(int rows, int columns, const Segment* segments, int count, const float* const* start,
                   ptrdiff_t start_row, float* const* out) {
    if constexpr (WIDE) {
        MULTIPLY[columns - 1][rows - 1](segments, count, columns, start, start_row, out);
    } else {
        for (int c = 0; c < columns; c++) {
            Segment shifted[8];
            for (int first = 0; first < count; first += 8) {
                int some = count - first < 8 ? count - first : 8;
                for (int i = 0; i < some; i++) {
                    shifted[i] = segments[first + i];
                    shifted[i].weights += c * LANES;
                }
                const float* const* from = first ? out : start;
                MULTIPLY[0][rows - 1](shifted, some, columns, from + c, first ? LANES : start_row, out + c);
            }
        }
    }
}

template <int K, int C>
void outer(const Span* spans, int count, const float* vector, const float* const* values, ptrdiff_t columns,
           float* out) {
    V sum[K][C][PARTS];
    for (int k = 0; k < K; k++)
        for (int c = 0; c < C; c++)
            for (int p = 0; p < PARTS; p++) sum[k][c][p] = load(out + (k * columns + c) * LANES + p * W);
    for (const Span* s = spans; s < spans + count; s++) {
        const float* v = vector + s->vector;
        for (int row = 0; row < s->rows; row++, v += LANES) {
            V from[C][PARTS];
            for (int c = 0; c < C; c++)
                for (int p = 0; p < PARTS; p++) from[c][p] = load(values[c] + s->values + row * LANES + p * W);
            for (int k = 0; k < K; k++) {
                V factor = broadcast(v[k]);
                for (int c = 0; c < C; c++)
                    for (int p = 0; p < PARTS; p++) sum[k][c][p] = fma(factor, from[c][p], sum[k][c][p]);
            }
        }
    }
    for (int k = 0; k < K; k++)
        for (int c = 0; c < C; c++)
            for (int p = 0; p < PARTS; p++) store(out + (k * columns + c) * LANES + p * W, sum[k][c][p]);
}

using Outer = void (*)(const Span*, int, const float*, const float* const*, ptrdiff_t, float*);

#define GATEWISE_DEPTH_3(C) outer<1, C>, outer<2, C>, outer<3, C>
#define GATEWISE_DEPTH_6(C) GATEWISE_DEPTH_3(C), outer<4, C>, outer<5, C>, outer<6, C>

#if defined(__AVX512F__)
constexpr Outer OUTER[COLUMNS][6] = {
    {GATEWISE_DEPTH_6(1)}, {GATEWISE_DEPTH_6(2)}, {GATEWISE_DEPTH_6(3)}, {GATEWISE_DEPTH_6(4)}};
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr Outer OUTER[1][6] = {{GATEWISE_DEPTH_6(1)}};
#else
constexpr Outer OUTER[1][6] = {{GATEWISE_DEPTH_3(1)}};
#endif

void outer_tile(int depth, int columns, const Span* spans, int count, const float* vector, const float* const* values,
                float* out) {
    if constexpr (WIDE) {
        OUTER[columns - 1][depth - 1](spans, count, vector, values, columns, out);
    } else {
        for (int k = 0; k < depth; k += OUTER_DEPTH)
            for (int c = 0; c < columns; c++) {
                int some = depth - k < OUTER_DEPTH ? depth - k : OUTER_DEPTH;
                OUTER[0][some - 1](spans, count, vector + k, values + c, columns, out + (k * columns + c) * LANES);
            }
    }
}

template <class F>
GATEWISE_INLINE void each(float* out, int length, F value) {
#pragma GCC unroll 4
    for (int i = 0; i < length; i += W) store(out + i, value(i));
}

void run(const Instruction* program, int count, float* const* values, int length) {
    for (const Instruction* in = program; in < program + count; in++) {
        float* out = values[in->out];
        const float *a = values[in->a], *b = values[in->b], *c = values[in->c];
        switch (in->op) {
        case Op::add: each(out, length, [=](int i) { return load(a + i) + load(b + i); }); break;
        case Op::sub: each(out, length, [=](int i) { return load(a + i) - load(b + i); }); break;
        case Op::mul: each(out, length, [=](int i) { return load(a + i) * load(b + i); }); break;
        case Op::div: each(out, length, [=](int i) { return load(a + i) / load(b + i); }); break;
        case Op::neg: each(out, length, [=](int i) { return -load(a + i); }); break;
        case Op::sigmoid: each(out, length, [=](int i) { return sigmoid(load(a + i)); }); break;
        case Op::tanh: each(out, length, [=](int i) { return tanh(load(a + i)); }); break;
        case Op::relu: each(out, length, [=](int i) { return relu(load(a + i)); }); break;
        case Op::step: each(out, length, [=](int i) { return step(load(a + i)); }); break;
        case Op::exp: each(out, length, [=](int i) { return exp(load(a + i)); }); break;
        case Op::log: each(out, length, [=](int i) { return log(load(a + i)); }); break;
        case Op::softplus: each(out, length, [=](int i) { return softplus(load(a + i)); }); break;
        case Op::maximum: each(out, length, [=](int i) { return max(load(a + i), load(b + i)); }); break;
        case Op::minimum: each(out, length, [=](int i) { return min(load(a + i), load(b + i)); }); break;
        case Op::fma: each(out, length, [=](int i) { return fma(load(a + i), load(b + i), load(c + i)); }); break;
        case Op::fnma: each(out, length, [=](int i) { return fma(-load(a + i), load(b + i), load(c + i)); }); break;
        case Op::copy: each(out, length, [=](int i) { return load(a + i); }); break;
        case Op::count: break;
        }
    }
}

// Per lane the sum of all bits and the sum of these sums (Fletcher's checksum): additions only, so that it runs as fast as
// the values can be read. Any one change changes the first sum, an exchange the second.
uint64_t fingerprint(const float* values, size_t count) {
    Bits sums{}, sums_of_sums{};
    size_t i = 0;
    for (; i + W <= count; i += W) {
        sums += (Bits)load(values + i);
        sums_of_sums += sums;
    }
    for (; i < count; i++) {
        uint32_t bits;
        __builtin_memcpy(&bits, values + i, sizeof bits);
        sums[0] += bits;
        sums_of_sums[0] += sums[0];
    }
    uint64_t result = count;
    for (int lane = 0; lane < W; lane++) {
        result = (result ^ sums[lane]) * 1099511628211u;
        result = (result ^ sums_of_sums[lane]) * 1099511628211u;
    }
    return result;
}

void reduce(const float* values, int rows, float* total) {
    for (int p = 0; p < LANES; p += W) {
        V sum = load(total + p);
        for (int r = 0; r < rows; r++) sum += load(values + r * LANES + p);
        store(total + p, sum);
    }
}

#define GATEWISE_TEXT(name) #name
#define GATEWISE_NAME(name) GATEWISE_TEXT(name)

}  // namespace

extern const Kernels table;
const Kernels table = {
    GATEWISE_NAME(GATEWISE_ISA),
    {0, WIDE ? 12 : NARROW_ROWS, WIDE ? 12 : NARROW_ROWS, WIDE ? 8 : NARROW_ROWS, WIDE ? 6 : NARROW_ROWS},
    multiply_tile,
    outer_tile,
    run,
    fingerprint,
    reduce,
};

}  // namespace gatewise::GATEWISE_ISA
