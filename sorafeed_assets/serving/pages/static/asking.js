// Forms that ask before something is lost: what a button deletes, and edits that were not sent.

import { dialogs } from "./api.js";
import { question } from "./confirm.js";

const edited = new Set();
let agreed = null;

for (const form of document.querySelectorAll("form[method=post]")) {
  if ("guarded" in form.dataset) form.addEventListener("input", () => edited.add(form));
  form.addEventListener("submit", async (event) => {
    const { submitter } = event;
    if (submitter?.dataset.ask && submitter !== agreed) {
      event.preventDefault();
      const { ask: title, askText: text, askYes: yes } = submitter.dataset;
      if ((await question({ title, text, yes, isDanger: true })) === null) return;
      agreed = submitter;
      form.requestSubmit(submitter);
      return;
    }
    edited.delete(form);
  });
}

// What was entered into another form is lost with the page too.
addEventListener("beforeunload", (event) => edited.size && event.preventDefault());
dialogs();
// What was pressed before this script ran is asked about now.
const [pressed] = globalThis.held ?? [];
globalThis.held = null;
pressed?.form.requestSubmit(pressed);
