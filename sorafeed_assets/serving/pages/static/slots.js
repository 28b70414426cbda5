// Puts the text of a chosen file into the field of the form that imports time slots.

const chosen = document.querySelector("[data-slots-file]");

chosen?.addEventListener("change", async () => {
  const [file] = chosen.files;
  if (!file) return;
  const { text } = chosen.form.elements;
  text.value = await file.text();
  text.dispatchEvent(new Event("input", { bubbles: true }));
  chosen.value = "";
});
