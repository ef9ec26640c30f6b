// Draws one series: value, expectation, bands, anomalies, episodes, and what is expected ahead of now.

import * as format from "./format.js";

const HOUR = 3600000;

// Plotly is large: words and figures are on the page before it has been read.
const plotly = new Promise((resolve) => {
  if (window.Plotly) resolve(window.Plotly);
  else document.getElementById("plotly").addEventListener("load", () => resolve(window.Plotly));
});

export async function draw(element, series, rows, episodes, view) {
  const colors = palette();
  const past = rows.filter((row) => row.time <= view.now);
  const judged = past.map((row) => (row.hindsight ? { ...row, yhat: null, lower: null, upper: null } : row));
  const hindsight = past.map((row) => (row.hindsight ? row : { ...row, yhat: null, lower: null, upper: null }));
  const ahead = rows.filter((row) => row.time > view.now);
  const joined = past.length ? [past.at(-1), ...ahead] : ahead;
  const traces = [
    band(judged, "lower", "upper", colors.band, "Alert band"),
    band(hindsight, "lower", "upper", colors.bandAhead, "Alert band in hindsight"),
    band(joined, "lower", "upper", colors.bandAhead, "Alert band ahead"),
  ];
  if (view.band) {
    traces.push(band(past, "calibrated_lower", "calibrated_upper", colors.calibrated, "Calibrated band"));
    traces.push(band(joined, "calibrated_lower", "calibrated_upper", colors.calibratedAhead, "Calibrated band ahead"));
  }
  traces.push(
    line(past, "actual", series, { color: colors.value, width: past.length > element.clientWidth * 0.7 ? 1 : 1.5 }, "Value"),
    line(judged, "yhat", series, { color: colors.forecast, width: 1.8 }, "Expected"),
    line(hindsight, "yhat", series, { color: colors.forecast, width: 1.4, dash: "2px,3px" }, "Expected in hindsight"),
    line(joined.slice(past.length ? 1 : 0), "yhat", series, { color: colors.forecast, width: 1.8, dash: "6px,5px" }, "Expected ahead"),
    marks(past, series, colors),
  );
  return (await plotly).react(element, traces, layout(series, rows, episodes, view, colors), {
    displayModeBar: false,
    responsive: true,
    doubleClick: "reset",
    showAxisDragHandles: false,
  });
}

export function legend(band, hasHindsight) {
  const entries = [
    ["line value", "Value"],
    ["line forecast", "Expected"],
    ["line forecast dashed", "Expected ahead"],
    ["area alert", "Alert band"],
  ];
  if (hasHindsight) entries.push(["area hindsight", "In hindsight, by today\u2019s model"]);
  if (band) entries.push(["area calibrated", `Calibrated ${Math.round(band * 100)} % band`]);
  return [...entries, ["dot", "Anomaly"], ["area episode", "Episode"]];
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const names = {
    value: "--value", forecast: "--forecast", band: "--band", bandAhead: "--band-ahead",
    calibrated: "--calibrated", calibratedAhead: "--calibrated-ahead", anomaly: "--anomaly", episode: "--episode",
    text: "--muted", grid: "--grid", card: "--card", ink: "--ink", line: "--line",
  };
  return Object.fromEntries(Object.entries(names).map(([key, name]) => [key, style.getPropertyValue(name).trim()]));
}

// One closed shape per stretch without a gap: Plotly's own "fill to next" smears bands over gaps.
function band(rows, lower, upper, color, name) {
  const x = [];
  const y = [];
  for (const part of stretches(rows, (row) => row[lower] !== null && row[upper] !== null)) {
    if (x.length) {
      x.push(null);
      y.push(null);
    }
    const times = part.map((row) => format.local(row.time));
    x.push(...times, ...times.toReversed());
    y.push(...part.map((row) => row[upper]), ...part.map((row) => row[lower]).toReversed());
  }
  return {
    name, x, y, type: "scatter", mode: "lines", fill: "toself", fillcolor: color,
    line: { width: 0 }, hoverinfo: "skip", showlegend: false,
  };
}

function line(rows, column, series, style, name) {
  return {
    name,
    x: rows.map((row) => format.local(row.time)),
    y: rows.map((row) => row[column]),
    text: rows.map((row) => hover(row, column, series)),
    hovertemplate: "%{text}<extra></extra>",
    type: "scatter", mode: "lines", line: style, connectgaps: false, showlegend: false,
  };
}

