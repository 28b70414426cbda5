// The overview: filtering the cards, adding a display, and keeping the cards up to date.

import { ask, dialogs, follow, fragment, pictures, submit } from "./api.js";
import * as deleted from "./deleted.js";

const cards = document.querySelector("[data-cards]");
const empty = document.querySelector("[data-empty]");
const tools = document.querySelector("[data-tools]");
const find = document.querySelector("[data-find]");
const tagSelect = document.querySelector("[data-tag]");
const MOST = 200;

const ORDERS = {
  attention: (card) => [card.dataset.attention, card.dataset.code],
  name: (card) => [card.dataset.name, card.dataset.code],
  code: (card) => [card.dataset.code],
};

// The tags of all cards, to choose one.
function listTags() {
  const tags = new Set([...cards.children].flatMap((card) => card.dataset.tags.split(" ").filter(Boolean)));
  const chosen = tagSelect.value;
  tagSelect.replaceChildren(new Option("Any tag", ""), ...[...tags].sort().map((tag) => new Option(tag, tag)));
  tagSelect.value = tags.has(chosen) ? chosen : "";
  document.querySelector("[data-tagged]").hidden = !tags.size;
}

function filter() {
  const chosen = new FormData(tools);
  const tag = tagSelect.value;
  const show = chosen.get("show");
  // Words in any order, each anywhere in the name, the code or the playlists' names.
  const wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const card of cards.children) {
    const fits =
      wanted.every((word) => card.dataset.find.includes(word)) &&
      (!tag || card.dataset.tags.split(" ").includes(tag)) &&
      (show === "all" || (show === "online" ? card.dataset.online === "1" : card.dataset.attention < 3));
    card.hidden = !fits;
    shown += fits;
  }
  empty.hidden = shown > 0;
  if (cards.children.length) empty.textContent = "No display matches.";
}

function sort() {
  const of = ORDERS[tools.elements.sort.value];
  const now = [...cards.children];
  const sorted = now.map((card) => [of(card), card]).sort(([one], [other]) => compare(one, other)).map(([, card]) => card);
  if (sorted.some((card, at) => card !== now[at])) {
    const focused = document.activeElement;
    cards.append(...sorted);
    if (cards.contains(focused)) focused.focus({ preventScroll: true });
  }
}

function compare(one, other) {
  const at = one.findIndex((part, place) => part !== other[place]);
  return at < 0 ? 0 : one[at] < other[at] ? -1 : 1;
}

// The filters are in the address, so that Back and a copied link show the same.
function keep() {
  const chosen = new FormData(tools);
  const asked = new URLSearchParams();
  if (find.value.trim()) asked.set("find", find.value.trim());
  if (tagSelect.value) asked.set("tag", tagSelect.value);
  if (chosen.get("show") !== "all") asked.set("show", chosen.get("show"));
  if (chosen.get("sort") !== "attention") asked.set("sort", chosen.get("sort"));
  history.replaceState(null, "", asked.size ? `?${asked}` : location.pathname);
}

function recall() {
  const asked = new URLSearchParams(location.search);
  find.value = asked.get("find") ?? "";
  tagSelect.value = asked.get("tag") ?? "";
  if (tagSelect.selectedIndex < 0) tagSelect.value = "";
  for (const name of ["show", "sort"]) {
    const field = tools.elements[name];
    const before = name === "show" ? "all" : "attention";
    field.value = asked.get(name) ?? before;
    if (!field.value) field.value = before;
  }
}

function sum() {
  const all = [...cards.children];
  const set = (name, number) => {
    document.querySelector(`[data-sum="${name}"]`).textContent = number.toLocaleString("en");
  };
  set("all", all.length);
  set("online", all.filter((card) => card.dataset.online === "1").length);
  set("troubled", all.filter((card) => card.dataset.attention < 3).length);
}

async function refresh(codes) {
  for (let first = 0; first < codes.length; first += MOST) {
    const some = codes.slice(first, first + MOST);
    const content = await fragment(`/admin/cards?ids=${some.join(",")}`);
    for (const code of some) {
      const fresh = content.querySelector(`#display-${code}`);
      const card = document.getElementById(`display-${code}`);
      if (card && fresh) {
        const had = card.contains(document.activeElement);
        card.replaceWith(fresh);
        if (had) fresh.querySelector("a").focus({ preventScroll: true });
      } else if (card) card.remove();
      else if (fresh) cards.append(fresh);
    }
  }
  listTags();
  sort();
  filter();
  sum();
}

async function refreshAlerts() {
  const content = await fragment("/admin/alerts");
  document.querySelector("[data-alerts]").replaceChildren(content);
}

function changed(tags) {
  if (tags.has("alerts") || tags.has("all")) refreshAlerts().catch(() => setTimeout(() => changed(new Set(["alerts"])), 2000));
  const known = [...cards.children].map((card) => card.dataset.code);
  const named = [...tags].filter((tag) => tag.startsWith("display:")).map((tag) => tag.slice(8));
  const codes = tags.has("all") ? [...new Set([...known, ...named])] : named;
  if (codes.length) refresh(codes).catch(() => setTimeout(() => changed(tags), 2000));
}

find.addEventListener("input", () => {
  filter();
  keep();
});
tools.addEventListener("change", () => {
  sort();
  filter();
  keep();
});
tools.addEventListener("submit", (event) => event.preventDefault());
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, select, dialog")) {
    event.preventDefault();
    find.focus();
  }
});
submit(document.querySelector("[data-new-display]"), async (fields) => {
  const made = await ask(
    "mutation ($name: String!, $id: String) { createDisplay(name: $name, id: $id) { display { id } } }",
    { name: fields.get("name"), id: fields.get("code").toUpperCase() || null },
  );
  location.assign(`/admin/displays/${made.createDisplay.display.id}`);
});
const restored = ({ display }) => location.assign(`/admin/displays/${display.id}`);
deleted.follow(restored);
deleted.showOffer(restored);
pictures();
dialogs();
listTags();
recall();
sort();
filter();
// A page that comes back from the browser's cache keeps its fields, and the address keeps them too.
addEventListener("pageshow", () => {
  recall();
  sort();
  filter();
});
follow("/api/events", changed);
