// A number to its place on an axis, and where its marks are.
function scale(low, high, from, to, log) {
  const of = log ? Math.log10 : (value) => value;
  const [a, b] = [of(low), of(high)];
  const place = (value) => from + ((of(value) - a) / (b - a || 1)) * (to - from);
  const marks = [];
  if (log) {
    const every = Math.max(1, Math.ceil((b - a) / 4));
    for (let power = Math.ceil(a - 1e-9); power <= b + 1e-9; power += every) marks.push(10 ** power);
    if (marks.length < 2) marks.splice(0, marks.length, low, high);
  } else {
    const rough = (b - a) / 4 || 1, power = 10 ** Math.floor(Math.log10(rough));
    const every = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
    for (let n = Math.ceil(a / every - 1e-9); n * every <= b + every * 1e-6; n++) marks.push(n * every);
  }
  return { place, marks };
}
