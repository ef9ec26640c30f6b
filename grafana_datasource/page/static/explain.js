// Why an episode is one: fetched when somebody opens it, kept open while the list is drawn again.

import * as format from "./format.js";

const opened = new Set();

const ANSWERS = { expected: "Expected", false_alarm: "False alarm", confirmed: "Confirmed" };

export function explanation(episode, now, fetched) {
  const details = document.createElement("details");
  details.className = "episode-why";
  const label = document.createElement("summary");
  label.textContent = "Why";
  details.append(label);
  details.addEventListener("toggle", async () => {
    if (!details.open) return opened.delete(episode.id);
    opened.add(episode.id);
    if (details.childElementCount > 1) return;
    const found = await fetched(`api/v1/episodes/${encodeURIComponent(episode.id)}`);
    if (found && details.childElementCount === 1) details.append(...described(found, now), answers(episode, fetched));
  });
  details.open = opened.has(episode.id);
  return details;
}

function described(episode, now) {
  const parts = [line("p", episode.explanation)];
  if (episode.onset) {
    const words = Object.entries(episode.onset.forecasts).map(([name, value]) => `${name} ${format.value(value, episode)}`);
    parts.push(line("p", `At the start the forecasts were: ${words.join(", ")}.`));
  }
  if (episode.evidence.length) parts.push(evidence(episode, now));
  if (episode.traces.length) parts.push(line("p", `Traces: ${episode.traces.join(", ")}`));
  return parts;
}

function answers(episode, fetched) {
  const box = document.createElement("p");
  box.className = "episode-answers";
  const outcome = line("span", "");
  outcome.setAttribute("role", "status");
  for (const [answer, words] of Object.entries(ANSWERS)) {
    const button = line("button", words);
    button.type = "button";
    button.className = "button";
    button.addEventListener("click", async () => {
      const body = JSON.stringify({ answer, by: "page" });
      const given = await fetched(`api/v1/episodes/${encodeURIComponent(episode.id)}/feedback`, body);
      outcome.textContent = given?.error ?? `Thank you. The threshold of this series is now ×${given.factor_after.toFixed(2)}.`;
    });
    box.append(button, " ");
  }
  box.append(outcome);
  return box;
}

function evidence(episode, now) {
  const table = document.createElement("table");
  table.className = "evidence";
  table.append(row("th", ["Time", "Value", "Expected", "Band", "Score"]));
  for (const point of episode.evidence) {
    const band = point.lower === null ? "–" : format.range(point.lower, point.upper, episode);
    const score = point.score === null ? "–" : format.score(point.score);
    const expected = point.yhat === null ? "–" : format.value(point.yhat, episode);
    const cells = [format.clock(point.time, now), format.value(point.value, episode), expected, band, score];
    table.append(row("td", cells));
  }
  return table;
}

function row(kind, texts) {
  const made = document.createElement("tr");
  made.append(...texts.map((text) => line(kind, text)));
  return made;
}

function line(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
