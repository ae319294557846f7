// Relative times and running clocks go on without the server.
import { duration } from "./dom.js";

const STEPS = [
  [60, "s", 1],
  [3600, "min", 60],
  [86400, "h", 3600],
  [86400 * 60, "d", 86400],
  [86400 * 730, "months", 86400 * 30.44],
];

/** As the server says it: `3 min ago`, `in 2 h`. */
function ago(seconds) {
  const distance = Math.abs(seconds);
  if (distance < 5) return "just now";
  const [, unit, size] = STEPS.find(([limit]) => distance < limit) ?? [0, "years", 86400 * 365.25];
  const told = `${Math.floor(distance / size)} ${unit}`;
  return seconds < 0 ? `in ${told}` : `${told} ago`;
}

function tick() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-ago]")) set(time, ago((now - Date.parse(time.dateTime)) / 1000));
  for (const time of document.querySelectorAll("time[data-since]")) set(time, duration(Math.max(0, Math.floor((now - Date.parse(time.dateTime)) / 1000))));
}

function set(time, text) {
  if (time.textContent !== text) time.textContent = text;
}

setInterval(() => document.hidden || tick(), 1000);
document.addEventListener("visibilitychange", () => document.hidden || tick());
