// What the page says, in its languages.
const WORDS = {
  en: {
    model: "Model", key: "This server asks for its API key", use: "Use it", text: "Text to go on with",
    temperature: "Temperature", length: "Tokens", write: "Write on", stop: "Stop", sentence: "A sentence, or one a line",
    answer: "Answer", csv: "A table, as CSV with a header", file: "or a file", predict: "Predict",
    medium: "A sound (WAV, FLAC) or an image (PNG, JPEG)", complete: "Let it complete the drawing", clear: "Clear",
    drawing: "Draw with a finger, a pen or the mouse; or with the arrow keys, Space lifts the pen and puts it down.",
    working: "Working …", written: n => `${n} tokens written.`, rows: n => `${n} rows.`, alarms: n => `${n} alarms.`,
    drawn: n => `${n} steps drawn.`, none: "This model has nothing to try on this page. Its interface answers.",
    task: { generate: "continues what it reads", classify: "tells classes", tag: "labels each step",
            forecast: "forecasts", detect: "finds what is unusual", translate: "translates",
            transcribe: "writes down what it hears or reads", caption: "describes images" },
  },
  zh: {
    model: "模型", key: "此服务器需要 API 密钥", use: "使用", text: "要续写的文字",
    temperature: "温度", length: "词元数", write: "续写", stop: "停止", sentence: "一个句子，或每行一句",
    answer: "回答", csv: "表格：带表头的 CSV", file: "或选择文件", predict: "预测",
    medium: "声音（WAV、FLAC）或图像（PNG、JPEG）", complete: "让模型完成这幅画", clear: "清除",
    drawing: "用手指、笔或鼠标画；也可用方向键，空格键抬笔或落笔。",
    working: "正在计算……", written: n => `已写 ${n} 个词元。`, rows: n => `${n} 行。`, alarms: n => `${n} 个警报。`,
    drawn: n => `画了 ${n} 步。`, none: "此页面无法试用该模型，请使用接口。",
    task: { generate: "续写它读到的内容", classify: "判断类别", tag: "标注每一步", forecast: "预测未来",
            detect: "发现异常", translate: "翻译", transcribe: "把声音或图像写成文字", caption: "描述图像" },
  },
};
const words = () => WORDS[both("en", "zh")];
