// The functions cells are made of, a vector at a time: no branches, no calls, no tables.
//
// Accuracy: largest relative error against float64 where the result is a normal float; half a last place is 6e-8.
// Bits:     a lane's result depends on its input alone. AVX2 and AVX-512 agree in every bit; "plain" on x86-64 has no
//           fused multiply-add and may differ in the last ones.
// NaN:      goes through, except where a function says otherwise. Infinities give the limit. A zero may lose its sign.
// Source:   benchmarks/fit_functions.py finds the coefficients and prints what each fit alone reaches.
#pragma once

#include "simd.hpp"

namespace gatewise::GATEWISE_ISA {

constexpr float LOG2_E = 1.44269502f;
constexpr float LN2_HIGH = 0.693145752f;  // 16 bits, so that its product with an exponent is exact
constexpr float LN2_LOW = 1.42860677e-06f;

// c[0] + c[1] x + c[2] x^2 + ...  Horner's rule takes the fewest instructions; callers have several vectors in flight
// to fill the wait for each result.
template <int N>
GATEWISE_INLINE V polynomial(V x, const float (&c)[N]) {
    V y = broadcast(c[N - 1]);
    for (int k = N - 2; k >= 0; --k) y = fma(y, x, broadcast(c[k]));
    return y;
}

// Relative error below 1e-7 (1.2 ulp), denormal results included.
GATEWISE_INLINE V exp(V v) {
    v = at_most(at_least(v, broadcast(-105)), broadcast(90));  // beyond, the result is 0 or inf
    V n = round(v * LOG2_E);
    V r = fma(n, broadcast(-LN2_LOW), fma(n, broadcast(-LN2_HIGH), v));
    V p = polynomial(r, {1, 1, 0.49999994f, 0.166665211f, 0.0416682623f, 0.00836867467f, 0.00138210552f});
    return scale(p, n);
}

// Added to a small number, 1.5 * 2^23 rounds it to an integer and leaves that in the low bits; 127 more make these bits
// the exponent field of 2^n. AVX2 has no cheaper way; AVX-512's scalef makes sigmoid 5% faster, but not bit-equal.
constexpr float ROUND = 12582912.0f + 127;
GATEWISE_INLINE V power_of_two(V n_plus_round) { return (V)((VI)n_plus_round << 23); }

// 1 / (1 + exp(-v)). Relative error below 2.6e-7; results below the smallest normal float may be flushed to 0.
GATEWISE_INLINE V sigmoid(V v) {
    // exp(-v) = 2^n exp(-s). The bounds on v let n reach 128, where the exponent field means inf and the result is 0,
    // and -127, where it means 0 and the result is 1.
    v = at_most(at_least(v, broadcast(-89)), broadcast(88));
    V rounded = fma(v, broadcast(-LOG2_E), broadcast(ROUND)), n = rounded - ROUND;
    V s = fma(n, broadcast(LN2_LOW), fma(n, broadcast(LN2_HIGH), v));
    V p = polynomial(s, {1, -1, 0.499992311f, -0.166671157f, 0.0418902338f, -0.00831245258f});
    return 1 / fma(p, power_of_two(rounded), broadcast(1));
}

// Relative error below 2.2e-7, near 0 too. Odd in every bit and never beyond -1 and 1.
GATEWISE_INLINE V tanh(V v) {
    // With 2v = n ln2 + 2y, a = 2^n - 1, b = 2^n + 1 and u = tanh(y), this is (a + b u) / (b + a u). Around 0 n = 0 and
    // it is u: nothing cancels. b + a u - (a + b u) = 2 (1 - u) > 0 and rounding keeps order, so the quotient stays
    // within 1. A rational function of v alone takes 10 multiplications where this has 8, and oversteps 1.
    v = at_most(at_least(v, broadcast(-9.02f)), broadcast(9.02f));  // beyond, the nearest float is 1
    V rounded = fma(v, broadcast(2 * LOG2_E), broadcast(ROUND)), n = rounded - ROUND;
    V y = fma(n, broadcast(-0.5f * (LN2_HIGH + LN2_LOW)), v);
    V square = y * y;
    V u = fma(y * square, fma(square, broadcast(0.131104395f), broadcast(-0.33331269f)), y);
    V power = power_of_two(rounded), a = power - 1.0f, b = power + 1.0f;
    return fma(b, u, a) / fma(a, u, b);
}

// Relative error below 1.1e-7, near 1 too; denormals are right. log(0) = -inf, of negative numbers NaN.
GATEWISE_INLINE V log(V v) {
    constexpr int32_t SQRT_HALF = 0x3f3504f3;
    constexpr float INF = __builtin_inff(), SMALLEST_NORMAL = 1.17549435e-38f;
    VI denormal = v < SMALLEST_NORMAL;
    VI bits = (VI)select(denormal, v * 8388608.0f, v);
    // Without a sign, for negative numbers run into the other end; what comes of them is replaced below.
    VI n = (VI)((Bits)bits - (Bits{} + static_cast<uint32_t>(SQRT_HALF))) >> 23;  // v = 2^n (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), so that n = 0 around 1
    V f = (V)((Bits)bits - ((Bits)n << 23)) - 1.0f;
    V exponent = to_float(n + (denormal & -23));
    V p = polynomial(f, {0.333339095f, -0.250013351f, 0.199631006f, -0.165776521f, 0.149145082f, -0.14266932f,
                         0.0870040134f});
    V square = f * f;
    V y = fma(square * f, p, fma(square, broadcast(-0.5f), exponent * LN2_LOW)) + f;
    y = fma(exponent, broadcast(LN2_HIGH), y);
    y = select(v < INF, y, v);  // inf and NaN
    return select(v > 0, y, select(v == 0, broadcast(-INF), broadcast(__builtin_nanf(""))));
}

// log(1 + exp(v)), relative error below 2.4e-7.
GATEWISE_INLINE V softplus(V v) {
    V e = exp(at_most(v, -v));  // exp(-|v|) cannot overflow; what it leaves out is max(v, 0)
    V p = polynomial(e, {1, -0.499996483f, 0.3332133f, -0.248572171f, 0.191538483f, -0.137541875f, 0.0792088285f,
                         -0.0300683007f, 0.00536542246f});
    return fma(e, p, at_least(v, V{}));
}

GATEWISE_INLINE V relu(V v) { return at_least(v, V{}); }

// 1 where v > 0, else 0, NaN included.
GATEWISE_INLINE V step(V v) { return select(v > 0, broadcast(1), V{}); }

}  // namespace gatewise::GATEWISE_ISA
