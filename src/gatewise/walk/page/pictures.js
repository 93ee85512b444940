// Doors and jars, as SVG text. Colours are the page's; signs are drawn, too, so that colour says nothing alone.

const gw_word = (v) =>
  v < 0.05 ? "word_shut" : v < 0.35 ? "word_ajar" : v < 0.65 ? "word_half" : v <= 0.95 ? "word_wide" : "word_open";

// A doorway with light behind it, and a leaf that swings away as it opens.
function gw_door(v) {
  const open = Math.max(0, Math.min(1, v)),
    edge = 4 + 20 * (1 - open),
    lean = 5 * Math.sin(Math.PI * open);
  return `<svg viewBox="0 0 28 38" width="28" height="38" aria-hidden="true"><path class="light" d="M4 36V4h20v32z"/>
<path class="leaf" d="M4 4L${edge} ${4 + lean}V${36 - lean / 3}L4 36z"/><path class="ink" d="M2 36V2h24v34M0 36h28"/>
${open < 0.85 ? `<circle class="knob" cx="${Math.max(6, edge - 4)}" cy="21" r="1.3"/>` : ""}</svg>`;
}

// A jar around zero: what is kept, what is written, and a line at what is in it now. `most` is its height.
function gw_jar(kept, written, most) {
  const scale = 24 / (most || 1),
    y = (v) => 30 - Math.max(-26, Math.min(26, v * scale));
  const box = (from, to, kind) =>
    `<rect class="${kind}" x="${kind === "kept" ? 5 : 17}" width="10" y="${Math.min(y(from), y(to))}" height="${Math.abs(y(from) - y(to))}"/>`;
  const now = kept + written;
  return `<svg viewBox="0 0 32 60" width="32" height="60" aria-hidden="true"><path class="jar" d="M2 2V54q0 4 4 4H26q4 0 4-4V2"/>
<path class="zero" d="M2 30H30"/>${box(0, kept, "kept")}${box(kept, now, "written")}<path class="level" d="M3 ${y(now)}H29"/></svg>`;
}

// The size of a gradient as an arrow: upwards adds to the loss, downwards takes from it.
function gw_arrow(v, most) {
  const length = most ? Math.round(100 * Math.sqrt(Math.abs(v) / most)) / 100 : 0;
  if (!length)
    return `<svg viewBox="0 0 16 24" width="16" height="24" aria-hidden="true"><path class="zero" d="M3 12H13"/></svg>`;
  const tip = v > 0 ? 12 - 11 * length : 12 + 11 * length,
    back = v > 0 ? Math.min(12, tip + 5) : Math.max(12, tip - 5);
  return `<svg viewBox="0 0 16 24" width="16" height="24" aria-hidden="true"><path class="${v > 0 ? "up" : "down"}" d="M8 12V${tip}M3 ${back}L8 ${tip}L13 ${back}"/></svg>`;
}
