// How good the models are, and whether the detectors would still find something: measured, not promised.

import * as api from "./api.js";
import { h } from "./dom.js";
import * as format from "./format.js";
import { bar } from "./marks.js";
import { card, heading, nothing, table } from "./parts.js";
import * as words from "./words.js";

const SECOND = 1000;
const KINDS = {
  request_rate: "Request rates", latency: "Latencies", error_ratio: "Error ratios", utilisation: "Utilisation",
  counter_rate: "Counter rates", gauge: "Gauges",
};
const CANARIES = {
  spike: "Spike", drop: "Drop", shift: "Level shift", drift: "Drift", silence: "Silence",
};
const OUTCOMES = { fitted: "Models fitted", failed: "Fits that failed" };

export function title() {
  return "Models";
}

export async function load(place, signal) {
  const [quality, proof, metrics] = await Promise.all([
    api.get("api/v1/quality", null, signal),
    api.get("api/v1/proof", null, signal),
    api.get("metrics", null, signal),
  ]);
  return { quality, proof, own: samples(metrics) };
}

export function render({ quality, proof, own }) {
  return [
    heading("Models", "What was promised, and what was measured since"),
    h("dl", { class: "figures" }, figures(quality, own)),
    h("div", { class: "columns" }, coverage(quality, proof), canaries(proof, quality.now), drawn(quality), spread(quality), standing(quality), fits(own)),
  ];
}

function figures(quality, own) {
  const held = quality.coverage.find((each) => each.interval_width === 0.95);
  const backlog = own.get("foreband_fit_backlog_age_seconds")?.[0]?.value;
  const modelled = quality.series - quality.unmodelled;
  const entries = [
    ["95 % band holds", format.share(held?.coverage ?? null), held?.scored ? `of ${format.count(held.scored)} points` : "nothing is scored yet"],
    ["Series with a model", format.count(modelled), `of ${format.count(quality.series)}`],
    ["Age of models", quality.model_age ? format.duration(quality.model_age.p50 * SECOND) : "–", quality.model_age ? `in the median; oldest ${format.duration(quality.model_age.max * SECOND)}` : "no model yet"],
    ["Fit backlog", backlog === undefined ? "–" : format.duration(backlog * SECOND), backlog === undefined ? "told by the process that fits" : backlog ? "how long the longest waits" : "nobody waits"],
  ];
  return entries.map(([term, value, note]) => h("div", {}, h("dt", {}, term), h("dd", {}, value), h("dd", { class: "note" }, note)));
}

function coverage(quality, proof) {
  const kinds = Object.keys(KINDS).filter((kind) => proof.some((row) => row.kind === kind && row.coverage !== undefined));
  const of = (kind, width) => proof.find((row) => row.kind === kind && Number(row.interval_width) === width)?.coverage ?? null;
  const cell = (measured, width) => h("td", { class: `number${measured !== null && width - measured > 0.05 ? " off" : ""}` }, format.share(measured));
  if (!quality.coverage.some((each) => each.scored)) return card("Coverage of the calibrated bands", null, nothing("Nothing has been scored yet."));
  return card(
    "Coverage of the calibrated bands",
    h("span", { class: "quiet only-wide" }, "share of points inside"),
    h("ul", { class: "gauges" }, quality.coverage.map((each) => h("li", {},
      h("span", {}, `${format.share(each.interval_width, 0)} promised`),
      bar(each.coverage, { low: 0.6, wanted: each.interval_width, kind: "accent" }),
      h("b", {}, format.share(each.coverage))))),
    kinds.length ? table("Coverage by kind", ["Kind", ...quality.coverage.map((each) => format.share(each.interval_width, 0))], kinds.map((kind) =>
      h("tr", {}, h("th", { scope: "row" }, KINDS[kind]), quality.coverage.map((each) => cell(of(kind, each.interval_width), each.interval_width))))) : null,
  );
}

