// Fetches what the person asked for and puts it on the page; the address bar always names the view.

import * as chart from "./chart.js";
import { explanation } from "./explain.js";
import * as format from "./format.js";
import * as list from "./list.js";
import { badge, sentence, silence } from "./sentences.js";

const HOUR = 3600000;
const RANGES = { "1h": [1, 0.5], "6h": [6, 2], "24h": [24, 6], "7d": [168, 24], "14d": [336, 48] };
const REFRESH_MS = 15000;
const LISTED = 300;

const at = (id) => document.getElementById(id);
const address = new URLSearchParams(location.search);
const state = {
  series: address.get("series"),
  range: address.get("range") in RANGES ? address.get("range") : "24h",
  band: address.get("band") ?? "",
  ofAll: false,
  request: 0,
};

function start() {
  at("ranges").append(...Object.keys(RANGES).map(rangeButton));
  at("band").value = ["0.8", "0.95", "0.99"].includes(state.band) ? state.band : "";
  state.band = at("band").value;
  at("zone").textContent = `Times in ${format.zone()}. `;
  at("band").addEventListener("change", (event) => go({ band: event.target.value }));
  at("search").addEventListener("input", debounced(refreshList, 150));
  at("list").addEventListener("click", pick);
  at("sidebar").addEventListener("keydown", (event) => list.walk(at("list"), at("search"), event));
  at("open-list").addEventListener("click", () => showList(!document.body.classList.contains("list-open")));
  at("of-this").addEventListener("click", () => showEpisodesOf(false));
  at("of-all").addEventListener("click", () => showEpisodesOf(true));
  at("episodes").addEventListener("click", pick);
  document.addEventListener("keydown", shortcuts);
  document.addEventListener("themechange", refreshView);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  addEventListener("popstate", () => location.reload());
  setInterval(() => at("live").checked && !document.hidden && refresh(), REFRESH_MS);
  refresh();
}

async function refresh() {
  await refreshList();
  await refreshView();
}

async function refreshList() {
  const search = at("search").value;
  const catalog = await fetched(`api/v1/catalog?limit=${LISTED}&search=${encodeURIComponent(search)}`);
  if (!catalog || search !== at("search").value) return;
  state.now = catalog.now;
  state.total = catalog.total;
  state.series ??= catalog.series.find((each) => each.last_time !== null)?.id ?? catalog.series[0]?.id ?? null;
  at("summary").textContent = summary(catalog);
  list.render(at("list"), catalog, state.series);
}

async function refreshView() {
  if (state.now === undefined) return;
  if (!state.series) return showEmpty();
  const request = ++state.request;
  const view = span();
  const path = `api/v1/series/${encodeURIComponent(state.series)}`;
  const window = `from=${view.from}&to=${view.to}`;
  const width = state.band ? `&interval_width=${state.band}` : "";
  const of = state.ofAll ? "" : `&series=${encodeURIComponent(state.series)}`;
  const points = Math.round(Math.min(2000, Math.max(400, at("main").clientWidth * 1.6)));
  const [series, rows, own, listed] = await Promise.all([
    fetched(path),
    fetched(`${path}/forecast?${window}&max_points=${points}${width}`),
    fetched(`api/v1/episodes?${window}&series=${encodeURIComponent(state.series)}`),
    fetched(`api/v1/episodes?${window}${of}`),
  ]);
  if (request !== state.request) return;
  if (!series || !rows) return showEmpty(`There is no series ${state.series} in this store.`);
  show(series, rows, own ?? [], listed ?? [], view);
}

function show(series, rows, own, listed, view) {
  at("empty").hidden = true;
  at("view").hidden = false;
  document.title = `${series.title} · ${series.service} · Foreband`;
  at("service").textContent = series.service;
  at("title").textContent = series.title;
  at("detail").textContent = series.detail;
  const shown = badge(series);
  at("badge").className = `badge ${shown.kind}`;
  at("badge").textContent = shown.text;
  at("sentence-text").textContent = sentence(series, state.now);
  at("figures").replaceChildren(...figures(series, rows));
  at("legend").replaceChildren(...chart.legend(state.band, rows.some((row) => row.hindsight)).map(legendEntry));
  const hasPoints = rows.some((row) => row.actual !== null);
  at("notice").hidden = hasPoints;
  at("notice").textContent = hasPoints ? "" : silence(series, state.now);
  at("chart").setAttribute("aria-label", `Chart of ${series.title} of ${series.service}, last ${state.range} and ahead`);
  at("episodes").replaceChildren(...episodeRows(listed));
  for (const button of at("ranges").children) button.setAttribute("aria-pressed", String(button.value === state.range));
  chart.draw(at("chart"), series, rows, own, view).then(() => (at("chart").dataset.drawn = `${series.id} ${state.range}`));
}

function figures(series, rows) {
  const last = rows.findLast((row) => row.actual !== null);
  const expected = rows.findLast((row) => row.time <= state.now && row.yhat !== null);
  const ahead = rows.findLast((row) => row.time > state.now && row.yhat !== null);
  const entries = [["Latest", last ? format.value(last.actual, series) : "–", last ? ago(last.time) : "no points"]];
  entries.push(["Expected", expected ? format.value(expected.yhat, series) : "–", expected ? edges(expected, series) : "no forecast yet"]);
  entries.push(["Score", last?.score == null ? "–" : format.score(last.score), "beyond ±1 is outside the band"]);
  entries.push(["Ahead", ahead ? format.value(ahead.yhat, series) : "–", ahead ? `at ${format.clock(ahead.time, state.now)}` : "no forecast yet"]);
  return entries.map(([term, value, note]) => {
    const box = document.createElement("div");
    box.append(element("dt", "", term), element("dd", "", value), element("dd", "note", note));
    return box;
  });
}

