// The page of one display: its controls, its playlist editor with live counts, and what it plays.

import { ask, dialogs, follow, fragment, Refused, relate, sentence, showRefusal, submit, toast } from "./api.js";

const heading = document.querySelector("[data-display]");
const code = heading.dataset.display;
const playlist = heading.dataset.playlist;
const isAdmin = heading.dataset.admin === "1";
const parts = document.querySelector("[data-parts]");
const editor = document.querySelector("[data-editor]");
const list = document.querySelector("[data-blocks]");
const template = document.querySelector("[data-block-template]");
const refusal = editor.querySelector("[data-refusal]");
const saved = editor.querySelector("[data-saved]");
const none = document.querySelector("[data-no-blocks]");
const TYPING = 250;
const LATER = 1500;

let stored = JSON.stringify(blocks());

// What plays

async function refreshParts() {
  const content = await fragment(`/admin/displays/${code}/parts`);
  for (const fresh of content.querySelectorAll("[data-part]")) {
    const old = document.querySelector(`[data-part="${fresh.dataset.part}"]`);
    if (!old) continue;
    const focused = old.contains(document.activeElement) && document.activeElement;
    const preview = old.querySelector("[data-preview]");
    const next = fresh.querySelector("[data-preview]");
    const scrolled = old.querySelector("ol")?.scrollTop ?? 0;
    if (preview && next && preview.getAttribute("src") === next.getAttribute("src")) next.replaceWith(preview);
    old.replaceWith(fresh);
    const ordered = fresh.querySelector("ol");
    if (ordered) ordered.scrollTop = scrolled;
    if (focused) again(fresh, focused)?.focus();
  }
  preview();
  const { active } = document.querySelector("[data-part=playlists]").dataset;
  // Another playlist became active: show it in the editor, unless there are unsaved edits.
  if (active !== playlist && !isEdited() && !document.querySelector("dialog[open]")) leave();
}

// The control of a reloaded part that corresponds to the one that had the focus.
function again(fresh, focused) {
  for (const name of ["data-do", "data-activate", "data-delete-playlist"]) {
    if (!focused.hasAttribute(name)) continue;
    return fresh.querySelector(`[${name}="${focused.getAttribute(name)}"]`) ?? fresh.querySelector(`[${name}]`);
  }
  return null;
}

function preview() {
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) parts.querySelector("[data-preview]")?.play().catch(() => {});
}

parts.addEventListener("click", async (event) => {
  const verb = event.target.closest("[data-do]")?.dataset.do;
  if (!verb) return;
  event.target.disabled = true;
  await attempt(() => ask(`mutation ($id: ID!) { ${verb}(displayId: $id) { display { id } } }`, { id: code }));
  await attempt(refreshParts);
});

async function attempt(work, place = null) {
  try {
    const done = await work();
    if (place) showRefusal(place, null);
    return done;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (place) showRefusal(place, error);
    else toast(sentence(error.message));
    return null;
  }
}

// The editor

function blocks() {
  return [...list.children].map((row) => ({
    search: row.querySelector("[name=search]").value,
    videoCount: Number(row.querySelector("[name=videoCount]").value) || 0,
    fetchMode: row.querySelector("[name=fetchMode]").value,
    format: row.querySelector("[name=format]").value,
  }));
}

function isEdited() {
  return JSON.stringify(blocks()) !== stored;
}

function edited() {
  const changed = isEdited();
  none.hidden = list.children.length > 0;
  for (const button of editor.querySelectorAll("[data-save], [data-save-new]")) {
    button.disabled = !changed || !list.children.length;
  }
  if (saved) saved.textContent = changed ? "Not saved yet" : "";
}

function addBlock() {
  const row = template.content.firstElementChild.cloneNode(true);
  list.append(row);
  edited();
  row.querySelector("[name=search]").focus();
}

const asked = new WeakMap();

async function count(row, isAgain = false) {
  const search = row.querySelector("[name=search]").value.trim();
  const format = row.querySelector("[name=format]").value;
  const output = row.querySelector("[data-total]");
  const input = row.querySelector("[name=search]");
  const turn = {};
  asked.set(row, turn);
  input.removeAttribute("aria-invalid");
  output.classList.remove("none");
  if (!search) {
    output.textContent = "";
    return;
  }
  if (!isAgain) output.textContent = "…";
  try {
    const { count: found } = await ask(
      "query ($search: String!, $format: Format!) { count(search: $search, format: $format) { total exactness isTracked } }",
      { search, format },
    );
    if (asked.get(row) !== turn) return;
    const number = found.total.toLocaleString("en");
    const exact = found.exactness === "EXACT";
    output.textContent = exact ? `${number} post${found.total === 1 ? "" : "s"}` : found.total ? `at least ${number}` : found.isTracked ? "many; counting" : "many";
    output.classList.toggle("none", exact && found.total === 0);
    if (found.isTracked && !exact) setTimeout(() => asked.get(row) === turn && row.isConnected && count(row, true), LATER);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (asked.get(row) !== turn) return;
    output.textContent = error.code === "BAD_USER_INPUT" ? sentence(error.message.replace(/^search: /, "")) : "not counted";
    if (error.code === "BAD_USER_INPUT") input.setAttribute("aria-invalid", "true");
  }
}

