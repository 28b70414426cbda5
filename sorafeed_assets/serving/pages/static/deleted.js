// Restoring what was deleted, and the offer to undo a deletion on the page that is shown next.

import { ask, Refused, sentence, toast } from "./api.js";

const OFFER = "sorafeed.undo";
const RESTORE = `mutation ($id: ID!, $activate: Boolean!) {
  restore(id: $id, activate: $activate) { problem display { id } playlist { id name } }
}`;

export async function restore(id, activate = false) {
  const { restore: done } = await ask(RESTORE, { id, activate });
  if (done.problem) toast(sentence(done.problem));
  return done;
}

// The next page shows the offer; the deletion can be restored later too.
export function offerUndo(id, name, wasActive) {
  sessionStorage.setItem(OFFER, JSON.stringify({ id, name, wasActive }));
}

export function showOffer(onRestored) {
  const offer = JSON.parse(sessionStorage.getItem(OFFER) ?? "null");
  sessionStorage.removeItem(OFFER);
  if (!offer) return;
  toast(`“${offer.name}” is deleted.`, "Undo", () => attempt(offer.id, offer.wasActive, onRestored));
}

export function follow(onRestored) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-restore]");
    if (!button) return;
    button.disabled = true;
    attempt(button.dataset.restore, false, onRestored).finally(() => {
      button.disabled = false;
    });
  });
}

async function attempt(id, activate, onRestored) {
  try {
    onRestored(await restore(id, activate));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    toast(sentence(error.message));
  }
}
