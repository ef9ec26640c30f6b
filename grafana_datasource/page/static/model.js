// What a series' forecast is made of: its components, and the versions kept of its model.

import { h, s } from "./dom.js";
import * as format from "./format.js";
import { card, nothing, table } from "./parts.js";
import { linear } from "./scale.js";
import * as words from "./words.js";

const NAMES = { trend: "Trend", daily: "Day", weekly: "Week", yearly: "Year", occasions: "Holidays and events", other: "Other periods" };

export function components({ parts, series, view }) {
  const shown = Object.keys(NAMES).filter((name) => parts[name]);
  if (!shown.length) return card("What Prophet’s forecast is made of", null, nothing("Prophet was not fitted to this series yet."));
  return card(
    "What Prophet’s forecast is made of",
    h("span", { class: "quiet only-wide" }, "their sum is what Prophet expects"),
    h("div", { class: "components" }, shown.map((name) => component(NAMES[name], parts.time, parts[name], series, view))),
  );
}

function component(name, times, column, series, view) {
  const known = times.map((time, i) => [time, column[i]]).filter(([, number]) => number !== null);
  const numbers = known.map(([, number]) => number);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const x = linear(view.from, view.to, 0, 300);
  const y = low === high ? () => 30 : linear(low, high, 56, 4);
  const d = known.map(([time, number]) => `${x(time).toFixed(1)} ${y(number).toFixed(1)}`).join("L");
  const now = x(view.now).toFixed(1);
  return h(
    "figure",
    {},
    h("figcaption", {}, h("b", {}, name), h("span", { class: "quiet" }, low === high ? format.value(low, series) : format.range(low, high, series))),
    s(
      "svg",
      { viewBox: "0 0 300 60", preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${format.range(low, high, series)}` },
      view.now > view.from && view.now < view.to ? s("line", { class: "now-line", x1: now, x2: now, y1: 0, y2: 60 }) : null,
      s("path", { class: "line forecast", d: `M${d}` }),
    ),
  );
}

export function models({ versions, series, view }) {
  if (!versions.length) return card("Model", null, nothing("No model has been fitted yet."));
  return card(
    "Model",
    h("span", { class: "quiet only-wide" }, "mean error one day ahead, by backtest"),
    table(
      "Versions of the model",
      ["Version", ["Fitted"], ["Learned from"], ["Drawn"], "Prophet", "Median, 7 days", "Median, 3 days"],
      versions.map((version) => versionRow(version, series, view.now)),
    ),
  );
}

function versionRow(version, series, now) {
  const error = (name) => h("td", { class: `number${version.forecaster === name ? " chosen" : ""}` }, format.value(version.errors[name] ?? null, series));
  const learned = version.created ? `${format.duration(version.trained_to - version.trained_from)}` : "–";
  return h(
    "tr",
    { title: format.name(version.reason) },
    h("th", { scope: "row" }, String(version.version)),
    h("td", {}, version.created ? format.ago(now - version.created) : "cannot be read"),
    h("td", {}, learned),
    h("td", {}, words.forecasterName(version.forecaster)),
    error("prophet"),
    error("seasonal"),
    error("recent"),
  );
}