function canaries(proof, now) {
  const rows = proof.filter((row) => row.power !== undefined);
  if (!rows.length) return card("Canaries", null, nothing("None was tried within the last hour. They are tried on series that are judged, by the process that judges."));
  return card(
    "Canaries",
    h("span", { class: "quiet only-wide" }, `tried on shadow copies, ${format.ago(now - rows[0].time)}`),
    table("Canaries", ["Anomaly", "Size", "Found", ["Share"], "Median delay"], rows.map((row) =>
      h("tr", {},
        h("th", { scope: "row" }, Object.hasOwn(CANARIES, row.kind) ? CANARIES[row.kind] : format.name(row.kind)),
        h("td", { class: "number" }, row.size ? `×${row.size}` : "–"),
        h("td", { class: "number" }, `${Math.round(row.power * row.tried)} of ${row.tried}`),
        h("td", { class: "bar-cell" }, bar(row.power, { kind: row.power < 0.5 ? "warning" : "active" })),
        h("td", { class: "number" }, row.seconds === null ? "–" : row.seconds < 1 ? "at once" : format.duration(row.seconds * SECOND))))),
    h("p", { class: "footnote" }, "Size in units of a series’ own usual largest error."),
  );
}

function drawn(quality) {
  const names = Object.entries(quality.drawn);
  const relative = quality.backtest.relative_error;
  const row = (name, count) => h("tr", {},
    h("th", { scope: "row" }, name ? words.forecasterName(name) : "None yet"),
    h("td", { class: "number" }, format.count(count)),
    h("td", { class: "bar-cell" }, bar(count / quality.series, { kind: "accent" })),
    h("td", { class: "number" }, relative[name] === undefined ? "–" : `×${relative[name].toFixed(2)}`));
  return card(
    "Which forecast is drawn",
    null,
    table("Drawn forecasts", ["Forecast", "Series", ["Share"], "Error"], [
      ...names.map(([name, count]) => row(name, count)),
      quality.unmodelled ? row("", quality.unmodelled) : null,
    ]),
    h("p", { class: "footnote" }, quality.backtest.tested
      ? `Error one day ahead, by backtest, as a multiple of that of the drawn one: the median over ${format.count(quality.backtest.tested)} models.`
      : "No backtest yet: that takes two days of history."),
  );
}

function spread(quality) {
  const most = Math.max(...quality.spread.map((each) => each.series));
  if (!most) return card("Coverage by series", null, nothing("No series has been scored for long enough yet."));
  return card(
    "Coverage by series",
    h("span", { class: "quiet only-wide" }, "of the 95 % band"),
    h("ul", { class: "gauges" }, quality.spread.toReversed().map((each) => h("li", {},
      h("span", {}, each.from ? `${format.share(each.from)} to ${format.share(each.to)}` : `below ${format.share(each.to)}`),
      bar(each.series / most, { kind: each.to <= 0.9 ? "warning" : "accent" }),
      h("b", {}, format.count(each.series))))),
  );
}

function standing(quality) {
  const reasons = Object.entries(quality.reasons).sort(([, a], [, b]) => b - a);
  return card(
    "Why series are not fully judged",
    null,
    reasons.length
      ? h("ul", { class: "gauges" }, reasons.map(([reason, count]) => h("li", {}, h("span", { class: "wrap" }, reason), h("b", {}, format.count(count)))))
      : nothing("All of them are."),
  );
}

function fits(own) {
  const counts = (name, label) => (own.get(name) ?? []).map((each) => [each.labels[label] ?? "", each.value]);
  const rows = [
    ...counts("foreband_fits_total", "outcome").map(([outcome, n]) => [OUTCOMES[outcome] ?? `Fits: ${outcome.replaceAll("_", " ")}`, format.count(n)]),
    ...counts("foreband_fits_declined_total", "reason").map(([reason, n]) => [`Left to the prophet library: ${reason.replaceAll("_", " ")}`, format.count(n)]),
    ...counts("foreband_fit_cpu_seconds_total", "").map(([, n]) => ["CPU time of fits", format.duration(n * SECOND)]),
  ];
  return card(
    "Fits since the start",
    null,
    rows.length
      ? h("ul", { class: "gauges" }, rows.map(([text, number]) => h("li", {}, h("span", { class: "wrap" }, format.name(text)), h("b", {}, number))))
      : nothing("Told by the process that fits; this one only reads the store."),
  );
}

// The samples of a Prometheus text, by name; enough for Foreband's own, whose labels have no braces.
function samples(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
    found.set(match[1], [...(found.get(match[1]) ?? []), { labels, value: Number(match[3]) }]);
  }
  return found;
}
