"use strict";
// What all pages share. `texts` of a page: name -> [English, Chinese].

const at = (id) => document.getElementById(id);
let chinese = (navigator.language || "").startsWith("zh");

function say(texts) {
  const all = { about: [`${gw_model.title} It runs in this page; nothing is sent anywhere. Model ${gw_model.digest.slice(0, 12)}.`,
    `${gw_model.title} 模型在本页面内运行，不会发送任何数据。模型 ${gw_model.digest.slice(0, 12)}。`], ...texts };
  const show = () => {
    document.documentElement.lang = chinese ? "zh" : "en";
    at("language").textContent = chinese ? "English" : "中文";
    at("language").lang = chinese ? "en" : "zh";
    for (const [id, both] of Object.entries(all)) if (at(id)) at(id).textContent = both[chinese ? 1 : 0];
    document.title = at("title").textContent;
  };
  at("language").addEventListener("click", () => { chinese = !chinese; show(); });
  show();
}

const both = (english, other) => (chinese ? other : english);

// Runs `work` again and again, a little at a time so that the page stays alive, until it returns false.
function running(work, done) {
  let stopped = false;
  function turn() {
    const end = performance.now() + 25;
    while (!stopped && performance.now() < end) if (work() === false) stopped = true;
    if (stopped) done(); else setTimeout(turn);
  }
  setTimeout(turn);
  return () => { stopped = true; };
}

// What `read` makes of what was pasted; null after a mistake in it was said.
function pasted(read) {
  try {
    return read();
  } catch (error) {
    at("said").textContent = error.message;
    return null;
  }
}
