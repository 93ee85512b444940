// What is computed of whole sequences x[steps][C], see `runtime.recording`.

// out[2][D][R][Q]: at which share of the steps, and of their changes, each convolution is above each of its thresholds.
function gw_above(out, x, steps, dilations, kernels, reads, thresholds, D, R, C, Q, longest) {
  const step = Math.max(1, Math.floor(steps / longest)), count = Math.ceil(steps / step);
  const read = [new Float32Array(count * C), new Float32Array(count * C)];
  for (let t = 0; t < count; t++) {
    for (let c = 0; c < C; c++) {
      read[0][t * C + c] = x[t * step * C + c];
      if (t) read[1][t * C + c] = x[t * step * C + c] - x[(t - 1) * step * C + c];
    }
  }
  const sums = new Float32Array(count);
  for (let v = 0, place = 0; v < 2; v++) for (let d = 0; d < D; d++) for (let r = 0; r < R; r++, place++) {
    for (let t = 0; t < count; t++) {
      sums[t] = 0;
      for (let c = 0; c < C; c++) if (reads[place * C + c]) sums[t] += read[v][t * C + c];
    }
    const above = out.subarray(place * Q, (place + 1) * Q).fill(0), twice = kernels.subarray(3 * r, 3 * r + 3);
    for (let t = 0; t < count; t++) {
      let sum = 0;
      for (let k = 0; k < 9; k++) {
        const p = t + (k - 4) * dilations[d];
        if (p >= 0 && p < count) sum += (twice.includes(k) ? 2 : -1) * sums[p];
      }
      for (let q = 0; q < Q; q++) if (Math.fround(sum) > thresholds[place * Q + q]) above[q]++;
    }
    for (let q = 0; q < Q; q++) above[q] /= count;
  }
}

// y[T][C]: the means over T equal parts, where x does not change within a step.
function gw_stretch(y, x, steps, C, T) {
  for (let t = 0; t < T; t++) for (let c = 0; c < C; c++) {
    const from = (t * steps) / T, to = ((t + 1) * steps) / T;
    let sum = 0;
    for (let p = Math.floor(from); p < steps && p < to; p++) sum += (Math.min(to, p + 1) - Math.max(from, p)) * x[p * C + c];
    y[t * C + c] = (sum * T) / steps;
  }
}

// out[K]: the distance to the nearest series of each class under dynamic time warping with a band (Sakoe & Chiba 1978).
function gw_nearest(out, x, series, classes, N, T, C, K, band) {
  out.fill(1e30);
  for (let n = 0; n < N; n++) {
    let before = new Float64Array(T + 1).fill(1e30);
    before[0] = 0;
    for (let i = 0; i < T; i++) {
      const row = new Float64Array(T + 1).fill(1e30);
      for (let j = Math.max(0, i - band); j < T && j <= i + band; j++) {
        let cost = 0;
        for (let c = 0; c < C; c++) cost += (x[i * C + c] - series[(n * T + j) * C + c]) ** 2;
        row[j + 1] = cost + (band ? Math.min(before[j], before[j + 1], row[j]) : before[j]);
      }
      before = row;
    }
    out[classes[n]] = Math.min(out[classes[n]], Math.sqrt(before[T]));
  }
}

// Of x[steps][N] at step t and around it: how far it lies from its neighbours; and for 2, 4, ... steps up to reach the mean
// and deviation of those nearer, and how far it lies from those so far away.
function gw_around(out, x, steps, t, N, reach, ahead) {
  let place = 0;
  for (let size = 1; size <= reach; size *= 2) {
    const first = Math.max(0, t - size + 1), last = Math.min(ahead ? t + size - 1 : t, steps - 1), count = last - first + 1;
    for (let n = 0; n < N && size > 1; n++) {
      let mean = 0, squares = 0;
      for (let p = first; p <= last; p++) mean += x[p * N + n] / count;
      for (let p = first; p <= last; p++) squares += (x[p * N + n] - mean) ** 2;
      out[place + n] = mean;
      out[place + N + n] = Math.sqrt(squares / count);
    }
    if (size > 1) place += 2 * N;
    for (const away of ahead ? [-size, size] : [-size]) {
      const p = Math.min(Math.max(t + away, 0), steps - 1);
      for (let n = 0; n < N; n++) out[place++] = x[t * N + n] - x[p * N + n];
    }
  }
}
