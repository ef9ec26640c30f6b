// The fleet: how it does, what is worst now, when each service had what, and every series to choose from.

import * as api from "./api.js";
import { h } from "./dom.js";
import * as format from "./format.js";
import { course, heat } from "./marks.js";
import { badge, card, heading, nothing, pageOf, pager, ranges, segments, seriesLink, seriesName, severityBadge } from "./parts.js";
import { changed, href, past } from "./route.js";
import * as words from "./words.js";

const PAGE = 50;
const SERVICES = 12;
const CELLS = 48;
const STATES = [["", "All"], ["anomalous", "Anomalous"], ["degraded", "Degraded"], ["warming", "Warming"], ["silent", "Silent"]];
const ORDERS = [["urgency", "Most urgent first"], ["name", "By name"], ["newest", "Newest point first"]];

export function title() {
  return "Fleet";
}

export async function load(place, signal) {
  const { q = "", state = "", sort = "", services = "" } = place.params;
  const now = await api.now(signal);
  const wish = { search: q, state: state || "all", sort: sort || "urgency", limit: PAGE, offset: (pageOf(place) - 1) * PAGE };
  const window = { from: now - past(place), to: now, cells: CELLS, limit: services === "all" ? 1000 : SERVICES };
  const [fleet, catalog] = await Promise.all([
    api.get("api/v1/fleet", window, signal),
    api.get("api/v1/catalog", wish, signal),
  ]);
  const series = fleet.worst.map((episode) => episode.series).join(",");
  const sparks = series ? await api.get("api/v1/sparks", { series, from: fleet.from, to: fleet.to, max_points: 120 }, signal) : [];
  return { now: catalog.now, fleet, catalog, sparks: new Map(sparks.map((spark) => [spark.series, spark])) };
}

export function render(data, place) {
  if (!data.catalog.total) return onboarding();
  return [
    heading("Fleet", `${format.count(data.catalog.total)} series of ${format.many(data.fleet.services_in_all, "services")}`, ranges(place)),
    tiles(data),
    worst(data, place),
    activity(data, place),
    everySeries(data, place),
  ];
}

function tiles({ fleet, catalog }) {
  const { critical, warning, info } = fleet.open;
  const opened = critical + warning + info;
  const urgent = [[critical, "critical"], [warning, "warning"], [info, "info"]].filter(([n]) => n).map(([n, word]) => `${n} ${word}`);
  return h(
    "ul",
    { class: "tiles", "aria-label": "Series by state" },
    tile("Anomalous", catalog.anomalous, urgent.join(", ") || "nothing is open", critical ? "critical" : opened ? "warning" : "active", "anomalous"),
    tile("Silent", fleet.silent, fleet.silent ? "stopped reporting" : "all report", fleet.silent ? "critical" : "active", "silent"),
    tile("Degraded", fleet.states.degraded, "judged with less certainty", fleet.states.degraded ? "degraded" : "active", "degraded"),
    tile("Warming", fleet.states.warming, "less than a day of history", fleet.states.warming ? "warming" : "active", "warming"),
    tile("Active", fleet.states.active, "judged point by point", "active", ""),
  );
}

function tile(name, number, note, kind, state) {
  const address = href({ state }) + "#all-series";
  return h(
    "li",
    {},
    h(
      "a",
      { class: "tile", href: state ? address : "./#all-series" },
      h("span", { class: "tile-name" }, h("span", { class: `dot ${kind}` }), name),
      h("span", { class: `tile-number${number ? "" : " none"}` }, format.count(number)),
      h("span", { class: "tile-note" }, note),
    ),
  );
}

function worst({ fleet, sparks, now }, place) {
  const more = h("a", { href: href({ view: "episodes", open: "1" }) }, "All open episodes");
  if (!fleet.worst.length) return card("Worst now", null, nothing(`Nothing is outside its band. ${format.count(fleet.episodes)} episodes in the last ${format.stretch(place.range)}.`));
  return card(
    "Worst now",
    more,
    h("ul", { class: "worst", "data-walk": true }, fleet.worst.map((episode) => worstItem(episode, sparks.get(episode.series), now))),
  );
}

function worstItem(episode, spark, now) {
  return h(
    "li",
    { "data-key": episode.id },
    h(
      "a",
      { class: "worst-item", href: href({ episode: episode.id }) },
      h("span", { class: "worst-head" }, severityBadge(episode), h("bdi", { class: "quiet clip" }, format.name(episode.service))),
      h("bdi", { class: "worst-name" }, format.name(episode.title)),
      spark ? course(spark, `Course of ${format.name(episode.title)}`) : null,
      h("span", { class: "worst-what" }, words.seen(episode)),
      h("span", { class: "quiet" }, `${words.kindWord(episode)}, ${words.lasted(episode, now)}${episode.muted ? ", muted" : ""}`),
    ),
  );
}

