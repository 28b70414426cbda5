// Many displays at once: selecting cards, and changing the selected displays together.

import { ask, Refused, sentence, submit, toast } from "./api.js";

const cards = document.querySelector("[data-cards]");
const bar = document.querySelector("[data-chosen]");
const source = document.querySelector("[data-source]");
const playlists = document.querySelector("[data-playlists]");
const templates = document.querySelector("[data-templates]");
const chosen = new Set();
let last = null; // the card that was selected last; Shift selects from there

function show() {
  for (const card of cards.children) {
    const isChosen = chosen.has(card.dataset.code);
    card.querySelector("[data-pick]").checked = isChosen;
    card.classList.toggle("is-chosen", isChosen);
  }
  const there = new Set([...cards.children].map((card) => card.dataset.code));
  for (const code of chosen) if (!there.has(code)) chosen.delete(code);
  bar.hidden = !chosen.size;
  const count = chosen.size.toLocaleString("en");
  bar.querySelector("[data-chosen-count]").textContent = count;
  for (const each of document.querySelectorAll("[data-chosen-displays]")) each.textContent = `${count} display${chosen.size === 1 ? "" : "s"}`;
}

function choose(card, isChosen) {
  if (isChosen) chosen.add(card.dataset.code);
  else chosen.delete(card.dataset.code);
}

cards.addEventListener("click", (event) => {
  const pick = event.target.closest("[data-pick]");
  if (!pick) return;
  const card = pick.closest("[data-code]");
  const all = [...cards.children].filter((each) => !each.hidden);
  const from = all.indexOf(last);
  const to = all.indexOf(card);
  const some = event.shiftKey && from >= 0 ? all.slice(Math.min(from, to), Math.max(from, to) + 1) : [card];
  for (const each of some) choose(each, pick.checked);
  last = card;
  show();
});
// A card that is reloaded, or hidden by a filter, stays selected.
new MutationObserver(show).observe(cards, { childList: true });
bar.querySelector("[data-choose-all]").addEventListener("click", () => {
  for (const card of cards.children) if (!card.hidden) choose(card, true);
  show();
});
bar.querySelector("[data-choose-none]").addEventListener("click", () => {
  chosen.clear();
  show();
});

// One mutation for all; those that were refused are listed.
async function change(name, parameters, values) {
  const [declared, given] = [["$ids: [ID!]!", ...parameters.map(([key, type]) => `$${key}: ${type}`)], ["displayIds: $ids", ...parameters.map(([key]) => `${key}: $${key}`)]];
  const { done } = await ask(
    `mutation (${declared.join(", ")}) { done: ${name}(${given.join(", ")}) { results { displayId problem } } }`,
    { ids: [...chosen], ...values },
  );
  const refused = done.results.filter((result) => result.problem);
  const count = done.results.length - refused.length;
  toast(`${count.toLocaleString("en")} of ${done.results.length.toLocaleString("en")} done.`);
  if (!refused.length) return;
  document.querySelector("[data-results-title]").textContent = `${refused.length.toLocaleString("en")} not done`;
  document.querySelector("[data-results]").replaceChildren(
    ...refused.map((result) => {
      const line = document.createElement("li");
      const code = document.createElement("code");
      code.textContent = result.displayId;
      line.append(code, ` ${sentence(result.problem)}`);
      return line;
    }),
  );
  // After the dialog of the form has closed.
  setTimeout(() => document.getElementById("many-results").showModal());
}

const words = (fields, name) => fields.get(name).split(/[\s,]+/).filter(Boolean);
const forms = {
  tags: (fields) => change("tagDisplays", [["add", "[String!]!"], ["remove", "[String!]!"]], { add: words(fields, "add"), remove: words(fields, "remove") }),
  copy: (fields) => change("copyPlaylist", [["playlistId", "ID!"]], { playlistId: fields.get("playlist") }),
  activate: (fields) => change("activateNamed", [["name", "String!"]], { name: fields.get("name") }),
  follow: (fields) => change("followTemplate", [["templateId", "ID!"]], { templateId: fields.get("template") }),
  delete: () => change("deleteDisplays", [], {}),
};
for (const form of document.querySelectorAll("[data-many-form]")) {
  submit(form, async (fields) => {
    await forms[form.dataset.manyForm](fields);
    form.reset();
  });
}
bar.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  const state = button?.dataset.manyState;
  if (state) {
    button.disabled = true;
    try {
      await change("setPlayback", [["state", "PlaybackState!"]], { state });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      toast(sentence(error.message));
    } finally {
      button.disabled = false;
    }
  }
  const opened = button?.dataset.open;
  if (opened === "many-delete") {
    document.querySelector("[data-many-deleted]").textContent = [...chosen].sort().join(", ");
    const online = [...cards.children].filter((card) => chosen.has(card.dataset.code) && card.dataset.online === "1");
    const used = document.querySelector("[data-many-used]");
    used.textContent = online.length === 1 ? `In use: the screen of ${online[0].dataset.code} is online.` : `In use: the screens of ${online.map((card) => card.dataset.code).sort().join(", ")} are online.`;
    used.hidden = !online.length;
  } else if (opened === "many-copy") {
    document.querySelector("[data-sources]").replaceChildren(
      ...[...cards.children].map((card) => new Option(card.querySelector("h3").textContent, card.dataset.code)),
    );
    offer();
  } else if (opened === "many-follow") {
    const { templates: found } = await ask("{ templates { id name } }");
    templates.replaceChildren(...found.map((each) => new Option(each.name, each.id)));
  }
});
// The playlists of the display that is named so far; without one, what to do.
async function offer() {
  const wanted = source.value.trim().toLowerCase();
  const card = [...cards.children].find((each) => [each.dataset.code.toLowerCase(), each.querySelector("h3").textContent.toLowerCase()].includes(wanted));
  const options = [];
  if (card) {
    const { display } = await ask("query ($id: ID!) { display(id: $id) { playlists(first: 100) { nodes { id name isActive } } } }", { id: card.dataset.code });
    if (source.value.trim().toLowerCase() !== wanted) return;
    options.push(...display.playlists.nodes.map((each) => new Option(each.isActive ? `${each.name} (active)` : each.name, each.id)));
  }
  if (!options.length) options.push(new Option(card ? "It has no playlists" : wanted ? "No display has this code or name" : "Enter the display first", ""));
  playlists.replaceChildren(...options);
}
source.addEventListener("input", offer);
show();