function hover(row, column, series) {
  if (column === "actual") return `Value <b>${format.value(row.actual, series)}</b>`;
  const range = row.lower === null ? "" : ` (${format.range(row.lower, row.upper, series)})`;
  return `Expected ${format.value(row.yhat, series)}${range}`;
}

function marks(rows, series, colors) {
  const flagged = rows.filter((row) => row.anomaly);
  return {
    name: "Anomaly",
    x: flagged.map((row) => format.local(row.time)),
    y: flagged.map((row) => row.actual),
    text: flagged.map((row) => `<b>${row.anomaly > 0 ? "Above" : "Below"} the band</b>, score ${format.score(row.score)}`),
    hovertemplate: "%{text}<extra></extra>",
    type: "scatter", mode: "markers", showlegend: false, cliponaxis: false,
    marker: { color: colors.anomaly, size: flagged.length > 40 ? 5 : 7, line: { color: colors.card, width: flagged.length > 40 ? 0.5 : 1 } },
  };
}

function layout(series, rows, episodes, view, colors) {
  const numbers = rows.flatMap((row) => [row.actual, row.upper]).filter((n) => n !== null);
  const isPositive = rows.every((row) => row.actual === null || row.actual >= 0);
  const { caption, ...ticks } = format.axis(series, Math.max(0, ...numbers.map(Math.abs)));
  const shared = { gridcolor: colors.grid, zeroline: false, tickfont: { color: colors.text, size: 12 }, fixedrange: false };
  return {
    uirevision: `${series.id} ${view.range}`,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif", color: colors.ink },
    margin: { l: 8, r: 14, t: caption ? 26 : 14, b: 8 },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colors.card, bordercolor: colors.line, font: { color: colors.ink, size: 12.5 } },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    xaxis: {
      ...shared, type: "date", range: [format.local(view.from), format.local(view.to)], automargin: true, showgrid: false,
      linecolor: colors.line, showline: true, ticks: "outside", tickcolor: colors.line, ticklen: 4, nticks: view.narrow ? 5 : 10,
      hoverformat: "%a %d %b, %H:%M", tickformatstops: tickFormats(),
    },
    yaxis: {
      ...shared, automargin: true, rangemode: isPositive ? "nonnegative" : "normal", nticks: 7,
      visible: numbers.length > 0,
      ...ticks,
    },
    shapes: [...episodes.map((episode) => region(episode, view, colors)), nowLine(view, colors)],
    annotations: [nowLabel(view, colors), ...(caption ? [unitLabel(caption, colors)] : [])],
  };
}

function tickFormats() {
  return [
    { dtickrange: [null, 60000], value: "%H:%M:%S" },
    { dtickrange: [60000, 12 * HOUR], value: "%H:%M\n%a %d %b" },
    { dtickrange: [12 * HOUR, null], value: "%a %d\n%b %Y" },
  ];
}

function region(episode, view, colors) {
  return {
    type: "rect", xref: "x", yref: "paper", y0: 0, y1: 1, layer: "below", fillcolor: colors.episode, line: { width: 0 },
    x0: format.local(Math.max(episode.start, view.from)),
    x1: format.local(Math.min(episode.end ?? view.now, view.to)),
  };
}

function nowLine(view, colors) {
  const x = format.local(view.now);
  return { type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line: { color: colors.text, width: 1, dash: "2px,3px" } };
}

function nowLabel(view, colors) {
  return {
    x: format.local(view.now), xref: "x", y: 1, yref: "paper", text: "now", showarrow: false, xanchor: "left", yanchor: "top",
    xshift: 4, font: { size: 11, color: colors.text },
  };
}

function unitLabel(caption, colors) {
  return {
    x: 0, xref: "paper", y: 1, yref: "paper", text: caption, showarrow: false, xanchor: "left", yanchor: "bottom", yshift: 6,
    font: { size: 12, color: colors.text },
  };
}

function stretches(rows, isPresent) {
  const parts = [];
  let part = [];
  for (const row of [...rows, null]) {
    if (row && isPresent(row)) {
      part.push(row);
    } else if (part.length) {
      parts.push(part);
      part = [];
    }
  }
  return parts;
}
