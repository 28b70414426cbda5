// The dialog that asks before something is changed or lost.

// Resolves to the text that was entered ("" without a field), or to null when it was cancelled.
export function question({ title, text = "", warning = "", value = null, yes = "OK", no = "Cancel", isDanger = false }) {
  const dialog = document.getElementById("ask");
  const form = dialog.querySelector("form");
  const field = form.querySelector("[data-ask-field]");
  const agreed = form.querySelector("[data-ask-yes]");
  form.querySelector("[data-ask-title]").textContent = title;
  for (const [name, words] of [["text", text], ["warning", warning]]) {
    const place = form.querySelector(`[data-ask-${name}]`);
    place.textContent = words;
    place.hidden = !words;
  }
  form.querySelector("[data-ask-no]").textContent = no;
  agreed.textContent = yes;
  agreed.className = isDanger ? "danger" : "main";
  field.hidden = value === null;
  form.answer.value = value ?? "";
  form.answer.required = value !== null;
  dialog.showModal();
  if (value !== null) form.answer.select();
  return new Promise((resolve) => {
    let answer = null;
    const agree = (event) => {
      event.preventDefault();
      answer = form.answer.value;
      dialog.close();
    };
    form.addEventListener("submit", agree);
    dialog.addEventListener("close", () => {
      form.removeEventListener("submit", agree);
      resolve(answer);
    }, { once: true });
  });
}
