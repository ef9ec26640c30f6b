// Small pictures beside words: a course with its band, activity over time, a share of a whole.

import { h, s } from "./dom.js";

const LEVELS = ["", "info", "warning", "critical"];

// The course of a value with its band; `spark` has columns as /api/v1/sparks answers them.
export function course(spark, label) {
  const numbers = [...spark.value, ...spark.lower, ...spark.upper].filter((n) => n !== null);
  if (!numbers.length || spark.time.length < 2) return h("span", { class: "course", "aria-hidden": "true" });
  const [low, high] = [numbers.reduce((a, b) => Math.min(a, b)), numbers.reduce((a, b) => Math.max(a, b))];
  const [first, length] = [spark.time[0], spark.time.at(-1) - spark.time[0]];
  const x = (i) => (((spark.time[i] - first) / length) * 200).toFixed(1);
  const y = (n) => (38 - ((n - low) / (high - low || 1)) * 36).toFixed(1);
  const known = spark.time.map((_, i) => i).filter((i) => spark.lower[i] !== null && spark.upper[i] !== null);
  const edge = (rows, column) => rows.map((i) => `${x(i)} ${y(column[i])}`).join("L");
  const band = known.length > 1 ? `M${edge(known, spark.upper)}L${edge(known.toReversed(), spark.lower)}Z` : "";
  const flagged = spark.anomaly.flatMap((flag, i) => (flag && spark.value[i] !== null ? [i] : []));
  return s(
    "svg",
    { class: "course", viewBox: "0 0 200 40", preserveAspectRatio: "none", role: "img", "aria-label": label },
    band ? s("path", { class: "band alert", d: band }) : null,
    s("path", { class: "line value", d: spark.value.map((n, i) => (n === null ? "" : `${isGap(spark.value[i - 1]) ? "M" : "L"}${x(i)} ${y(n)}`)).join("") }),
    flagged.length ? s("path", { class: "flags", d: flagged.map((i) => `M${x(i)} ${y(spark.value[i])}h.01`).join("") }) : null,
  );
}

// How urgent what went on was, by place in time; said by height as well as by colour.
export function heat(cells, label) {
  return s(
    "svg",
    { class: "heat", viewBox: `0 0 ${cells.length} 3`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    s("rect", { class: "heat-ground", width: cells.length, height: 3 }),
    cells.map((level, i) =>
      level ? s("rect", { class: LEVELS[level], x: i + 0.08, y: 3 - level, width: 0.84, height: level }) : null,
    ),
  );
}

// A share of 1 as a bar, with a tick where it should be.
export function bar(share, { low = 0, high = 1, wanted = null, kind = "" } = {}) {
  const place = (n) => `${Math.min(100, Math.max(0, ((n - low) / (high - low)) * 100))}%`;
  return h(
    "span",
    { class: `bar ${kind}`, "aria-hidden": "true" },
    h("span", { class: "bar-fill", style: { width: place(share ?? low) } }),
    wanted === null ? null : h("span", { class: "bar-wanted", style: { left: place(wanted) } }),
  );
}

function isGap(number) {
  return number === null || number === undefined;
}
