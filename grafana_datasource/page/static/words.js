// Says in plain words how a series does and what an episode was.

import * as format from "./format.js";

const FORECASTERS = {
  prophet: "Prophet", seasonal: "The median of the day", recent: "The median of the day over three days",
  level: "The level of the last three hours",
};

const STATES = { warming: "Warming", active: "Active", degraded: "Degraded" };

export const SEVERITIES = ["critical", "warning", "info"];

export function forecasterName(name) {
  return Object.hasOwn(FORECASTERS, name) ? FORECASTERS[name] : format.name(name);
}

const IDLE_MS = 86400000;

// One word for a kind of episode, also for kinds this page has never heard of.
export function kindWord(episode) {
  if (episode.kind === "silence") return "Silent";
  if (episode.kind === "together") return "Far out with others";
  if (!episode.kind || episode.kind === "deviation") return episode.direction < 0 ? "Below" : "Above";
  return capital(format.name(episode.kind).replaceAll("_", " "));
}

export function capital(word) {
  return word ? word[0].toUpperCase() + word.slice(1) : "";
}

// How a series does in a word; one that says nothing for a day is not warming up or active, whatever it was before.
export function badge(series, now) {
  if (!series.anomaly && series.last_time !== null && now - series.last_time > IDLE_MS) return { kind: "idle", text: "Idle" };
  if (series.anomaly) return { kind: series.severity ?? "warning", text: standing(series) };
  return { kind: series.state, text: STATES[series.state] ?? series.state };
}

export function sentence(series, now) {
  return [since(series, now), forecaster(series), coverage(series)].filter(Boolean).join(" ");
}

export function silence(series, now) {
  if (series.last_time === null) return "Waiting for first points of this series.";
  return `No points in this range; the last one came ${format.ago(now - series.last_time)}.`;
}

const OF_POINTS = ["deviation", "level_shift"]; // kinds made of points outside their band

// What was seen where what was expected; of what is not made of points, what Foreband says of it.
export function seen(episode) {
  if (episode.actual === null || episode.lower === null || !OF_POINTS.includes(episode.kind)) return capital(format.name(episode.explanation));
  const peak = `${format.value(episode.actual, episode)} at its peak`;
  return `${peak}, where ${format.range(episode.lower, episode.upper, episode)} was expected`;
}

// What became of a series that settled at another level.
export function shifted(episode, now) {
  const { before, after, adopted } = episode.shift;
  const levels = `It settled at ${format.value(after, episode)} where it was ${format.value(before, episode)}`;
  return `${levels}; that ${adopted > now ? "will be" : "is"} its normal from ${format.clock(adopted, now)} on.`;
}

export function lasted(episode, now) {
  const length = format.duration((episode.end ?? now) - episode.start);
  return episode.end === null ? `open for ${length}` : `lasted ${length}`;
}

function standing(series) {
  if (!series.kind || series.kind === "deviation") return series.anomaly > 0 ? "Above its band" : "Below its band";
  return kindWord({ kind: series.kind, direction: series.anomaly });
}

function since(series, now) {
  if (series.anomaly) {
    return `Since ${format.clock(series.anomaly_since, now)}, for ${format.duration(now - series.anomaly_since)}.`;
  }
  if (badge(series, now).kind === "idle") return `It says nothing since ${format.clock(series.last_time, now)}.`;
  if (series.state === "active" && !series.reason) return "The latest points lie inside the band.";
  return series.reason ? `${capital(series.reason)}.` : "";
}

function forecaster(series) {
  if (!series.forecaster) return "No model has been fitted yet.";
  const reason = series.forecaster_reason ? ` (${series.forecaster_reason})` : "";
  return `${forecasterName(series.forecaster)} is drawn${reason}.`;
}

function coverage(series) {
  if (series.coverage === null) return "";
  return `The calibrated 95 % band has held ${format.share(series.coverage)} of points so far.`;
}
