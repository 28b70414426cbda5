// A player: two alternating video elements, preloaded videos, plays resent until acknowledged.

const code = document.body.dataset.code;
const base = `/api/displays/${code}`;
const screens = [...document.querySelectorAll("[data-screen]")];
const message = document.querySelector("[data-message]");
const offline = document.querySelector("[data-offline]");
const AHEAD = 4; // videos to preload
const KEPT = 8; // played videos to keep for playing without the server
const STUCK = 6000; // milliseconds without progress after which a video is skipped
const AGAIN = 2000;
const AT_ONCE = 100; // plays sent together after an outage
const POLL = 20_000;
const AWAY = "No connection to the server; playing loaded videos";
const REFUSED = "This player's token is not accepted. Open the player's link again.";
const OUTBOX = `sorafeed:plays:${code}`;

let queue = [];
let state = "playing";
let etag = null;
let front = screens[0];
let current = null;
let switching = null;
let isAway = false;
let lastProgress = performance.now();
let fetching = null;
let wasAsked = false;
const done = new Set();
const broken = new Set();
const loaded = new Map(); // video → object URL, or its address where fetching is not allowed
const loading = new Map();
const recent = []; // played videos, repeated while there is no connection
let outbox = JSON.parse(localStorage.getItem(OUTBOX) ?? "[]");

// Server state

async function refresh() {
  if (fetching) {
    wasAsked = true;
    return fetching;
  }
  fetching = read().finally(() => {
    fetching = null;
    if (wasAsked) {
      wasAsked = false;
      refresh();
    }
  });
  return fetching;
}

async function read() {
  try {
    const response = await fetch(`${base}/next?count=5`, { headers: etag ? { "if-none-match": etag } : {}, cache: "no-store" });
    if (isRefusal(response)) throw new TokenRefused();
    if (response.status === 404) {
      say("There is no display with this code.");
      return;
    }
    if (response.status === 409) {
      queue = [];
      etag = current = null;
      for (const screen of screens) screen.pause();
      setAway(false);
      say("The old system drives this display.");
      return;
    }
    if (response.status === 200) {
      const body = await response.json();
      etag = response.headers.get("etag");
      queue = body.videos;
      state = body.state;
      document.body.dataset.build = body.build ?? "";
    } else if (response.status !== 304) throw new Error(`answered ${response.status}`);
    setAway(false);
  } catch (error) {
    failed(error);
  }
  follow();
}

class TokenRefused extends Error {}

function isRefusal(response) {
  return response.status === 401 || response.status === 403;
}

// Without a connection or an accepted token, the player repeats the videos that it has.
function failed(error) {
  const isRefused = error instanceof TokenRefused;
  setAway(true, isRefused);
  if (isRefused) say(REFUSED);
}

async function post(address, body) {
  const response = await fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    keepalive: true,
  });
  // Resent later, because the play may be accepted then.
  if (isRefusal(response)) throw new TokenRefused();
  if (response.status >= 500 || response.status === 429) throw new Error(`answered ${response.status}`);
  return response;
}

// How many of these plays, from the first on, need not be resent.
async function tell(plays) {
  if (plays.length > 1) {
    const response = await post(`/api/plays?display=${code}`, { plays: plays.map((play) => ({ ...play, display: code })) });
    if (response.status === 200) {
      const busy = (await response.json()).plays.findIndex((answer) => answer.status >= 500);
      return busy < 0 ? plays.length : busy;
    }
  }
  await post(`${base}/played`, plays[0]);
  return 1;
}

function mark(entry, skipped) {
  outbox.push({ entry, skipped });
  localStorage.setItem(OUTBOX, JSON.stringify(outbox));
  flush();
}

let flushing = false;
async function flush() {
  if (flushing) return;
  flushing = true;
  try {
    while (outbox.length) {
      const told = await tell(outbox.slice(0, AT_ONCE));
      if (!told) throw new Error("the display is busy");
      outbox.splice(0, told);
      localStorage.setItem(OUTBOX, JSON.stringify(outbox));
    }
    await refresh();
  } catch (error) {
    failed(error);
  } finally {
    flushing = false;
  }
}

