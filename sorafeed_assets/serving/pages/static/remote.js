// The remote control of a display's page: playback, sound, place, and which video plays.

import { ask } from "./api.js";

const SOUND = "mutation ($id: ID!, $value: Int!) { setVolume(displayId: $id, volume: $value) { display { id } } }";
const SEEK = "mutation ($id: ID!, $value: Float!) { seek(displayId: $id, seconds: $value) { display { id } } }";
const PLAY_NOW = "mutation ($id: ID!, $value: ID!) { playNow(displayId: $id, postId: $value) { display { id } } }";

// While a slider or a button is held, the part that has it must not be replaced: a click on a button
// that is replaced before the pointer is up is lost.
let isHeld = false;
let isWaiting = false;

export function mayRefresh() {
  isWaiting = isHeld;
  return !isHeld;
}

export function follow(parts, code, attempt, refresh) {
  const send = async (query, value) => {
    await attempt(() => ask(query, { id: code, value }));
    await attempt(refresh);
  };
  parts.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-do], [data-seek-to], [data-play-now]");
    if (!button) return;
    const { do: verb, seekTo, playNow } = button.dataset;
    button.disabled = true;
    if (verb) {
      await attempt(() => ask(`mutation ($id: ID!) { ${verb}(displayId: $id) { display { id } } }`, { id: code }));
      await attempt(refresh);
    } else if (seekTo !== undefined) await send(SEEK, Number(seekTo));
    else await send(PLAY_NOW, playNow);
    button.disabled = false;
  });
  parts.addEventListener("change", (event) => {
    if (event.target.matches("[data-volume]")) send(SOUND, Number(event.target.value));
    if (event.target.matches("[data-seek]")) send(SEEK, Number(event.target.value));
  });
  parts.addEventListener("input", (event) => {
    if (event.target.matches("[data-seek]")) write(event.target, Number(event.target.value));
    if (event.target.matches("[data-volume]")) event.target.setAttribute("aria-valuetext", `${event.target.value} %`);
  });
  parts.addEventListener("pointerdown", (event) => {
    isHeld = event.target.closest("[type=range], button") !== null;
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    document.addEventListener(kind, () => {
      if (!isHeld) return;
      isHeld = false;
      // After the slider's or the button's own event.
      if (isWaiting) setTimeout(() => attempt(refresh));
    });
  }
  setInterval(() => tick(parts), 1000);
  tick(parts);
}

// The place advances from what the server said when the part was loaded.
function tick(parts) {
  const slider = parts.querySelector("[data-seek]");
  if (!slider || isHeld) return;
  if (slider === document.activeElement) {
    // It stays where the person put it; a part that was loaded again still has no words.
    write(slider, Number(slider.value));
    return;
  }
  slider.since ??= performance.now();
  const gone = "runs" in slider.dataset ? (performance.now() - slider.since) / 1000 : 0;
  const seconds = Math.min(Number(slider.max), Number(slider.dataset.seek) + gone);
  slider.value = seconds;
  write(slider, seconds);
}

function write(slider, seconds) {
  const words = `${clock(seconds)} of ${clock(Number(slider.max))}`;
  slider.parentElement.querySelector("[data-at]").textContent = words;
  slider.setAttribute("aria-valuetext", words);
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
