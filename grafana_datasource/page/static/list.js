// The list of series: grouped by service, searchable, walked with the arrow keys.

import { badge } from "./sentences.js";
import * as format from "./format.js";

export function render(element, catalog, selected) {
  const focused = document.activeElement?.dataset?.series;
  element.replaceChildren(...groups(catalog.series).map(([service, series]) => group(service, series, selected)));
  if (!catalog.series.length) element.append(text("p", "list-empty", catalog.total ? "No series matches." : "No series yet."));
  if (catalog.matched > catalog.series.length) {
    element.append(text("p", "list-empty", `${catalog.matched - catalog.series.length} more: search to narrow down.`));
  }
  if (focused) element.querySelector(`[data-series="${CSS.escape(focused)}"]`)?.focus();
}

export function walk(element, search, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const links = [...element.querySelectorAll("a[data-series]")];
  const at = links.indexOf(document.activeElement);
  event.preventDefault();
  if (at + step < 0) search.focus();
  else links[Math.min(at + step, links.length - 1)]?.focus();
}

function groups(series) {
  const found = new Map();
  for (const each of series) {
    if (!found.has(each.service)) found.set(each.service, []);
    found.get(each.service).push(each);
  }
  return [...found].sort(([a], [b]) => a.localeCompare(b));
}

function group(service, series, selected) {
  const section = document.createElement("section");
  const list = document.createElement("ul");
  list.append(...series.map((each) => item(each, selected)));
  section.append(text("h2", "", service), list);
  return section;
}

function item(series, selected) {
  const link = document.createElement("a");
  link.href = `?series=${series.id}`;
  link.dataset.series = series.id;
  link.title = [series.title, series.detail].filter(Boolean).join("\n");
  if (series.id === selected) link.setAttribute("aria-current", "true");
  const state = badge(series);
  const dot = text("span", `dot ${state.kind}`, "");
  dot.title = state.text;
  const words = document.createElement("span");
  words.className = "item-text";
  words.append(text("span", "item-title", series.title), text("span", "item-detail", series.detail));
  const number = text("span", "item-value", series.last_time === null ? "" : format.value(series.last_value, series));
  link.append(dot, words, number, text("span", "visually-hidden", `, ${state.text}`));
  const entry = document.createElement("li");
  entry.append(link);
  return entry;
}

function text(tag, className, content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = content;
  return element;
}
