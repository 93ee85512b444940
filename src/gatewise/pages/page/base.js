"use strict";
// What all pages share: elements, two languages, light and dark, numbers as text, and the numbers behind a picture.

const at = (id) => document.getElementById(id);
// The language that the address asks for, as a site does in whose page this one stands, or else the reader's.
let chinese = (["#en", "#zh"].includes(location.hash) ? location.hash.slice(1) : navigator.language || "").startsWith("zh");
const both = (english, other) => (chinese ? other : english);

function made(space, name, attributes, children) {
  const found = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) found.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(found.style, value);
    else if (value !== null && value !== undefined && value !== false) found.setAttribute(key, value === true ? "" : value);
  }
  found.append(...children.filter((child) => child !== null && child !== undefined));
  return found;
}
const h = (name, attributes = {}, ...children) => made("", name, attributes, children);
const s = (name, attributes = {}, ...children) => made("http://www.w3.org/2000/svg", name, attributes, children);

// The buttons for language and theme. `draw` says all that the page says, now and after each change.
function switches(draw) {
  const root = document.documentElement;
  root.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const show = () => {
    root.lang = both("en", "zh");
    at("language").textContent = both("中文", "English");
    at("language").lang = both("zh", "en");
    at("theme").textContent = root.dataset.theme === "dark" ? both("Light", "浅色") : both("Dark", "深色");
    return draw();
  };
  at("language").addEventListener("click", () => { chinese = !chinese; show(); });
  at("theme").addEventListener("click", () => { root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark"; show(); });
  return show();
}

// Three digits; a sign only where one is meant.
function plain(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value), digits = Number(size.toPrecision(3));
  const text = size >= 1e5 || (size && size < 1e-3) ? digits.toExponential().replace("e+", "e").replace("-", "−") : String(digits);
  return (value < 0 && digits ? "−" : "") + text;
}
const signed = (value) => (value > 0 && plain(value) !== "0" ? "+" : "") + plain(value);
const percent = (value) => (value === null ? "–" : `${plain(100 * value)} %`);

// Rows of cells under a head.
function table(head, rows) {
  const cell = (value) => h("td", { class: typeof value === "number" ? "number" : null }, typeof value === "number" ? plain(value) : value ?? "–");
  return h("table", {}, h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map(cell)))));
}

// The numbers of a picture, which are written when somebody asks for them: `tabled()` is [head, rows] of a table.
function numbersBehind(name, tabled) {
  const numbers = both("Numbers", "数值");
  const place = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${name}: ${numbers}` });
  const details = h("details", {}, h("summary", {}, numbers), place);
  details.addEventListener("toggle", () => {
    if (!place.firstChild) place.append(table(...tabled()));
  });
  return details;
}
