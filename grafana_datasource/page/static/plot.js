// The picture of one series as SVG elements: value, bands, forecast ahead, anomalies and episodes.

import { s } from "./dom.js";
import * as format from "./format.js";
import { linear, numberTicks, timeLabel, timeTicks } from "./scale.js";

const MANY = 40; // flagged points from which their dots get smaller

// `model` has series, rows (ascending by time), episodes, span { now, from, to } and whether a calibrated band is shown.
export function plot(model, width, height) {
  const [low, high] = domain(model.rows, model.hasCalibrated);
  const axis = format.axis(model.series, Math.max(Math.abs(low), Math.abs(high)));
  const ticks = numberTicks(low, high, Math.max(3, Math.round(height / 70)));
  const labels = ticks.map((tick) => `${format.digits(rounded(tick * axis.factor))}${tick === 0 && !axis.suffix.startsWith(" ") ? "" : axis.suffix}`);
  const left = 14 + 6.6 * Math.max(...labels.map((label) => label.length));
  const box = { left, right: width - 12, top: axis.caption ? 26 : 14, bottom: height - 38 };
  const x = linear(model.span.from, model.span.to, box.left, box.right);
  const y = linear(low, high, box.bottom, box.top);
  const nodes = [
    s("clipPath", { id: "plot-area" }, s("rect", area(box))),
    grid(box, y, ticks, labels, axis.caption),
    timeAxis(model.span, box, x),
    s("g", { "clip-path": "url(#plot-area)" }, regions(model, box, x), bands(model, x, y), lines(model, x, y, width)),
    nowLine(model.span, box, x),
    marks(model.rows, x, y),
  ];
  return { nodes, box, x, y };
}

function domain(rows, hasCalibrated) {
  const shown = rows.flatMap((row) => [row.actual, row.yhat]).filter((n) => n !== null);
  if (!shown.length) return [0, 1];
  let [low, high] = [shown.reduce((a, b) => Math.min(a, b)), shown.reduce((a, b) => Math.max(a, b))];
  const isPositive = low >= 0;
  const reach = 1.5 * (high - low || Math.abs(high) || 1);
  const [lowest, highest] = [low - reach, high + reach]; // a band far wider than the values does not flatten them
  const edges = rows.flatMap((row) => [row.lower, row.upper, ...(hasCalibrated ? [row.calibrated_lower, row.calibrated_upper] : [])]);
  for (const edge of edges) {
    if (edge === null) continue;
    low = Math.min(low, Math.max(edge, lowest));
    high = Math.max(high, Math.min(edge, highest));
  }
  if (low === high) [low, high] = [low - Math.abs(low || 1) * 0.1, high + Math.abs(high || 1) * 0.1];
  const room = (high - low) * 0.06;
  if (isPositive) return [low < 0.4 * high ? 0 : Math.max(0, low - room), high + room];
  return [low - room, high + room];
}

function grid(box, y, ticks, labels, caption) {
  return s(
    "g",
    { class: "grid" },
    ticks.map((tick) => s("line", { x1: box.left, x2: box.right, y1: half(y(tick)), y2: half(y(tick)) })),
    ticks.map((tick, i) => s("text", { x: box.left - 8, y: y(tick) + 4, "text-anchor": "end" }, labels[i])),
    caption ? s("text", { x: 2, y: 12 }, caption) : null,
  );
}

function timeAxis(span, box, x) {
  const { ticks, step } = timeTicks(span.from, span.to, Math.max(2, (box.right - box.left) / 92));
  return s(
    "g",
    { class: "grid" },
    s("line", { class: "axis", x1: box.left, x2: box.right, y1: half(box.bottom), y2: half(box.bottom) }),
    ticks.map((tick, i) => {
      const [hour, day] = timeLabel(tick, step, ticks[i - 1]);
      const isLast = x(tick) > box.right - 30;
      const place = { x: isLast ? box.right + 8 : x(tick), "text-anchor": isLast ? "end" : "middle" };
      return [
        s("line", { class: "axis", x1: half(x(tick)), x2: half(x(tick)), y1: box.bottom, y2: box.bottom + 4 }),
        s("text", { ...place, y: box.bottom + 17 }, hour),
        day ? s("text", { ...place, y: box.bottom + 32 }, day) : null,
      ];
    }),
  );
}