const typing = new WeakMap();
list.addEventListener("input", (event) => {
  edited();
  const row = event.target.closest("[data-block]");
  if (!["search", "format"].includes(event.target.name)) return;
  clearTimeout(typing.get(row));
  typing.set(row, setTimeout(() => count(row), event.target.name === "search" ? TYPING : 0));
});
list.addEventListener("click", (event) => {
  if (!event.target.closest("[data-remove]")) return;
  const row = event.target.closest("[data-block]");
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  (next?.querySelector("[data-remove]") ?? editor.querySelector("[data-add]")).focus();
  edited();
});
list.addEventListener("keydown", (event) => {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const grip = event.target.closest("[data-grip]");
  if (!grip || !step) return;
  event.preventDefault();
  const row = grip.closest("[data-block]");
  if (step < 0) row.previousElementSibling?.before(row);
  else row.nextElementSibling?.after(row);
  grip.focus();
  edited();
});

// Dragging by pointer events, which include touch.
list.addEventListener("pointerdown", (event) => {
  const grip = event.target.closest("[data-grip]");
  if (!grip || !isAdmin) return;
  event.preventDefault();
  grip.focus();
  const row = grip.closest("[data-block]");
  row.classList.add("dragged");
  const move = (moved) => {
    const over = [...list.children].find((other) => {
      const box = other.getBoundingClientRect();
      return other !== row && moved.clientY >= box.top && moved.clientY <= box.bottom;
    });
    if (!over) return;
    const box = over.getBoundingClientRect();
    if (moved.clientY < box.top + box.height / 2) over.before(row);
    else over.after(row);
  };
  const end = () => {
    document.removeEventListener("pointermove", move);
    document.removeEventListener("pointerup", end);
    document.removeEventListener("pointercancel", end);
    row.classList.remove("dragged");
    edited();
  };
  // On the document, because a row that is moved loses the captured pointer.
  document.addEventListener("pointermove", move);
  document.addEventListener("pointerup", end);
  document.addEventListener("pointercancel", end);
});

function refuseBlock(error) {
  showRefusal(refusal, error);
  const found = /^blocks\[(\d+)\]\.(\w+)/.exec(error.field ?? "");
  const name = { search_term: "search", video_count: "videoCount" }[found?.[2]];
  if (name) {
    const input = list.children[Number(found[1])].querySelector(`[name=${name}]`);
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }
}

async function save(asNew) {
  for (const input of list.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  let name = null;
  if (asNew) {
    name = await question("Name of the new playlist", `Playlist of ${new Date().toLocaleDateString("en-GB")}`);
    if (name === null) return;
  }
  const wanted = blocks();
  try {
    const answer = asNew
      ? await ask(
          "mutation ($id: ID!, $name: String!, $blocks: [BlockInput!]!) { done: createPlaylist(displayId: $id, name: $name, blocks: $blocks) { problem } }",
          { id: code, name, blocks: wanted },
        )
      : await ask(
          "mutation ($id: ID!, $blocks: [BlockInput!]!) { done: replaceBlocks(playlistId: $id, blocks: $blocks) { problem } }",
          { id: playlist, blocks: wanted },
        );
    stored = JSON.stringify(wanted);
    showRefusal(refusal, null);
    edited();
    if (answer.done.problem) toast(sentence(answer.done.problem));
    if (asNew) location.reload();
    else {
      saved.textContent = "Saved. The display is updated.";
      await attempt(refreshParts);
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refuseBlock(error);
  }
}

editor.addEventListener("submit", (event) => {
  event.preventDefault();
  save(!playlist);
});
editor.querySelector("[data-save-new]")?.addEventListener("click", () => save(true));
editor.querySelector("[data-add]")?.addEventListener("click", addBlock);
addEventListener("beforeunload", (event) => {
  if (isEdited()) event.preventDefault();
});

// Playlists

function question(title, value = null) {
  const dialog = document.getElementById("ask");
  const form = dialog.querySelector("form");
  const field = form.querySelector("[data-ask-field]");
  form.querySelector("[data-ask-title]").textContent = title;
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

document.addEventListener("click", async (event) => {
  const chosen = event.target.closest("[data-activate]")?.dataset.activate;
  const gone = event.target.closest("[data-delete-playlist]");
  if (chosen) {
    const done = await attempt(() => ask("mutation ($id: ID!) { activatePlaylist(id: $id) { problem } }", { id: chosen }));
    if (done) leave();
  } else if (gone) {
    if ((await question(`Delete the playlist “${gone.dataset.named}”?`)) === null) return;
    const done = await attempt(() => ask("mutation ($id: ID!) { deletePlaylist(id: $id) { problem } }", { id: gone.dataset.deletePlaylist }));
    if (done) leave();
  }
});

function leave(address = null) {
  stored = JSON.stringify(blocks());
  if (address) location.assign(address);
  else location.reload();
}

document.querySelector("[data-import]")?.addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  const place = document.querySelector("[data-import-refusal]");
  const done = await attempt(
    async () =>
      ask("mutation ($id: ID!, $name: String!, $csv: String!) { importPlaylist(displayId: $id, name: $name, csv: $csv) { problem } }", {
        id: code,
        name: file.name.replace(/\.csv$/i, "") || "Imported",
        csv: await file.text(),
      }),
    place,
  );
  event.target.value = "";
  if (done) leave();
});

submit(document.querySelector("[data-rename]"), async (fields) => {
  const done = await ask("mutation ($id: ID!, $name: String!) { renameDisplay(id: $id, name: $name) { display { name } } }", {
    id: code,
    name: fields.get("name"),
  });
  document.querySelector("[data-name]").textContent = done.renameDisplay.display.name;
});
submit(document.querySelector("[data-delete]"), async () => {
  await ask("mutation ($id: ID!) { deleteDisplay(id: $id) { id } }", { id: code });
  leave("/admin");
});

for (const row of list.children) {
  if (row.querySelector("[data-total]").textContent === "…") count(row);
}
dialogs();
relate();
preview();
setInterval(relate, 30_000);
follow(`/api/displays/${code}/events`, () => refreshParts().catch(() => {}));