function setAway(away, isRefused = false) {
  if (isAway && !away && outbox.length) flush();
  isAway = away;
  offline.hidden = !away;
  offline.textContent = isRefused ? REFUSED : AWAY;
  document.body.dataset.away = away ? "1" : "0";
  document.body.dataset.refused = isRefused ? "1" : "0";
}

// Preloading

function waiting() {
  return queue.filter((video) => !done.has(video.entry) && !broken.has(video.video));
}

function load(video) {
  if (loaded.has(video.video) || loading.has(video.video) || !video.sources.length) return loading.get(video.video);
  const work = (async () => {
    for (const source of video.sources) {
      try {
        const response = await fetch(source);
        if (!response.ok) continue;
        loaded.set(video.video, URL.createObjectURL(await response.blob()));
        return;
      } catch {
        // Another site may forbid fetching a video, and still allow playing it.
        if (new URL(source, location.href).origin !== location.origin && !isAway) {
          loaded.set(video.video, source);
          return;
        }
      }
    }
    if (!isAway) leaveBroken(video);
  })().finally(() => loading.delete(video.video));
  loading.set(video.video, work);
  return work;
}

function prepare() {
  const ahead = waiting().slice(0, AHEAD);
  for (const video of ahead) load(video);
  const next = ahead.find((video) => video.entry !== current?.entry);
  const back = screens.find((screen) => screen !== front);
  if (next && loaded.has(next.video) && !switching && back.dataset.video !== next.video) show(back, next);
  const needed = new Set([...queue.map((video) => video.video), ...recent.map((video) => video.video), current?.video]);
  for (const [video, address] of loaded) {
    if (needed.has(video)) continue;
    if (address.startsWith("blob:")) URL.revokeObjectURL(address);
    loaded.delete(video);
  }
}

function show(screen, video) {
  screen.dataset.video = video.video;
  screen.src = loaded.get(video.video);
  screen.preload = "auto";
  screen.load();
}

// Playing

function follow() {
  if (state === "idle") {
    for (const screen of screens) screen.pause();
    current = null;
    view("stopped", "Stopped. Press Play on the admin page to continue.");
    return;
  }
  passBroken();
  const [head] = waiting();
  prepare();
  const isGone = current?.entry && !waiting().some((video) => video.entry === current.entry);
  const isSkipped = current?.entry && head && head.entry !== current.entry && !done.has(current.entry);
  if (!current || isGone || isSkipped) go(head);
  if (!current && !switching && !head) view("waiting", isAway ? "No connection to the server; waiting for it." : "Nothing to play yet.");
  if (current && state === "paused") {
    front.pause();
    view("paused");
  } else if (current && state === "playing") {
    if (front.paused && !front.ended && !switching) front.play().catch(() => {});
    view("playing");
  }
}

async function go(video) {
  let next = video;
  if (!next && isAway && recent.length) {
    // Without a connection: repeat the played videos, oldest first, without recording plays.
    next = { ...recent.shift(), entry: null };
    if (!loaded.has(next.video)) return;
    recent.push({ ...next });
  }
  if (!next || switching) return;
  switching = next;
  try {
    if (!loaded.has(next.video)) await load(next);
    if (!loaded.has(next.video)) return;
    const back = screens.find((screen) => screen !== front);
    if (back.dataset.video !== next.video) show(back, next);
    // A seek, even to the current time, would discard the buffered data.
    if (back.currentTime) back.currentTime = 0;
    back.muted = front.muted;
    await ready(back);
    if (state === "playing") await back.play();
    await painted(back);
    swap(back, next);
  } catch {
    leaveBroken(next);
  } finally {
    switching = null;
    follow();
  }
}

function swap(back, next) {
  const before = front;
  front = back;
  front.classList.add("front");
  before.classList.remove("front");
  before.pause();
  current = next;
  lastProgress = performance.now();
  const { dataset } = document.body;
  dataset.entry = next.entry ?? "";
  dataset.video = next.video;
  dataset.loop = next.loop;
  dataset.position = next.position;
  dataset.shown = String(Number(dataset.shown ?? 0) + 1);
  document.querySelector("[data-text]").textContent = next.text ?? "";
  document.querySelector("[data-place]").textContent = `${next.creator ? `${next.creator} · ` : ""}position ${next.position + 1}, loop ${next.loop + 1}`;
  view(state === "paused" ? "paused" : "playing");
  if (next.entry) post(`${base}/started`, { entry: next.entry, duration_ms: duration(front) }).catch(failed);
}

