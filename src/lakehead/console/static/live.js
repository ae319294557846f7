// Keeps what a page shows up to date: one stream of changes, and a refetch of the regions that they concern.
//
// A region is an element with an id and `data-live`, the topics that it depends on; `data-run` and `data-dataset` narrow
// that to one run or dataset. htmx fetches it again on its `refresh` event and morphs it, so that focus, scrolling and
// opened details stay. A hidden page closes its stream (browsers open six connections to a host) and catches up when it
// is seen again.
import { announce } from "./dom.js";

const RETRY_MS = 3_000;
const regions = () => document.querySelectorAll("[data-live]");
const LATE_MS = 15_000;
const running = new Map(); // region id -> {since, again}: when its refetch began, and whether one more must follow
let source = null;
let lastId = document.body.dataset.liveId ?? "";
let retry = 0;

/** Fetch a region; where that is under way, once more behind it, so that the last change is never missed. */
export function refresh(region) {
  const known = running.get(region.id);
  if (known && performance.now() - known.since < LATE_MS) {
    known.again = true;
    return;
  }
  running.set(region.id, { since: performance.now(), again: false });
  region.dispatchEvent(new CustomEvent("refresh"));
}

document.body.addEventListener("htmx:afterRequest", ({ detail }) => {
  const known = running.get(detail.elt.id);
  running.delete(detail.elt.id);
  const region = document.getElementById(detail.elt.id);
  if (known?.again && region) refresh(region);
});

function concerns({ live, run, dataset }, change) {
  const topics = live.split(" ").filter((topic) => change.topics.includes(topic));
  if (!topics.length) return false;
  if (run && topics.every((topic) => topic === "runs") && change.runs.length) return change.runs.includes(run);
  if (dataset && change.datasets.length) return change.datasets.includes(dataset);
  return true;
}

function told(change) {
  for (const region of regions()) if (concerns(region.dataset, change)) refresh(region);
  document.dispatchEvent(new CustomEvent("lake:change", { detail: change }));
}

function everything() {
  regions().forEach(refresh);
  document.dispatchEvent(new CustomEvent("lake:change", { detail: { topics: ["runs", "tables", "notifications", "queries"], runs: [], datasets: [] } }));
}

const STATES = {
  on: ["Live", "This page follows the lake", "Connected again"],
  off: ["Reconnecting", "The server does not answer; trying again", "Connection lost, trying again"],
  out: ["Locked out", "The console's token has changed. Open it by a new link: lakehead console link", "Locked out: the console's token has changed"],
};

function show(state) {
  const badge = document.getElementById("live");
  const before = badge.dataset.state;
  if (before === state) return;
  const [text, title, said] = STATES[state];
  badge.dataset.state = state;
  badge.querySelector("span").textContent = text;
  badge.title = title;
  if (before !== "wait") announce(said);
}

/** The stream was refused: by a server that is full or restarts, or because this browser is not let in any more. */
async function refused() {
  const answer = await fetch("/api/v1/run-counts").catch(() => null);
  if (answer?.status === 401) show("out");
}

function open() {
  clearTimeout(retry);
  if (source || document.hidden) return;
  const stream = new EventSource(lastId ? `/live?after=${encodeURIComponent(lastId)}` : "/live");
  source = stream;
  const take = (name, use) =>
    stream.addEventListener(name, (event) => {
      lastId = event.lastEventId || lastId;
      use(event.data);
    });
  take("hello", () => {});
  take("change", (data) => told(JSON.parse(data)));
  take("reset", everything);
  stream.onopen = () => show("on");
  stream.onerror = () => {
    if (document.getElementById("live").dataset.state !== "out") show("off");
    if (stream.readyState === EventSource.CLOSED) {
      close();
      refused();
      retry = setTimeout(open, RETRY_MS);
    }
  };
}

function close() {
  source?.close();
  source = null;
}

if (globalThis.Idiomorph) {
  // What a script drew, or a person opened, is not the server's to take back.
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (old) => !(old instanceof Element && old.hasAttribute("data-keep"));
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.localName === "details");
}
document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
addEventListener("pagehide", close);
addEventListener("pageshow", (event) => event.persisted && open());
// Not before htmx has taken up the regions, which it does when all of the page's scripts have run.
document.addEventListener("DOMContentLoaded", open);
