"use strict";
(function () {
  const source = document.getElementById("numbers");
  sortable(document);
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const COLOURS = ["#0072b2", "#d55e00", "#007a5e", "#a9447e", "#8a6d00", "#3b7fb0", "#444"];
  const chosen = {}, controls = document.getElementById("controls");
  const ALL = -1, at = Object.fromEntries(data.dims.map((x, i) => [x.name, i]));
  const width = data.dims.length;

  for (const dim of data.dims) {
    chosen[dim.name] = dim.name in data.first ? data.first[dim.name] : ALL;
    if (!dim.choice) { chosen[dim.name] = ALL; continue; }
    addSelect(dim.name, dim.label, [["All", ALL], ...dim.values.map((x, i) => [x, i])]);
  }
  let measure = Math.max(0, data.measures.findIndex(x => x.name === "rmse"));
  if (findAcross()) addSelect("measure", "Measure of the figure", data.measures.map((x, i) => [x.label, i]));
  // As many measures as fit beside the figure, until all are asked for.
  let columns = data.main;
  if (columns.length < data.measures.length) {
    addSelect("columns", "Measures of the table", [["Main", 0], ["All", 1]]);
  }
  controls.hidden = false;
  document.getElementById("chart").hidden = false;
  show();
  for (const box of document.querySelectorAll("details.live")) {
    box.hidden = !findAcross();
    box.addEventListener("toggle", () => { if (box.children.length === 1) showLive(box); });
  }

  function addSelect(name, label, options) {
    const select = document.createElement("select");
    select.id = "choose-" + name;
    const start = name === "measure" ? measure : name === "columns" ? 0 : chosen[name];
    for (const [word, value] of options) {
      const option = new Option(word, value);
      option.selected = value === start;
      select.add(option);
    }
    select.addEventListener("change", () => {
      if (name === "measure") measure = Number(select.value);
      else if (name === "columns") {
        columns = select.value === "0" ? data.main : data.measures.map((x, i) => i);
      }
      else chosen[name] = Number(select.value);
      show();
    });
    const box = document.createElement("label");
    box.append(label + " ", select);
    controls.append(box);
  }

  // What an estimator without a grid was computed once for stands beside every grid.
  function fits(row, dim, choice) {
    const want = choice[dim.name], got = row[at[dim.name]];
    if (want === ALL || got === want) return true;
    return (dim.name === "n_supp" || dim.name === "grid") && dim.values[got] === "none";
  }

  function show() {
    const rows = data.rows.filter(row => data.dims.every(dim => fits(row, dim, chosen)));
    const fixed = data.dims.filter(x => x.choice && chosen[x.name] !== ALL);
    const words = fixed.map(x => sentence(x, chosen[x.name])).join(", ");
    showTable(rows, words);
    showChart(words);
  }

  function sentence(dim, value) {
    const word = dim.values[value];
    if (dim.name === "sample_size") return "n = " + word;
    return dim.name === "n_supp" ? word + " grid points" : word;
  }

  function showTable(rows, words) {
    const table = document.getElementById("main-table");
    const heads = data.dims.filter(x => x.choice && chosen[x.name] === ALL);
    table.querySelector("caption").textContent =
      (words ? words + ": " : "") + rows.length + " rows, Monte Carlo errors in brackets";
    const head = table.tHead.rows[0], body = table.tBodies[0];
    head.replaceChildren();
    for (const x of heads) head.append(make("th", x.label, { scope: "col", class: "text" }));
    for (const x of columns.map(i => data.measures[i])) {
      head.append(make("th", x.label, { scope: "col", title: x.long }));
    }
    body.replaceChildren(...rows.map(row => {
      const line = document.createElement("tr");
      heads.forEach((x, i) => {
        const given = i ? { class: "text" } : { class: "text", scope: "row" };
        const cell = make(i ? "td" : "th", x.values[row[at[x.name]]], given);
        cell.dataset.value = row[at[x.name]];
        line.append(cell);
      });
      columns.forEach(i => {
        const cell = make("td", row[width + 3 * i + 2], {});
        const value = row[width + 3 * i];
        cell.dataset.value = value === null ? "" : value;
        line.append(cell);
      });
      return line;
    }));
    sortable(table.parentNode);
  }

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

  function listSizes(name) {
    return data.dims[at[name]].values.filter(x => x !== "none");
  }

  function findAcross() {
    return ["sample_size", "n_supp"].find(x => x in at && listSizes(x).length > 1);
  }

  // Lines over the sample size, or over the points of the grid: of one process,
  // parameter and grid; what was left open there is taken as the first.
  function showChart() {
    const across = findAcross(), target = document.getElementById("chart");
    target.replaceChildren();
    if (!across) { target.hidden = true; return; }
    const one = {};
    for (const name of ["process", "parameter", "grid"]) {
      if (name in at) one[name] = chosen[name] === ALL ? 0 : chosen[name];
    }
    const hover = addHover("hover");
    draw(target, measure, across, one, collect(measure, across, one, chosen), hover, true);
    target.append(hover);
  }

  // Of a process: every measure of every parameter, at most points of the grid.
  function showLive(box) {
    const across = findAcross(), choice = {};
    for (const dim of data.dims) choice[dim.name] = ALL;
    if (across !== "n_supp" && "n_supp" in data.first) choice.n_supp = data.first.n_supp;
    const one = { process: data.dims[at.process].values.indexOf(box.dataset.process) };
    if ("grid" in at) one.grid = data.first.grid || 0;
    const parameters = "parameter" in at ? data.dims[at.parameter].values : [null];
    data.measures.forEach((info, m) => {
      const panels = make("div", "", { class: "panels" }), hover = addHover("");
      let legend = true;
      parameters.forEach((word, i) => {
        const here = word === null ? one : { ...one, parameter: i };
        const lines = collect(m, across, here, choice);
        if (!lines.size) return;
        const figure = document.createElement("figure");
        draw(figure, m, across, here, lines, hover, legend);
        legend = false;
        panels.append(figure);
      });
      if (panels.children.length) box.append(make("h4", info.long, {}), hover, panels);
    });
  }

  function addHover(id) {
    const text = "Point at a mark, or reach it with the tabulator, for its numbers.";
    const hover = make("p", text, { class: "meta hover", "aria-live": "polite" });
    if (id) hover.id = id;
    return hover;
  }

  function collect(m, across, one, choice) {
    const by = ["estimator", "n_supp"].filter(x => x in at && x !== across);
    const place = width + 3 * m, lines = new Map();
    for (const row of data.rows) {
      const inside = data.dims.every(dim => {
        const got = row[at[dim.name]];
        if (dim.name === across) return true;
        if (dim.name in one) {
          return got === one[dim.name] || (dim.name === "grid" && dim.values[got] === "none");
        }
        return fits(row, dim, choice);
      });
      if (!inside || row[place] === null) continue;
      const key = by.filter(x => data.dims[at[x]].choice && !(x === "n_supp" && choice[x] !== ALL))
        .map(x => data.dims[at[x]].values[row[at[x]]] + (x === "n_supp" ? " points" : ""))
        .filter(x => x !== "none points").join(", ");
      if (!lines.has(key)) lines.set(key, []);
      const size = data.dims[at[across]].values[row[at[across]]];
      // What needs no grid is the same at every number of points.
      for (const x of size === "none" ? listSizes(across) : [size]) {
        lines.get(key).push({
          x: Number(x), y: row[place], e: row[place + 1] || 0, text: row[place + 2],
        });
      }
    }
    return lines;
  }

  function draw(target, m, across, one, lines, hover, legendToo) {
    const info = data.measures[m], W = 560, H = 340, L = 58, R = 14, T = 14, B = 44;
    const title = [info.label, ...Object.keys(one)
      .filter(x => data.dims[at[x]].choice)
      .map(x => data.dims[at[x]].values[one[x]])].join(", ");
    const points = [...lines.values()].flat();
    target.append(make("figcaption", title + " against the " +
      (across === "sample_size" ? "sample size" : "number of grid points") +
      "; bars are 95 percent Monte Carlo intervals.", {}));
    if (!points.length) { target.append(make("p", "Nothing to draw here.", {})); return; }
    const isLog = ["rmse", "empirical_se", "interval_width", "interval_score"].includes(info.name);
    const scaleY = isLog ? Math.log : x => x;
    const bottom = p => isLog ? Math.max(p.y - 1.96 * p.e, 0.2 * p.y) : p.y - 1.96 * p.e;
    let low = Math.min(...points.map(bottom));
    let high = Math.max(...points.map(p => p.y + 1.96 * p.e));
    const reference = { bias: 0, coverage: data.level, se_ratio: 1, size: 1 - data.level }[info.name];
    if (reference !== undefined) { low = Math.min(low, reference); high = Math.max(high, reference); }
    if (low === high) { low -= Math.abs(low) / 2 || 1; high += Math.abs(high) / 2 || 1; }
    const pad = 0.05 * (scaleY(high) - scaleY(low)), y0 = scaleY(low) - pad, y1 = scaleY(high) + pad;
    const xs = [...new Set(points.map(p => p.x))].sort((a, b) => a - b);
    const x0 = Math.log(xs[0]) - 0.15, x1 = Math.log(xs[xs.length - 1]) + 0.15;
    const px = x => L + (W - L - R) * (Math.log(x) - x0) / (x1 - x0);
    const py = y => T + (H - T - B) * (y1 - scaleY(y)) / (y1 - y0);
    const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": tell(title, lines) });
    for (const y of ticks(low, high, isLog)) {
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
    const legend = document.createElement("ul"), count = lines.size;
    legend.className = "legend";
    [...lines.entries()].forEach(([name, line], i) => {
      const colour = COLOURS[i % COLOURS.length], dash = ["", "6 3", "2 3"][Math.floor(i / COLOURS.length) % 3];
      const shift = 5 * (i - (count - 1) / 2);
      line.sort((a, b) => a.x - b.x);
      const path = line.map(p => `${px(p.x) + shift},${py(p.y)}`).join(" ");
      picture.append(svg("polyline", { points: path, fill: "none", stroke: colour, "stroke-width": 1.6, "stroke-dasharray": dash }));
      for (const p of line) {
        const x = px(p.x) + shift;
        picture.append(svg("line", { x1: x, x2: x, y1: py(bottom(p)), y2: py(p.y + 1.96 * p.e), stroke: colour }));
        const words = `${name ? name + ", " : ""}${across === "sample_size" ? "n = " : "points "}${p.x}: ${info.label} ${p.text}`;
        const dot = svg("circle", { cx: x, cy: py(p.y), r: 4.5, fill: colour, tabindex: 0, role: "img", "aria-label": words });
        dot.append(svg("title", {}, words));
        for (const event of ["mouseenter", "focus"]) dot.addEventListener(event, () => { hover.textContent = words; });
        picture.append(dot);
      }
      const entry = make("li", name || info.label, {});
      entry.style.setProperty("--colour", colour);
      legend.append(entry);
    });
    target.append(picture);
    if (legendToo) target.append(legend);
  }

  function tell(title, lines) {
    const parts = [...lines.entries()].map(([name, line]) => {
      const sorted = [...line].sort((a, b) => a.x - b.x), last = sorted[sorted.length - 1];
      return `${name || "the line"} from ${sorted[0].text} at ${sorted[0].x} to ${last.text} at ${last.x}`;
    });
    return `${title}: ${parts.join("; ")}.`;
  }

  function ticks(low, high, isLog) {
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
    const raw = (high - low) / 5, size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(x => x * size).find(x => x >= raw), found = [];
    for (let y = Math.ceil(low / step) * step; y <= high + step / 1e6; y += step) {
      found.push(Number(y.toPrecision(6)));
    }
    return found;
  }

  // Heads become buttons; rows below a heading stay below it.
  function sortable(root) {
    for (const table of root.querySelectorAll("table.sortable")) {
      const heads = [...table.tHead.rows[0].cells];
      heads.forEach((head, i) => {
        if (head.querySelector("button")) return;
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = head.textContent;
        head.replaceChildren(button);
        button.addEventListener("click", () => {
          const up = head.getAttribute("aria-sort") !== "ascending";
          heads.forEach(x => x.removeAttribute("aria-sort"));
          head.setAttribute("aria-sort", up ? "ascending" : "descending");
          for (const body of table.tBodies) {
            const rows = [...body.rows], top = rows.filter(x => x.cells.length < heads.length);
            const rest = rows.filter(x => x.cells.length === heads.length);
            rest.sort((a, b) => compare(a.cells[i], b.cells[i]) * (up ? 1 : -1));
            body.replaceChildren(...top, ...rest);
          }
        });
      });
    }
  }

  function compare(a, b) {
    const x = key(a), y = key(b);
    if (x === y) return 0;
    if (x === "") return 1;
    if (y === "") return -1;
    if (typeof x === "number" && typeof y === "number") return x - y;
    return String(x).localeCompare(String(y), undefined, { numeric: true });
  }

  function key(cell) {
    if ("value" in cell.dataset) return cell.dataset.value === "" ? "" : Number(cell.dataset.value);
    const text = cell.textContent.trim(), number = parseFloat(text.replace("\u2212", "-"));
    return text === "-" ? "" : Number.isNaN(number) ? text : number;
  }
})();