function edges(row, series) {
  if (row.lower === null) return "no band yet";
  return format.range(row.lower, row.upper, series);
}

function episodeRows(episodes) {
  if (!episodes.length) {
    return [element("li", "episodes-empty", `No episode in the last ${state.range}${state.ofAll ? " on any series" : ""}.`)];
  }
  return episodes.toReversed().map(episodeRow);
}

function episodeRow(episode) {
  const row = document.createElement("li");
  const isOpen = episode.end === null;
  const when = document.createElement("span");
  when.className = "episode-when";
  when.append(
    element("span", "episode-start", format.clock(episode.start, state.now)),
    element("span", "episode-length", `${isOpen ? "open for" : "lasted"} ${format.duration((episode.end ?? state.now) - episode.start)}`),
  );
  const what = document.createElement("span");
  what.className = "episode-what";
  if (state.ofAll) {
    const link = element("a", "", `${episode.service}: ${episode.title}`);
    link.href = `?series=${episode.series}`;
    link.dataset.series = episode.series;
    what.append(link, " ");
  }
  what.append(
    `${format.value(episode.actual, episode)} at its peak, where ` +
      `${format.range(episode.lower, episode.upper, episode)} was expected`,
  );
  const direction = element("span", `badge ${isOpen ? "anomalous" : "closed"}`, episode.direction > 0 ? "Above" : "Below");
  row.append(direction, when, what, element("span", "episode-score", `score ${format.score(episode.peak_score)}`));
  row.append(explanation(episode, state.now, fetched));
  return row;
}

function showEmpty(message) {
  at("view").hidden = true;
  at("empty").hidden = false;
  const waiting = "Waiting for first points";
  at("empty").replaceChildren(
    element("h1", "", message ? "Not found" : waiting),
    element("p", "", message ?? "Point an OpenTelemetry exporter or Collector at Foreband's OTLP endpoint, by default 127.0.0.1:4317. Series appear here as soon as they arrive; bands follow when there is enough history to fit a first forecast."),
  );
}

function showEpisodesOf(all) {
  state.ofAll = all;
  at("of-this").setAttribute("aria-pressed", String(!all));
  at("of-all").setAttribute("aria-pressed", String(all));
  refreshView();
}

function pick(event) {
  const link = event.target.closest("a[data-series]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  showList(false);
  go({ series: link.dataset.series });
}

function go(change) {
  Object.assign(state, change);
  const query = new URLSearchParams({ series: state.series ?? "", range: state.range });
  if (state.band) query.set("band", state.band);
  history.replaceState(null, "", `?${query}`);
  for (const link of at("list").querySelectorAll("a[data-series]")) {
    if (link.dataset.series === state.series) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  refreshView();
}

function showList(open) {
  document.body.classList.toggle("list-open", open);
  at("open-list").setAttribute("aria-expanded", String(open));
  if (open) at("search").focus();
}

function shortcuts(event) {
  if (event.key === "Escape") showList(false);
  if (event.key !== "/" || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName)) return;
  event.preventDefault();
  at("search").focus();
}

function span() {
  const [back, ahead] = RANGES[state.range];
  return {
    now: state.now, from: state.now - back * HOUR, to: state.now + ahead * HOUR,
    range: state.range, band: state.band, narrow: at("main").clientWidth < 560,
  };
}

function summary(catalog) {
  const parts = [`${catalog.total} series`];
  if (catalog.anomalous) parts.push(`${catalog.anomalous} anomalous`);
  if (catalog.states.warming) parts.push(`${catalog.states.warming} warming`);
  if (catalog.states.degraded) parts.push(`${catalog.states.degraded} degraded`);
  return parts.join(" · ");
}

async function fetched(path, body) {
  const request = () => (body ? { method: "POST", body, headers: { ...headers(), "Content-Type": "application/json" } } : { headers: headers() });
  try {
    let response = await fetch(path, request());
    if (response.status === 401 && askForToken()) response = await fetch(path, request());
    document.body.classList.remove("offline");
    return response.ok || body ? await response.json() : null;
  } catch {
    document.body.classList.add("offline");
    at("summary").textContent = "Foreband does not answer; trying again.";
    return null;
  }
}

function headers() {
  const token = sessionStorage.getItem("token");
  return token ? { Accept: "application/json", Authorization: `Bearer ${token}` } : { Accept: "application/json" };
}

function askForToken() {
  if (askForToken.isDone) return false; // once a visit; reload the page to be asked again
  askForToken.isDone = true;
  const token = prompt("Foreband asks for a read token.");
  if (token) sessionStorage.setItem("token", token.trim());
  return Boolean(token);
}

function rangeButton(name) {
  const button = element("button", "", name);
  button.type = "button";
  button.value = name;
  button.addEventListener("click", () => go({ range: name }));
  return button;
}

function legendEntry([kind, text]) {
  const entry = document.createElement("li");
  entry.append(element("span", `swatch ${kind}`, ""), text);
  return entry;
}

function ago(time) {
  const late = state.now - time;
  return late < 90000 ? "just now" : `${format.duration(late)} ago`;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function debounced(action, ms) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, ms);
  };
}

start();
