// Times of a page in the viewer's time zone; the tooltip names the zone. Without this script the
// page shows them in UTC.

const STEPS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30], ["month", 12], ["year", Infinity]];
const REFRESH = 30_000; // milliseconds
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
// Made once: toLocaleString would make one for each of the times of a thousand cards.
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const seconds = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const FORMATS = {
  given: () => null,
  day: (moment) => day.format(moment),
  time: (moment) => time.format(moment),
  clock: (moment) => clock.format(moment),
  seconds: (moment) => seconds.format(moment),
};

// `data-as` says how a time is shown: day, time, clock, seconds, or "given" for the text as it is;
// else how long ago it was.
export function relate(root = document) {
  for (const place of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(place.dateTime);
    place.title = whole.format(moment);
    const shown = FORMATS[place.dataset.as] ?? ago;
    place.textContent = shown(moment) ?? place.textContent;
  }
}

function ago(moment) {
  let amount = (moment - Date.now()) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(amount) < size) return unit === "second" ? "just now" : words.format(Math.round(amount), unit);
    amount /= size;
  }
  return null;
}

// Where the page has no zone of its own, its texts and fields have the viewer's.
const { timeZone } = whole.resolvedOptions();
for (const place of document.querySelectorAll("[data-viewers-zone]")) {
  if (!("value" in place)) place.textContent = timeZone;
  else if (place.value === place.defaultValue && document.querySelector(`#zones option[value="${timeZone}"]`)) place.value = timeZone;
}
relate();
setInterval(relate, REFRESH);
