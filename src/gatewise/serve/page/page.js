// What the buttons do.

let models = [], model = null, stopping = null;

function say(text, wrong = false) {
  at("said").textContent = text;
  at("said").classList.toggle("wrong", wrong);
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (at("key").value) headers.Authorization = `Bearer ${at("key").value}`;
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer;
  if (answer.status === 401) at("key-row").hidden = false;
  const told = await answer.json().catch(() => null);
  throw new Error(told?.error?.message ?? `${answer.status}`);
}

function post(path, body, signal) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
}

function when(id, kind, work) {
  at(id).addEventListener(kind, async event => {
    say(words().working);
    try {
      say((await work(event)) ?? "");
    } catch (error) {
      if (error.name === "AbortError") say("");
      else say(error.message, true);
    }
  });
}

const path = verb => `/v1/models/${encodeURIComponent(model.id)}/${verb}`;

function speak() {
  for (const place of document.querySelectorAll("[data-say]")) place.textContent = words()[place.dataset.say];
  if (model) show();
  paint(); // in the colours of the theme
}

function show() {
  const pen = model.task === "generate" && !model.predicts && model.channels.length === 3;
  const text = model.task === "generate" && !model.channels.length;
  const medium = ["transcribe", "caption"].includes(model.task);
  at("write").hidden = !text;
  at("draw").hidden = !pen;
  at("ask").hidden = !model.answers;
  at("medium").hidden = !medium;
  at("table").hidden = !model.predicts || medium || model.task === "translate";
  at("about").textContent = `${model.id}: ${words().task[model.task] ?? model.task}`;
  if ([...document.querySelectorAll("main section")].every(section => section.hidden)) say(words().none);
}

async function list() {
  models = (await (await ask("/v1/models")).json()).data;
  at("model").replaceChildren(...models.map(one => new Option(one.id, one.id)));
  model = models[0];
  at("key-row").hidden = true;
  say("");
  show();
}

// Text: each token as it is written.

async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (held + value).split("\n\n");
    held = parts.pop();
    for (const part of parts) yield part.slice(part.indexOf("data: ") + 6);
  }
}

async function write() {
  stopping = new AbortController();
  at("stop").disabled = false;
  at("go-write").disabled = true;
  const place = at("text");
  let count = 0;
  try {
    const answer = await post("/v1/completions", {
      model: model.id, prompt: place.value, max_tokens: Number(at("length").value),
      temperature: Number(at("temperature").value), stream: true,
    }, stopping.signal);
    for await (const data of events(answer)) {
      if (data === "[DONE]") break;
      const told = JSON.parse(data);
      if (told.error) throw new Error(told.error.message);
      place.value += told.choices[0].text;
      place.scrollTop = place.scrollHeight;
      count += 1;
    }
  } finally {
    at("stop").disabled = true;
    at("go-write").disabled = false;
  }
  return words().written(count);
}

// Sentences: tags and classes.

function shown(found) {
  if (Array.isArray(found.tokens)) {
    return h("p", {}, ...found.tokens.map((token, i) => {
      const label = String((found.predicted ?? found.labels)[i]);
      return label === "O" ? `${token} ` : h("mark", {}, `${token} `, h("small", {}, label));
    }));
  }
  const chance = found.probabilities?.[found.predicted];
  const predicted = [found.predicted].flat().join(", ");
  return h("p", {}, h("mark", {}, chance === undefined ? predicted : `${predicted} ${(100 * chance).toFixed(0)} %`), found.text);
}

async function answerTexts() {
  const texts = at("sentence").value.split("\n").filter(line => line.trim());
  const found = (await (await post(path("predict"), { texts })).json()).predictions;
  at("answers").replaceChildren(...found.map(shown));
  return words().rows(found.length);
}

// Tables.

async function predict() {
  const body = at("csv").value;
  const found = await (await ask(path("predict"), { method: "POST", headers: { "Content-Type": "text/csv" }, body })).json();
  const rows = found.predictions;
  at("chart").replaceChildren(...(rows.length ? chart(rows) : []));
  at("rows").replaceChildren(...(rows.length ? [tableOf(rows)] : []));
  return model.task === "detect" ? words().alarms(rows.filter(row => row.alarm).length) : words().rows(rows.length);
}

// Sounds and images.

const TYPES = { wav: "audio/wav", flac: "audio/flac", png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg" };

async function hear() {
  const file = at("medium-file").files[0];
  const kind = TYPES[file.name.split(".").pop().toLowerCase()] ?? file.type;
  const answer = await ask(path("predict"), { method: "POST", headers: { "Content-Type": kind }, body: file });
  const rows = (await answer.json()).predictions;
  at("heard").replaceChildren(...(rows.length ? [tableOf(rows)] : []));
  return words().rows(rows.length);
}

when("go-write", "click", write);
when("go-ask", "click", answerTexts);
when("go-table", "click", predict);
when("medium-file", "change", hear);
when("csv-file", "change", async () => { at("csv").value = await at("csv-file").files[0].text(); });
when("go-draw", "click", complete);
when("use-key", "click", list);
at("stop").addEventListener("click", () => stopping?.abort());
at("clear").addEventListener("click", () => { strokes = []; added = 0; paint(); });
at("model").addEventListener("change", () => { model = models.find(one => one.id === at("model").value); say(""); show(); });

switches(speak);
list().catch(error => say(error.message, true));
