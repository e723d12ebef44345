// What every figure of the page is drawn with.
const drawing = (function () {
  "use strict";
  const COLOURS = ["#0072b2", "#d55e00", "#007a5e", "#a9447e", "#8a6d00", "#3b7fb0", "#444"];

  function make(tag, text, attributes) {
    const element = document.createElement(tag);
    element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  function svg(tag, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function addHover(id) {
    const text = "Point at a mark, or reach it with the tabulator, for its numbers.";
    const hover = make("p", text, { class: "meta hover", "aria-live": "polite" });
    if (id) hover.id = id;
    return hover;
  }

  // A mark tells its numbers to the mouse, the keyboard and a screen reader.
  function addMark(picture, x, y, colour, words, hover) {
    const dot = svg("circle", { cx: x, cy: y, r: 4.5, fill: colour, tabindex: 0, role: "img", "aria-label": words });
    dot.append(svg("title", {}, words));
    for (const event of ["mouseenter", "focus"]) dot.addEventListener(event, () => { hover.textContent = words; });
    picture.append(dot);
  }

  // Where a measure should be, if that is known.
  function findReference(name, level) {
    return { bias: 0, coverage: level, se_ratio: 1, size: Number((1 - level).toPrecision(6)) }[name];
  }

  function ticks(low, high, isLog, count) {
    if (isLog && high / low > 3) {
      const found = [];
      for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++) {
        for (const s of [1, 2, 5]) {
          const y = Number((s * 10 ** k).toPrecision(3));
          if (y >= low && y <= high) found.push(y);
        }
      }
      if (found.length > 1) return found;
    }
    const raw = (high - low) / count, size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(x => x * size).find(x => x >= raw), found = [];
    for (let y = Math.ceil(low / step) * step; y <= high + step / 1e6; y += step) {
      found.push(Number(y.toPrecision(6)));
    }
    return found;
  }

  return { COLOURS, make, svg, addHover, addMark, findReference, ticks };
})();
