// Incidents: episodes that belong together, listed by their likeliest cause; and one of them, with all that speaks for it.

import * as api from "./api.js";
import { h, s } from "./dom.js";
import * as format from "./format.js";
import { serviceMap } from "./map.js";
import { badge, card, heading, nothing, ranges, segments, severityBadge, table } from "./parts.js";
import { changed, href, past } from "./route.js";
import { linear } from "./scale.js";
import * as words from "./words.js";

const MOST = 200;
const LANE = 22;

export const all = {
  title: () => "Incidents",

  async load(place, signal) {
    const now = await api.now(signal);
    const window = { from: now - past(place), to: now, limit: MOST };
    if (place.params.open) window.state = "open";
    return { now, incidents: await api.get("api/v1/incidents", window, signal) };
  },

  render({ now, incidents }, place) {
    const going = incidents.filter((each) => each.end === null).length;
    const open = place.params.open ?? "";
    return [
      heading("Incidents", `${incidents.length === MOST ? `the newest ${MOST}` : incidents.length} in the last ${format.stretch(place.range)}, ${going} open`, ranges(place)),
      h("div", { class: "filters" }, segments("State", [["", "All"], ["1", "Open"]], open, (value) => changed(place, { open: value }))),
      card("List", h("span", { class: "quiet" }, `Times in ${format.zone()}`),
        incidents.length
          ? h("ol", { class: "episodes", "data-walk": true }, incidents.map((each) => item(each, now)))
          : nothing(`No incident in the last ${format.stretch(place.range)}: no episodes agreed with each other.`)),
    ];
  },
};

export const one = {
  title: (data) => `Incident of ${format.name(data.incident.services)}`,

  async load(place, signal) {
    const now = await api.now(signal);
    const [incident, nodes, edges] = await Promise.all([
      api.get(`api/v1/incidents/${encodeURIComponent(place.params.incident)}`, null, signal),
      api.get("api/v1/graph/nodes", null, signal),
      api.get("api/v1/graph/edges", null, signal),
    ]);
    return { now, incident, nodes, edges };
  },

  render({ now, incident, nodes, edges }) {
    const involved = new Set([...incident.members.map((each) => each.service), ...incident.causes.map((each) => each.service)]);
    const near = edges.filter((edge) => involved.has(bare(edge.source)) && involved.has(bare(edge.target)));
    return [
      h("nav", { class: "crumbs", "aria-label": "Where this is" }, h("a", { href: href({ view: "incidents" }) }, "Incidents")),
      heading(h("bdi", {}, `Incident: ${format.name(incident.services)}`), `${format.count(incident.episodes)} series, ${words.lasted(incident, now)}`),
      h("p", { class: "sentence" }, severityBadge(incident), " ", badge("plain", incident.end === null ? "open" : "over"), " ", format.name(incident.explanation)),
      h("dl", { class: "figures" }, figures(incident, now)),
      causes(incident),
      timeline(incident, now),
      near.length ? serviceMap(nodes, near) : null,
    ];
  },
};

function item(incident, now) {
  const cause = incident.cause ? `cause: ${format.name(incident.cause)} (${format.share(incident.cause_score)})` : incident.no_cause ? `no cause found: ${incident.no_cause}` : "looking for a cause";
  return h("li", { "data-key": incident.id },
    h("a", { class: "episode-row", href: href({ incident: incident.id }) },
      severityBadge(incident),
      h("span", { class: "episode-when" }, h("span", {}, format.clock(incident.start, now)), h("span", { class: "quiet" }, words.lasted(incident, now))),
      h("span", { class: "episode-what" }, h("bdi", { class: "episode-name" }, format.name(incident.services)), h("span", { class: "quiet" }, cause)),
      h("span", { class: "episode-score quiet" }, `${format.count(incident.episodes)} series`)));
}

function figures(incident, now) {
  const entries = [
    ["Began", format.clock(incident.start, now), words.lasted(incident, now)],
    ["Found", format.duration(Math.max(0, incident.opened - incident.start)), "after it began"],
    ["Series", format.count(incident.episodes), incident.more ? `${format.count(incident.more)} not listed` : ""],
    ["Likeliest cause", incident.cause ? format.name(incident.cause) : "none found", incident.cause ? `${format.share(incident.cause_score)} of the blame` : incident.no_cause],
  ];
  return entries.map(([term, value, note]) => h("div", {}, h("dt", {}, term), h("dd", {}, h("bdi", {}, value)), h("dd", { class: "note" }, note)));
}

function causes(incident) {
  if (!incident.causes.length) return card("Causes", null, nothing(incident.no_cause ? `No cause found: ${incident.no_cause}.` : "Still looking."));
  const rows = incident.causes.map((cause, i) =>
    h("tr", { "data-key": `${cause.service} ${i}` },
      h("th", { scope: "row" }, h("a", { href: cause.is_peer ? href({ view: "services" }) : href({ service: cause.service }) }, h("bdi", {}, format.name(cause.service)))),
      h("td", { class: "number" }, format.share(cause.score)),
      h("td", {}, cause.evidence.length ? cause.evidence.map((each) => format.name(each.text)).join("; ") : "it shows nothing of itself, and those who call it suffer")));
  return card("Causes", h("span", { class: "quiet" }, "shares of the blame"), table("Causes", ["Suspect", "Blame", ["Evidence"]], rows));
}

function timeline(incident, now) {
  const end = incident.end ?? now;
  const x = linear(incident.start, Math.max(end, incident.start + 1), 0, 1000);
  return card("Series", h("span", { class: "quiet" }, "from the first onset to the end"),
    h("div", { class: "lanes named" }, incident.members.map((member) => {
      const name = `${format.name(member.service)} · ${format.name(member.title)}`;
      const to = member.kind === "together" ? { series: member.series } : { episode: member.episode };
      const start = Math.max(0, x(member.start));
      const width = Math.max(3, x(member.end ?? now) - start);
      return h("div", { class: "lane", "data-key": member.episode },
        h("a", { class: "clip", href: href(to), title: name }, h("bdi", {}, name)),
        s("svg", { viewBox: `0 0 1000 ${LANE}`, preserveAspectRatio: "none", role: "img", "aria-label": `${words.kindWord(member)}, ${words.lasted(member, now)}` },
          s("rect", { class: "heat-ground", width: 1000, height: LANE }),
          s("rect", { class: member.severity, x: start.toFixed(1), y: 4, width: width.toFixed(1), height: LANE - 8 })));
    })));
}

// The name of a node; those that show no spans have a word before theirs.
function bare(id) {
  return id.replace(/^peer:/, "");
}
