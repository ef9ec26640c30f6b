// Find a series, a service or a view by a few letters, from anywhere.

import * as api from "./api.js";
import { h, patch } from "./dom.js";
import * as format from "./format.js";
import { seriesLink, seriesName } from "./parts.js";
import { href } from "./route.js";
import * as words from "./words.js";

const MOST = 30;
let asked = 0;

export function open() {
  const dialog = document.getElementById("finder");
  if (dialog.open) return;
  patch(
    dialog,
    h("h2", { class: "visually-hidden" }, "Find a series"),
    h("label", { class: "visually-hidden", for: "search" }, "Find a series or a service"),
    h("input", { id: "search", type: "search", placeholder: "Find a series or a service", autocomplete: "off", spellcheck: "false" }),
    h("ul", { id: "found", class: "rows", "data-walk": true, "aria-label": "Found" }),
    h("p", { class: "finder-foot quiet", role: "status", id: "found-count" }),
  );
  document.getElementById("search").value = "";
  dialog.showModal();
  find("");
}

export async function find(text) {
  const request = ++asked;
  const [catalog, services] = await Promise.all([
    api.get("api/v1/catalog", { limit: MOST, search: text, sort: text ? "name" : "urgency" }),
    api.get("api/v1/services"),
  ]);
  if (request !== asked) return;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = words.length ? services.map((each) => each.__value).filter((each) => words.every((word) => each.toLowerCase().includes(word))) : [];
  const rest = catalog.matched - catalog.series.length;
  patch(document.getElementById("found"), matching.slice(0, 4).map(serviceItem), catalog.series.map((each) => seriesItem(each, catalog.now)));
  const said = rest > 0 ? `${format.count(rest)} more: search to narrow down` : `${format.count(catalog.matched)} series`;
  document.getElementById("found-count").textContent = catalog.matched ? said : "No series matches.";
}

function serviceItem(service) {
  return h("li", { "data-key": `service ${service}` }, h("a", { class: "found", href: href({ service }) }, h("span", { class: "dot service" }), h("span", { class: "item-text" }, h("bdi", { class: "item-title" }, format.name(service))), h("span", { class: "quiet" }, "service")));
}

function seriesItem(series, now) {
  const shown = words.badge(series, now);
  return h("li", { "data-key": series.id }, h("a", { class: "found", href: seriesLink(series), "data-series": series.id }, h("span", { class: `dot ${shown.kind}`, title: shown.text }), h("span", { class: "item-text" }, seriesName(series)), h("bdi", { class: "quiet clip" }, format.name(series.service))));
}
