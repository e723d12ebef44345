// A measure against the sample size or the number of grid points, a line for each
// estimator.
const lines = (function () {
  "use strict";
  const { COLOURS, make, svg, addMark, findReference, ticks } = drawing;

  // Of a `Map` from names to points; returns a caption, the picture and its legend.
  function draw(data, m, across, one, found, hover) {
    const at = Object.fromEntries(data.dims.map((x, i) => [x.name, i]));
    const info = data.measures[m], W = 560, H = 340, L = 58, R = 14, T = 14, B = 44;
    const title = [info.label, ...Object.keys(one)
      .filter(x => data.dims[at[x]].choice)
      .map(x => data.dims[at[x]].values[one[x]])].join(", ");
    const points = [...found.values()].flat();
    const caption = make("figcaption", title + " against the " +
      (across === "sample_size" ? "sample size" : "number of grid points") +
      "; bars are 95 percent Monte Carlo intervals.", {});
    if (!points.length) return [caption, make("p", "Nothing to draw here.", {})];
    const isLog = ["rmse", "empirical_se", "interval_width", "interval_score"].includes(info.name);
    const scaleY = isLog ? Math.log : x => x;
    const bottom = p => isLog ? Math.max(p.low, 0.2 * p.y) : p.low;
    let low = Math.min(...points.map(bottom));
    let high = Math.max(...points.map(p => p.high));
    const reference = findReference(info.name, data.level);
    if (reference !== undefined) { low = Math.min(low, reference); high = Math.max(high, reference); }
    if (low === high) { low -= Math.abs(low) / 2 || 1; high += Math.abs(high) / 2 || 1; }
    const pad = 0.05 * (scaleY(high) - scaleY(low)), y0 = scaleY(low) - pad, y1 = scaleY(high) + pad;
    const xs = [...new Set(points.map(p => p.x))].sort((a, b) => a - b);
    const x0 = Math.log(xs[0]) - 0.15, x1 = Math.log(xs[xs.length - 1]) + 0.15;
    const px = x => L + (W - L - R) * (Math.log(x) - x0) / (x1 - x0);
    const py = y => T + (H - T - B) * (y1 - scaleY(y)) / (y1 - y0);
    const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": tell(title, found) });
    for (const y of ticks(low, high, isLog, 5)) {
      picture.append(svg("line", { x1: L, x2: W - R, y1: py(y), y2: py(y), class: "grid" }));
      picture.append(svg("text", { x: L - 7, y: py(y) + 4, "text-anchor": "end" }, String(y)));
    }
    for (const x of xs) {
      picture.append(svg("text", { x: px(x), y: H - B + 18, "text-anchor": "middle" }, x));
    }
    picture.append(svg("text", { x: (L + W - R) / 2, y: H - 6, "text-anchor": "middle" },
      data.dims[at[across]].label));
    if (reference !== undefined) {
      picture.append(svg("line", { x1: L, x2: W - R, y1: py(reference), y2: py(reference), class: "reference" }));
    }
    const legend = document.createElement("ul"), count = found.size;
    legend.className = "legend";
    [...found.entries()].forEach(([name, line], i) => {
      const colour = COLOURS[i % COLOURS.length], dash = ["", "6 3", "2 3"][Math.floor(i / COLOURS.length) % 3];
      const shift = 5 * (i - (count - 1) / 2);
      line.sort((a, b) => a.x - b.x);
      const path = line.map(p => `${px(p.x) + shift},${py(p.y)}`).join(" ");
      picture.append(svg("polyline", { points: path, fill: "none", stroke: colour, "stroke-width": 1.6, "stroke-dasharray": dash }));
      for (const p of line) {
        const x = px(p.x) + shift;
        picture.append(svg("line", { x1: x, x2: x, y1: py(bottom(p)), y2: py(p.high), stroke: colour }));
        const words = `${name ? name + ", " : ""}${across === "sample_size" ? "n = " : "points "}${p.x}: ${info.label} ${p.text}`;
        addMark(picture, x, py(p.y), colour, words, hover);
      }
      const entry = make("li", name || info.label, {});
      entry.style.setProperty("--colour", colour);
      legend.append(entry);
    });
    return [caption, picture, legend];
  }

  function tell(title, found) {
    const parts = [...found.entries()].map(([name, line]) => {
      const sorted = [...line].sort((a, b) => a.x - b.x), last = sorted[sorted.length - 1];
      return `${name || "the line"} from ${sorted[0].text} at ${sorted[0].x} to ${last.text} at ${last.x}`;
    });
    return `${title}: ${parts.join("; ")}.`;
  }

  return { draw };
})();
