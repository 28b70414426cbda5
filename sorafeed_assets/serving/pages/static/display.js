// The page of one display: its controls, its playlist editor with live counts, and what it plays.

import { ask, dialogs, follow, fragment, pictures, randomKey, Refused, relate, sentence, showRefusal, submit, toast } from "./api.js";
import { question } from "./confirm.js";
import * as deleted from "./deleted.js";
import { check, preview as showPreview } from "./preview.js";
import * as remote from "./remote.js";

const heading = document.querySelector("[data-display]");
const code = heading.dataset.display;
const playlist = heading.dataset.playlist;
const wasActive = heading.dataset.active;
const isAdmin = heading.dataset.admin === "1";
const parts = document.querySelector("[data-parts]");
const editor = document.querySelector("[data-editor]");
const list = document.querySelector("[data-blocks]");
const template = document.querySelector("[data-block-template]");
const refusal = editor.querySelector("[data-refusal]");
const saved = editor.querySelector("[data-saved]");
const none = document.querySelector("[data-no-blocks]");
const heads = document.querySelector("[data-heads]");
const draft = editor.querySelector("[data-draft]");
const undoButton = editor.querySelector("[data-undo]");
const TYPING = 250;
const LATER = 1500;

// As the page came: a field may have been changed before this script ran.
let stored = JSON.stringify([...list.children].map(served));

// What plays

// The filters of the history, as the server reads them: the day is one of the viewer's zone.
const history = { asked: location.search };

parts.addEventListener("change", (event) => {
  const form = event.target.closest("[data-history]");
  if (!form) return;
  const asked = new URLSearchParams();
  const { day, block } = Object.fromEntries(new FormData(form));
  if (day) {
    const start = new Date(`${day}T00:00`);
    const end = new Date(start);
    end.setDate(end.getDate() + 1);
    asked.set("day", day);
    asked.set("since", start.toISOString());
    asked.set("until", end.toISOString());
  }
  if (block) asked.set("block", block);
  history.asked = asked.size ? `?${asked}` : "";
  const kept = new URLSearchParams(asked);
  if (new URLSearchParams(location.search).has("playlist")) kept.set("playlist", playlist);
  window.history.replaceState(null, "", kept.size ? `?${kept}` : location.pathname);
  attempt(refreshParts);
});

async function refreshParts() {
  if (!remote.mayRefresh()) return;
  const content = await fragment(`/admin/displays/${code}/parts${history.asked}`);
  for (const fresh of content.querySelectorAll("[data-part]")) {
    const old = document.querySelector(`[data-part="${fresh.dataset.part}"]`);
    if (!old) continue;
    const focused = old.contains(document.activeElement) && document.activeElement;
    const preview = old.querySelector("[data-preview]");
    const next = fresh.querySelector("[data-preview]");
    const scrolled = old.querySelector("ol")?.scrollTop ?? 0;
    const opened = [...old.querySelectorAll("details")].map((each) => each.open);
    if (preview && next && preview.getAttribute("src") === next.getAttribute("src")) next.replaceWith(preview);
    if (!remote.mayRefresh()) return;
    old.replaceWith(fresh);
    const ordered = fresh.querySelector("ol");
    if (ordered) ordered.scrollTop = scrolled;
    fresh.querySelectorAll("details").forEach((each, at) => {
      each.open = opened[at] ?? false;
    });
    if (focused) again(fresh, focused)?.focus();
  }
  preview();
  relate();
  const { active } = document.querySelector("[data-part=playlists]").dataset;
  // Another playlist became active: show it in the editor, unless there are unsaved edits.
  if (active !== wasActive && playlist === wasActive && !isEdited() && !document.querySelector("dialog[open]")) leave();
}

// The control of a reloaded part that corresponds to the one that had the focus.
function again(fresh, focused) {
  for (const name of ["data-do", "data-volume", "data-seek", "data-seek-to", "data-play-now", "name", "data-activate", "data-rename-playlist", "data-duplicate", "data-delete-playlist"]) {
    if (!focused.hasAttribute(name)) continue;
    return fresh.querySelector(`[${name}="${CSS.escape(focused.getAttribute(name))}"]`) ?? fresh.querySelector(`[${name}]`);
  }
  return null;
}

function preview() {
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) parts.querySelector("[data-preview]")?.play().catch(() => {});
}

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
  return [...list.children].map(fields);
}

function fields(row) {
  return {
    search: row.querySelector("[name=search]").value,
    videoCount: Number(row.querySelector("[name=videoCount]").value) || 0,
    fetchMode: row.querySelector("[name=fetchMode]").value,
    format: row.querySelector("[name=format]").value,
  };
}

