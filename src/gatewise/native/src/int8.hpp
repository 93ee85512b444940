// Products in int8, for the instruction set that kernels.cpp is compiled for: see there, and QUANTISED in kernels.hpp.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace gatewise::GATEWISE_ISA {
namespace {

struct Int8 {
    static constexpr int ROW = LANES / 4;
    static constexpr bool INTEGER = true;
};

// Each segment's sums are whole numbers, which both scales make floats of. What they begin with takes the 128 off that each
// byte of a vector is more than its value.
template <int R, int C>
void multiply_int8(const Segment* segments, int count, ptrdiff_t columns, const float* const* start,
                   ptrdiff_t start_row, float* const* out) {
    const ptrdiff_t stride = (WIDE ? C : columns) * LANES;
    for (const Segment* s = segments; s < segments + count; s++) {
        VI sum[R][C][PARTS];
        const float* const scales = s->weights - QUANTISED * stride;
        for (int r = 0; r < R; r++)
            for (int c = 0; c < C; c++)
                for (int p = 0; p < PARTS; p++) sum[r][c][p] = (VI)load(scales + stride + c * LANES + p * W);
        const float* weights = s->weights;
        const float* block = s->vector;
        for (int left = s->depth; left > 0; left -= Int8::ROW, block += s->block) {
            const int words = left < Int8::ROW ? left : Int8::ROW;
            for (int k = 0; k < words; k++, weights += stride) {
                VI w[C][PARTS];
                prefetch(weights + s->ahead);
                for (int c = 0; c < C; c++)
                    for (int p = 0; p < PARTS; p++) w[c][p] = (VI)load(weights + c * LANES + p * W);
                for (int r = 0; r < R; r++) {
                    uint32_t bytes;
                    __builtin_memcpy(&bytes, block + r * Int8::ROW + k, sizeof bytes);
                    for (int c = 0; c < C; c++)
                        for (int p = 0; p < PARTS; p++) sum[r][c][p] = multiply_bytes(w[c][p], bytes, sum[r][c][p]);
                }
            }
        }
        for (int r = 0; r < R; r++)
            for (int c = 0; c < C; c++)
                for (int p = 0; p < PARTS; p++) {
                    const float* from = s == segments ? start[c] + r * start_row : out[c] + r * LANES;
                    const V scaled = to_float(sum[r][c][p]) * broadcast(s->scales[r]);
                    store(out[c] + r * LANES + p * W, fma(scaled, load(scales + c * LANES + p * W), load(from + p * W)));
                }
    }
}

// The largest of 16 numbers that are not below zero, or NaN if one is: as integers their bits are in the same order.
float largest(const float* values) {
    VI most{};
    for (int p = 0; p < LANES; p += W) {
        const VI bits = (VI)load(values + p);
        most = bits > most ? bits : most;
    }
    int32_t found = 0;
    for (int lane = 0; lane < W; lane++) found = most[lane] > found ? most[lane] : found;
    float result;
    __builtin_memcpy(&result, &found, sizeof result);
    return result;
}

void quantise(const float* values, ptrdiff_t block, int rows, int units, float* out, float* scales) {
    const int blocks = (units + LANES - 1) / LANES;
    for (int r = 0; r < rows; r++) {
        float most[LANES] = {};
        for (int i = 0; i < blocks; i++) {
            const float* row = values + i * block + r * LANES;
            float last[LANES] = {};
            if (units - i * LANES < LANES) {
                for (int lane = 0; lane < units - i * LANES; lane++) last[lane] = row[lane];
                row = last;
            }
            for (int p = 0; p < LANES; p += W) {
                const VI bits = (VI)load(row + p) & 0x7fffffff, before = (VI)load(most + p);
                store(most + p, (V)(bits > before ? bits : before));
            }
        }
        const float size = largest(most);
        const bool finite = size - size == 0;
        scales[r] = finite ? size / 127 : size - size;
        const float each = finite && size > 1e-36f ? 127 / size : 0;
        for (int i = 0; i < blocks; i++) {
            const float* row = values + i * block + r * LANES;
            int32_t whole[LANES] = {};
            for (int p = 0; finite && p < LANES; p += W) {
                const VI rounded = to_int(round(load(row + p) * broadcast(each)));
                __builtin_memcpy(whole + p, &rounded, sizeof rounded);
            }
            uint8_t bytes[LANES];
            for (int lane = 0; lane < LANES; lane++) bytes[lane] = static_cast<uint8_t>(128 + whole[lane]);
            for (int lane = units - i * LANES; lane < LANES; lane++) bytes[lane] = 128;
            __builtin_memcpy(out + (i * rows + r) * Int8::ROW, bytes, sizeof bytes);
        }
    }
}

}  // namespace
}  // namespace gatewise::GATEWISE_ISA
