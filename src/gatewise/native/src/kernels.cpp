// The kernels for one instruction set; compiled once for each, with GATEWISE_ISA as its name. See kernels.hpp.
#include "kernels.hpp"

#include "int8.hpp"
#include "math.hpp"
#include "simd.hpp"

namespace gatewise::GATEWISE_ISA {
namespace {

#if defined(__AVX2__) || defined(__aarch64__)
constexpr int NARROW_ROWS = 6;
#else
constexpr int NARROW_ROWS = 3;
#endif

// What a word of an operand is: a float, or two bfloat16.
struct F32 {
    static constexpr int ROW = LANES;  // words in a row of a block
    static constexpr bool INTEGER = false;
    GATEWISE_INLINE V multiply_add(V a, V b, V c) { return fma(a, b, c); }
};

#if defined(__AVX512BF16__)
struct Bf16 {
    static constexpr int ROW = LANES / 2;
    static constexpr bool INTEGER = false;
    GATEWISE_INLINE V multiply_add(V a, V b, V c) { return (V)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b); }
};
#endif

// One word of a product: a broadcast of each row's value times a row of weights.
template <class Operand, int R, int C>
GATEWISE_INLINE void multiply_one(V (&sum)[R][C][PARTS], const float* weights, ptrdiff_t ahead, const float* vector) {
    V w[C][PARTS];
    prefetch(weights + ahead);
    for (int c = 0; c < C; c++)
        for (int p = 0; p < PARTS; p++) w[c][p] = load(weights + c * LANES + p * W);
    for (int r = 0; r < R; r++) {
        V v = broadcast(vector[r * Operand::ROW]);
        for (int c = 0; c < C; c++)
            for (int p = 0; p < PARTS; p++) sum[r][c][p] = Operand::multiply_add(v, w[c][p], sum[r][c][p]);
    }
}

template <class Operand, int R, int C>
void multiply_floats(const Segment* segments, int count, ptrdiff_t columns, const float* const* start,
                     ptrdiff_t start_row, float* const* out) {
    const ptrdiff_t stride = (WIDE ? C : columns) * LANES;  // from one k to the next; known when compiled if it can be
    V sum[R][C][PARTS];
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            for (int p = 0; p < PARTS; p++) sum[r][c][p] = load(start[c] + r * start_row + p * W);
    for (const Segment* s = segments; s < segments + count; s++) {
        const float* weights = s->weights;
        const float* block = s->vector;
        for (int left = s->depth; left > 0; left -= Operand::ROW, block += s->block) {
            // The next block of the vector is on another page, where the hardware does not look ahead.
            for (int r = 0; r < R; r++) prefetch(block + s->block + r * Operand::ROW);
            const float* end = block + (left < Operand::ROW ? left : Operand::ROW);
            const float* v = block;
            for (; v + 4 <= end; v += 4, weights += 4 * stride) {
                multiply_one<Operand, R, C>(sum, weights, s->ahead, v);
                multiply_one<Operand, R, C>(sum, weights + stride, s->ahead, v + 1);
                multiply_one<Operand, R, C>(sum, weights + 2 * stride, s->ahead, v + 2);
                multiply_one<Operand, R, C>(sum, weights + 3 * stride, s->ahead, v + 3);
            }
            for (; v < end; v++, weights += stride) multiply_one<Operand, R, C>(sum, weights, s->ahead, v);
        }
    }
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            for (int p = 0; p < PARTS; p++) store(out[c] + r * LANES + p * W, sum[r][c][p]);
}

template <class Operand, int R, int C>
void multiply(const Segment* segments, int count, ptrdiff_t columns, const float* const* start, ptrdiff_t start_row,
              float* const* out) {
    if constexpr (Operand::INTEGER)
        multiply_int8<R, C>(segments, count, columns, start, start_row, out);
    else
        multiply_floats<Operand, R, C>(segments, count, columns, start, start_row, out);
}

using Multiply = void (*)(const Segment*, int, ptrdiff_t, const float* const*, ptrdiff_t, float* const*);

#define GATEWISE_ROWS_3(C) multiply<Operand, 1, C>, multiply<Operand, 2, C>, multiply<Operand, 3, C>
#define GATEWISE_ROWS_6(C) GATEWISE_ROWS_3(C), multiply<Operand, 4, C>, multiply<Operand, 5, C>, multiply<Operand, 6, C>
#define GATEWISE_ROWS_8(C) GATEWISE_ROWS_6(C), multiply<Operand, 7, C>, multiply<Operand, 8, C>
#define GATEWISE_ROWS_12(C)                                                              \
    GATEWISE_ROWS_8(C), multiply<Operand, 9, C>, multiply<Operand, 10, C>, multiply<Operand, 11, C>, \
        multiply<Operand, 12, C>

template <class Operand>
#if defined(__AVX512F__)
constexpr Multiply MULTIPLY[COLUMNS][ROWS] = {
    {GATEWISE_ROWS_12(1)}, {GATEWISE_ROWS_12(2)}, {GATEWISE_ROWS_8(3)}, {GATEWISE_ROWS_6(4)}};
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr Multiply MULTIPLY[1][ROWS] = {{GATEWISE_ROWS_6(1)}};
#else
constexpr Multiply MULTIPLY[1][ROWS] = {{GATEWISE_ROWS_3(1)}};
#endif

template <class Operand>
void multiply_tile(int rows, int columns, const Segment* segments, int count, const float* const* start,
                   ptrdiff_t start_row, float* const* out) {
    if constexpr (WIDE) {
        MULTIPLY<Operand>[columns - 1][rows - 1](segments, count, columns, start, start_row, out);
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
                MULTIPLY<Operand>[0][rows - 1](shifted, some, columns, from + c, first ? LANES : start_row, out + c);
            }
        }
    }
}

