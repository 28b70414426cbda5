// The preview of an edited playlist: what would play if it were saved, beside what plays now.

import { ask } from "./api.js";

const SHOWN = 10;
const VIDEO = "loop position videoId search reason why post { text thumbnailUrl }";
const PREVIEW = `query ($display: ID!, $playlist: ID, $blocks: [BlockInput!]!) {
  preview(displayId: $display, playlistId: $playlist, blocks: $blocks, first: ${SHOWN}) {
    blocks { id search isDry }
    videos { ${VIDEO} }
    now { ${VIDEO} }
    startsOver loop position same isActive
  }
}`;

export async function preview(place, display, playlist, blocks) {
  const { preview: found } = await ask(PREVIEW, { display, playlist, blocks });
  place.replaceChildren(...summary(found), lists(found));
  place.hidden = false;
  place.classList.remove("old");
  return found;
}

// Refuses blocks that cannot be saved as a new playlist.
export async function check(display, blocks) {
  await ask("query ($display: ID!, $blocks: [BlockInput!]!) { preview(displayId: $display, blocks: $blocks, first: 1) { isActive } }", { display, blocks });
}

function summary(found) {
  const lines = [starts(found)];
  for (const block of found.blocks) {
    if (block.isDry) lines.push(`No post matches “${block.search}”: its block is left out.`);
  }
  const repeats = found.videos.filter((video) => video.reason === "repeat").length;
  if (repeats) lines.push(`${repeats} of these videos repeat${repeats === 1 ? "s" : ""}, because a block asks for more videos than match.`);
  return [element("h3", "", "Preview"), ...lines.map((line, at) => element("p", at ? "problem" : "", line))];
}

function starts({ videos, startsOver, isActive, same, loop, position }) {
  if (!videos.length) return "The display would have nothing to play.";
  if (!isActive) return "The display plays this after you activate the playlist, from the start of its first loop.";
  if (startsOver) return "The display starts this playlist from the beginning.";
  if (same >= videos.length) return `The next ${same} videos stay as they are.`;
  const changed = videos[same];
  const kept = same ? `The next ${same === 1 ? "video stays" : `${same} videos stay`}; the plan changes from` : "The plan changes from";
  const place = `video ${changed.position + 1} of loop ${changed.loop + 1}`;
  return `${kept} ${place}. The loop continues at video ${position + 1} of loop ${loop + 1}; it does not start over.`;
}

function lists({ videos, now, same }) {
  const holder = element("div", "compared-plans");
  for (const [title, list, from] of [["After saving", videos, same], ["Now", now, Infinity]]) {
    const column = element("div");
    const rows = element("ol", "plan");
    rows.append(...list.map((video, at) => row(video, at >= from, video.loop !== list[0].loop)));
    column.append(element("h4", "", title), list.length ? rows : element("p", "quiet", "Nothing."));
    holder.append(column);
  }
  return holder;
}

function row(video, isChanged, isLater) {
  const item = element("li", isChanged ? "changed" : "");
  const picture = element("span", "poster small");
  if (video.post?.thumbnailUrl) {
    const image = document.createElement("img");
    Object.assign(image, { src: video.post.thumbnailUrl, alt: "", loading: "lazy", decoding: "async" });
    image.dataset.poster = "";
    picture.append(image);
  }
  const words = element("div");
  words.append(
    element("p", "text", short(video.post?.text ?? "(the post was deleted)")),
    element("p", "quiet", `“${video.search}” · ${video.why}${isLater ? ` · loop ${video.loop + 1}` : ""}`),
  );
  item.append(element("span", "place", String(video.position + 1)), picture, words);
  return item;
}

function short(text) {
  return text.length > 90 ? `${text.slice(0, 89)}…` : text;
}

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
