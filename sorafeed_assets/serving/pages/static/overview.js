// The overview: filtering the cards, adding a display, and keeping the cards up to date.

import { ask, dialogs, follow, fragment, pictures, relate, submit } from "./api.js";
import * as deleted from "./deleted.js";

const cards = document.querySelector("[data-cards]");
const empty = document.querySelector("[data-empty]");
const tools = document.querySelector("[data-tools]");
const find = document.querySelector("[data-find]");
const MOST = 200;

function filter() {
  const wanted = find.value.trim().toLowerCase();
  const show = new FormData(tools).get("show");
  let shown = 0;
  for (const card of cards.children) {
    const fits =
      card.dataset.find.includes(wanted) &&
      (show === "all" || (show === "online" ? card.dataset.online : card.dataset.troubled) === "1");
    card.hidden = !fits;
    shown += fits;
  }
  empty.hidden = shown > 0;
  if (cards.children.length) empty.textContent = "No display matches.";
}

function sum() {
  const all = [...cards.children];
  const set = (name, number) => {
    document.querySelector(`[data-sum="${name}"]`).textContent = number.toLocaleString("en");
  };
  set("all", all.length);
  set("online", all.filter((card) => card.dataset.online === "1").length);
  set("troubled", all.filter((card) => card.dataset.troubled === "1").length);
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
      else if (fresh) insert(fresh);
    }
  }
  filter();
  sum();
}

function insert(fresh) {
  const after = [...cards.children].find((card) => card.dataset.code > fresh.dataset.code);
  cards.insertBefore(fresh, after ?? null);
}

function changed(tags) {
  const known = [...cards.children].map((card) => card.dataset.code);
  const named = [...tags].filter((tag) => tag.startsWith("display:")).map((tag) => tag.slice(8));
  const codes = tags.has("all") ? [...new Set([...known, ...named])] : named;
  if (codes.length) refresh(codes).catch(() => setTimeout(() => changed(tags), 2000));
}

find.addEventListener("input", filter);
tools.addEventListener("change", filter);
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
relate();
setInterval(relate, 30_000);
filter();
follow("/api/events", changed);
