// A text model writes on.

const reader = gw_reader(gw_model.page.vocabulary);
let state = null, scores = null, decode = null, stop = null;

function read(token) { scores = gw_step(state, token).scores; }

function begin(prompt) {
  state = gw_state();
  decode = reader.decoder();
  read(gw_model.page.start);
  for (const token of reader.encode(prompt)) { read(token); decode(token); }
}

function choose(temperature) {
  let best = -Infinity, place = 0;
  const barred = new Set(gw_model.page.forbidden);
  for (let i = 0; i < scores.length; i++) if (!barred.has(i) && scores[i] > best) { best = scores[i]; place = i; }
  if (temperature === 0) return place;
  let sum = 0;
  const shares = Array.from(scores, (s, i) => (barred.has(i) ? 0 : Math.exp((s - best) / temperature)));
  for (const share of shares) sum += share;
  let left = Math.random() * sum;
  for (let i = 0; i < shares.length; i++) if ((left -= shares[i]) < 0) return i;
  return place;
}

function write() {
  let count = 0;
  const began = performance.now(), length = Math.max(1, Math.floor(Number(at("length").value)) || 1);
  const buttons = () => { at("write").textContent = stop ? both("Stop", "停止") : both("Write", "续写"); at("more").disabled = !!stop; };
  stop = running(() => {
    const token = choose(Number(at("temperature").value));
    at("text").append(decode(token));
    read(token);
    return ++count < length;
  }, () => {
    stop = null;
    buttons();
    const rate = Math.round((1000 * count) / (performance.now() - began));
    at("speed").textContent = both(`${count} tokens, ${rate} a second`, `${count} 个词元，每秒 ${rate} 个`);
  });
  buttons();
}

at("write").addEventListener("click", () => {
  if (stop) return stop();
  const prompt = at("prompt").value, strange = reader.unknown(prompt);
  begin(prompt);
  at("text").textContent = prompt;
  at("speed").textContent = strange.length
    ? both(`The model does not know ${strange.join(" ")}: left out.`, `模型不认识 ${strange.join(" ")}，已忽略。`) : "";
  write();
});
at("more").addEventListener("click", write);
at("temperature").addEventListener("input", () => { at("temperature-value").textContent = at("temperature").value; });
say({
  title: ["Write on", "续写文字"],
  "prompt-label": ["The beginning of a text", "文字的开头"],
  write: ["Write", "续写"],
  more: ["Go on", "继续"],
  "temperature-label": ["Temperature", "温度"],
  "length-label": ["Length", "长度"],
});
