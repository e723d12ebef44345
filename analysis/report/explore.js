"use strict";
(function () {
  const source = document.getElementById("numbers");
  sortable(document);
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const { make, addHover } = drawing;
  const chosen = {}, controls = document.getElementById("controls");
  const ALL = -1, at = Object.fromEntries(data.dims.map((x, i) => [x.name, i]));
  const width = data.dims.length;

  for (const dim of data.dims) {
    chosen[dim.name] = dim.name in data.first ? data.first[dim.name] : ALL;
    if (!dim.choice) { chosen[dim.name] = ALL; continue; }
    addSelect(dim.name, dim.label, [["All", ALL], ...dim.values.map((x, i) => [x, i])]);
  }
  let measure = chooseMeasure();
  addSelect("measure", "Measure of the figure", data.measures.map((x, i) => [x.label, i]));
  // As many measures as fit beside the figure, until all are asked for.
  let columns = data.main;
  if (columns.length < data.measures.length) {
    addSelect("columns", "Measures of the table", [["Main", 0], ["All", 1]]);
  }
  controls.hidden = false;
  document.getElementById("chart").hidden = false;
  show();
  for (const box of document.querySelectorAll("details.live")) {
    box.hidden = false;
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
    showChart(rows, words);
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
        const cell = make("td", row[width + 4 * i + 3], {});
        const value = row[width + 4 * i];
        cell.dataset.value = value === null ? "" : value;
        line.append(cell);
      });
      return line;
    }));
    sortable(table.parentNode);
  }

  function listSizes(name) {
    return data.dims[at[name]].values.filter(x => x !== "none");
  }

  // Lines show how errors shrink; lollies first what has the same scale everywhere.
  function chooseMeasure() {
    const isKnown = i => data.rows.some(row => row[width + 4 * i] !== null);
    const found = (findAcross() ? ["rmse"] : ["coverage", "bias"])
      .map(name => data.measures.findIndex(x => x.name === name)).find(i => i >= 0 && isKnown(i));
    return found ?? 0;
  }

  function findAcross() {
    return ["sample_size", "n_supp"].find(x => x in at && listSizes(x).length > 1);
  }

  // Lines over the sample size, or over the points of the grid: of one process,
  // parameter and grid; what was left open there is taken as the first.
  // Without either: lollies of all that is in the table.
  function showChart(rows, words) {
    const across = findAcross(), target = document.getElementById("chart");
    const hover = addHover("hover");
    target.replaceChildren();
    if (!across) {
      const region = make("div", "", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Main figure" });
      const open = data.dims.filter(x => x.choice && chosen[x.name] === ALL);
      const [caption, ...pictures] = lollies.draw(data, measure, rows, open, words, hover);
      region.append(...pictures);
      target.append(caption, region, hover);
      return;
    }
    const one = {};
    for (const name of ["process", "parameter", "grid"]) {
      if (name in at) one[name] = chosen[name] === ALL ? 0 : chosen[name];
    }
    const found = collect(measure, across, one, chosen);
    target.append(...lines.draw(data, measure, across, one, found, hover), hover);
  }

  // Of a process: every measure of every parameter, at most points of the grid.
  function showLive(box) {
    const across = findAcross(), choice = {};
    for (const dim of data.dims) choice[dim.name] = ALL;
    if (across !== "n_supp" && "n_supp" in data.first) choice.n_supp = data.first.n_supp;
    const one = { process: data.dims[at.process].values.indexOf(box.dataset.process) };
    if ("grid" in at) one.grid = data.first.grid || 0;
    if (!across) { showLiveLollies(box, one.process); return; }
    const parameters = "parameter" in at ? data.dims[at.parameter].values : [null];
    data.measures.forEach((info, m) => {
      const panels = make("div", "", { class: "panels" }), hover = addHover("");
      parameters.forEach((word, i) => {
        const here = word === null ? one : { ...one, parameter: i };
        const found = collect(m, across, here, choice);
        if (!found.size) return;
        const figure = document.createElement("figure");
        const [caption, picture, legend] = lines.draw(data, m, across, here, found, hover);
        figure.append(caption, picture, ...(panels.children.length ? [] : [legend]));
        panels.append(figure);
      });
      if (panels.children.length) box.append(make("h4", info.long, {}), hover, panels);
    });
  }

  function showLiveLollies(box, process) {
    const rows = data.rows.filter(row => row[at.process] === process);
    const open = data.dims.filter(x => x.choice && x.name !== "process");
    const panels = make("div", "", { class: "panels" }), hover = addHover("");
    data.measures.forEach((info, m) => {
      if (rows.every(row => row[width + 4 * m] === null)) return;
      const figure = make("figure", "", {});
      figure.append(make("h4", info.long, {}), ...lollies.draw(data, m, rows, open, "", hover));
      panels.append(figure);
    });
    box.append(hover, panels);
  }

  function collect(m, across, one, choice) {
    const by = ["estimator", "n_supp"].filter(x => x in at && x !== across);
    const place = width + 4 * m, found = new Map();
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
      if (!found.has(key)) found.set(key, []);
      const size = data.dims[at[across]].values[row[at[across]]];
      // What needs no grid is the same at every number of points.
      for (const x of size === "none" ? listSizes(across) : [size]) {
        found.get(key).push({
          x: Number(x), y: row[place], low: row[place + 1], high: row[place + 2], text: row[place + 3],
        });
      }
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
