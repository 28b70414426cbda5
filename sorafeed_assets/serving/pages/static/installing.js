// The service worker of this page, and the page in it, so that the player can be started again while
// the server is away. It comes before the videos, which would take its room where there is little.

import { pauseAfter, sleep } from "/static/retry.js";

const WORKER = "/player/worker.js";
const TRIES = 6;
const ANSWER = 10_000; // milliseconds; a worker of an earlier version keeps the page and says nothing

export async function installPage() {
  for (let failures = 1; failures <= TRIES; failures++) {
    try {
      const registration = await navigator.serviceWorker.register(WORKER, { scope: "/player/" });
      const problem = await keep(await active(registration), location.pathname);
      if (!problem) return;
      console.warn(`the page is not kept: ${problem}`);
    } catch (error) {
      console.warn(`the service worker is not used: ${error.message}`);
    }
    await sleep(pauseAfter(failures));
  }
}

// A worker that could not keep its files becomes redundant.
function active(registration) {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (worker.state === "activated") resolve(worker);
      if (worker.state === "redundant") reject(new Error("it could not keep its files"));
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

// Why the page is not kept; empty when it is.
function keep(worker, path) {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => resolve(data);
    setTimeout(resolve, ANSWER, "");
    worker.postMessage({ keep: path }, [port2]);
  });
}