function served(row) {
  const [search, count] = ["search", "videoCount"].map((name) => row.querySelector(`[name=${name}]`).defaultValue);
  const [fetchMode, format] = ["fetchMode", "format"].map((name) => {
    const { options } = row.querySelector(`[name=${name}]`);
    return ([...options].find((each) => each.defaultSelected) ?? options[0]).value;
  });
  return { search, videoCount: Number(count) || 0, fetchMode, format };
}

// The blocks to preview and to save. Each has an id for the case that it is stored as a new block:
// the preview and the save must have it in common, because the shuffle depends on it. A block that
// is edited is another block, and gets another id.
function drafts() {
  return [...list.children].map((row) => {
    const found = fields(row);
    const now = JSON.stringify(found);
    if (row.dataset.fields !== now) {
      row.dataset.fields = now;
      row.dataset.id = randomKey();
    }
    return { ...found, id: row.dataset.id };
  });
}

function isEdited() {
  return JSON.stringify(blocks()) !== stored;
}

function edited() {
  const changed = isEdited();
  none.hidden = list.children.length > 0;
  heads.hidden = !none.hidden;
  for (const button of editor.querySelectorAll("[data-save], [data-save-new]")) {
    button.disabled = !changed || !list.children.length;
  }
  if (saved) saved.textContent = changed ? "Not saved yet" : "";
  if (!isAdmin) return;
  editor.querySelector("[data-preview-draft]").disabled = !list.children.length;
  draft.classList.toggle("old", true);
  clearTimeout(previewing);
  if (!draft.hidden && list.children.length) previewing = setTimeout(() => previewDraft(false), LATER / 2);
}

let previewing = 0;
let turn = 0;

async function previewDraft(isAsked) {
  const mine = ++turn;
  try {
    // Into an element of its own, because a slower answer to an older draft must not replace it.
    const fresh = document.createElement("section");
    await showPreview(fresh, code, playlist || null, drafts());
    if (mine !== turn) return;
    draft.replaceChildren(...fresh.childNodes);
    draft.classList.remove("old");
    draft.hidden = false;
    if (isAsked) draft.scrollIntoView({ block: "nearest" });
    showRefusal(refusal, null);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (mine === turn) refuse(error);
  }
}

editor.querySelector("[data-preview-draft]")?.addEventListener("click", () => previewDraft(true));

// Removed blocks, the last one at the end: each with the row that followed it.
const removed = [];

function undo() {
  const last = removed.pop();
  if (!last) return;
  list.insertBefore(last.row, last.next?.parentNode === list ? last.next : null);
  edited();
  last.row.querySelector("[data-remove]").focus();
  showUndo();
}

function showUndo() {
  undoButton.hidden = !removed.length;
  const search = removed.at(-1)?.row.querySelector("[name=search]").value;
  undoButton.textContent = search ? `Undo: restore “${search.slice(0, 30)}”` : "Undo: restore the block";
}

undoButton?.addEventListener("click", undo);
addEventListener("keydown", (event) => {
  // In a field the key belongs to its text.
  if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey) return;
  if (event.target.closest("input, select, textarea, dialog") || !removed.length) return;
  event.preventDefault();
  undo();
});

addEventListener("beforeunload", (event) => isAdmin && isEdited() && event.preventDefault());

async function mayDiscard() {
  if (!isEdited()) return true;
  const answer = await question({
    title: "Discard your unsaved changes?",
    text: "You have changed blocks of the playlist and not saved them.",
    yes: "Discard",
    no: "Keep editing",
    isDanger: true,
  });
  return answer !== null;
}

function addBlock() {
  const row = template.content.firstElementChild.cloneNode(true);
  list.append(row);
  edited();
  row.querySelector("[name=search]").focus();
}

// Shows what is wrong with a field of a block beside it; nothing when it is right.
function wrong(row, name, message) {
  const input = row.querySelector(`[name=${name}]`);
  let place = row.querySelector(`[data-wrong="${name}"]`);
  if (!message) {
    place?.remove();
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
    return;
  }
  if (!place) {
    place = document.createElement("p");
    place.className = "wrong";
    place.dataset.wrong = name;
    place.id = `wrong-${randomKey()}`;
    row.append(place);
  }
  place.textContent = message;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", place.id);
}

const asked = new WeakMap();

