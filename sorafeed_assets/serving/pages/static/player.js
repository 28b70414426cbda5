// A player: two alternating video elements, preloaded videos, plays resent until acknowledged.
// Without the server it continues by the signed plan, with the videos that it keeps.

import { installPage } from "/static/installing.js";
import { Course, verified } from "/static/plan.js";
import { askedPause, call, pauseAfter, stream } from "/static/retry.js";
import { openShelf } from "/static/shelf.js";
import { openStore } from "/static/store.js";

const code = document.body.dataset.code;
const base = `/api/displays/${code}`;
const screens = [...document.querySelectorAll("[data-screen]")];
const message = document.querySelector("[data-message]");
const offline = document.querySelector("[data-offline]");
const AHEAD = 4; // videos to preload
const KEPT = 8; // played videos to keep for playing without the server
const STUCK = 6000; // milliseconds without progress after which a video is skipped
const AT_ONCE = 100; // plays sent together after an outage
const POLL = 20_000;
const PATIENCE = 10_000; // milliseconds until a call that is not answered is given up
const PLAN_EVERY = 3_600_000; // milliseconds until a plan is read again
const PLAN_AGAIN = 120_000; // the same, after a plan that could not be read
const PLAN_SPREAD = 20_000; // milliseconds in which players read a changed plan
const AWAY = "No connection to the server; playing loaded videos";
const REFUSED = "This player's token is not accepted. Open /player to connect the screen again.";
const OLD_OUTBOX = `sorafeed:plays:${code}`;
const KEYS = JSON.parse(document.body.dataset.keys || "[]"); // with which the server signs plans
// Service workers, verification and stored videos need HTTPS or localhost.
const CAN_KEEP = isSecureContext && "serviceWorker" in navigator && KEYS.length > 0;

let queue = [];
let state = "playing";
let etag = null;
let front = screens[0];
let current = null;
let switching = null;
let isAway = false;
let awaySince = null;
let failures = 0;
let again = 0;
let build = null;
let course = null; // the plan, and where the player is in it
let shelf = null;
let store = null;
let lastProgress = performance.now();
let fetching = null;
let wasAsked = false;
const done = new Set();
const broken = new Set();
const loaded = new Map(); // video → object URL, or its address where fetching is not allowed
const loading = new Map();
const recent = []; // played videos, repeated while there is no connection
let outbox = [];
const keys = new WeakMap(); // play → its key in the store, which may have to be waited for

// Server state

async function refresh() {
  // What was played comes first, because the server's position is behind it.
  if (outbox.length) return flush();
  return reread();
}

async function reread() {
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
    const response = await call(`${base}/next?count=5`, { headers: etag ? { "if-none-match": etag } : {}, cache: "no-store" }, 1, PATIENCE);
    if (isRefusal(response)) throw new TokenRefused();
    if (response.status === 404) {
      say("There is no display with this code.");
      return;
    }
    if (response.status === 409) {
      queue = [];
      etag = current = null;
      dropPlan();
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
      if (body.build !== build) askForPlan(build === null ? 0 : PLAN_SPREAD * Math.random());
      build = body.build;
      keepPlace();
    } else if (response.status !== 304) throw new Unanswered(response);
    setAway(false);
  } catch (error) {
    failed(error);
  }
  follow();
}

class TokenRefused extends Error {}

class Unanswered extends Error {
  constructor(response) {
    super(`answered ${response.status}`);
    this.pause = askedPause(response);
  }
}

function isRefusal(response) {
  return response.status === 401 || response.status === 403;
}

// Without a connection or an accepted token, the player continues by its plan, or repeats the videos
// that it has. It tries again at once, then after growing random pauses.
function failed(error) {
  const isRefused = error instanceof TokenRefused;
  failures += 1;
  if (failures > 1 || isRefused) setAway(true, isRefused);
  if (isRefused) say(REFUSED);
  clearTimeout(again);
  again = setTimeout(refresh, pauseAfter(failures, error.pause));
}

