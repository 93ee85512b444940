// One vector of floats, as wide as the instruction set this file is compiled for.
//
// The kernels are compiled once per instruction set, each time with another GATEWISE_ISA, into one library. Nothing
// has external linkage here and nothing comes from the standard library: of a weak symbol that several objects define
// (any template of <algorithm> or <cmath>) the linker keeps one copy, perhaps the AVX-512 one, and an older CPU stops.
//
// Operators (+ - * / > & |) and lane access v[i] are the compiler's own, of GCC and Clang alike.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels.hpp"
#if defined(__x86_64__)
#pragma GCC diagnostic push  // GCC 12 warns of its own _mm512_undefined_ps()
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)  // which does not know the name
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// Inlined always: a call would spill every live vector register, and kernels keep their accumulators there.
#define GATEWISE_INLINE static inline __attribute__((always_inline))

namespace gatewise::GATEWISE_ISA {

#if defined(__AVX512F__)
constexpr int W = 16;
#define GATEWISE_X86(name) _mm512_##name
typedef __m512 Native;
typedef __m512i Integers;
#elif defined(__AVX2__)
constexpr int W = 8;
#define GATEWISE_X86(name) _mm256_##name
typedef __m256 Native;
typedef __m256i Integers;
#elif defined(__x86_64__)
constexpr int W = 4;
#define GATEWISE_X86(name) _mm_##name
typedef __m128 Native;
typedef __m128i Integers;
#else
constexpr int W = 4;
#endif
constexpr int PARTS = LANES / W;  // native vectors in a block of 16
// AVX-512 has 32 registers of a whole block: tiles of several columns, each broadcast used for all of them. Others take
// a tile column by column, as many rows as their registers hold.
constexpr bool WIDE = W == LANES;

typedef float V __attribute__((vector_size(W * 4)));
typedef int32_t VI __attribute__((vector_size(W * 4)));  // as a mask: 0 or -1 per lane
typedef uint32_t Bits __attribute__((vector_size(W * 4)));

GATEWISE_INLINE V broadcast(float x) { return x - V{}; }  // x - 0 keeps the sign of -0, where x + 0 loses it

GATEWISE_INLINE V load(const float* p) {  // any alignment
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
GATEWISE_INLINE void store(float* p, V v) { __builtin_memcpy(p, &v, sizeof v); }

GATEWISE_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }

// a * b + c, rounded once where the hardware can (all but x86-64 before AVX2).
GATEWISE_INLINE V fma(V a, V b, V c) {
#if defined(__FMA__)
    return (V)GATEWISE_X86(fmadd_ps)((Native)a, (Native)b, (Native)c);
#elif defined(__aarch64__)
    return (V)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

GATEWISE_INLINE VI greater(V a, V b) { return a > b; }
GATEWISE_INLINE V select(VI mask, V a, V b) { return mask ? a : b; }

// The larger or smaller of v and a bound that is not NaN; NaN in v stays. One instruction: x86 returns the second
// operand when either is NaN, hence the order.
GATEWISE_INLINE V at_least(V v, V bound) {
#if defined(GATEWISE_X86)
    return (V)GATEWISE_X86(max_ps)((Native)bound, (Native)v);
#else
    return bound > v ? bound : v;
#endif
}

GATEWISE_INLINE V at_most(V v, V bound) {
#if defined(GATEWISE_X86)
    return (V)GATEWISE_X86(min_ps)((Native)bound, (Native)v);
#else
    return bound < v ? bound : v;
#endif
}

// NaN if either operand is, as torch.maximum and torch.minimum have it.
GATEWISE_INLINE V max(V a, V b) { return a != a ? a : at_least(b, a); }
GATEWISE_INLINE V min(V a, V b) { return a != a ? a : at_most(b, a); }

// To the nearest integer, ties to even. |v| < 2^22: SSE2 has no rounding instruction, and adding 1.5 * 2^23, where
// floats are one apart, rounds in its place.
GATEWISE_INLINE V round(V v) {
#if defined(__AVX512F__)
    return (V)_mm512_roundscale_ps((__m512)v, 0x08);  // 0x08: to nearest, no inexact flag
#elif defined(__AVX2__)
    return (V)_mm256_round_ps((__m256)v, 0x08);
#elif defined(__aarch64__)
    return (V)vrndnq_f32((float32x4_t)v);
#else
    return (v + 12582912.0f) - 12582912.0f;
#endif
}

GATEWISE_INLINE V sqrt(V v) {
#if defined(GATEWISE_X86)
    return (V)GATEWISE_X86(sqrt_ps)((Native)v);
#elif defined(__aarch64__)
    return (V)vsqrtq_f32((float32x4_t)v);
#else
    for (int i = 0; i < W; i++) v[i] = __builtin_sqrtf(v[i]);
    return v;
#endif
}

// sum + the products of four bytes each: of weights from -127 to 127 in `w`, and of the unsigned ones in `bytes`, the same
// for all lanes.
GATEWISE_INLINE VI multiply_bytes(VI w, uint32_t bytes, VI sum) {
#if defined(__AVX512VNNI__)
    return (VI)_mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(static_cast<int>(bytes)), (__m512i)w);
#elif defined(GATEWISE_X86)
    // As 16-bit numbers: those of bytes 0 and 2, then those of 1 and 3.
    const VI even = VI{} + static_cast<int32_t>(bytes & 0x00ff00ff);
    const VI odd = VI{} + static_cast<int32_t>(bytes >> 8 & 0x00ff00ff);
    typedef int16_t Half __attribute__((vector_size(W * 4)));
    const Half high = (Half)w >> 8, low = (Half)((Half)w << 8) >> 8;
#define GATEWISE_MADD(a, b) (VI) GATEWISE_X86(madd_epi16)((Integers)(a), (Integers)(b))
    return sum + GATEWISE_MADD(low, even) + GATEWISE_MADD(high, odd);
#undef GATEWISE_MADD
#else
    for (int shift = 0; shift < 32; shift += 8) sum += (w << (24 - shift) >> 24) * static_cast<int32_t>(bytes >> shift & 255);
    return sum;
#endif
}

GATEWISE_INLINE VI to_int(V v) { return __builtin_convertvector(v, VI); }  // towards zero
GATEWISE_INLINE V to_float(VI v) { return __builtin_convertvector(v, V); }

// v * 2^n for v around 1 and integer-valued n, |n| <= 252, rounded once: up to inf, down through the denormals.
GATEWISE_INLINE V scale(V v, V n) {
#if defined(__AVX512F__)
    return (V)_mm512_scalef_ps((__m512)v, (__m512)n);
#else
    VI whole = to_int(n), half = whole >> 1;  // two steps, as 2^n itself may not be a float where v * 2^n is
    return v * (V)((half + 127) << 23) * (V)((whole - half + 127) << 23);
#endif
}

// The lanes of two vectors in turns, a0 b0 a1 b1 ..: those of their lower and of their upper halves.
#if defined(__AVX512F__)
#define GATEWISE_TURNS(n) n, n + 16, n + 1, n + 17, n + 2, n + 18, n + 3, n + 19
#define GATEWISE_LOWER GATEWISE_TURNS(0), GATEWISE_TURNS(4)
#define GATEWISE_UPPER GATEWISE_TURNS(8), GATEWISE_TURNS(12)
#elif defined(__AVX2__)
#define GATEWISE_LOWER 0, 8, 1, 9, 2, 10, 3, 11
#define GATEWISE_UPPER 4, 12, 5, 13, 6, 14, 7, 15
#else
#define GATEWISE_LOWER 0, 4, 1, 5
#define GATEWISE_UPPER 2, 6, 3, 7
#endif
GATEWISE_INLINE V lower_turns(V a, V b) { return __builtin_shufflevector(a, b, GATEWISE_LOWER); }
GATEWISE_INLINE V upper_turns(V a, V b) { return __builtin_shufflevector(a, b, GATEWISE_UPPER); }

// Sum of the lanes, always in this order: upper half onto lower half, until one is left.
GATEWISE_INLINE float sum(V v) {
#if defined(__AVX512F__)
    __m256 eight = _mm512_castps512_ps256((__m512)v) + _mm512_extractf32x8_ps((__m512)v, 1);
    __m128 four = _mm256_castps256_ps128(eight) + _mm256_extractf128_ps(eight, 1);
#elif defined(__AVX2__)
    __m128 four = _mm256_castps256_ps128((__m256)v) + _mm256_extractf128_ps((__m256)v, 1);
#else
    V four = v;
#endif
    return (four[0] + four[2]) + (four[1] + four[3]);
}

}  // namespace gatewise::GATEWISE_ISA
