// A measure of every design point as a lolly, from where it should be to what it is, as
// in figure 5 of Morris et al. (2019): of a study with one sample size and one grid.
const lollies = (function () {
  "use strict";
  const { COLOURS, make, svg, addMark, findReference, ticks } = drawing;
  // In the units of the picture; a letter of 13 pixels is seldom wider on average.
  const W = 440, R = 14, LETTER = 7.4, MOST_LETTERS = 22, LINE = 15, AXIS = 22;
  const FEW = 6; // lollies, or misses, that a text names one by one
  const MOST_LINES = 50; // of a picture: on paper it may not be cut

  // Draw the rows, one above the other below headings of what is left `open`: the
  // dimensions with a choice, the last of them beside the stick. `chosen` says what is
  // fixed. Returns a caption and the pictures, several if one were longer than a page.
  function draw(data, m, rows, open, chosen, hover) {
    const info = data.measures[m], found = rows.map(row => read(data, m, row, open));
    const known = found.filter(x => x.y !== null);
    const reference = findReference(info.name, data.level), start = reference ?? 0;
    const by = open.length ? " by " + list(open.map(x => x.label)) : "";
    const title = info.label + by + (chosen ? ", " + chosen : "");
    const caption = make("figcaption", title + "; sticks begin at " + name(info, start) + ", brackets are 95 percent Monte Carlo intervals.", {});
    if (!known.length) return [caption, make("p", "Nothing to draw here.", {})];
    const frame = measureFrame(known, found, start);
    return [caption, ...arrange(found).map(part => {
      const label = tell(title, info, part.shown.map(x => x.row).filter(x => x && x.y !== null), reference);
      return paint(info, part, frame, label, hover);
    })];
  }

  function read(data, m, row, open) {
    const place = data.dims.length + 4 * m;
    const words = open.map(dim => call(dim, dim.values[row[data.dims.indexOf(dim)]]));
    const by = data.dims.findIndex(x => x.name === "estimator");
    return {
      y: row[place], low: row[place + 1], high: row[place + 2], text: row[place + 3], words,
      head: words.slice(0, -1).join(", "), side: words.length ? words[words.length - 1] : "",
      colour: COLOURS[open.some(x => x.name === "estimator") ? row[by] % COLOURS.length : 0],
    };
  }

  // A bare number says nothing without what it is a number of.
  function call(dim, value) {
    if (dim.name === "grid" && value === "none") return "no grid";
    return /^[-\d.]+$/.test(value) ? dim.label + " " + value : value;
  }

  function list(words) {
    const lower = words.map(x => x === x.toUpperCase() ? x : x.toLowerCase());
    return lower.length < 2 ? lower.join("") : lower.slice(0, -1).join(", ") + " and " + lower[lower.length - 1];
  }

  function name(info, start) {
    return ["coverage", "size"].includes(info.name) ? "the nominal " + start : String(start);
  }

  // All pictures have the same axis, and the same room for words on the left.
  function measureFrame(known, rows, start) {
    let low = Math.min(start, ...known.map(x => x.low));
    let high = Math.max(start, ...known.map(x => x.high));
    if (low === high) { low -= Math.abs(low) / 2 || 1; high += Math.abs(high) / 2 || 1; }
    const pad = 0.05 * (high - low), from = low - pad, to = high + pad;
    const letters = Math.max(0, ...rows.flatMap(x => wrap(x.side, MOST_LETTERS).map(y => y.length)));
    const width = 18 + letters * LETTER;
    return { start, from, to, width, px: x => width + (W - R - width) * (x - from) / (to - from) };
  }

  function paint(info, { shown, lines }, { start, from, to, width, px }, label, hover) {
    // The axis is above tall pictures too, of which one sees a part.
    const tall = lines > 20, top = tall ? AXIS : 6, bottom = top + lines * LINE + 4;
    const H = bottom + 2 * AXIS;
    const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": label });
    for (const x of chooseTicks(from, to, W - R - width)) {
      picture.append(svg("line", { x1: px(x), x2: px(x), y1: top, y2: bottom, class: "grid" }));
      // The last digits of a label may not leave the picture.
      const text = String(x), half = text.length * LETTER / 2;
      const at = Math.min(px(x), W - half);
      for (const y of tall ? [top - 7, bottom + 16] : [bottom + 16]) {
        picture.append(svg("text", { x: at, y, "text-anchor": "middle" }, text));
      }
    }
    picture.append(svg("text", { x: (width + W - R) / 2, y: H - 7, "text-anchor": "middle" }, info.label));
    picture.append(svg("line", { x1: px(start), x2: px(start), y1: top, y2: bottom, class: "reference" }));
    for (const { row, line, words } of shown) {
      const y = top + line * LINE;
      words.forEach((x, i) => picture.append(svg("text", {
        x: row ? width - 9 : 0, y: y + LINE * i + 12, ...(row ? { "text-anchor": "end" } : { class: "heading" }),
      }, x)));
      const middle = y + LINE * words.length / 2;
      if (row && row.y === null) picture.append(svg("text", { x: width, y: middle + 4 }, "not known"));
      else if (row) addLolly(picture, row, middle, px, start, info, hover);
    }
    return picture;
  }

  // As many as have room beside each other, and two at least.
  function chooseTicks(from, to, room) {
    const fits = found => found.every(x => (String(x).length + 1) * LETTER * (to - from) <
      room * (found[1] - found[0]));
    const tried = [6, 5, 4, 3, 2].map(count => ticks(from, to, false, count)).filter(x => x.length > 1);
    return tried.find(fits) ?? tried[tried.length - 1];
  }

  // Give every heading and every row its lines, in one picture or several.
  function arrange(rows) {
    const parts = [];
    let head = "", part = null;
    for (const row of rows) {
      const words = wrap(row.side, MOST_LETTERS);
      if (!part || part.lines + words.length > MOST_LINES || (row.head !== head && part.lines > MOST_LINES - 3)) {
        part = { shown: [], lines: 0 };
        parts.push(part);
        head = "";
      }
      if (row.head !== head) {
        head = row.head;
        const above = wrap(head, Math.floor(W / LETTER));
        part.lines += part.shown.length ? 0.4 : 0;
        part.shown.push({ words: above, line: part.lines });
        part.lines += above.length + 0.2;
      }
      part.shown.push({ row, words, line: part.lines });
      part.lines += words.length + 0.2;
    }
    return parts;
  }

  function wrap(text, most) {
    const lines = [""];
    for (let word of text.split(" ")) {
      const last = lines[lines.length - 1];
      if (last && last.length + 1 + word.length > most) lines.push("");
      for (; word.length > most; word = word.slice(most)) lines.splice(-1, 1, word.slice(0, most), "");
      lines[lines.length - 1] += (lines[lines.length - 1] ? " " : "") + word;
    }
    return lines;
  }

  function addLolly(picture, row, y, px, start, info, hover) {
    picture.append(svg("line", { x1: px(start), x2: px(row.y), y1: y, y2: y, stroke: row.colour, "stroke-width": 1.6 }));
    for (const sign of row.low < row.high ? [-1, 1] : []) {
      const end = px(sign < 0 ? row.low : row.high);
      picture.append(svg("path", {
        d: `M ${end - 2 * sign} ${y - 6} q ${4 * sign} 6 0 12`, fill: "none", stroke: "#1b1f24", "stroke-width": 1.3,
      }));
    }
    addMark(picture, px(row.y), y, row.colour, [row.words.join(", "), `${info.label} ${row.text}`].filter(Boolean).join(": "), hover);
  }

  // What is seen: all of a few; of many the ends, and which miss where they should be.
  function tell(title, info, known, reference) {
    const say = x => [x.words.join(", "), x.text].filter(Boolean).join(" ");
    if (known.length <= FEW) return `${title}: ${known.map(say).join("; ")}.`;
    const sorted = [...known].sort((a, b) => a.y - b.y);
    let text = `${title}: ${known.length} values from ${say(sorted[0])} to ${say(sorted[sorted.length - 1])}`;
    if (reference === undefined) return text + ".";
    const off = known.filter(x => reference < x.low || reference > x.high).map(say);
    text += `; ${off.length} Monte Carlo intervals miss ${name(info, reference)}`;
    const more = off.length > FEW ? `; and ${off.length - FEW} more` : "";
    return text + (off.length ? ": " + off.slice(0, FEW).join("; ") + more : "") + ".";
  }

  return { draw };
})();
