// A step of a mixture of Gaussians.

function gw_normal() { // Box and Muller
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

// The next step, in the units of the data; null where the sequence ends before it.
function gw_draw({ mixture, expected }, temperature) {
  const { binary, mean, scale, spread, mixtures: K, coupled, ends } = gw_model.page;
  const D = binary.filter((b) => !b).length, F = binary.length - D, couplings = coupled ? (D * (D - 1)) / 2 : 0;
  let best = 0;
  for (let k = 1; k < K; k++) if (mixture[k] > mixture[best]) best = k;
  let chosen = best;
  if (temperature > 0) {
    const shares = Array.from(mixture.subarray(0, K), (score) => Math.exp((score - mixture[best]) / temperature));
    let left = Math.random() * shares.reduce((a, b) => a + b, 0);
    chosen = shares.findIndex((share) => (left -= share) < 0);
    if (chosen < 0) chosen = best;
  }
  const at = (place, count) => mixture.subarray(place + chosen * count, place + (chosen + 1) * count);
  const means = at(K, D), widths = at(K + K * D, D), slant = at(K + 2 * K * D, couplings);
  const others = K + 2 * K * D + K * couplings;
  const noise = Array.from({ length: D }, () => (temperature > 0 ? gw_normal() * Math.sqrt(temperature) : 0));
  const happens = (logit) => (temperature > 0 ? Math.random() < gw_sigmoid(logit) : logit > 0);
  const step = new Float32Array(binary.length);
  let real = 0, flags = 0;
  if (ends && happens(mixture[others + F])) return null;
  binary.forEach((is, place) => {
    if (is) { step[place] = happens(mixture[others + flags++]) ? 1 : 0; return; }
    let drawn = noise[real];
    if (coupled) for (let j = 0; j < real; j++) drawn += slant[(real * (real - 1)) / 2 + j] * noise[j];
    const scaled = expected[real] + spread[real] * (means[real] + (0.02 + gw_softplus(widths[real])) * drawn);
    step[place] = mean[place] + scale[place] * scaled;
    real++;
  });
  return step;
}
