// Sorts tables by a click on a heading, shows the values of curves, and lets every browser play the films in the page.
"use strict";
(() => {
  document.body.classList.add("live");
  const NEAR = 24; // how far from the pointer an evaluation may be, in units of the figure
  const SVG = "http://www.w3.org/2000/svg";

  // A table: first click the largest number or the first word on top, second click the other way, third as it was.
  const valueOf = (cell) => {
    if (cell.dataset.value === undefined) return cell.textContent.trim();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };

  const compare = (a, b) =>
    typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true, sensitivity: "base" });

  const sortBy = (table, rows, column, direction) => {
    const sorted = [...rows];
    if (direction !== "none") {
      const sign = direction === "ascending" ? 1 : -1;
      const keys = new Map(rows.map((row) => [row, valueOf(row.cells[column])]));
      sorted.sort((a, b) => {
        const [x, y] = [keys.get(a), keys.get(b)];
        if (x === null || y === null) return (x === null) - (y === null); // what is not known stays below
        return sign * compare(x, y);
      });
    }
    table.classList.toggle("sorted", direction !== "none");
    table.tBodies[0].append(...sorted);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const rows = [...table.tBodies[0].rows];
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      heading.querySelector("button").addEventListener("click", () => {
        const numbers = rows.some((row) => typeof valueOf(row.cells[column]) === "number");
        const order = numbers ? ["descending", "ascending"] : ["ascending", "descending"];
        const before = order.indexOf(heading.getAttribute("aria-sort"));
        const direction = order[before + 1] ?? "none";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        if (direction !== "none") heading.setAttribute("aria-sort", direction);
        sortBy(table, rows, column, direction);
      });
    });
  }

  // Curves: the evaluations nearest to the pointer, on a line and in a box with their values.
  const shown = (value) => {
    const size = Math.abs(value);
    const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
    return value.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  };

  const element = (name, attributes, parent) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent.append(made);
    return made;
  };

  const text = (name, content, parent, kind = "") => {
    const made = document.createElement(name);
    made.textContent = content;
    made.className = kind;
    parent.append(made);
    return made;
  };

  const nearest = (values, x) => {
    let best = 0;
    values.forEach((value, index) => {
      if (Math.abs(value - x) < Math.abs(values[best] - x)) best = index;
    });
    return best;
  };

  for (const figure of document.querySelectorAll("figure.curve")) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const svg = figure.querySelector("svg");
    const [left, top, right, bottom] = data.box;
    const place = (scale, value) => scale[0] * value + scale[1];
    const grid = [...new Set(data.curves.flatMap((curve) => curve.x))].sort((a, b) => a - b);
    if (!grid.length) continue;
    const marks = element("g", {}, svg);
    const tip = text("div", "", figure, "tip");
    tip.setAttribute("role", "status");
    tip.hidden = true;
    let at = -1;

    const hide = () => {
      marks.replaceChildren();
      tip.hidden = true;
      at = -1;
    };

    const show = (index) => {
      at = index;
      const x = grid[index];
      const px = place(data.x, x);
      marks.replaceChildren();
      tip.replaceChildren();
      element("line", { x1: px, x2: px, y1: top, y2: bottom, style: "stroke: var(--quiet)", "stroke-width": 1 }, marks);
      text("b", `${data.unit === "frames" ? Math.round(x).toLocaleString("en-GB") : shown(x)} ${data.unit}`, tip);
      const found = [];
      for (const curve of data.curves) {
        const level = !curve.x.length;
        const point = level ? 0 : nearest(curve.x, x);
        const where = level ? px : place(data.x, curve.x[point]);
        if (Math.abs(where - px) <= NEAR) found.push({ curve, point, where });
      }
      found.sort((a, b) => b.curve.mean[b.point] - a.curve.mean[a.point]);
      for (const { curve, point, where } of found) {
        const py = place(data.y, curve.mean[point]);
        element("circle", { cx: where, cy: py, r: 3.6, style: `fill: ${curve.colour}; stroke: var(--paper)` }, marks);
        const row = document.createElement("div");
        const swatch = element("svg", { class: "swatch", viewBox: "0 0 36 8" }, row);
        const line = { x1: 0, y1: 4, x2: 36, y2: 4, style: `stroke: ${curve.colour}` };
        element("line", { ...line, "stroke-dasharray": curve.dashes }, swatch);
        text("span", curve.label, row, "name");
        const range = curve.seeds > 1 ? ` (${shown(curve.low[point])} to ${shown(curve.high[point])})` : "";
        text("span", `${shown(curve.mean[point])}${range}`, row, "value");
        tip.append(row);
      }
      tip.hidden = false;
      // Below the line, so that it hides no curve, and inside the figure from left to right.
      const scale = figure.clientWidth / svg.viewBox.baseVal.width;
      tip.style.left = "0";
      const start = px * scale - tip.offsetWidth / 2;
      tip.style.left = `${Math.max(0, Math.min(start, figure.clientWidth - tip.offsetWidth))}px`;
      tip.style.top = `${bottom * scale + 4}px`;
    };

    const follow = (event) => {
      const box = svg.getBoundingClientRect();
      const px = ((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width;
      if (px < left - NEAR || px > right + NEAR) hide();
      else show(nearest(grid, (px - data.x[1]) / data.x[0]));
    };

    svg.addEventListener("pointermove", follow);
    svg.addEventListener("pointerdown", follow);
    svg.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") hide();
    });
    figure.addEventListener("blur", hide);
    figure.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1 };
      if (event.key === "Escape") hide();
      if (!(event.key in steps)) return;
      event.preventDefault();
      const next = at < 0 ? (event.key === "ArrowLeft" ? grid.length - 1 : 0) : at + steps[event.key];
      show(Math.max(0, Math.min(next, grid.length - 1)));
    });
  }

  // Some browsers play no film from a data address: they get the same bytes as an object.
  for (const video of document.querySelectorAll('video[src^="data:"]')) {
    const bytes = Uint8Array.from(atob(video.getAttribute("src").split(",")[1]), (sign) => sign.charCodeAt(0));
    video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  }
})();
