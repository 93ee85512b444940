
// Gates and memories of a layer that reads an image, as pictures of the image's own shape.

const gridsAt = { layer: 0, name: 0, unit: 0 };

function gridsSection() {
  const w = words(), all = report.grids;
  if (!all?.length) return null;
  const layers = [...new Set(all.map((one) => one.layer))], place = h("div", {});
  const select = (id, entries, at) => h("select", { id: `grids-${id}`, onchange: (event) => { gridsAt[id] = Number(event.target.value); fill(); } }, ...entries.map((text, i) => h("option", { value: i, selected: i === at }, text)));
  function fill() {
    const own = all.filter((one) => one.layer === layers[gridsAt.layer]), one = own[Math.min(gridsAt.name, own.length - 1)], U = one.units.length, u = Math.min(gridsAt.unit, U - 1), [R, C] = one.grid;
    const every = numbers(one.values), at = (r, c) => every[(r * C + c) * U + u];
    const values = Array.from({ length: R * C }, (_, i) => at(Math.floor(i / C), i % C)), most = one.gate ? 1 : largestOf(values), line = h("p", { class: "reading" });
    const picture = walked(pixels(R, C, (r, c) => share(at(r, c), most)), R, C, `${w.grids}: ${one.name}`, Math.min(420, Math.max(80, R * 24)), [0, 0], (r, c) => {
      line.textContent = `${w.unit} ${one.units[u]}, ${w.gridCell(r, c)}: ${one.name} = ${plain(at(r, c))}`;
      return line.textContent;
    });
    place.replaceChildren(h("p", { class: "row" }, h("label", {}, w.layer, select("layer", layers.map(layerName), gridsAt.layer)), h("label", {}, w.value, select("name", own.map(({ name }) => name), gridsAt.name)), h("label", {}, w.unit, select("unit", one.units.map(String), u))),
      figure(`${one.name}, ${w.unit} ${one.units[u]}`, h("div", {}, picture, line), [w.gridPlace, w.value], () => values.map((value, i) => [w.gridCell(Math.floor(i / C), i % C), value])));
  }
  fill();
  return section("grids", w.grids, w.gridsNote, place);
}
