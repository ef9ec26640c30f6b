// Pieces that several views are made of.

import { h } from "./dom.js";
import * as format from "./format.js";
import { changed, href, RANGES } from "./route.js";
import * as words from "./words.js";

export function heading(title, text, ...controls) {
  return h(
    "header",
    { class: "heading" },
    h("div", { class: "heading-text" }, h("h1", { tabindex: -1 }, title), text ? h("p", { class: "detail" }, text) : null),
    controls.length ? h("div", { class: "heading-controls" }, controls) : null,
  );
}

export function card(title, actions, ...children) {
  const id = `card-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return h(
    "section",
    { class: "card", "data-key": id, "aria-labelledby": id },
    h("div", { class: "card-head" }, h("h2", { id }, title), actions),
    children,
  );
}

export function badge(kind, text) {
  return h("span", { class: `badge ${kind}` }, text);
}

export function severityBadge(episode) {
  return badge(episode.end === null ? episode.severity : `${episode.severity} over`, words.capital(episode.severity));
}

// Choices of which one is taken; each has an address of its own.
export function segments(label, choices, chosen, address, extra = "") {
  return h(
    "nav",
    { class: `segments ${extra}`, "aria-label": label },
    choices.map(([value, text]) =>
      h("a", { href: address(value), "data-keep": true, "aria-current": String(value) === String(chosen) ? "true" : null }, text),
    ),
  );
}

export function ranges(place) {
  const names = Object.keys(RANGES).map((name) => [name, name.replace(/([hd])/, " $1")]);
  const chosen = place.params.from ? "" : place.range;
  return segments("Time range", names, chosen, (range) => changed(place, { range, from: "", to: "", page: "" }));
}

export function pager(place, page, size, total) {
  const pages = Math.ceil(total / size);
  if (pages <= 1) return null;
  const step = (to, text, isPossible) =>
    isPossible
      ? h("a", { class: "button", href: changed(place, { page: to > 1 ? String(to) : "" }), "data-keep": true }, text)
      : h("span", { class: "button off", "aria-disabled": "true" }, text);
  const first = (page - 1) * size;
  return h(
    "nav",
    { class: "pager", "aria-label": "Pages" },
    step(page - 1, "Previous", page > 1),
    h("span", {}, `${format.count(first + 1)}–${format.count(Math.min(first + size, total))} of ${format.count(total)}`),
    step(page + 1, "Next", page < pages),
  );
}

export function pageOf(place) {
  const page = Number.parseInt(place.params.page ?? "1", 10);
  return page >= 1 && page < 1e6 ? page : 1;
}

// A table whose columns but the first are numbers; a column in brackets is not.
export function table(label, head, rows) {
  const column = (text, i) => h("th", { scope: "col", class: i && !Array.isArray(text) ? "number" : null }, text);
  return h(
    "div",
    { class: "table-frame", tabindex: 0, role: "region", "aria-label": `Table: ${label}` },
    h("table", {}, h("thead", {}, h("tr", {}, head.map(column))), h("tbody", { "data-walk": true }, rows)),
  );
}

export function nothing(text) {
  return h("p", { class: "nothing" }, text);
}

export function seriesLink(row, params = {}) {
  return href({ series: row.series ?? row.id, ...params });
}

// Name of a series as its service knows it; names are other people's, so they stand on their own.
export function seriesName(row) {
  return [
    h("bdi", { class: "item-title" }, format.name(row.title)),
    row.detail ? h("bdi", { class: "item-detail" }, format.name(row.detail)) : null,
  ];
}

// One episode in a list; `label` says what the list does not say about it already.
export function episodeItem(episode, now, label) {
  return h(
    "li",
    { "data-key": episode.id },
    h(
      "a",
      { class: "episode-row", href: href({ episode: episode.id }) },
      severityBadge(episode),
      h(
        "span",
        { class: "episode-when" },
        h("span", {}, format.clock(episode.start, now)),
        h("span", { class: "quiet" }, words.lasted(episode, now)),
      ),
      h(
        "span",
        { class: "episode-what" },
        label ? h("bdi", { class: "episode-name" }, label) : null,
        h("span", { class: "quiet" }, `${words.kindWord(episode)}: `, words.seen(episode)),
      ),
      h("span", { class: "episode-score quiet" }, episode.peak_score === null ? "" : `score ${format.score(episode.peak_score)}`),
      marks(episode),
    ),
  );
}

function marks(episode) {
  const found = [
    episode.flapping ? `flapping, ${episode.onsets} times` : episode.onsets > 1 ? `${episode.onsets} times` : null,
    episode.muted ? "muted" : null,
    episode.traces?.length ? `${episode.traces.length} ${episode.traces.length === 1 ? "trace" : "traces"}` : null,
  ].filter(Boolean);
  return found.length ? h("span", { class: "episode-marks" }, found.map((text) => badge("plain", text))) : null;
}
