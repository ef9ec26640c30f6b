// Services by rate, errors and duration; of one service its operations, episodes and series.

import * as api from "./api.js";
import { h } from "./dom.js";
import { seriesRow } from "./fleet.js";
import * as format from "./format.js";
import { serviceMap } from "./map.js";
import { heat } from "./marks.js";
import { badge, card, episodeItem, heading, nothing, ranges, table } from "./parts.js";
import { href, past } from "./route.js";
import { SEVERITIES } from "./words.js";

const RATE = { unit: "/s", statistic: "rate", metric: "" };
const SHARE = { unit: "1", statistic: "error_ratio", metric: "" };
const TIME = { unit: "s", statistic: "p95", metric: "" };
const NONE = "“–” means too few requests";
const SIGNALS = [["requests", "Requests", RATE], ["errors", "Errors", SHARE], ["p50", "Median", TIME], ["p95", "p95", TIME], ["p99", "p99", TIME]];

export const all = {
  title: () => "Services",

  async load(place, signal) {
    const now = await api.now(signal);
    const window = { from: now - past(place), to: now, cells: 48, limit: 1000 };
    const [fleet, red, nodes, edges] = await Promise.all([
      api.get("api/v1/fleet", window, signal),
      api.get("api/v1/red", null, signal),
      api.get("api/v1/graph/nodes", null, signal),
      api.get("api/v1/graph/edges", null, signal),
    ]);
    return { fleet, red: new Map(red.map((row) => [row.service, row])), nodes, edges };
  },

  render({ fleet, red, nodes, edges }, place) {
    const traffic = (row) => red.get(row.service)?.requests ?? -1;
    const named = (a, b) => a.service.localeCompare(b.service, "en", { numeric: true });
    const rows = [...fleet.services, ...measuredElsewhere(fleet, red)].sort((a, b) => b.level - a.level || traffic(b) - traffic(a) || named(a, b));
    return [
      heading("Services", `${format.many(fleet.services_in_all, "services")}; rate, errors and durations of those that are traced, as of their last window`, ranges(place)),
      serviceMap(nodes, edges),
      rows.length
        ? card("Rate, errors, duration", h("span", { class: "quiet only-wide" }, `durations are estimated from those of operations and their traffic; ${NONE}`), servicesTable(rows, red, place))
        : card("Rate, errors, duration", null, nothing("No service has reported yet.")),
    ];
  },
};

export const one = {
  title: (data) => format.name(data.service),

  async load(place, signal) {
    const now = await api.now(signal);
    const service = place.params.service;
    const [operations, catalog, episodes] = await Promise.all([
      api.get("api/v1/red", { service }, signal),
      api.get("api/v1/catalog", { service, limit: 200 }, signal),
      api.get("api/v1/episodes", { service, from: now - past(place), to: now, limit: 200 }, signal),
    ]);
    return { service, operations, catalog, episodes, now };
  },

  render({ service, operations, catalog, episodes, now }, place) {
    if (!catalog.total && !operations.length) return [heading(h("bdi", {}, format.name(service))), nothing("No series of a service of that name.")];
    const all = h("a", { href: href({ view: "episodes", service, range: place.range }) }, "On a timeline");
    return [
      h("nav", { class: "crumbs", "aria-label": "Where this is" }, h("a", { href: href({ view: "services" }) }, "Services")),
      heading(h("bdi", {}, format.name(service)), `${format.count(catalog.total)} series, ${catalog.anomalous} anomalous`, ranges(place)),
      operations.length ? card("Operations", h("span", { class: "quiet only-wide" }, `as of the last window, every number leads to its series; ${NONE}`), operationsTable(operations)) : null,
      card("Episodes", all, episodes.length
        ? h("ol", { class: "episodes", "data-walk": true }, episodes.toReversed().map((each) => episodeItem(each, now, format.name(each.title))))
        : nothing(`None in the last ${format.stretch(place.range)}.`)),
      card("Series", h("span", { class: "quiet" }, catalog.matched > catalog.series.length ? `the ${catalog.series.length} most urgent of ${format.count(catalog.matched)}` : ""),
        h("ul", { class: "rows", "data-walk": true }, catalog.series.map((series) => seriesRow(series, now, false)))),
    ];
  },
};

// Services that only span metrics of another process name: they have no series of their own.
function measuredElsewhere(fleet, red) {
  if (fleet.services.length < fleet.services_in_all) return [];
  const known = new Set(fleet.services.map((row) => row.service));
  return [...red.keys()].filter((service) => !known.has(service)).map((service) => ({ service, level: 0, open: 0, warming: 0, series: 0, cells: [] }));
}

function servicesTable(rows, red, place) {
  const head = ["Service", ["State"], ...SIGNALS.map(([, text]) => text), [`Last ${format.stretch(place.range)}`]];
  return table("Services", head, rows.map((row) => serviceRow(row, red.get(row.service))));
}

function serviceRow(row, red) {
  const state = !row.series ? h("span", { class: "quiet" }, "–") : row.level ? badge(SEVERITIES[3 - row.level], `${row.open} open`) : row.warming === row.series ? badge("warming", "Warming") : badge("active", "Usual");
  return h(
    "tr",
    { "data-key": row.service },
    h("th", { scope: "row" }, h("a", { href: href({ service: row.service }) }, h("bdi", { class: "clip", title: format.name(row.service) }, format.brief(row.service, 48)))),
    h("td", {}, state),
    SIGNALS.map(([signal, , as]) => h("td", { class: `number${red?.anomalous[signal] ? " off" : ""}` }, red ? format.value(red[signal], as) : "–")),
    h("td", { class: "heat-cell" }, heat(row.cells, `Episodes in ${row.cells.filter(Boolean).length} of ${row.cells.length} stretches of time`)),
  );
}

function operationsTable(operations) {
  const head = ["Operation", ["Kind"], ...SIGNALS.map(([, text]) => text)];
  return table("Operations", head, operations.map((row) =>
    h(
      "tr",
      { "data-key": `${row.kind} ${row.operation}` },
      h("th", { scope: "row" }, h("bdi", { class: "clip" }, format.name(row.operation) || "–")),
      h("td", { class: "quiet" }, format.name(row.kind)),
      SIGNALS.map(([signal, text, as]) => number(row, row[signal], text, as)),
    ),
  ));
}

function number(row, found, text, as) {
  if (!found) return h("td", { class: "number quiet" }, "–");
  const said = { 1: ", above its band", "-1": ", below its band" }[found.anomaly] ?? "";
  const link = h("a", { href: href({ series: found.id }), "aria-label": `${text} of ${format.name(row.operation)}: ${format.value(found.value, as)}${said}` }, format.value(found.value, as));
  return h("td", { class: `number${found.anomaly ? " off" : ""}` }, link);
}
