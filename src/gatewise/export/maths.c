/* Functions of floats, without a C library. Within 2e-7 of the exact value, or of 1 where that is larger. */

static float gw_power(float v, int32_t n) { /* v * 2^n, in two factors, for 2^128 is no float */
    union { int32_t i; float f; } a, b;
    int32_t half = n / 2;
    a.i = (half + 127) * 8388608;
    b.i = (n - half + 127) * 8388608;
    return v * a.f * b.f;
}

static float gw_exp(float v) {
    float t, f, p;
    int32_t n;
    if (v != v) return v;
    v = v < -104.0f ? -104.0f : v > 89.0f ? 89.0f : v;
    t = v * 1.44269504f;
    n = (int32_t)(t + (t < 0.0f ? -0.5f : 0.5f));
    f = (v - (float)n * 0.693359375f) + (float)n * 2.12194440e-4f;
    p = 1.0f + f * (1.0f + f * (0.5f + f * (1.66666667e-1f + f * (4.16666667e-2f + f * (8.33333333e-3f
        + f * (1.38888889e-3f + f * 1.98412698e-4f))))));
    return gw_power(p, n);
}

static float gw_sigmoid(float v) { return 1.0f / (1.0f + gw_exp(-v)); }

static float gw_tanh(float v) {
    float a = v < 0.0f ? -v : v, s = v * v, r;
    if (a < 0.25f)
        return v * (1.0f + s * (-0.333333333f + s * (0.133333333f + s * (-0.0539682540f + s * 0.0218694885f))));
    r = 1.0f - 2.0f / (gw_exp(2.0f * a) + 1.0f);
    return v < 0.0f ? -r : r;
}

static float gw_log(float v) {
    union { float f; int32_t i; } u;
    int32_t n = 0;
    float z, s;
    if (!(v > 0.0f) || v > 3.4028234e38f) return v > 0.0f ? v : (v < 0.0f ? v - v : -1.0f) / (v - v);
    if (v < 1.17549435e-38f) { v *= 8388608.0f; n = -23; }
    u.f = v;
    n += u.i / 8388608 - 127;
    u.i = u.i % 8388608 + 127 * 8388608;
    if (u.f > 1.41421356f) { u.f *= 0.5f; n++; }
    z = (u.f - 1.0f) / (u.f + 1.0f);
    s = z * z;
    return (float)n * 0.693147181f + 2.0f * z * (1.0f + s * (0.333333333f + s * (0.2f + s * (0.142857143f
        + s * 0.111111111f))));
}

static float gw_sqrt(float v) {
    union { float f; int32_t i; } u;
    float y;
    int k;
    if (!(v > 0.0f) || v > 3.4028234e38f) return v < 0.0f ? (v - v) / (v - v) : v;
    u.f = v;
    u.i = u.i / 2 + 0x1fc00000;
    y = u.f;
    for (k = 0; k < 4; k++) y = 0.5f * (y + v / y);
    return y;
}

static float gw_softplus(float v) {
    float a = v < 0.0f ? -v : v;
    return (v > 0.0f ? v : 0.0f) + gw_log(1.0f + gw_exp(-a));
}

static float gw_arcsinh(float v) {
    float a = v < 0.0f ? -v : v, s = v * v, r;
    if (a < 0.125f) return v * (1.0f + s * (-0.166666667f + s * (0.075f + s * (-0.0446428571f + s * 0.0303819444f))));
    r = a > 1e9f ? gw_log(a) + 0.693147181f : gw_log(a + gw_sqrt(s + 1.0f));
    return v < 0.0f ? -r : r;
}

static float gw_relu(float v) { return v > 0.0f ? v : 0.0f; }
static float gw_step_up(float v) { return v > 0.0f ? 1.0f : 0.0f; }
static float gw_maximum(float a, float b) { return a > b || a != a ? a : b; }
static float gw_minimum(float a, float b) { return a < b || a != a ? a : b; }
static float gw_known(float v) { return v - v == 0.0f ? 1.0f : 0.0f; }
static float gw_or_else(float a, float b) { return a - a == 0.0f ? a : b; }