async function count(row, isAgain = false) {
  const search = row.querySelector("[name=search]").value.trim();
  const format = row.querySelector("[name=format]").value;
  const output = row.querySelector("[data-total]");
  const input = row.querySelector("[name=search]");
  const turn = {};
  asked.set(row, turn);
  wrong(row, "search", "");
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
    output.textContent = exact ? `${number} post${found.total === 1 ? "" : "s"}` : found.total ? `at least ${number}` : found.isTracked ? "counting…" : "many";
    output.classList.toggle("none", exact && found.total === 0);
    if (found.isTracked && !exact) setTimeout(() => asked.get(row) === turn && row.isConnected && count(row, true), LATER);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (asked.get(row) !== turn) return;
    output.textContent = error.code === "BAD_USER_INPUT" ? "" : "not counted";
    if (error.code === "BAD_USER_INPUT") wrong(row, "search", error.message);
  }
}

const typing = new WeakMap();
list.addEventListener("input", (event) => {
  edited();
  const row = event.target.closest("[data-block]");
  if (event.target.name === "videoCount") {
    const { max, validity } = event.target;
    wrong(row, "videoCount", validity.valid ? "" : `Enter a whole number from 1 to ${max}.`);
  }
  if (!["search", "format"].includes(event.target.name)) return;
  clearTimeout(typing.get(row));
  typing.set(row, setTimeout(() => count(row), event.target.name === "search" ? TYPING : 0));
});
list.addEventListener("click", (event) => {
  if (!event.target.closest("[data-remove]")) return;
  const row = event.target.closest("[data-block]");
  const next = row.nextElementSibling ?? row.previousElementSibling;
  removed.push({ row, next: row.nextElementSibling });
  row.remove();
  showUndo();
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

const NAMES = { search_term: "search", video_count: "videoCount", fetch_mode: "fetchMode", format: "format" };

// Each problem of a block is shown beside its field, and the others below the blocks.
function refuse(error) {
  const others = [];
  let first = null;
  for (const problem of error.problems) {
    const found = /^blocks\[(\d+)\]\.(\w+)/.exec(problem.field);
    const row = list.children[Number(found?.[1])];
    if (row && NAMES[found[2]]) {
      wrong(row, NAMES[found[2]], problem.message);
      first ??= row.querySelector(`[name=${NAMES[found[2]]}]`);
    } else others.push(problem.message);
  }
  if (!error.problems.length) others.push(error.message);
  showRefusal(refusal, others.length ? new Refused(others.join("\n")) : null);
  first?.focus();
}

async function save(asNew) {
  for (const row of list.children) for (const each of Object.values(NAMES)) wrong(row, each, "");
  let name = null;
  if (asNew) {
    // Before the name is asked for: what is wrong is shown first.
    try {
      await check(code, drafts());
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return refuse(error);
    }
    name = await question({ title: "Name of the new playlist", value: `Playlist of ${new Date().toLocaleDateString()}` });
    if (name === null) return;
  }
  const wanted = drafts();
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
    stored = JSON.stringify(blocks());
    // These ids are taken now.
    for (const row of list.children) delete row.dataset.fields;
    removed.length = 0;
    showUndo();
    showRefusal(refusal, null);
    edited();
    if (answer.done.problem) toast(sentence(answer.done.problem));
    if (asNew) leave(`/admin/displays/${code}`);
    else {
      saved.textContent = playlist === wasActive ? "Saved. The display is updated." : "Saved. The display plays it after you activate it.";
      await attempt(refreshParts);
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refuse(error);
  }
}

editor.addEventListener("submit", (event) => {
  event.preventDefault();
  save(!playlist);
});
editor.querySelector("[data-save-new]")?.addEventListener("click", () => save(true));
editor.querySelector("[data-add]")?.addEventListener("click", addBlock);

// Playlists

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-activate], [data-rename-playlist], [data-duplicate], [data-detach], [data-delete-playlist]");
  if (!button) return;
  const { activate, renamePlaylist, duplicate, detach, deletePlaylist, named } = button.dataset;
  if (activate && (await mayDiscard())) {
    const done = await attempt(() => ask("mutation ($id: ID!) { activatePlaylist(id: $id) { problem } }", { id: activate }));
    if (done) leave(`/admin/displays/${code}`);
  } else if (renamePlaylist) {
    const name = await question({ title: `Rename the playlist “${named}”`, value: named, yes: "Rename" });
    if (name === null) return;
    const done = await attempt(() => ask("mutation ($id: ID!, $name: String!) { renamePlaylist(id: $id, name: $name) { playlist { name } } }", { id: renamePlaylist, name }));
    if (!done) return;
    if (renamePlaylist === playlist) document.querySelector("[data-playlist-name]").textContent = done.renamePlaylist.playlist.name;
    await attempt(refreshParts);
  } else if (duplicate) {
    const name = await question({ title: `Duplicate the playlist “${named}”`, text: "The copy is not active. The saved blocks are copied.", value: `Copy of ${named}`, yes: "Duplicate" });
    if (name === null || !(await mayDiscard())) return;
    const done = await attempt(() => ask("mutation ($id: ID!, $name: String!) { duplicatePlaylist(id: $id, name: $name) { playlist { id } } }", { id: duplicate, name }));
    if (done) leave(`/admin/displays/${code}?playlist=${done.duplicatePlaylist.playlist.id}`);
  } else if (detach) {
    const answer = await question({
      title: `Detach “${named}” from its template?`,
      text: `It no longer follows the template “${button.dataset.template}”: it keeps its blocks, and you can edit them here. To follow again, choose the template on the page Templates.`,
      yes: "Detach",
    });
    if (answer === null) return;
    const done = await attempt(() => ask("mutation ($id: ID!) { detachPlaylist(playlistId: $id) { results { problem } } }", { id: detach }));
    // Its blocks can be edited from now on.
    if (done && detach === playlist) leave();
    else if (done) await attempt(refreshParts);
  } else if (deletePlaylist) {
    const isActive = "isActive" in button.dataset;
    const count = button.dataset.blocksCount;
    const hasOthers = document.querySelectorAll("[data-delete-playlist]").length > 1;
    const answer = await question({
      title: `Delete the playlist “${named}”?`,
      warning: isActive ? `It is the active playlist: the display plays it now, and will ${hasOthers ? "switch to its newest other playlist" : "show nothing, because it has no other"}.` : "",
      text: `${count === "1" ? "Its block is" : `Its ${count} blocks are`} deleted. You can restore it for 30 days.${isEdited() && deletePlaylist === playlist ? " Your unsaved changes are lost." : ""}`,
      yes: "Delete",
      isDanger: true,
    });
    if (answer === null) return;
    const done = await attempt(() => ask("mutation ($id: ID!) { deletePlaylist(id: $id) { problem deletionId } }", { id: deletePlaylist }));
    if (!done) return;
    deleted.offerUndo(done.deletePlaylist.deletionId, named, isActive);
    if (deletePlaylist === playlist) leave(`/admin/displays/${code}`);
    else {
      await attempt(refreshParts);
      deleted.showOffer(afterRestore);
    }
  }
});