template <class Operand, int K, int C>
void outer(const Span* spans, int count, const float* left, const float* right, ptrdiff_t block, float* out,
           ptrdiff_t out_row, bool add) {
    V sum[K][C][PARTS];
    for (int k = 0; k < K; k++)
        for (int c = 0; c < C; c++) {
            // What is added last is fetched meanwhile.
            if (add) prefetch(out + k * out_row + c * LANES);
            for (int p = 0; p < PARTS; p++) sum[k][c][p] = V{};
        }
    for (const Span* s = spans; s < spans + count; s++) {
        const float *l = left + s->left, *r = right + s->right;
        const float* const end = l + static_cast<ptrdiff_t>(s->rows) * LANES;
#pragma GCC unroll 4
        for (; l < end; l += LANES, r += LANES) {
            V from[C][PARTS];
            for (int c = 0; c < C; c++)
                for (int p = 0; p < PARTS; p++) from[c][p] = load(r + c * block + p * W);
            for (int k = 0; k < K; k++) {
                V factor = broadcast(l[k]);
                for (int c = 0; c < C; c++)
                    for (int p = 0; p < PARTS; p++)
                        sum[k][c][p] = Operand::multiply_add(factor, from[c][p], sum[k][c][p]);
            }
        }
    }
    for (int k = 0; k < K; k++)
        for (int c = 0; c < C; c++)
            for (int p = 0; p < PARTS; p++) {
                float* to = out + k * out_row + c * LANES + p * W;
                store(to, add ? load(to) + sum[k][c][p] : sum[k][c][p]);
            }
}

using Outer = void (*)(const Span*, int, const float*, const float*, ptrdiff_t, float*, ptrdiff_t, bool);

#define GATEWISE_HEIGHT_3(C) outer<Operand, 1, C>, outer<Operand, 2, C>, outer<Operand, 3, C>
#define GATEWISE_HEIGHT_6(C) GATEWISE_HEIGHT_3(C), outer<Operand, 4, C>, outer<Operand, 5, C>, outer<Operand, 6, C>

template <class Operand>
#if defined(__AVX512F__)
constexpr Outer OUTERS[COLUMNS][OUTER] = {
    {GATEWISE_HEIGHT_6(1)}, {GATEWISE_HEIGHT_6(2)}, {GATEWISE_HEIGHT_6(3)}, {GATEWISE_HEIGHT_6(4)}};
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr Outer OUTERS[1][OUTER] = {{GATEWISE_HEIGHT_6(1)}};
#else
constexpr Outer OUTERS[1][OUTER / 2] = {{GATEWISE_HEIGHT_3(1)}};
#endif

