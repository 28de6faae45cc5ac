"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

  // Plotly reads a few tags in texts: names are shown as they are.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const wrapped = (text) => plain(String(text).replace(/(.{1,60})(\s|[/,]|$)|(.{60})/g, "$&\n")).trim().replace(/\n+/g, "<br>");
  const hover = (lines) => lines.filter(Boolean).map(wrapped).join("<br>");

  // Dark colours become lighter on a dark page, until they stand out from it.
  const legible = (colour) => {
    if (!dark.matches) return colour;
    let parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    const light = ([red, green, blue]) => 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    while (light(parts) < 130) parts = parts.map((part) => part + (255 - part) * 0.2 + 1);
    return `rgb(${parts.map((part) => Math.min(255, Math.round(part))).join(",")})`;
  };
  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const layout = (more) => {
    const ink = variable("--ink"), grid = variable("--line"), paper = variable("--paper");
    const axis = { gridcolor: grid, linecolor: grid, zeroline: false, automargin: true };
    const found = {
      paper_bgcolor: paper, plot_bgcolor: paper, font: { color: ink, size: 13 }, hovermode: "closest", dragmode: false, showlegend: true,
      margin: { l: 56, r: 12, t: 24, b: 44 }, legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      hoverlabel: { bgcolor: paper, bordercolor: ink, font: { color: ink }, align: "left" }, ...more,
    };
    for (const name of Object.keys(found).filter((key) => /^[xy]axis/.test(key))) found[name] = { ...axis, ...found[name] };
    return found;
  };
  const settings = { responsive: true, displaylogo: false, displayModeBar: false };
  const draw = (place, traces, more) => {
    // Legends stand above and push the data down: the more entries a narrow page has to stack, the higher the chart.
    const named = traces.filter((trace) => trace.name && trace.showlegend !== false).length;
    const height = (more.height || 340) + 22 * Math.ceil(named / Math.max(1, Math.floor(place.clientWidth / 210)));
    place.style.height = `${height}px`;
    return Plotly.react(place, traces, layout({ ...more, height }), settings);
  };
  // A few round numbers between two values of a logarithmic axis, with what they are called.
  const ticks = (values, name) => {
    const known = values.filter((value) => value > 0);
    const [low, high] = [Math.min(...known) / 1.2, Math.max(...known) * 1.2];
    let found = [];
    for (const digits of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], [1, 1.2, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9]]) {
      found = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) found.push(...digits.map((digit) => digit * 10 ** power));
      found = found.filter((value) => value >= low && value <= high);
      if (found.length >= 3) break;
    }
    return { type: "log", tickmode: "array", tickvals: found, ticktext: found.map(name), range: [Math.log10(low), Math.log10(high)] };
  };
  const short = (value) => {
    const power = Math.max(0, Math.min(6, Math.floor(Math.log10(value) / 3)));
    return `${Number((value / 1000 ** power).toPrecision(3))}${["", " k", " M", " G", " T", " P", " E"][power]}`;
  };

  // ---------------------------------------------------------------- tables
  const rows = (table) => all("tbody tr", table);
  // Thousands of rows take a browser seconds to lay out: the first stand there, the rest on demand.
  const most = Number(document.querySelector("main").dataset.most);
  const shorten = (table) => {
    const more = table.more;
    let fitting = 0;
    for (const row of rows(table)) row.classList.toggle("later", !row.hidden && ++fitting > most && !more.asked);
    more.hidden = fitting <= most || more.asked;
    more.textContent = `Show all ${fitting} rows`;
  };
  for (const table of all("table.sortable")) {
    const more = table.more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    more.addEventListener("click", () => {
      more.asked = true;
      const first = table.querySelector("tr.later");
      shorten(table);
      // The button that had the focus is gone.
      first.tabIndex = -1;
      first.focus();
    });
    table.closest(".scroll").after(more);
    shorten(table);
  }
  const sort = (table, column, direction) => {
    const numeric = table.tHead.rows[0].cells[column].classList.contains("number");
    const key = (row) => (row.cells[column] ? row.cells[column].dataset.key : "");
    const order = (one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return direction * (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
    };
    const body = table.tBodies[0];
    rows(table).map((row, at) => [row, at]).sort(([a, i], [b, j]) => order(a, b) || i - j).forEach(([row]) => body.append(row));
    [...table.tHead.rows[0].cells].forEach((cell, at) => {
      if (at === column) cell.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    });
    shorten(table);
  };
  for (const table of all("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      cell.firstElementChild.addEventListener("click", () => sort(table, column, cell.getAttribute("aria-sort") === "ascending" ? -1 : 1));
    });
  }
  const filter = (place, table, then) => {
    const [find, method, state] = [".find", ".method", ".state"].map((name) => place.querySelector(name));
    const apply = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows(table)) {
        const text = row.textContent.toLowerCase();
        const fits = words.every((word) => text.includes(word)) && (!method.value || row.dataset.method === method.value)
          && (!state || !state.value || row.dataset.state === state.value);
        row.hidden = !fits;
        shown += fits;
      }
      place.querySelector("output.shown").textContent = `${shown} of ${rows(table).length} rows`;
      shorten(table);
      then();
    };
    for (const control of [find, method, state]) if (control) control.addEventListener("input", apply);
    apply();
  };

  // ---------------------------------------------------------------- cells
  const open = (identifier) => {
    const cell = document.getElementById(identifier);
    if (!cell || !cell.matches("details.cell")) return;
    cell.open = true;
    cell.scrollIntoView();
    cell.querySelector("summary").focus({ preventScroll: true });
  };
  const follow = () => open(decodeURIComponent(location.hash.slice(1)));
  const drawCell = (cell) => {
    const found = data.cells[cell.id];
    if (!found) return;
    const part = (name) => cell.querySelector(`.chart.${name}`);
    const colours = { line: legible("#0072B2"), second: legible("#D55E00") };
    if (part("curve")) {
      const { epoch, loss, train, held_out: heldOut, test, stage } = found.curve;
      const line = (name, y, axis, colour, dash) => ({ x: epoch, y, name, yaxis: axis, mode: "lines", line: { color: colour, dash }, hovertemplate: "%{y}<extra></extra>" });
      const traces = [line("training loss", loss, "y2", variable("--soft"), "dot"), line("training top-1 (%)", train, "y", colours.second, "dash")];
      if (heldOut.some((value) => value !== null)) traces.push(line("held-out top-1 (%)", heldOut, "y", colours.line, "solid"));
      if (test.length) traces.push(line("test top-1 (%) †", test, "y", variable("--bad"), "dashdot"));
      const starts = stage.map((name, at) => at).filter((at) => at === 0 || stage[at] !== stage[at - 1]);
      draw(part("curve"), traces, {
        hovermode: "x unified", xaxis: { title: { text: "epoch" } }, yaxis: { title: { text: "top-1 (%)" } },
        yaxis2: { title: { text: "loss" }, overlaying: "y", side: "right", showgrid: false, ...ticks(loss, (value) => String(Number(value.toPrecision(2)))) },
        legend: { orientation: "h", y: 1.1, yanchor: "bottom" }, margin: { l: 56, r: 56, t: 28, b: 44 },
        shapes: starts.slice(1).map((at) => ({ type: "line", x0: epoch[at] - 0.5, x1: epoch[at] - 0.5, yref: "paper", y0: 0, y1: 1, line: { color: variable("--soft"), width: 1, dash: "dot" } })),
        annotations: starts.map((at) => ({ x: epoch[at] - 0.5, y: 1, yref: "paper", xanchor: "left", yanchor: "bottom", showarrow: false, text: plain(data.stages[stage[at]] || stage[at]) })),
      });
    }
    if (part("widths")) {
      const names = found.widths.map(([name]) => plain(name));
      draw(part("widths"), [{
        type: "bar", x: names, y: found.widths.map(([, kept, size]) => (100 * kept) / Math.max(size, 1)), marker: { color: colours.line },
        hovertext: found.widths.map(([name, kept, size]) => hover([name, `${kept} of ${size} channels`])), hoverinfo: "text",
      }], { showlegend: false, yaxis: { title: { text: "channels kept (%)" }, range: [0, 105] }, xaxis: { type: "category", showticklabels: names.length <= 20 } });
    }
    if (part("gates")) {
      const [low, high, ...first] = found.gates[0];
      const step = (high - low) / first.length;
      const together = found.gates.every((gates) => gates[0] === low && gates[1] === high);
      const shares = found.gates.map(([, , ...counts]) => counts.map((count) => (100 * count) / Math.max(1, counts.reduce((sum, each) => sum + each, 0))));
      const middle = (gates, at) => gates[0] + ((at + 0.5) * (gates[1] - gates[0])) / first.length;
      const traces = together
        ? [{ type: "heatmap", x: shares.map((_, at) => at + 1), y: first.map((_, at) => low + (at + 0.5) * step), z: first.map((_, bin) => shares.map((share) => Math.sqrt(share[bin]))),
          text: first.map((_, bin) => shares.map((share) => `${share[bin].toFixed(1)} % of the gates`)), hoverinfo: "x+y+text", showscale: false,
          colorscale: [[0, variable("--paper")], [1, variable("--ink")]] }]
        : shares.map((share, at) => ({ x: share.map(() => at + 1), y: share.map((_, bin) => middle(found.gates[at], bin)), mode: "markers", showlegend: false, hoverinfo: "x+y",
          marker: { size: share.map((each) => Math.sqrt(each) * 3), color: colours.line } }));
      draw(part("gates"), traces, { showlegend: false, xaxis: { title: { text: "epoch of the search" } }, yaxis: { title: { text: "gate" }, ...(together ? { range: [low, high] } : {}) } });
    }
  };
  for (const cell of all("details.cell")) cell.addEventListener("toggle", () => cell.open && drawCell(cell));
  addEventListener("hashchange", follow);
  // A link to the place that is shown already changes no hash.
  addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest('a[href^="#cell-"]');
    if (link) open(link.getAttribute("href").slice(1));
  });

  // ---------------------------------------------------------------- points
  const front = (points) => {
    let best = -Infinity;
    return [...points].sort((a, b) => a.x - b.x || b.y - a.y).filter((point) => point.y > best && ((best = point.y), true));
  };
  // Every mean lies in the chart; an interval wider than all means are apart runs out of it.
  const room = (table, axis) => {
    const means = table.series.flatMap((series) => series.points.filter((point) => point.costs[axis]));
    const heights = [...means.map((point) => point.top1), ...table.published.filter((row) => row.costs[axis]).map((row) => row.top1)];
    const [low, high] = [Math.min(...heights), Math.max(...heights)];
    const span = Math.max(high - low, 1);
    const ends = means.flatMap((point) => [Math.max(point.top1 - (point.half || 0), low - 0.4 * span), Math.min(point.top1 + (point.half || 0), high + 0.4 * span)]);
    return [Math.min(low, ...ends) - 0.06 * span, Math.max(high, ...ends) + 0.06 * span];
  };
  const drawPareto = (section, table) => {
    const axis = section.querySelector(".axis").value;
    if (!axis) return;
    const single = section.querySelector(".single").checked;
    const visible = new Set(rows(section.querySelector("table")).filter((row) => !row.hidden).map((row) => row.dataset.point));
    const traces = [];
    const means = [];
    const costs = table.series.flatMap((series) => series.points.flatMap((point) => point.costs[axis] || []));
    costs.push(...table.published.map((row) => row.costs[axis] || 0).filter(Boolean));
    const scale = ticks(costs, short);
    // What was driven to one cost would lie on one upright line: such methods are drawn side by side.
    const step = (scale.range[1] - scale.range[0]) * 0.007;
    const steered = table.series.filter((series) => series.steered);
    const aside = (series) => {
      const at = steered.indexOf(series);
      return at < 0 ? 1 : 10 ** ((at % 2 ? -1 : 1) * (Math.floor(at / 2) + 1) * step);
    };
    for (const series of table.series) {
      const points = series.points.filter((point) => point.costs[axis] && visible.has(String(point.point)));
      const colour = legible(series.colour);
      const shift = aside(series);
      const cost = (point) => shift * point.costs[axis][0];
      means.push(...points.map((point) => ({ x: point.costs[axis][0], y: point.top1 })));
      traces.push({
        x: points.map(cost), y: points.map((point) => point.top1), name: plain(series.label), legendgroup: series.label, mode: "markers",
        marker: { color: series.control ? variable("--paper") : colour, symbol: series.symbol, size: 11, line: { color: colour, width: series.control ? 3 : 1 } },
        error_y: { array: points.map((point) => point.half || 0), color: colour, thickness: 1, width: 3 },
        error_x: { symmetric: false, array: points.map((p) => shift * p.costs[axis][2] - cost(p)), arrayminus: points.map((p) => cost(p) - shift * p.costs[axis][1]), color: colour, thickness: 1, width: 0 },
        hovertext: points.map((point) => hover(point.hover)), hoverinfo: "text", customdata: points.map((point) => point.cell),
      });
      const seeds = points.flatMap((point) => point.seeds).filter((seed) => seed.costs[axis]);
      if (single) traces.push({
        x: seeds.map((seed) => shift * seed.costs[axis]), y: seeds.map((seed) => seed.top1), legendgroup: series.label, showlegend: false, mode: "markers",
        marker: { color: colour, symbol: series.symbol, size: 6, opacity: 0.6 }, hovertext: seeds.map((seed) => hover(seed.hover)), hoverinfo: "text", customdata: seeds.map((seed) => seed.cell),
      });
    }
    const quoted = new Map();
    if (visible.has(undefined)) for (const row of table.published) if (row.costs[axis]) quoted.set(row.label, [...(quoted.get(row.label) || []), row]);
    for (const [label, found] of quoted) traces.push({
      x: found.map((row) => row.costs[axis]), y: found.map((row) => row.top1), name: plain(label), mode: "markers",
      marker: { color: legible(found[0].colour), symbol: `${found[0].symbol}-open`, size: 11, line: { width: 1.5 } }, hovertext: found.map((row) => hover(row.hover)), hoverinfo: "text",
    });
    const edge = front(means);
    if (edge.length > 1) traces.push({
      x: edge.map((point) => point.x), y: edge.map((point) => point.y), name: "Pareto front of the means", mode: "lines",
      line: { shape: "hv", dash: "dash", color: variable("--soft"), width: 1 }, hoverinfo: "skip",
    });
    draw(section.querySelector(".pareto"), traces, {
      height: 420, xaxis: { ...scale, title: { text: `${data.costs[axis]}, log scale` } }, yaxis: { title: { text: "top-1 (%)" }, range: room(table, axis) },
    });
  };
  const drawCosts = (place, table) => {
    const names = table.methods.map((method) => plain(method.label));
    const fills = table.stages.map((_, at) => {
      const share = table.stages.length > 1 ? at / (table.stages.length - 1) : 0;
      return legible(["#332288", "#0072B2", "#56B4E9", "#C9CCD1"][Math.round(share * 3)]);
    });
    const bars = (kind, axis) => table.stages.map((stage, at) => ({
      type: "bar", orientation: "h", y: names, x: table.methods.map((method) => method[kind][stage] || 0), xaxis: axis, yaxis: "y",
      name: plain(data.stages[stage] || stage), legendgroup: stage, showlegend: axis === "x", marker: { color: fills[at], line: { color: variable("--ink"), width: 0.5 } },
      hovertemplate: "%{x:.3s}<extra></extra>",
    }));
    draw(place, [...bars("macs", "x"), ...bars("seconds", "x2")], {
      barmode: "stack", height: 130 + 26 * names.length, legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      yaxis: { type: "category", autorange: "reversed" }, xaxis: { domain: [0, 0.47], title: { text: "training MACs" }, exponentformat: "SI", nticks: 4 },
      xaxis2: { domain: [0.53, 1], title: { text: "device time (s)" }, nticks: 4 },
    });
  };

  const sections = all("section.table").map((section) => [section, data.tables[section.dataset.table]]);
  for (const [section, table] of sections) {
    const axis = section.querySelector(".axis");
    for (const name of table.axes) axis.add(new Option(data.costs[name], name));
    const redraw = () => drawPareto(section, table);
    axis.addEventListener("input", redraw);
    section.querySelector(".single").addEventListener("input", redraw);
    filter(section, section.querySelector("table"), redraw);
    const chart = section.querySelector(".pareto");
    if (chart.on) chart.on("plotly_click", ({ points: [point] }) => point.customdata && open(point.customdata));
    else chart.closest("figure").hidden = true;
  }
  filter(document.getElementById("cells"), document.getElementById("cell-table"), () => {});
  const drawAllCosts = () => {
    for (const figure of all("#cost figure")) {
      const table = data.tables[figure.dataset.table];
      if (table.methods.length) drawCosts(figure.querySelector(".costs"), table);
      else figure.hidden = true;
    }
  };
  drawAllCosts();
  dark.addEventListener("change", () => {
    for (const [section, table] of sections) drawPareto(section, table);
    drawAllCosts();
    all("details.cell[open]").forEach(drawCell);
  });
  if (location.hash) follow();
  document.documentElement.dataset.ready = "yes";
})();
