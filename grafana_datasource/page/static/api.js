// Asks Foreband, with the token of whoever looks; what goes wrong is an error with words for people.

import { h, patch } from "./dom.js";

export class Failed extends Error {
  constructor(status, message) {
    super(message);
    this.status = status; // 0: nobody answered
  }
}

export function get(path, params, signal) {
  return asked(params ? `${path}?${new URLSearchParams(params)}` : path, { signal });
}

export function post(path, body) {
  return asked(path, { method: "POST", body: JSON.stringify(body) });
}

let ahead = null; // of this browser's clock, that of Foreband; every answer that tells its time sets it

// What the clock of Foreband shows: "now" on the page is its, not that of a browser whose clock is wrong.
export async function now(signal) {
  if (ahead === null) await get("api/v1/catalog", { limit: 1 }, signal);
  return Math.round(Date.now() + ahead);
}

async function asked(path, options) {
  let response = await sent(path, options);
  if (response.status === 401 && (await askForToken())) response = await sent(path, options);
  const isText = (response.headers.get("Content-Type") ?? "").startsWith("text/plain");
  const body = await (isText ? response.text() : response.json()).catch(() => ({ error: "the answer cannot be read" }));
  if (!response.ok) throw new Failed(response.status, body.error ?? response.statusText);
  if (typeof body.now === "number") ahead = body.now - Date.now();
  return body;
}

async function sent(path, options) {
  const headers = { Accept: "application/json, text/plain", "Content-Type": "application/json" };
  if (!options.body) delete headers["Content-Type"];
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  try {
    return await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failed(0, "Foreband does not answer; trying again.");
  }
}

let asking = null;

// Many requests may want a token at once: one dialog serves them all, once a visit.
function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token");
    patch(
      dialog,
      h(
        "form",
        { method: "dialog", class: "dialog-body" },
        h("h2", {}, "This Foreband is locked"),
        h("label", { for: "token-text" }, "A token of scope read, or admin to answer episodes too"),
        h("input", { id: "token-text", type: "password", autocomplete: "current-password", required: true }),
        h("p", { class: "dialog-actions" }, h("button", { class: "button primary", value: "ok" }, "Unlock")),
      ),
    );
    dialog.addEventListener("close", () => {
      const token = document.getElementById("token-text").value.trim();
      if (token) sessionStorage.setItem("token", token);
      resolve(Boolean(token));
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}
