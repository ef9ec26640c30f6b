// Episodes of all series: a timeline and a list, narrowed by time, severity, service and whether they go on.

import * as api from "./api.js";
import { h, s } from "./dom.js";
import * as format from "./format.js";
import { card, episodeItem, heading, nothing, ranges, segments } from "./parts.js";
import { changed, href, past } from "./route.js";
import { linear, timeLabel, timeTicks } from "./scale.js";
import * as words from "./words.js";

const MOST = 500;
const LANES = 24;
const LANE = 22;

export function title() {
  return "Episodes";
}

export async function load(place, signal) {
  const now = await api.now(signal);
  const { severity = "", open = "", service = "" } = place.params;
  const window = { from: now - past(place), to: now, limit: MOST };
  if (severity) window.severity = severity;
  if (open) window.state = "open";
  if (service) window.service = service;
  const [episodes, services] = await Promise.all([api.get("api/v1/episodes", window, signal), api.get("api/v1/services", null, signal)]);
  return { now, from: window.from, episodes, services: services.map((each) => each.__value) };
}

export function render(data, place) {
  const { severity = "", open = "", service = "" } = place.params;
  const found = data.episodes;
  const going = found.filter((episode) => episode.end === null).length;
  return [
    heading("Episodes", found.length === MOST ? `The newest ${MOST}; narrow them down to see others` : `${found.length} in the last ${format.stretch(place.range)}, ${going} open`, ranges(place)),
    h(
      "div",
      { class: "filters" },
      segments("Severity", [["", "All"], ...words.SEVERITIES.map((each) => [each, words.capital(each)])], severity, (value) => changed(place, { severity: value })),
      segments("State", [["", "All"], ["1", "Open"]], open, (value) => changed(place, { open: value })),
      h("label", { class: "field" }, h("span", { class: "visually-hidden" }, "Service"),
        h("select", { "data-change": "filter", "data-param": "service" }, h("option", { value: "" }, "All services"),
          data.services.map((each) => h("option", { value: each, selected: each === service }, format.name(each))))),
    ),
    found.length ? timeline(data, place) : null,
    card("Newest first", h("span", { class: "quiet" }, `Times in ${format.zone()}`),
      found.length
        ? h("ol", { class: "episodes", "data-walk": true }, found.toReversed().map((each) => episodeItem(each, data.now, `${format.name(each.service)} · ${format.name(each.title)}`)))
        : nothing(`No episode in the last ${format.stretch(place.range)}${severity || open || service ? " that is like this" : ": nothing left its band"}.`)),
  ];
}

function timeline({ episodes, from, now }, place) {
  const lanes = new Map();
  for (const episode of episodes) {
    if (!lanes.has(episode.service)) lanes.set(episode.service, []);
    lanes.get(episode.service).push(episode);
  }
  const shown = [...lanes].sort(([, a], [, b]) => urgency(b) - urgency(a)).slice(0, LANES);
  const x = linear(from, now, 0, 1000);
  const { ticks, step } = timeTicks(from, now, 7);
  const rest = lanes.size - shown.length;
  return card(
    "Timeline",
    h("span", { class: "quiet" }, rest > 0 ? `the ${LANES} services with the most urgent of ${lanes.size}` : ""),
    h("div", { class: "lanes" },
      shown.map(([service, own]) => lane(service, own, x, now, place)),
      h("p", { class: "lane-axis", "aria-hidden": "true" }, ticks.map((tick) => h("span", { class: "quiet", style: { left: `${(x(tick) / 10).toFixed(2)}%` } }, timeLabel(tick, step)[step < 86400000 && place.range.endsWith("h") ? 0 : 1] || timeLabel(tick, step)[0])))),
  );
}

function lane(service, episodes, x, now, place) {
  const name = format.name(service);
  return h(
    "div",
    { class: "lane", "data-key": service },
    h("a", { class: "clip", href: href({ service }), title: name }, h("bdi", {}, format.brief(service, 22))),
    s(
      "svg",
      { viewBox: `0 0 1000 ${LANE}`, preserveAspectRatio: "none", role: "img", "aria-label": `${episodes.length} episodes of ${name}` },
      s("rect", { class: "heat-ground", width: 1000, height: LANE }),
      episodes.map((episode) => {
        const start = Math.max(0, x(episode.start));
        const width = Math.max(3, x(episode.end ?? now) - start);
        return s("rect", { class: episode.severity, x: start.toFixed(1), y: 4, width: width.toFixed(1), height: LANE - 8 }, s("title", {}, `${format.name(episode.title)}, ${words.lasted(episode, now)}`));
      }),
    ),
  );
}

function urgency(episodes) {
  const levels = { critical: 1e6, warning: 1e3, info: 1 };
  return episodes.reduce((sum, episode) => sum + (levels[episode.severity] ?? 1), 0);
}
