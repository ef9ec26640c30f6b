// A chart that is looked into: pointer and arrow keys show the numbers at a time, dragging zooms.

import { h, patch, s } from "./dom.js";
import * as format from "./format.js";
import { linear } from "./scale.js";
import { plot } from "./plot.js";

const LEAST_DRAG = 8;
const frames = new WeakMap();

// Draw `model` (see plot.js; also label, and zoom(from, to) for whoever drags) into an element that keeps its children.
export function draw(island, model) {
  if (!frames.has(island)) frames.set(island, new Frame(island));
  frames.get(island).show(model);
}

class Frame {
  constructor(island) {
    this.island = island;
    this.picture = s("svg", { role: "img", tabindex: 0, class: "picture" });
    this.cursor = s("g", { class: "cursor", "data-key": "cursor" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.said = h("p", { class: "visually-hidden", role: "status" });
    island.replaceChildren(this.picture, this.tip, this.said);
    this.picture.addEventListener("pointermove", (event) => this.moved(event));
    this.picture.addEventListener("pointerdown", (event) => this.pressed(event));
    this.picture.addEventListener("pointerup", (event) => this.released(event));
    this.picture.addEventListener("pointerleave", () => this.point(null));
    this.picture.addEventListener("dblclick", () => this.model.zoom(null));
    this.picture.addEventListener("keydown", (event) => this.keyed(event));
    this.picture.addEventListener("blur", () => this.point(null));
    new ResizeObserver(() => this.model && this.paint()).observe(island);
  }

  show(model) {
    this.model = model;
    this.paint();
  }

  paint() {
    const { clientWidth: width, clientHeight: height } = this.island;
    if (!width || !height) return;
    this.plot = plot(this.model, width, height);
    this.picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.picture.setAttribute("aria-label", this.model.label);
    patch(this.picture, ...this.plot.nodes, this.cursor);
    this.point(this.at ?? null);
  }

  moved(event) {
    const time = this.timeAt(event);
    if (this.from !== undefined) this.select(this.from, time);
    else this.point(this.nearest(time));
  }

  pressed(event) {
    if (event.pointerType === "touch" || event.button !== 0) return;
    this.from = this.timeAt(event);
    this.picture.setPointerCapture(event.pointerId);
  }

  released(event) {
    const [from, to] = [this.from, this.timeAt(event)].sort((a, b) => a - b);
    const isDrag = this.from !== undefined && this.plot.x(to) - this.plot.x(from) >= LEAST_DRAG;
    this.from = undefined;
    patch(this.cursor);
    if (isDrag) this.model.zoom(Math.round(from), Math.round(to));
  }

  keyed(event) {
    const rows = this.model.rows;
    const last = rows.findLastIndex((row) => row.actual !== null);
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
    if (event.key === "Escape") return this.at === undefined || this.at === null ? this.model.zoom(null) : this.point(null);
    if (!rows.length || (!step && event.key !== "Home" && event.key !== "End")) return;
    event.preventDefault();
    const at = event.key === "Home" ? 0 : event.key === "End" ? rows.length - 1 : (this.at ?? last - step) + step;
    this.point(Math.min(Math.max(at, 0), rows.length - 1));
    this.said.textContent = this.at === null ? "" : [...this.tip.children].map((line) => line.textContent).join(", ");
  }

  select(from, to) {
    const { box, x } = this.plot;
    const [left, right] = [x(from), x(to)].sort((a, b) => a - b);
    this.tip.hidden = true;
    patch(this.cursor, s("rect", { class: "selection", x: left, y: box.top, width: right - left, height: box.bottom - box.top }));
  }

  point(at) {
    this.at = at;
    const row = at === null ? undefined : this.model.rows[at];
    this.tip.hidden = !row;
    if (!row) return patch(this.cursor);
    const { box, x, y } = this.plot;
    const left = x(row.time);
    const dots = [["forecast", row.yhat], ["value", row.actual]].filter(([, number]) => number !== null);
    patch(
      this.cursor,
      s("line", { x1: left, x2: left, y1: box.top, y2: box.bottom }),
      dots.map(([kind, number]) => s("circle", { class: kind, cx: left, cy: y(number), r: 4 })),
    );
    patch(this.tip, numbers(row, this.model));
    const isLeft = left > (box.left + box.right) / 2;
    this.tip.style.left = isLeft ? "" : `${left + 14}px`;
    this.tip.style.right = isLeft ? `${this.island.clientWidth - left + 14}px` : "";
  }

  timeAt(event) {
    const { box } = this.plot;
    const { from, to } = this.model.span;
    const place = event.clientX - this.picture.getBoundingClientRect().left;
    return linear(box.left, box.right, from, to)(Math.min(Math.max(place, box.left), box.right));
  }

  nearest(time) {
    const rows = this.model.rows;
    let [low, high] = [0, rows.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].time < time) low = middle + 1;
      else high = middle;
    }
    return rows.length ? (low > 0 && time - rows[low - 1].time < rows[low].time - time ? low - 1 : low) : null;
  }
}

function numbers(row, { series, hasCalibrated }) {
  const line = (kind, word, text) => h("p", {}, h("span", { class: `key ${kind}` }), word, " ", h("b", {}, text));
  const flag = row.anomaly ? h("p", { class: "flagged" }, row.anomaly > 0 ? "Above its band" : "Below its band") : null;
  return [
    h("p", { class: "tip-time" }, format.moment(row.time)),
    row.actual === null ? null : line("value", "Value", format.value(row.actual, series)),
    row.yhat === null ? null : line("forecast", row.hindsight ? "In hindsight" : "Expected", format.value(row.yhat, series)),
    row.lower === null ? null : line("alert", "Band", format.range(row.lower, row.upper, series)),
    hasCalibrated && row.calibrated_lower !== null
      ? line("calibrated", "Calibrated", format.range(row.calibrated_lower, row.calibrated_upper, series))
      : null,
    row.score === null ? null : line("", "Score", format.score(row.score)),
    flag,
  ];
}