async function post(address, body, keepalive = true) {
  const headers = { "content-type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(body), keepalive };
  const response = await call(address, options, 1, keepalive ? PATIENCE : 6 * PATIENCE);
  // Resent later, because the play may be accepted then.
  if (isRefusal(response)) throw new TokenRefused();
  if (response.status >= 500 || response.status === 429) throw new Unanswered(response);
  return response;
}

// How many of these plays, from the first on, need not be resent. A play that has its pick was
// shown while the server was away, and is recorded even where the queue has changed since.
async function tell(plays) {
  const [{ entry, skipped, pick, isPlanned }] = plays;
  if (plays.length > 1 || (pick && (isAway || failures || isPlanned))) {
    const told = plays.map(({ entry, skipped, pick, at }) => ({ entry, skipped, display: code, ...(pick && { pick, at: new Date(at).toISOString() }) }));
    const response = await post(`/api/plays?display=${code}`, { now: new Date().toISOString(), plays: told }, false);
    if (response.status === 200) {
      const busy = (await response.json()).plays.findIndex((answer) => answer.status >= 500);
      return busy < 0 ? plays.length : busy;
    }
  }
  await post(`${base}/played`, { entry, skipped });
  return 1;
}

function mark(video, skipped) {
  const play = { entry: video.entry, skipped, at: Date.now(), isPlanned: Boolean(video.place) };
  const pick = video.receipt ? video : course?.pickOf(video);
  if (pick) {
    const { block, loop, position, receipt } = pick;
    play.pick = { block, video: pick.video, loop, position, receipt };
  }
  course?.pass(video);
  if (!isAway && course?.isHalfUsed) askForPlan(PLAN_SPREAD * Math.random());
  keepPlay(play).then(flush);
}

async function keepPlay(play) {
  outbox.push(play);
  const place = placeNow();
  const key = withRoom(() => store.add(play, place));
  keys.set(play, key);
  await key;
  showUntold();
}

// Plays and the plan come before videos: where the storage is full, videos make room. What still
// cannot be kept is in memory only.
async function withRoom(write) {
  for (;;) {
    try {
      return await write();
    } catch {
      if (!(await shelf?.free())) return undefined;
    }
  }
}

let flushing = false;
async function flush() {
  if (flushing) return;
  flushing = true;
  try {
    while (outbox.length) {
      const plays = outbox.slice(0, AT_ONCE);
      const told = await tell(plays);
      if (!told) throw new Error("the display is busy");
      failures = 0;
      outbox.splice(0, told);
      // One that stays is sent again after the next start, and recorded once.
      const kept = await Promise.all(plays.slice(0, told).map((play) => keys.get(play) ?? play.key));
      await store.remove(kept).catch(() => {});
      showUntold();
    }
    await reread();
  } catch (error) {
    failed(error);
    follow();
  } finally {
    flushing = false;
  }
}

function setAway(away, isRefused = false) {
  if (!away) {
    failures = 0;
    clearTimeout(again);
    if (isAway) askForPlan(PLAN_SPREAD * Math.random());
  }
  const wasAway = isAway;
  awaySince = away ? (awaySince ?? Date.now()) : null;
  isAway = away;
  if (away !== wasAway) keepPlace();
  offline.hidden = !away;
  document.body.dataset.away = away ? "1" : "0";
  document.body.dataset.refused = isRefused ? "1" : "0";
  showUntold();
}

const moment = (time) => new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

function showUntold() {
  document.body.dataset.untold = outbox.length;
  if (!isAway) return;
  const isRefused = document.body.dataset.refused === "1";
  const plays = outbox.length ? `; ${outbox.length} ${outbox.length === 1 ? "play" : "plays"} to report` : "";
  const until = course && !course.isExpired ? `; planned until ${moment(course.plan.expires_at)}` : "";
  offline.textContent = isRefused ? REFUSED : `${AWAY} since ${moment(awaySince)}${plays}${until}`;
}

// The plan for the time without a server

let planTimer = 0;
let planAt = Infinity;
function askForPlan(pause) {
  // The earlier of two reads serves both.
  if (!CAN_KEEP || planAt <= performance.now() + pause) return;
  clearTimeout(planTimer);
  planAt = performance.now() + pause;
  planTimer = setTimeout(readPlan, pause);
}

async function readPlan() {
  planAt = Infinity;
  // It is read when the server is back.
  if (isAway) return;
  try {
    const response = await call(`${base}/plan`, { cache: "no-store" }, 3, 3 * PATIENCE);
    if (!response.ok) throw new Unanswered(response);
    const signed = await response.json();
    await usePlan(signed);
    await withRoom(() => store.write("plan", signed));
    keepPlace();
    fill();
    askForPlan(PLAN_EVERY * (0.5 + Math.random() / 2));
  } catch (error) {
    // The last plan stays in use.
    console.warn(`the plan is not used: ${error.message}`);
    askForPlan(PLAN_AGAIN * (0.5 + Math.random() / 2));
  }
}

async function usePlan(signed, place) {
  const plan = await verified(signed, await keysFor(signed), code);
  course = new Course(plan, place?.issued === plan.issued_at ? place : {});
  document.body.dataset.plan = plan.issued_at;
  if (current && done.has(current.entry)) course.pass(current);
}

// The server signs by a new key every month; a page that is open for longer asks its own address.
async function keysFor(signed) {
  if (KEYS.some((key) => key.id === signed?.key)) return KEYS;
  const page = await call(location.pathname, { headers: { accept: "text/html" }, cache: "no-store" }, 2, PATIENCE);
  const keys = new DOMParser().parseFromString(await page.text(), "text/html").body.dataset.keys;
  if (page.ok && keys) KEYS.splice(0, KEYS.length, ...JSON.parse(keys));
  return KEYS;
}

function dropPlan() {
  course = null;
  store?.write("plan", undefined).catch(() => {});
}

// Where the player is, for a start without the server.
function keepPlace() {
  store?.write("place", placeNow()).catch(() => {});
}

function placeNow() {
  return { ...course?.place, state, awaySince };
}

let installed = Promise.resolve();
let filling = false;
// Loads the plan's videos one by one, those that play next first.
async function fill() {
  if (filling || !shelf || !course) return;
  filling = true;
  try {
    await installed;
    for (const address of new Set(course.addresses())) {
      if (shelf.has(address)) continue;
      if (isAway || !course) break;
      const response = await fetch(address).catch(() => null);
      if (!response?.ok) continue;
      if (!(await shelf.keep(address, await response.blob()))) break;
      document.body.dataset.kept = shelf.sizes.size;
    }
  } catch (error) {
    console.warn(`videos are not kept: ${error.message}`);
  } finally {
    filling = false;
    document.body.dataset.kept = shelf.sizes.size;
    document.body.dataset.filled = course?.plan.issued_at ?? "";
  }
}

// Preloading

// What plays next: the queue, and without the server the plan after it.
function waiting() {
  const queued = queue.filter((video) => !done.has(video.entry) && !broken.has(video.video));
  if (!isAway || !course) return queued;
  const kept = queued.filter(mayPlay);
  if (kept.length >= AHEAD) return kept;
  return [...kept, ...course.next(AHEAD - kept.length, queue[queue.length - 1], mayPlay)];
}

function mayPlay(pick) {
  if (broken.has(pick.video) || done.has(pick.entry)) return false;
  return loaded.has(pick.video) || pick.sources.some((address) => shelf?.has(address));
}

function load(video) {
  if (loaded.has(video.video) || loading.has(video.video) || !video.sources.length) return loading.get(video.video);
  const work = (async () => {
    for (const source of video.sources) {
      try {
        let blob = await shelf?.find(source);
        if (!blob) {
          const response = await fetch(source);
          if (!response.ok) continue;
          blob = await response.blob();
          if (course?.pickOf(video)) installed.then(() => shelf?.keep(source, blob)).catch(() => {});
        }
        loaded.set(video.video, URL.createObjectURL(blob));
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
  const needed = new Set([...ahead.map((video) => video.video), ...queue.map((video) => video.video), ...recent.map((video) => video.video), current?.video]);
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
  // The video of the plan on screen may be the head of the queue, under its own name.
  if (!isAway && current?.place && head && isSame(head, current)) {
    current = { ...head };
    document.body.dataset.entry = head.entry;
  }
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

function isSame(one, other) {
  return one.loop === other.loop && one.position === other.position && one.video === other.video;
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
  document.querySelector("[data-place]").textContent = `${next.creator ? `${next.creator} · ` : ""}video ${next.position + 1} of loop ${next.loop + 1}`;
  view(state === "paused" ? "paused" : "playing");
  if (next.entry && !next.place) post(`${base}/started`, { entry: next.entry, duration_ms: duration(front) }).catch(failed);
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
    mark(video, true);
  }
}

function ended() {
  if (switching) return;
  if (current) {
    if (current.entry && !done.has(current.entry)) {
      done.add(current.entry);
      mark(current, false);
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

// Remote control: the sound and the place that the admin page asks for, and what this player does.

let told = null; // the id of the sound that was told last
let sought = null;
let reported = "";

async function obey() {
  try {
    const response = await fetch(`${base}/remote`, { cache: "no-store" });
    if (!response.ok) return;
    const { muted, volume, sound: id, seek } = await response.json();
    // What a person sets at this page holds until the admin page tells the sound again.
    if (told !== (id ?? "")) {
      told = id ?? "";
      for (const screen of screens) screen.volume = volume / 100;
      await setMuted(muted);
    }
    const isNew = seek && seek.id !== sought && seek.entry === current?.entry;
    if (isNew) {
      sought = seek.id;
      // The last moment stays, because the end would be the next video.
      front.currentTime = Math.min(seek.seconds, Math.max(0, (front.duration || 0) - 0.5));
    }
    report(isNew);
  } catch (error) {
    // The stream opens again, and then it is asked for again.
    console.warn(`the remote control is not read: ${error.message}`);
  }
}

async function setMuted(muted) {
  for (const screen of screens) screen.muted = muted;
  // A browser may stop a video with sound that no person has asked for: the video comes first.
  if (!muted && state === "playing" && current && !front.ended) {
    await front.play().catch(() => {});
    if (front.paused) {
      for (const screen of screens) screen.muted = true;
      await front.play().catch(() => {});
    }
  }
  sound.textContent = front.muted ? "Unmute" : "Mute";
}

// The place is reported with a change of anything else: from there it runs like a clock.
function report(isSought = false) {
  const body = { view: document.body.dataset.view, muted: front.muted, volume: Math.round(front.volume * 100) };
  const text = JSON.stringify(body);
  if ((text === reported && !isSought) || body.view === "refused") return;
  reported = text;
  const place = current?.entry && !current.place ? { entry: current.entry, seconds: Math.round(front.currentTime * 10) / 10 } : {};
  post(`${base}/remote`, { ...body, ...place }).catch(() => {
    reported = "";
  });
}

function view(name, text = "") {
  document.body.dataset.view = name;
  report();
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
  report();
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

stayOn();
wake();
start();

async function start() {
  store = await openStore(code);
  // Plays of the page before IndexedDB was used.
  for (const play of JSON.parse(localStorage.getItem(OLD_OUTBOX) ?? "[]")) await store.add(play, {});
  localStorage.removeItem(OLD_OUTBOX);
  outbox = await store.plays();
  for (const play of outbox) done.add(play.entry);
  showUntold();
  if (CAN_KEEP) await startKept();
  refresh();
  stream(`${base}/events`, {
    open: () => {
      refresh();
      obey();
    },
    change: (event) => {
      const tags = JSON.parse(event.data);
      if (tags.some((tag) => tag !== `remote:${code}`)) refresh();
      if (tags.includes(`remote:${code}`) || tags.includes("all")) obey();
    },
  });
  addEventListener("online", () => refresh());
  setInterval(refresh, POLL);
}

async function startKept() {
  shelf = await openShelf(() => course?.addresses() ?? []);
  try {
    const place = (await store.note("place")) ?? {};
    awaySince = place.awaySince ?? null;
    const signed = await store.note("plan");
    if (signed) await usePlan(signed, place);
    if (place.state) state = place.state;
  } catch (error) {
    console.warn(`the kept plan is not used: ${error.message}`);
    document.body.dataset.planRefused = error.message;
    dropPlan();
  }
  // Without it the player runs, but cannot be started again while the server is away.
  installed = installPage();
  navigator.storage?.persist?.().catch(() => {});
}
