// Text as words, as `data.text.segmentation.token_pattern` cuts it.

const gw_cjk = "\\u2e80-\\u2fdf\\u3001-\\u3029\\u3030-\\u3098\\u309b-\\u312f\\u31a0-\\u31ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff"
  + "\\ufe30-\\ufe4f\\uff01-\\uff9f\\uffe0-\\uffe6\\u{1b000}-\\u{1b16f}\\u{20000}-\\u{323af}";
const gw_token = (() => {
  const mark = "[\\p{M}\\u200c\\u200d]", letters = `(?:${mark}|(?![${gw_cjk}])[\\p{L}\\p{N}])+`;
  const word = `${letters}(?:(?:['’_&-]|(?<=\\p{Nd})[.,:](?=\\p{Nd}))${letters})*`;
  const name = "</?\\|?[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)*\\|?>";
  const clitic = `['’](?:[sS]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]|[tT])(?!${letters})`;
  return new RegExp(`${word}|\\n|${name}|${clitic}|[^${gw_space}]${mark}*`, "gu");
})();
