// The service worker of the players: it keeps the page and its files, so that a player that is
// started again without the server still runs. Calls of the API and videos do not pass it.

const SHELL = "sorafeed-shell-1";
const VIDEOS = "sorafeed-videos-1"; // of shelf.js
const FILES = ["player.css", "player.js", "retry.js", "store.js", "shelf.js", "plan.js", "installing.js", "icon.svg"].map((name) => `/static/${name}`);
const PATIENCE = 5000; // milliseconds until the kept page is shown in place of the server's

addEventListener("install", (event) => {
  event.waitUntil(caches.open(SHELL).then((shell) => shell.addAll(FILES)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  const clean = async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith("sorafeed-") && name !== SHELL && name !== VIDEOS) await caches.delete(name);
    }
    await clients.claim();
  };
  event.waitUntil(clean());
});

// The page of a player, without a query: no address with a token is kept.
function isPage(request, url) {
  return /^\/player\/[A-Z0-9]{6}$/.test(url.pathname) && !url.search && request.mode === "navigate";
}

addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (isPage(request, url) || FILES.includes(url.pathname)) event.respondWith(fresh(event, url.pathname));
});

// A page asks for itself to be kept, because its first load did not pass this worker.
addEventListener("message", (event) => {
  const path = event.data?.keep;
  if (!/^\/player\/[A-Z0-9]{6}$/.test(path)) return;
  const tell = (problem) => event.ports[0].postMessage(problem);
  const kept = fetch(path, { credentials: "same-origin" }).then((response) => keep(path, response));
  event.waitUntil(kept.then(() => tell(""), (error) => tell(error.message)));
});

async function keep(path, response) {
  if (response.status !== 200 || response.redirected || response.type !== "basic") throw new Error(`answered ${response.status}`);
  await (await caches.open(SHELL)).put(path, response);
}

// From the server; while it is away or slow, as it was last.
async function fresh(event, path) {
  const kept = () => caches.open(SHELL).then((shell) => shell.match(path));
  const asked = fetch(event.request);
  // Storage that is full keeps the old version.
  event.waitUntil(asked.then((response) => keep(path, response.clone())).catch(() => {}));
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE)).then(kept);
  try {
    const response = (await Promise.race([asked, late])) ?? (await asked);
    return response.status < 500 ? response : ((await kept()) ?? response);
  } catch {
    return (await kept()) ?? Response.error();
  }
}
