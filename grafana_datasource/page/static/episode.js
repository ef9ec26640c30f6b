// One episode: what was seen where what was expected, the course around it, the evidence, and what people say.

import * as api from "./api.js";
import { draw as drawChart } from "./chart.js";
import { h } from "./dom.js";
import { answerButtons, history } from "./feedback.js";
import * as format from "./format.js";
import { badge, card, heading, nothing, severityBadge, table } from "./parts.js";
import { href } from "./route.js";
import * as words from "./words.js";

const MINUTE = 60000;

export function title(data) {
  return `Episode of ${format.name(data.episode.title)}`;
}

export async function load(place, signal) {
  const now = await api.now(signal);
  const episode = await api.get(`api/v1/episodes/${encodeURIComponent(place.params.episode)}`, null, signal);
  const view = around(episode, now);
  const path = `api/v1/series/${encodeURIComponent(episode.series)}`;
  const window = { from: Math.round(view.from), to: Math.round(view.to) };
  const [series, rows, episodes, answers] = await Promise.all([
    api.get(path, null, signal),
    api.get(`${path}/forecast`, { ...window, max_points: 1000 }, signal),
    api.get("api/v1/episodes", { ...window, series: episode.series, limit: 100 }, signal),
    api.get("api/v1/feedback", { series: episode.series }, signal),
  ]);
  return { episode, series, rows, episodes, answers: answers.filter((each) => each.episode === episode.id), view };
}

export function render({ episode, series, answers, view }) {
  const name = format.name(episode.title);
  const zoom = { series: episode.series, from: String(Math.round(view.from)), to: String(Math.round(view.to)) };
  return [
    h("nav", { class: "crumbs", "aria-label": "Where this is" }, h("a", { href: href({ view: "episodes" }) }, "Episodes"), h("a", { href: href({ service: episode.service }) }, h("bdi", {}, format.name(episode.service))), h("a", { href: href(zoom) }, h("bdi", {}, name))),
    heading(h("bdi", {}, `${name}: ${words.kindWord(episode).toLowerCase()}`), series.detail ? h("bdi", {}, format.name(series.detail)) : null, h("a", { class: "button", href: href(zoom) }, "Open the series")),
    h("p", { class: "sentence" }, severityBadge(episode), " ", episode.end === null ? badge("plain", "open") : badge("plain", `over: ${format.name(episode.close_reason || "it ended")}`), " ", format.name(episode.explanation)),
    episode.shift ? h("p", { class: "sentence" }, badge("info", "Level shift"), " ", words.shifted(episode, view.now)) : null,
    h("dl", { class: "figures" }, figures(episode, view.now)),
    h("section", { class: "card chart-card", "aria-label": "Chart" },
      h("div", { class: "chart-frame" }, h("div", { class: "chart", id: "chart", "data-island": true })),
      h("p", { class: "footnote" }, `Times in ${format.zone()}.`)),
    evidence(episode),
    onset(episode),
    traces(episode),
    card("Answer", null, history(answers, view.now), answerButtons(episode)),
  ];
}

export function draw(main, { episode, series, rows, episodes, view }, place, go) {
  const label = `Chart of ${format.name(series.title)} around the episode. Left and right arrow keys tell the numbers.`;
  const zoom = (from, to) => from && go(href({ series: episode.series, from: String(from), to: String(to) }));
  drawChart(main.querySelector("#chart"), { series, rows, episodes, span: view, hasCalibrated: false, label, zoom });
}

function around(episode, now) {
  const end = episode.end ?? now;
  const room = Math.max(30 * MINUTE, end - episode.start);
  return { now, from: episode.start - room, to: Math.min(end + room, Math.max(now, end) + room / 3) };
}

function figures(episode, now) {
  const began = ["Began", format.clock(episode.start, now), words.lasted(episode, now)];
  const entries = episode.drift ? drifting(episode, began, now) : [
    began,
    ["At its peak", episode.actual === null ? "–" : format.value(episode.actual, episode), episode.peak_score === null ? "" : `score ${format.score(episode.peak_score)}, 1 is the edge`],
    ["Expected then", episode.yhat === null ? "–" : format.value(episode.yhat, episode), episode.lower === null ? "" : `band ${format.range(episode.lower, episode.upper, episode)}`],
    ["How rare", ...rarity(episode.rarity)],
  ];
  return entries.map(([term, value, note]) => h("div", {}, h("dt", {}, term), h("dd", {}, value), h("dd", { class: "note" }, note)));
}

function drifting(episode, began, now) {
  const { per_day: perDay, since, reaches } = episode.drift;
  return [
    began,
    ["A day", `${perDay > 0 ? "+" : ""}${format.value(perDay, episode)}`, `since ${format.clock(since, now)}`],
    ["Newest day", format.value(episode.actual, episode), `a week before ${format.value(episode.yhat, episode)}`],
    ["Reaches its bound", reaches === null ? "–" : format.clock(reaches, now), reaches === null ? "not within a year" : `in ${format.duration(reaches - now)}`],
  ];
}

function rarity(found) {
  if (!found) return ["–", "not enough past to compare with"];
  if (found.days_since === null) return [`1 in ${found.days} days`, "nothing as far off before"];
  const since = format.duration(found.days_since * 24 * 60 * MINUTE);
  return [`${found.rank} in ${found.days + 1} days`, `as far off ${since} earlier`];
}

function evidence(episode) {
  if (!episode.evidence.length) return card("Evidence", null, nothing("The points of this episode are no longer stored."));
  const row = (point) => h(
    "tr",
    { class: Math.abs(point.score ?? 0) > 1 ? "flagged" : null },
    h("td", {}, format.moment(point.time)),
    h("td", { class: "number" }, format.value(point.value, episode)),
    h("td", { class: "number" }, format.value(point.yhat, episode)),
    h("td", { class: "number" }, point.lower === null ? "–" : format.range(point.lower, point.upper, episode)),
    h("td", { class: "number" }, format.score(point.score)),
  );
  return card(
    "Evidence",
    h("span", { class: "quiet only-wide" }, "the points before, the first and the furthest ones"),
    table("Evidence", ["Time", "Value", "Expected", "Band", "Score"], episode.evidence.map(row)),
  );
}

function onset({ onset: found, ...episode }) {
  if (!found) return null;
  const row = (name) => h(
    "tr",
    {},
    h("td", { class: found.forecaster === name ? "chosen" : null }, `${words.forecasterName(name)}${found.forecaster === name ? " (drawn)" : ""}`),
    h("td", { class: "number" }, format.value(found.forecasts[name], episode)),
    h("td", { class: "number" }, found.tolerance[name] === undefined ? "–" : `± ${format.value(found.tolerance[name], episode)}`),
  );
  const parts = Object.entries(found.parts).filter(([, number]) => number);
  return card(
    "What judged its first point",
    h("span", { class: "quiet only-wide" }, `model ${found.model_version}`),
    table("Forecasts", ["Forecast", "Expected", "Usually within"], Object.keys(found.forecasts).map(row)),
    parts.length ? h("p", { class: "quiet" }, "Prophet then: ", parts.map(([name, number]) => `${format.name(name)} ${format.value(number, episode)}`).join(", "), ".") : null,
    found.reason ? h("p", { class: "quiet" }, `${words.forecasterName(found.forecaster)} is drawn: ${format.name(found.reason)}.`) : null,
  );
}

function traces(episode) {
  if (!episode.traces.length) return null;
  return card("Traces", h("span", { class: "quiet only-wide" }, "measured while it lasted"), h("ul", { class: "traces" }, episode.traces.map((id) => h("li", {}, h("code", {}, id)))));
}
