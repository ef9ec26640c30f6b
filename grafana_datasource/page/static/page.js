// Shows the view that the address names, keeps it fresh, and does what is clicked, typed and pressed.

import { Failed } from "./api.js";
import { h, patch } from "./dom.js";
import * as episode from "./episode.js";
import * as episodes from "./episodes.js";
import * as feedback from "./feedback.js";
import * as finder from "./finder.js";
import * as fleet from "./fleet.js";
import * as format from "./format.js";
import * as incidents from "./incidents.js";
import * as models from "./models.js";
import { heading } from "./parts.js";
import { changed, current } from "./route.js";
import * as series from "./series.js";
import * as services from "./services.js";

const VIEWS = { fleet, series, services: services.all, service: services.one, incidents: incidents.all, incident: incidents.one, episodes, episode, models };
const PARENTS = { series: "fleet", service: "services", episode: "episodes", incident: "incidents" };
const REFRESH_MS = 15000;
const PATIENCE_MS = 150; // before it is said that something is being fetched
const TYPING_MS = 200;

const at = (id) => document.getElementById(id);
const main = at("main");
let request = new AbortController();
let asked; // what was asked for last; only the part behind "#" may differ from the address
let typing;

function start() {
  at("zone").textContent = `Times in ${format.zone()}`;
  document.addEventListener("click", clicked);
  document.addEventListener("input", typed);
  document.addEventListener("change", typed);
  document.addEventListener("submit", submitted);
  document.addEventListener("keydown", pressed);
  document.addEventListener("visibilitychange", () => document.hidden || show());
  document.addEventListener("themechange", () => show());
  addEventListener("popstate", () => asked === location.search || show({ isNew: true }));
  setInterval(() => at("live").checked && !document.hidden && show(), REFRESH_MS);
  show({ isNew: true, isFirst: true });
}

// Fetch and show what the address names; what is shown stays until there is something to replace it with.
async function show({ isNew = false, isFirst = false } = {}) {
  request.abort();
  request = new AbortController();
  const { signal } = request;
  const place = current();
  const view = VIEWS[place.view];
  asked = location.search;
  markPlace(place);
  const waiting = isNew && setTimeout(() => signal.aborted || patch(main, skeleton()), PATIENCE_MS);
  try {
    const data = await view.load(place, signal);
    if (signal.aborted) return;
    clearTimeout(waiting);
    patch(main, view.render(data, place));
    view.draw?.(main, data, place, go);
    document.title = `${view.title(data)} · Foreband`;
    offline("");
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return;
    clearTimeout(waiting);
    failed(error, isNew);
  }
  main.dataset.shown = location.search;
  if (isNew && !isFirst) main.querySelector("h1")?.focus();
}

function failed(error, isNew) {
  if (!(error instanceof Failed)) throw error;
  offline(error.status === 404 ? "" : error.message);
  if (error.status === 404) return patch(main, problem("Not found", error.message));
  if (isNew || !main.childElementCount) patch(main, problem(error.status ? "That did not work" : "Foreband does not answer", error.message));
}

function problem(title, text) {
  return h("section", { class: "empty", id: "empty" }, h("h1", { tabindex: -1 }, title), h("p", {}, text), h("p", {}, h("a", { class: "button", href: "./" }, "To the fleet")));
}

function skeleton() {
  const block = (kind) => h("div", { class: `ghost ${kind}` });
  return [heading("Loading…"), h("div", { class: "tiles", "aria-hidden": "true" }, Array.from({ length: 4 }, () => block("tile"))), block("card"), block("card")];
}

function markPlace(place) {
  const name = PARENTS[place.view] ?? place.view;
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function offline(message) {
  at("trouble").hidden = !message;
  at("trouble").textContent = message;
}

// Go to an address of this page. What only narrows the view leaves scroll and focus where they are.
function go(address, { isKept = true, isReplaced = false } = {}) {
  const from = current();
  history[isReplaced ? "replaceState" : "pushState"](null, "", address);
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  const isSame = isKept && from.view === current().view;
  if (!isSame) scrollTo(0, 0);
  show({ isNew: !isSame });
}

function clicked(event) {
  if (event.target.nodeName === "DIALOG" && event.target.id !== "token") return event.target.close(); // beside it
  const button = event.target.closest("[data-do]");
  if (button) return act(button.dataset.do, button);
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const to = new URL(link.getAttribute("href"), document.baseURI); // a link in a picture has no other
  if (to.origin !== location.origin || to.pathname !== location.pathname || to.hash === "#main") return;
  event.preventDefault();
  go(`${to.search || "./"}${to.hash}`, { isKept: link.hasAttribute("data-keep") });
  if (to.hash) at(to.hash.slice(1))?.scrollIntoView();
}

async function act(name, element) {
  if (name === "find") return finder.open();
  if (name === "help") return at("help").showModal();
  if (name === "close") return element.closest("dialog").close();
  if (await feedback.actions[name](element)) show();
}

function typed(event) {
  clearTimeout(typing);
  if (event.target.id === "search") typing = setTimeout(() => finder.find(event.target.value.trim()), TYPING_MS);
  if (event.target.dataset.change !== "filter") return;
  const { param } = event.target.dataset;
  const apply = () => {
    const place = current();
    if ((place.params[param] ?? "") === event.target.value) return;
    go(changed(place, { [param]: event.target.value, page: "" }), { isReplaced: event.type === "input" });
  };
  typing = setTimeout(apply, event.target.type === "search" ? TYPING_MS : 0);
}

function submitted(event) {
  if (!event.target.dataset.submit) return;
  event.preventDefault();
  act(event.target.dataset.submit, event.target);
}

function pressed(event) {
  const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") return walk(event);
  if (event.key === "Enter" && event.target.id === "search") return at("found").querySelector("a")?.click();
  if (isTyping || event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "/") finder.open();
  else if (event.key === "?") at("help").showModal();
  else return;
  event.preventDefault();
}

// Move among the links of the list that has the focus, or from the search into what was found.
function walk(event) {
  const list = event.target.id === "search" ? at("found") : event.target.closest("[data-walk]");
  if (!list || event.target.tagName === "SELECT") return;
  const links = [...list.querySelectorAll("a")].filter((link) => link.closest("tr, li")?.querySelector("a") === link);
  const next = links.indexOf(event.target.closest("li, tr")?.querySelector("a")) + (event.key === "ArrowDown" ? 1 : -1);
  event.preventDefault();
  if (next < 0 && list.id === "found") at("search").focus();
  else links[Math.min(Math.max(next, 0), links.length - 1)]?.focus();
}

start();
