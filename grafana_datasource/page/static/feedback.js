// Answers of people: to an episode, to a stretch of time that should have been one, and taking them back.

import * as api from "./api.js";
import { h } from "./dom.js";
import * as format from "./format.js";
import { nothing } from "./parts.js";

const ANSWERS = [["expected", "Expected"], ["false_alarm", "False alarm"], ["confirmed", "Confirmed"]];
const WORDS = { expected: "Expected", false_alarm: "False alarm", confirmed: "Confirmed", missed: "Missed" };

export function answerButtons(episode) {
  return h(
    "div",
    { class: "answers" },
    h("p", { class: "quiet" }, "Your answer moves the threshold of this series, from its next point on."),
    nameField(),
    h(
      "p",
      { class: "button-row" },
      ANSWERS.map(([answer, text]) =>
        h("button", { class: "button", type: "button", "data-do": "answer", "data-answer": answer, "data-episode": episode.id }, text),
      ),
    ),
    h("p", { class: "outcome", role: "status", "data-island": true }),
  );
}

export function missedForm(series, view, episodes) {
  const covered = episodes.some((episode) => episode.end === null);
  return h(
    "details",
    { class: "missed" },
    h("summary", {}, "Report an anomaly that was missed"),
    h(
      "form",
      { class: "answers", "data-submit": "missed", "data-series": series.id },
      h("p", { class: "quiet" }, `Tell when it was; times in ${format.zone()}.${covered ? " An episode is open right now: answer that one instead if you mean it." : ""}`),
      h("div", { class: "field-row" }, timeField("from", "From", view.isZoomed ? view.from : view.now - 3600000), timeField("to", "To", view.isZoomed ? Math.min(view.to, view.now) : view.now)),
      nameField(),
      h("p", { class: "button-row" }, h("button", { class: "button", type: "submit" }, "It was missed")),
      h("p", { class: "outcome", role: "status", "data-island": true }),
    ),
  );
}

export function history(answers, now) {
  if (!answers.length) return nothing("Nobody has answered yet.");
  return h(
    "ul",
    { class: "history" },
    answers.map((answer) =>
      h(
        "li",
        { "data-key": answer.id, class: answer.undone ? "undone" : null },
        h("b", {}, Object.hasOwn(WORDS, answer.answer) ? WORDS[answer.answer] : format.name(answer.answer)),
        h("span", {}, ` ${answer.by ? `by ${format.name(answer.by)}, ` : ""}${format.ago(now - answer.given)}, about ${format.clock(answer.start, now)}`),
        h("span", { class: "quiet" }, ` threshold ×${answer.factor_before.toFixed(2)} → ×${answer.factor_after.toFixed(2)}`),
        answer.undone
          ? h("span", { class: "quiet" }, " taken back")
          : h("button", { class: "button small", type: "button", "data-do": "undo", "data-feedback": answer.id }, "Take back"),
      ),
    ),
  );
}

// What the buttons and the form do; each returns whether something changed.
export const actions = {
  async answer(button) {
    const path = `api/v1/episodes/${encodeURIComponent(button.dataset.episode)}/feedback`;
    return told(button, () => api.post(path, { answer: button.dataset.answer, by: nameOf(button) }));
  },
  async undo(button) {
    return told(button, () => api.post(`api/v1/feedback/${encodeURIComponent(button.dataset.feedback)}/undo`, { by: nameOf(button) }));
  },
  async missed(form) {
    const time = (field) => new Date(form.querySelector(`[name=${field}]`).value).toISOString();
    const path = `api/v1/series/${encodeURIComponent(form.dataset.series)}/feedback`;
    return told(form, () => api.post(path, { answer: "missed", by: nameOf(form), from: time("from"), to: time("to") }));
  },
};

async function told(element, ask) {
  const outcome = (element.closest(".answers") ?? element.closest(".card")).querySelector(".outcome");
  const say = (text) => outcome && (outcome.textContent = text);
  try {
    const given = await ask();
    say(`Thank you. The threshold of this series is now ×${given.factor_after.toFixed(2)}.`);
    return true;
  } catch (error) {
    say(error.message);
    return false;
  }
}

function nameField() {
  return h("label", { class: "field" }, h("span", {}, "Your name, if you like"),
    h("input", { type: "text", name: "by", maxlength: 200, value: localStorage.getItem("foreband-name") ?? "", autocomplete: "name" }));
}

function timeField(name, text, ms) {
  return h("label", { class: "field" }, h("span", {}, text),
    h("input", { type: "datetime-local", name, required: true, step: 1, value: format.field(ms) }));
}

function nameOf(element) {
  const field = (element.closest(".answers") ?? document).querySelector("[name=by]");
  const text = field?.value.trim() ?? "";
  localStorage.setItem("foreband-name", text);
  return text;
}
