// Says in plain words how a series does and why.

import * as format from "./format.js";

const FORECASTERS = { prophet: "Prophet", seasonal: "The seasonal forecast" };

export function badge(series) {
  if (series.anomaly) return { kind: "anomalous", text: series.anomaly > 0 ? "Above its band" : "Below its band" };
  return { kind: series.state, text: { warming: "Warming", active: "Active", degraded: "Degraded" }[series.state] };
}

export function sentence(series, now) {
  return [standing(series, now), forecaster(series), coverage(series)].filter(Boolean).join(" ");
}

export function silence(series, now) {
  if (series.last_time === null) return "Waiting for first points of this series.";
  return `No points in this range; the last one came ${format.duration(now - series.last_time)} ago.`;
}

function standing(series, now) {
  if (series.anomaly) {
    return `Since ${format.clock(series.anomaly_since, now)}, for ${format.duration(now - series.anomaly_since)}.`;
  }
  if (series.state === "active") return "The latest points lie inside the band.";
  return series.reason ? `${series.reason[0].toUpperCase()}${series.reason.slice(1)}.` : "";
}

function forecaster(series) {
  if (!series.forecaster) return "No model has been fitted yet.";
  const reason = series.forecaster_reason ? ` (${series.forecaster_reason})` : "";
  return `${FORECASTERS[series.forecaster] ?? series.forecaster} is drawn${reason}.`;
}

function coverage(series) {
  if (series.coverage === null) return "";
  return `The calibrated 95 % band has held ${(series.coverage * 100).toFixed(1)} % of points so far.`;
}
