// A screen without a token: shows a code until an admin connects it with a display.

const POLL = 2000;
const AGAIN = 5000;
const code = document.querySelector("[data-code]");
const qr = document.querySelector("[data-qr]");
const message = document.querySelector("[data-message]");
const how = document.querySelector("[data-how]");
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

async function call(method) {
  const response = await fetch("/player/pairing", { method, cache: "no-store" });
  if (!response.ok) throw new Error(`answered ${response.status}`);
  return response.json();
}

async function begin() {
  const given = await call("POST");
  code.textContent = given.code;
  qr.src = given.qr;
  qr.hidden = how.hidden = false;
  document.querySelector("[data-address]").textContent = given.address;
  document.body.dataset.code = given.code;
}

async function connect() {
  await begin();
  message.textContent = "Waiting for an operator to enter the code…";
  for (;;) {
    await pause(POLL);
    const { state, address } = await call("GET");
    if (state === "connected") {
      message.textContent = "Connected";
      location.replace(address);
      return;
    }
    if (state === "expired") await begin();
  }
}

for (;;) {
  try {
    await connect();
    break;
  } catch {
    message.textContent = "No connection to the server. Trying again…";
    await pause(AGAIN);
  }
}
