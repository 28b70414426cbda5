// Holds a form whose button asks first, until `asking.js` has run. A script of its own, which the
// page waits for: one that is a module runs when the form may already have been sent.

globalThis.held = [];
addEventListener("submit", (event) => {
  if (!globalThis.held || !event.submitter?.dataset.ask) return;
  event.preventDefault();
  globalThis.held = [event.submitter];
});
