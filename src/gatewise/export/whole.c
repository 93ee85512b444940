/* What is computed of whole sequences, see runtime/recording.py. */

static void gw_above(float *out, const float *x, int steps, const int32_t *dilations, const int32_t *kernels,
                     const int32_t *reads, const float *thresholds, int D, int R, int C, int Q, int longest) {
    /* out[2][D][R][Q]: at which share of the steps of x[steps][C], and of its changes, each convolution is above each
       of its thresholds. */
    int step = steps / longest > 1 ? steps / longest : 1, count = (steps + step - 1) / step, v, d, r, q, t, k, c;
    for (v = 0; v < 2; v++)
        for (d = 0; d < D; d++)
            for (r = 0; r < R; r++, reads += C, thresholds += Q, out += Q) {
                const int32_t *twice = kernels + 3 * r;
                for (q = 0; q < Q; q++) out[q] = 0.0f;
                for (t = 0; t < count; t++) {
                    float sum = 0.0f;
                    for (k = 0; k < 9; k++) {
                        int p = t + (k - 4) * (int)dilations[d];
                        float tap = k == twice[0] || k == twice[1] || k == twice[2] ? 2.0f : -1.0f;
                        if (p < 0 || p >= count || (v && p == 0)) continue;
                        for (c = 0; c < C; c++)
                            if (reads[c]) sum += tap * (x[p * step * C + c] - (v ? x[(p - 1) * step * C + c] : 0.0f));
                    }
                    for (q = 0; q < Q; q++) out[q] += sum > thresholds[q] ? 1.0f : 0.0f;
                }
                for (q = 0; q < Q; q++) out[q] /= (float)count;
            }
}

static void gw_stretch(float *y, const float *x, int steps, int C, int T) {
    /* y[T][C]: the means of x[steps][C] over T equal parts, where x does not change within a step. */
    int t, c, p;
    for (t = 0; t < T; t++)
        for (c = 0; c < C; c++) {
            float from = (float)t * (float)steps / (float)T, to = (float)(t + 1) * (float)steps / (float)T, sum = 0.0f;
            for (p = (int)from; p < steps && (float)p < to; p++) {
                float low = from > (float)p ? from : (float)p, high = to < (float)(p + 1) ? to : (float)(p + 1);
                sum += (high - low) * x[p * C + c];
            }
            y[t * C + c] = sum * (float)T / (float)steps;
        }
}

static float gw_apart(const float *x, int steps, int t, int away, int N, int n) {
    int p = t + away < 0 ? 0 : t + away < steps ? t + away : steps - 1;
    return x[t * N + n] - x[p * N + n];
}

static void gw_around(float *out, const float *x, int steps, int t, int N, int reach, int ahead) {
    /* Of x[steps][N] at step t and around it: how far it lies from its neighbours; and for 2, 4, ... steps up to reach
       the mean and deviation of those nearer, and how far it lies from those so far away. */
    int size, n, p;
    for (size = 1; size <= reach; size *= 2) {
        int first = t - size + 1 < 0 ? 0 : t - size + 1, last = ahead ? t + size - 1 : t;
        if (last > steps - 1) last = steps - 1;
        for (n = 0; n < N && size > 1; n++) {
            float mean = 0.0f, squares = 0.0f;
            for (p = first; p <= last; p++) mean += x[p * N + n];
            mean /= (float)(last - first + 1);
            for (p = first; p <= last; p++) squares += (x[p * N + n] - mean) * (x[p * N + n] - mean);
            out[n] = mean;
            out[N + n] = gw_sqrt(squares / (float)(last - first + 1));
        }
        if (size > 1) out += 2 * N;
        for (n = 0; n < N; n++) out[n] = gw_apart(x, steps, t, -size, N, n);
        for (n = 0; n < N && ahead; n++) out[N + n] = gw_apart(x, steps, t, size, N, n);
        out += ahead ? 2 * N : N;
    }
}

static void gw_nearest(float *out, const float *x, const float *series, const int32_t *classes, int N, int T, int C,
                       int K, int band) {
    /* out[K]: the distance of x[T][C] to the nearest of series[N][T][C] of each class, of which each is one, under dynamic
       time warping with a band (Sakoe & Chiba 1978). T is at most 64. */
    float before[65], row[65];
    int n, i, j, c;
    for (n = 0; n < K; n++) out[n] = 1e30f;
    for (n = 0; n < N; n++, series += T * C) {
        for (j = 0; j <= T; j++) before[j] = j ? 1e30f : 0.0f;
        for (i = 0; i < T; i++) {
            for (j = 0; j <= T; j++) row[j] = 1e30f;
            for (j = i > band ? i - band : 0; j < T && j <= i + band; j++) {
                float cost = 0.0f, least = before[j] < before[j + 1] ? before[j] : before[j + 1];
                for (c = 0; c < C; c++) cost += (x[i * C + c] - series[j * C + c]) * (x[i * C + c] - series[j * C + c]);
                if (!band) least = before[j];
                row[j + 1] = cost + (row[j] < least && band ? row[j] : least);
            }
            for (j = 0; j <= T; j++) before[j] = row[j];
        }
        if (gw_sqrt(before[T]) < out[classes[n]]) out[classes[n]] = gw_sqrt(before[T]);
    }
}

static void gw_viterbi(const float *scores, int steps, int L, const float *start, const float *pairs,
                       const float *end, float *best, float *next, int *before, int *labels) {
    /* The labels of which scores[steps][L] and those of neighbours sum to the most (Viterbi 1967). */
    int t, j, k, most;
    for (k = 0; k < L; k++) best[k] = scores[k] + start[k];
    for (t = 1; t < steps; t++) {
        float largest = 0.0f;
        for (k = 0; k < L; k++) {
            for (most = 0, j = 1; j < L; j++)
                if (best[j] + pairs[j * L + k] > best[most] + pairs[most * L + k]) most = j;
            next[k] = best[most] + pairs[most * L + k] + scores[t * L + k];
            if (k == 0 || next[k] > largest) largest = next[k];
            before[t * L + k] = most;
        }
        for (k = 0; k < L; k++) best[k] = next[k] - largest; /* near zero, where sums stay exact */
    }
    for (most = 0, k = 1; k < L; k++)
        if (best[k] + end[k] > best[most] + end[most]) most = k;
    for (t = steps - 1; t > 0; t--) {
        labels[t] = most;
        most = before[t * L + most];
    }
    labels[0] = most;
}