// For the guide; left out of the report while it is not known.
function duration(screen) {
  const milliseconds = Math.round(screen.duration * 1000);
  return milliseconds >= 100 && milliseconds <= 86_400_000 ? milliseconds : undefined;
}

function ready(screen) {
  if (screen.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA) return Promise.resolve();
  return within((resolve, reject) => {
    screen.addEventListener("canplay", resolve, { once: true });
    screen.addEventListener("error", reject, { once: true });
  });
}

function painted(screen) {
  if (!screen.requestVideoFrameCallback || state !== "playing") return Promise.resolve();
  return within((resolve) => screen.requestVideoFrameCallback(resolve));
}

function within(begin) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("took too long")), STUCK);
    begin(
      () => { clearTimeout(timer); resolve(); },
      () => { clearTimeout(timer); reject(new Error("is broken")); },
    );
  });
}

function leaveBroken(video) {
  if (broken.has(video.video)) return;
  broken.add(video.video);
  passBroken();
}

// Sent in order, because a play also removes all entries before it.
function passBroken() {
  for (const video of queue) {
    if (done.has(video.entry)) continue;
    if (!broken.has(video.video)) return;
    done.add(video.entry);
    mark(video.entry, true);
  }
}

function ended() {
  if (switching) return;
  if (current) {
    if (current.entry && !done.has(current.entry)) {
      done.add(current.entry);
      mark(current.entry, false);
    }
    if (!recent.some((video) => video.video === current.video)) recent.push(current);
    while (recent.length > KEPT) recent.shift();
    passBroken();
  }
  const [head] = waiting();
  if (!head && !(isAway && recent.length)) {
    // The last frame stays until the next video starts.
    refresh();
    return;
  }
  go(head);
}

for (const screen of screens) {
  screen.addEventListener("ended", () => screen === front && ended());
  screen.addEventListener("timeupdate", () => {
    if (screen === front) lastProgress = performance.now();
  });
  screen.addEventListener("error", () => {
    if (screen !== front || !current || !screen.getAttribute("src")) return;
    leaveBroken(current);
    ended();
  });
}

setInterval(() => {
  if (!current || state !== "playing" || switching) return;
  if (front.ended) ended();
  else if (performance.now() - lastProgress > STUCK && !document.hidden) {
    leaveBroken(current);
    ended();
  }
}, 500);

// Display and controls

function view(name, text = "") {
  document.body.dataset.view = name;
  if (text) message.textContent = text;
}

function say(text) {
  if (!current) view("refused", text);
}

let asleep = 0;
function wake() {
  document.body.dataset.awake = "";
  clearTimeout(asleep);
  asleep = setTimeout(() => delete document.body.dataset.awake, 2500);
}

const sound = document.querySelector("[data-mute]");
function toggleSound() {
  const muted = !front.muted;
  for (const screen of screens) screen.muted = muted;
  sound.textContent = muted ? "Unmute" : "Mute";
}
function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen().catch(() => {});
}
sound.addEventListener("click", toggleSound);
document.querySelector("[data-full]").addEventListener("click", toggleFull);
addEventListener("keydown", (event) => {
  wake();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "f") toggleFull();
  if (event.key === "m") toggleSound();
});
for (const kind of ["pointermove", "pointerdown"]) addEventListener(kind, wake);
const stayOn = () => navigator.wakeLock?.request("screen").catch(() => {});
document.addEventListener("visibilitychange", () => !document.hidden && stayOn());

const source = new EventSource(`${base}/events`);
source.addEventListener("open", () => refresh());
source.addEventListener("change", () => refresh());
addEventListener("pagehide", () => source.close());
setInterval(() => (outbox.length ? flush() : isAway && refresh()), AGAIN);
setInterval(refresh, POLL);
stayOn();
wake();
flush();