function afterRestore({ playlist: found }) {
  if (isEdited()) refreshParts().catch(() => {});
  else leave(found ? `/admin/displays/${code}?playlist=${found.id}` : null);
}

function leave(address = null) {
  stored = JSON.stringify(blocks());
  if (address) location.assign(address);
  else location.reload();
}

document.querySelector("[data-import]")?.addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  const text = await file.text();
  const isJson = /\.json$/i.test(file.name);
  const place = document.querySelector("[data-import-refusal]");
  const given = { [isJson ? "json" : "csv"]: text };
  const isRight = await attempt(() => ask("query ($csv: String, $json: String) { csvBlocks(csv: $csv, json: $json) { search } }", given), place);
  if (!isRight || !(await mayDiscard())) {
    event.target.value = "";
    return;
  }
  const done = await attempt(
    async () =>
      ask("mutation ($id: ID!, $name: String!, $csv: String, $json: String) { importPlaylist(displayId: $id, name: $name, csv: $csv, json: $json) { problem } }", {
        id: code,
        name: file.name.replace(/\.(csv|json)$/i, "") || "Imported",
        ...given,
      }),
    place,
  );
  event.target.value = "";
  if (done) leave(`/admin/displays/${code}`);
});

submit(document.querySelector("[data-rename]"), async (fields) => {
  const done = await ask("mutation ($id: ID!, $name: String!) { renameDisplay(id: $id, name: $name) { display { name } } }", {
    id: code,
    name: fields.get("name"),
  });
  document.querySelector("[data-name]").textContent = done.renameDisplay.display.name;
});
submit(document.querySelector("[data-delete]"), async () => {
  const { deleteDisplay: done } = await ask("mutation ($id: ID!) { deleteDisplay(id: $id) { deletionId } }", { id: code });
  deleted.offerUndo(done.deletionId, document.querySelector("[data-name]").textContent, false);
  leave("/admin");
});

for (const row of list.children) {
  if (row.querySelector("[data-total]").textContent === "…") count(row);
}
if (isEdited()) edited();
deleted.follow(afterRestore);
deleted.showOffer(afterRestore);
pictures();
dialogs();
preview();
remote.follow(parts, code, attempt, refreshParts);
follow(`/api/displays/${code}/events`, () => refreshParts().catch(() => {}));
