// Shared by the admin pages: API requests, notifications of changes, dialogs and messages.

import { call, stream } from "/static/retry.js";
import { relate } from "/static/times.js";

export { relate };

export class Refused extends Error {
  // Each problem has the field of the API, and a message in words.
  constructor(message, code, problems = []) {
    super(problems.length ? problems.map((problem) => problem.message).join("\n") : message);
    this.code = code;
    this.problems = problems;
  }
}

const TRIES = 5;

export async function ask(query, variables = {}) {
  const body = await answer(query, variables);
  if (body.error) throw new Refused(body.error.message, body.error.code);
  if (body.errors) {
    const [first] = body.errors;
    throw new Refused(first.message, first.extensions?.code, first.extensions?.problems);
  }
  return body.data;
}

// A mutation has an idempotency key: when its answer is lost, it is resent and executed once.
async function answer(query, variables) {
  const isMutation = query.trimStart().startsWith("mutation");
  const headers = { "content-type": "application/json", accept: "application/graphql-response+json" };
  if (isMutation) headers["idempotency-key"] = randomKey();
  const request = { method: "POST", headers, body: JSON.stringify({ query, variables }) };
  try {
    // A change may take a minute, and is not given up before its answer.
    const response = await call("/graphql", request, TRIES, isMutation ? 0 : undefined);
    return await response.json();
  } catch {
    throw new Refused(isMutation ? "The server does not answer. Reload the page to see whether the change was made." : "The server does not answer. Try again.", "AWAY");
  }
}

export function randomKey() {
  // crypto.randomUUID() is missing where the page is not served by HTTPS.
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function fragment(path) {
  const response = await call(path, { headers: { accept: "text/html" } }).catch(() => null);
  if (!response) throw new Refused("The server does not answer.", "AWAY");
  if (!response.ok) throw new Refused(`The server answered ${response.status}.`, "AWAY");
  const holder = document.createElement("template");
  holder.innerHTML = await response.text();
  relate(holder.content);
  return holder.content;
}

// Calls onChange with the tags that changed within a short time; "all" after a lost connection.
export function follow(path, onChange) {
  const live = document.querySelector("[data-live]");
  const waiting = new Set();
  let timer = 0;
  let wasLost = false;
  const flush = () => {
    timer = 0;
    const tags = new Set(waiting);
    waiting.clear();
    onChange(tags);
  };
  const add = (tags) => {
    for (const tag of tags) waiting.add(tag);
    if (!timer && waiting.size) timer = setTimeout(flush, 120);
  };
  stream(path, {
    open: () => {
      if (live) live.hidden = true;
      if (wasLost) add(["all"]);
      wasLost = false;
    },
    change: (event) => add(JSON.parse(event.data)),
    lost: () => {
      wasLost = true;
      if (live) {
        live.textContent = "No connection to the server. Reconnecting…";
        live.hidden = false;
      }
    },
  });
}

const TOAST_SECONDS = 5;
const OFFER_SECONDS = 20;

export function toast(message, offer = null, work = null) {
  const holder = document.querySelector("[data-toasts]");
  const note = document.createElement("p");
  note.textContent = message;
  if (offer) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = offer;
    button.addEventListener("click", () => {
      note.remove();
      work();
    });
    note.append(" ", button);
  }
  holder.append(note);
  setTimeout(() => note.remove(), 1000 * (offer ? OFFER_SECONDS : TOAST_SECONDS));
}

// A picture that cannot be loaded leaves its placeholder. Load errors do not bubble.
export function pictures() {
  document.addEventListener("error", (event) => event.target.matches?.("[data-poster]") && event.target.remove(), true);
  // Those that failed before this script ran.
  for (const image of document.querySelectorAll("[data-poster]")) if (image.complete && !image.naturalWidth && image.src) image.remove();
}

export function showRefusal(place, error) {
  place.textContent = error ? sentence(error.message) : "";
  place.hidden = !error;
}

// The form's fields have the API's names, but for a display's code.
function markFields(form, error) {
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  for (const { field } of error?.problems ?? []) {
    const input = form.elements.namedItem(field === "display_id" ? "code" : field);
    input?.setAttribute("aria-invalid", "true");
    input?.focus();
  }
}

export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

export function dialogs() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open]");
    if (opener) document.getElementById(opener.dataset.open).showModal();
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  });
}

// A dialog closes after its form's work succeeded, and stays open with the message of an error.
export function submit(form, work) {
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    const refusal = form.querySelector("[data-refusal]");
    button.disabled = true;
    try {
      await work(new FormData(form));
      if (refusal) showRefusal(refusal, null);
      markFields(form, null);
      form.closest("dialog")?.close();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      markFields(form, error);
      if (refusal) showRefusal(refusal, error);
      else toast(sentence(error.message));
    } finally {
      button.disabled = false;
    }
  });
}
