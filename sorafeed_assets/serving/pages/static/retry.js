// Calls that are sent again until a server answers: at once, then after growing random pauses.

const FIRST = 500; // milliseconds; the longest second pause
const LONGEST = 15_000;
const PATIENCE = 20_000; // a server that accepts a call and does not answer is given up
const STEADY = 5000; // a stream that ends sooner counts as one more failure
const AWAY = [502, 503, 504];

// The pause before the next try: none after the first failure, then a random part of a time that
// doubles, so that clients of a server that comes back do not call it all at the same moment.
export function pauseAfter(failures, wanted = 0, random = Math.random) {
  const most = failures <= 1 ? 0 : Math.min(LONGEST, FIRST * 2 ** (failures - 2));
  return wanted + (wanted ? FIRST : 0) * random() + most * random();
}

// What `Retry-After` asks for, in milliseconds; it has seconds or a date.
export function askedPause(response) {
  const given = response?.headers.get("retry-after");
  if (!given) return 0;
  const seconds = Number(given);
  const pause = Number.isNaN(seconds) ? Date.parse(given) - Date.now() : 1000 * seconds;
  return Math.min(Math.max(pause || 0, 0), 120_000);
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export function isAway(response) {
  return AWAY.includes(response.status);
}

// Only for calls that may be made twice: reads, and changes with an idempotency key or an id.
// Returns the last answer; throws if the last try had none.
export async function call(address, options = {}, tries = 4, patience = PATIENCE) {
  for (let failures = 1; ; failures++) {
    const stop = new AbortController();
    const timer = patience && setTimeout(() => stop.abort(), patience);
    let response = null;
    try {
      response = await fetch(address, { ...options, signal: stop.signal });
      if (!isAway(response) || failures >= tries) return response;
    } catch (error) {
      if (failures >= tries) throw error;
    } finally {
      clearTimeout(timer);
    }
    await sleep(pauseAfter(failures, askedPause(response)));
  }
}

// An event stream that is opened again by the same pauses, also where the browser gives up: after
// an answer that is no stream. `handlers` are by event; "lost" is called when it ends.
export function stream(address, handlers) {
  let source = null;
  let timer = 0;
  let failures = 0;
  let openedAt = Infinity;
  let isReplaced = false;
  const open = () => {
    openedAt = Infinity;
    isReplaced = false;
    source = new EventSource(address);
    source.addEventListener("open", () => (openedAt = Math.min(openedAt, performance.now())));
    // The server has closed this stream for a newer one of the same token.
    source.addEventListener("replaced", () => (isReplaced = true));
    // It stops: another process answers, so that the shortest pause is enough.
    source.addEventListener("closing", () => (openedAt = -Infinity));
    for (const [name, handler] of Object.entries(handlers)) source.addEventListener(name, handler);
    source.addEventListener("error", () => {
      source.close();
      failures = performance.now() - openedAt > STEADY ? 1 : failures + 1;
      handlers.lost?.();
      clearTimeout(timer);
      timer = setTimeout(open, pauseAfter(failures, isReplaced ? 60_000 : 0));
    });
  };
  open();
  addEventListener("pagehide", () => {
    clearTimeout(timer);
    source.close();
  });
  // A page that the browser kept and shows again.
  addEventListener("pageshow", (event) => event.persisted && open());
}
