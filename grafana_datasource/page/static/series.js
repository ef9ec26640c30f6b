// One series: value, band and forecast ahead, why it looks so, its episodes, and what people said of it.

import * as api from "./api.js";
import { draw as drawChart } from "./chart.js";
import { h } from "./dom.js";
import { history, missedForm } from "./feedback.js";
import * as format from "./format.js";
import { components, models } from "./model.js";
import { badge, card, episodeItem, heading, nothing, ranges } from "./parts.js";
import { changed, href, span } from "./route.js";
import * as words from "./words.js";

const BANDS = [["", "Alert band"], ["0.8", "+ calibrated 80 %"], ["0.95", "+ calibrated 95 %"], ["0.99", "+ calibrated 99 %"]];

export function title(data) {
  return `${format.name(data.series.title)} · ${format.name(data.series.service)}`;
}

export async function load(place, signal) {
  const path = `api/v1/series/${encodeURIComponent(place.params.series)}`;
  const view = span(place, await api.now(signal));
  const window = { from: Math.round(view.from), to: Math.round(view.to) };
  const [series, rows, episodes, parts, versions, answers] = await Promise.all([
    api.get(path, null, signal),
    api.get(`${path}/forecast`, { ...window, max_points: resolution(), interval_width: bandOf(place) || "0.95" }, signal),
    api.get("api/v1/episodes", { ...window, series: place.params.series, limit: 200 }, signal),
    api.get(`${path}/components`, { ...window, max_points: 240 }, signal),
    api.get(`${path}/models`, null, signal),
    api.get("api/v1/feedback", { series: place.params.series }, signal),
  ]);
  return { series, rows, episodes, parts, versions, answers, view };
}

export function render(data, place) {
  const { series, rows, episodes, view } = data;
  const shown = words.badge(series, view.now);
  const band = bandOf(place);
  return [
    h("nav", { class: "crumbs", "aria-label": "Where this is" }, h("a", { href: "./" }, "Fleet"), h("a", { href: href({ service: series.service }) }, h("bdi", {}, format.name(series.service)))),
    heading(h("bdi", { id: "title" }, format.name(series.title)), series.detail ? h("bdi", { title: format.name(series.detail) }, format.name(series.detail)) : null, ranges(place), bandChoice(band)),
    h("p", { class: "sentence", id: "sentence" }, badge(shown.kind, shown.text), " ", words.sentence(series, view.now)),
    h("dl", { class: "figures" }, figures(series, rows, view.now)),
    h("section", { class: "card chart-card", "aria-label": "Chart" }, legend(band, rows, view, place), chart(series, rows, view)),
    episodesCard(data, place),
    components(data),
    models(data),
    card("Answers of people", null, history(data.answers, view.now), missedForm(series, view, episodes)),
  ];
}

export function draw(main, data, place, go) {
  const { series, rows, episodes, view } = data;
  const label = `Chart of ${format.name(series.title)} of ${format.name(series.service)}. Left and right arrow keys tell the numbers.`;
  const zoom = (from, to) => go(changed(place, { from: from ? String(from) : "", to: from ? String(to) : "" }));
  const island = main.querySelector("#chart");
  drawChart(island, { series, rows, episodes, span: view, hasCalibrated: Boolean(bandOf(place)), label, zoom });
}

function bandOf(place) {
  return BANDS.some(([value]) => value === place.params.band) ? place.params.band : "";
}

function bandChoice(band) {
  return h("label", { class: "field" }, h("span", { class: "visually-hidden" }, "Band"),
    h("select", { "data-change": "filter", "data-param": "band", id: "band" }, BANDS.map(([value, text]) => h("option", { value, selected: value === band }, text))));
}

function chart(series, rows, view) {
  const hasPoints = rows.some((row) => row.actual !== null);
  return [
    h("div", { class: "chart-frame" }, h("div", { class: "chart", id: "chart", "data-island": true }),
      hasPoints ? null : h("p", { class: "notice", id: "notice" }, words.silence(series, view.now))),
    h("p", { class: "footnote" }, `Times in ${format.zone()}. `, h("span", { class: "only-wide" }, "Drag to zoom, double-click to go back.")),
  ];
}

function legend(band, rows, view, place) {
  const entries = [["line value", "Value"], ["line forecast", "Expected"], ["line forecast dashed", "Expected ahead"], ["area alert", "Alert band"]];
  if (rows.some((row) => row.hindsight && row.actual !== null && row.yhat !== null)) entries.push(["area hindsight", "In hindsight, by today’s model"]);
  if (band) entries.push(["area calibrated", `Calibrated ${Math.round(band * 100)} % band`]);
  entries.push(["dot critical", "Outside"], ["area episode", "Episode"]);
  return h("div", { class: "chart-head" },
    h("ul", { class: "legend", "aria-label": "Legend" }, entries.map(([kind, text]) => h("li", {}, h("span", { class: `swatch ${kind}` }), text))),
    view.isZoomed ? h("a", { class: "button small", href: changed(place, { from: "", to: "" }), "data-keep": true }, "Whole range") : null);
}

function figures(series, rows, now) {
  const last = rows.findLast((row) => row.actual !== null);
  const expected = rows.findLast((row) => row.time <= now && row.yhat !== null);
  const ahead = rows.findLast((row) => row.time > now && row.yhat !== null);
  const band = expected && expected.lower !== null ? `band ${format.range(expected.lower, expected.upper, series)}` : "no band yet";
  return [
    figure("Latest", last ? format.value(last.actual, series) : "–", last ? format.ago(now - last.time) : "no points"),
    figure("Expected", expected ? format.value(expected.yhat, series) : "–", expected ? band : "no forecast yet"),
    figure("Score", format.score(last?.score), "beyond ±1 is outside the band"),
    figure("Ahead", ahead ? format.value(ahead.yhat, series) : "–", ahead ? `at ${format.clock(ahead.time, now)}` : "no forecast yet"),
  ];
}

function figure(term, value, note) {
  return h("div", {}, h("dt", {}, term), h("dd", {}, value), h("dd", { class: "note" }, note));
}

function episodesCard({ episodes, view }, place) {
  const all = h("a", { href: href({ view: "episodes", range: place.range }) }, "Of all series");
  if (!episodes.length) return card("Episodes", all, nothing("None in this stretch of time."));
  return card("Episodes", all, h("ol", { class: "episodes", "data-walk": true }, episodes.toReversed().map((each) => episodeItem(each, view.now))));
}

function resolution() {
  return Math.round(Math.min(2000, Math.max(400, document.getElementById("main").clientWidth * 1.6)));
}
