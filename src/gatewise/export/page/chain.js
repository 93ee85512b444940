// The labels (T,) of which scores (T, L) and those of neighbours sum to the most.
function gw_viterbi(scores, L) {
  const T = scores.length / L, start = gw_tables["chain.start"], end = gw_tables["chain.end"], pairs = gw_tables["chain.transitions"];
  let best = Array.from({ length: L }, (_, k) => scores[k] + start[k]);
  const pointers = [];
  for (let t = 1; t < T; t++) {
    const from = [], next = [];
    for (let k = 0; k < L; k++) {
      let most = 0;
      for (let j = 1; j < L; j++) if (best[j] + pairs[j * L + k] > best[most] + pairs[most * L + k]) most = j;
      from.push(most);
      next.push(best[most] + pairs[most * L + k] + scores[t * L + k]);
    }
    const largest = Math.max(...next);
    best = next.map((v) => v - largest);
    pointers.push(from);
  }
  let at = 0;
  for (let k = 1; k < L; k++) if (best[k] + end[k] > best[at] + end[at]) at = k;
  const found = [at];
  for (let t = T - 2; t >= 0; t--) found.unshift(at = pointers[t][at]);
  return found;
}
