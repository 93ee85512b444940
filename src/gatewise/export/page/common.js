// What the pages of all models share. `texts` of a page: name -> [English, Chinese].

function say(texts) {
  const all = { about: [`${gw_model.title} It runs in this page; nothing is sent anywhere. Model ${gw_model.digest.slice(0, 12)}.`,
    `${gw_model.title} 模型在本页面内运行，不会发送任何数据。模型 ${gw_model.digest.slice(0, 12)}。`], ...texts };
  switches(() => {
    for (const [id, words] of Object.entries(all)) if (at(id)) at(id).textContent = both(...words);
    document.title = at("title").textContent;
  });
}

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