function activity({ fleet }, place) {
  const length = format.duration((fleet.to - fleet.from) / CELLS);
  const rows = fleet.services.map((service) => activityRow(service, place));
  const isAll = place.params.services === "all";
  const more = fleet.services_in_all > SERVICES;
  return card(
    "Activity by service",
    h("span", { class: "quiet only-wide" }, `last ${format.stretch(place.range)}, ${length} a cell`),
    h("ul", { class: "activity", "data-walk": true }, rows),
    h("p", { class: "activity-axis quiet", "aria-hidden": "true" }, h("span", {}, format.clock(fleet.from, fleet.now)), h("span", {}, "now")),
    more
      ? h("p", { class: "more" }, h("a", { href: changed(place, { services: isAll ? "" : "all" }), "data-keep": true }, isAll ? "Fewer services" : `All ${format.count(fleet.services_in_all)} services`))
      : null,
  );
}

function activityRow(service) {
  const busy = service.cells.filter(Boolean).length;
  const label = busy ? `Episodes in ${busy} of ${service.cells.length} stretches of time` : "No episodes";
  return h(
    "li",
    { "data-key": service.service },
    h(
      "a",
      { href: href({ service: service.service }) },
      h("span", { class: `dot ${service.level ? words.SEVERITIES[3 - service.level] : "active"}` }),
      h("bdi", { class: "clip", title: format.name(service.service) }, format.brief(service.service, 24)),
      heat(service.cells, label),
      h("span", { class: "quiet activity-open" }, service.open ? `${service.open} open` : ""),
      h("span", { class: "quiet only-wide" }, `${format.count(service.series)} series`),
    ),
  );
}

function everySeries({ catalog, now }, place) {
  const { q = "", state = "", sort = "urgency" } = place.params;
  const found = catalog.series;
  return h(
    "section",
    { class: "card", id: "all-series", "aria-labelledby": "all-series-title", "data-key": "all-series" },
    h("div", { class: "card-head" }, h("h2", { id: "all-series-title" }, "All series"), h("span", { class: "quiet", role: "status" }, `${format.count(catalog.matched)} found`)),
    h(
      "div",
      { class: "filters" },
      h("label", { class: "field grow" }, h("span", { class: "visually-hidden" }, "Filter by name"),
        h("input", { type: "search", value: q, placeholder: "Filter by service, name or attribute", "data-change": "filter", "data-param": "q", autocomplete: "off", spellcheck: "false" })),
      segments("State", STATES, state, (value) => changed(place, { state: value, page: "" })),
      h("label", { class: "field" }, h("span", { class: "visually-hidden" }, "Order"),
        h("select", { "data-change": "filter", "data-param": "sort" }, ORDERS.map(([value, text]) => h("option", { value, selected: value === sort }, text)))),
    ),
    found.length
      ? h("ul", { class: "rows", "data-walk": true }, found.map((series) => seriesRow(series, now)))
      : nothing(q || state ? "No series matches." : "There are no more series on this page."),
    pager(place, pageOf(place), PAGE, catalog.matched),
  );
}

export function seriesRow(series, now, hasService = true) {
  const shown = words.badge(series, now);
  return h(
    "li",
    { "data-key": series.id },
    h(
      "a",
      { class: "series-row", href: seriesLink(series) },
      h("span", { class: `dot ${shown.kind}` }),
      h("span", { class: "item-text" }, seriesName(series)),
      hasService ? h("bdi", { class: "quiet clip" }, format.name(series.service)) : h("span", { class: "clip" }),
      h("span", { class: "series-value" }, series.last_time === null ? "" : format.value(series.last_value, series),
        h("span", { class: "quiet" }, series.last_time === null ? "no points" : format.ago(now - series.last_time))),
      badge(shown.kind, shown.text),
    ),
  );
}

function onboarding() {
  const host = location.hostname || "127.0.0.1";
  const example = `exporters:\n  otlp/foreband:\n    endpoint: ${host}:4317\n    tls: {insecure: true}\nservice:\n  pipelines:\n    metrics: {receivers: [otlp], exporters: [otlp/foreband]}\n    traces: {receivers: [otlp], exporters: [otlp/foreband]}`;
  return h(
    "section",
    { class: "empty", id: "empty" },
    h("h1", { tabindex: -1 }, "Waiting for first points"),
    h("p", {}, "No series yet. Point an OpenTelemetry Collector at Foreband's OTLP door, and they appear here by themselves:"),
    h("pre", { tabindex: 0, "aria-label": "Example of a Collector configuration" }, example),
    h("p", {}, "Or an SDK without a Collector:"),
    h("pre", { tabindex: 0, "aria-label": "Example of an environment variable" }, `OTEL_EXPORTER_OTLP_ENDPOINT=http://${host}:4318`),
    h("p", { class: "quiet" }, "A series has a provisional band after ten minutes, and is judged after a day of history; ",
      h("code", {}, "foreband backfill prometheus"), " brings the past at once. To see it work now: ", h("code", {}, "make demo"), "."),
  );
}