function regions(model, box, x) {
  return model.episodes.map((episode) => {
    const from = x(Math.max(episode.start, model.span.from));
    const to = x(Math.min(episode.end ?? model.span.now, model.span.to));
    return s("rect", { class: `episode ${episode.severity}`, ...area({ ...box, left: from, right: Math.max(to, from + 2) }) });
  });
}

function bands(model, x, y) {
  const { past, judged, hindsight, ahead } = parts(model);
  const shape = (rows, lower, upper, kind) => {
    const d = stretches(rows, (row) => row[lower] !== null && row[upper] !== null).map((part) => closed(part, lower, upper, x, y));
    return d.length ? s("path", { class: `band ${kind}`, d: d.join("") }) : null;
  };
  return [
    shape(judged, "lower", "upper", "alert"),
    shape(hindsight, "lower", "upper", "hindsight"),
    shape(ahead, "lower", "upper", "ahead"),
    model.hasCalibrated ? shape([...past, ...ahead], "calibrated_lower", "calibrated_upper", "calibrated") : null,
  ];
}

function lines(model, x, y, width) {
  const { judged, hindsight, ahead, past } = parts(model);
  const line = (rows, column, kind) => {
    const d = stretches(rows, (row) => row[column] !== null).map((part) => open(part, column, x, y));
    return d.length ? s("path", { class: `line ${kind}`, d: d.join("") }) : null;
  };
  return [
    line(past, "actual", past.length > width * 0.7 ? "value dense" : "value"),
    line(hindsight, "yhat", "forecast hindsight"),
    line(judged, "yhat", "forecast"),
    line(ahead, "yhat", "forecast ahead"),
  ];
}

function marks(rows, x, y) {
  const flagged = rows.filter((row) => row.anomaly && row.actual !== null);
  const radius = flagged.length > MANY ? 2.5 : 3.5;
  return s("g", { class: "marks" }, flagged.map((row) => s("circle", { cx: round(x(row.time)), cy: round(y(row.actual)), r: radius })));
}

function nowLine(span, box, x) {
  if (span.now < span.from || span.now > span.to) return null;
  const at = half(x(span.now));
  const isRight = at > box.right - 36;
  return s(
    "g",
    { class: "now" },
    s("line", { x1: at, x2: at, y1: box.top - 2, y2: box.bottom }),
    s("text", { x: at + (isRight ? -5 : 5), y: box.top + 9, "text-anchor": isRight ? "end" : "start" }, "now"),
  );
}

// Rows up to the last value, judged when they came or in hindsight, and what is expected from there on.
function parts({ rows }) {
  const last = rows.findLastIndex((row) => row.actual !== null);
  const without = (row) => ({ ...row, yhat: null, lower: null, upper: null, calibrated_lower: null, calibrated_upper: null });
  const past = rows.slice(0, last + 1).map((row) => (row.actual === null ? without(row) : row)); // a gap stays empty
  return {
    past,
    judged: past.map((row) => (row.hindsight ? without(row) : row)),
    hindsight: past.map((row) => (row.hindsight ? row : without(row))),
    ahead: rows.slice(Math.max(last, 0)),
  };
}

function stretches(rows, isPresent) {
  const found = [];
  let part = [];
  for (const row of [...rows, null]) {
    if (row && isPresent(row)) part.push(row);
    else if (part.length) {
      found.push(part);
      part = [];
    }
  }
  return found;
}

function open(rows, column, x, y) {
  const points = rows.map((row) => `${round(x(row.time))} ${round(y(row[column]))}`);
  return `M${points.join("L")}${rows.length === 1 ? "h.01" : ""}`; // a lone point is a dot
}

function closed(rows, lower, upper, x, y) {
  const above = rows.map((row) => `${round(x(row.time))} ${round(y(row[upper]))}`);
  const below = rows.toReversed().map((row) => `${round(x(row.time))} ${round(y(row[lower]))}`);
  return `M${above.join("L")}L${below.join("L")}Z`;
}

function area({ left, right, top, bottom }) {
  return { x: round(left), y: round(top), width: round(Math.max(0, right - left)), height: round(Math.max(0, bottom - top)) };
}

function round(number) {
  return Math.round(number * 10) / 10;
}

function half(number) {
  return Math.round(number) + 0.5; // lines one pixel wide stay sharp
}

function rounded(number) {
  return Number(number.toPrecision(12)); // 0.30000000000000004 is 0.3
}
