// The class, the labels or a number of a text that was typed.

const { target } = gw_model.page;

function go() {
  const text = at("sentence").value;
  if (!text.trim()) {
    at("said").textContent = both("Type a text first.", "请先输入文字。");
    return bars(at("chances"), []);
  }
  const found = gw_answer(text);
  if (!found) {
    at("said").textContent = both("The model knows nothing of this text.", "模型不认识这段文字中的任何内容。");
    return bars(at("chances"), []);
  }
  const { said, rows } = answer(gw_model.page, found.probabilities || found.number);
  at("said").textContent = said;
  bars(at("chances"), rows);
}

at("go").addEventListener("click", go);
say({
  title: [target === "number" ? "Estimate" : "Classify", target === "number" ? "估计数值" : "分类"],
  "sentence-label": ["A text", "一段文字"],
  go: [target === "number" ? "Estimate" : "Classify", target === "number" ? "估计" : "分类"],
});