template <class Operand>
void outer_tile(int height, int columns, const Span* spans, int count, const float* left, const float* right,
                ptrdiff_t block, float* out, ptrdiff_t out_row, bool add) {
    if constexpr (WIDE) {
        OUTERS<Operand>[columns - 1][height - 1](spans, count, left, right, block, out, out_row, add);
    } else {
        for (int i = 0; i < height; i += NARROW_ROWS)
            for (int c = 0; c < columns; c++) {
                const int some = height - i < NARROW_ROWS ? height - i : NARROW_ROWS;
                OUTERS<Operand>[0][some - 1](spans, count, left + i, right + c * block, block,
                                             out + i * out_row + c * LANES, out_row, add);
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
        case Op::sqrt: each(out, length, [=](int i) { return sqrt(load(a + i)); }); break;
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
// the values can be read. Any one change changes the first sum, an exchange the second. The sign, which as the highest
// bit would drop out of a sum of an even number of changes, is noted in a lower bit too; so is that of a bfloat16.
uint64_t fingerprint(const float* values, size_t count) {
    Bits sums{}, sums_of_sums{};
    size_t i = 0;
    for (; i + W <= count; i += W) {
        const Bits bits = (Bits)load(values + i);
        sums += bits ^ (bits >> 15 & 0x1ffff);
        sums_of_sums += sums;
    }
    for (; i < count; i++) {
        uint32_t bits;
        __builtin_memcpy(&bits, values + i, sizeof bits);
        sums[0] += bits ^ (bits >> 15 & 0x1ffff);
        sums_of_sums[0] += sums[0];
    }
    uint64_t result = count;
    for (int lane = 0; lane < W; lane++) {
        result = (result ^ sums[lane]) * 1099511628211u;
        result = (result ^ sums_of_sums[lane]) * 1099511628211u;
    }
    return result;
}

// W by W squares, each by log2 W rounds that put the lanes of rows half a square apart in turns.
void transpose(const float* values, ptrdiff_t stride, float* out) {
    for (int down = 0; down < LANES; down += W)
        for (int right = 0; right < LANES; right += W) {
            V rows[W], turned[W];
            for (int j = 0; j < W; j++) rows[j] = load(values + (down + j) * stride + right);
#pragma GCC unroll 4
            for (int round = 1; round < W; round *= 2) {
                for (int j = 0; j < W / 2; j++) {
                    turned[2 * j] = lower_turns(rows[j], rows[j + W / 2]);
                    turned[2 * j + 1] = upper_turns(rows[j], rows[j + W / 2]);
                }
                for (int j = 0; j < W; j++) rows[j] = turned[j];
            }
            for (int n = 0; n < W; n++) store(out + (right + n) * LANES + down, rows[n]);
        }
}

void reduce(const float* values, int rows, float* total) {
    for (int p = 0; p < LANES; p += W) {
        V sum = load(total + p);
        for (int r = 0; r < rows; r++) sum += load(values + r * LANES + p);
        store(total + p, sum);
    }
}

// Philox4x32-10 of Salmon et al. (2011), Parallel Random Numbers: As Easy as 1, 2, 3: 16 counters at a time.
void bernoulli(const uint32_t* key, const uint32_t* counter, uint64_t count, uint32_t threshold, float value,
               float* out) {
    for (uint64_t first = 0; first < count; first += 4 * LANES) {
        uint32_t a[LANES], b[LANES], c[LANES], d[LANES];
        for (int i = 0; i < LANES; i++) {
            const uint64_t at = (counter[0] | static_cast<uint64_t>(counter[1]) << 32) + first / 4 + i;
            a[i] = static_cast<uint32_t>(at);
            b[i] = static_cast<uint32_t>(at >> 32);
            c[i] = counter[2];
            d[i] = counter[3];
        }
        uint32_t low = key[0], high = key[1];
        for (int round = 0; round < 10; round++, low += 0x9E3779B9u, high += 0xBB67AE85u)
            for (int i = 0; i < LANES; i++) {
                const uint64_t p = 0xD2511F53ull * a[i], q = 0xCD9E8D57ull * c[i];
                a[i] = static_cast<uint32_t>(q >> 32) ^ b[i] ^ low;
                b[i] = static_cast<uint32_t>(q);
                c[i] = static_cast<uint32_t>(p >> 32) ^ d[i] ^ high;
                d[i] = static_cast<uint32_t>(p);
            }
        float drawn[4 * LANES];
        for (int i = 0; i < LANES; i++) {
            drawn[4 * i] = a[i] < threshold ? 0 : value;
            drawn[4 * i + 1] = b[i] < threshold ? 0 : value;
            drawn[4 * i + 2] = c[i] < threshold ? 0 : value;
            drawn[4 * i + 3] = d[i] < threshold ? 0 : value;
        }
        const uint64_t left = count - first < 4 * LANES ? count - first : 4 * LANES;
        __builtin_memcpy(out + first, drawn, left * sizeof(float));
    }
}

// Lane by lane over the blocks, then over the lanes, halves onto halves: the order of every instruction set.
void mean(const float* values, ptrdiff_t block, int rows, int units, float* out) {
    const int whole = units / LANES, rest = units % LANES;
    for (int r = 0; r < rows; r++, values += LANES, out += LANES) {
        V sums[PARTS] = {};
        for (int i = 0; i < whole; i++)
            for (int p = 0; p < PARTS; p++) sums[p] += load(values + i * block + p * W);
        float last[LANES] = {};
        for (int i = 0; i < rest; i++) last[i] = values[whole * block + i];
        for (int p = 0; p < PARTS; p++) sums[p] += load(last + p * W);
        for (int half = PARTS / 2; half > 0; half /= 2)
            for (int p = 0; p < half; p++) sums[p] += sums[p + half];
        const V result = broadcast(sum(sums[0]) / static_cast<float>(units));
        for (int p = 0; p < PARTS; p++) store(out + p * W, result);
    }
}

#if defined(__AVX512BF16__)
void round_rows(const float* values, int rows, int lanes, bfloat16* out) {
    const __mmask16 kept = static_cast<__mmask16>((1u << lanes) - 1);
    for (int r = 0; r < rows; r++)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + r * LANES),
                            (__m256i)_mm512_maskz_cvtneps_pbh(kept, (__m512)load(values + r * LANES)));
}

void pair(const float* values, const int* rows, int count, float* out, ptrdiff_t stride) {
    alignas(64) static constexpr uint16_t ALTERNATE[2 * LANES] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                                  21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                                  11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i alternate = _mm512_load_si512(ALTERNATE);
    for (int r = 0; r < count; r += 2, out += stride) {
        const V even = load(values + static_cast<ptrdiff_t>(rows[r]) * LANES);
        const V odd = r + 1 < count ? load(values + static_cast<ptrdiff_t>(rows[r + 1]) * LANES) : V{};
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
        store(out, (V)_mm512_permutexvar_epi16(alternate, both));
    }
}

constexpr Products BF16 = {multiply_tile<Bf16>, outer_tile<Bf16>};
#else
bfloat16 rounded(float value) {
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    if (value != value) return static_cast<bfloat16>(bits >> 16 | 0x40);  // or a NaN might become an infinity
    return static_cast<bfloat16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void round_rows(const float* values, int rows, int lanes, bfloat16* out) {
    for (int r = 0; r < rows; r++, values += LANES, out += LANES)
        for (int i = 0; i < LANES; i++) out[i] = i < lanes ? rounded(values[i]) : 0;
}

constexpr Products BF16 = {nullptr, nullptr};
constexpr decltype(Kernels::pair) pair = nullptr;
#endif

#define GATEWISE_TEXT(name) #name
#define GATEWISE_NAME(name) GATEWISE_TEXT(name)

}  // namespace

extern const Kernels table;
const Kernels table = {
    GATEWISE_NAME(GATEWISE_ISA),
    {0, WIDE ? 12 : NARROW_ROWS, WIDE ? 12 : NARROW_ROWS, WIDE ? 8 : NARROW_ROWS, WIDE ? 6 : NARROW_ROWS},
    {multiply_tile<F32>, outer_tile<F32>},
    BF16,
    {multiply_tile<Int8>, nullptr},
    run,
    fingerprint,
    transpose,
    reduce,
    bernoulli,
    mean,
    round_rows,
    pair,
    quantise,
};

}  // namespace gatewise::GATEWISE_ISA
