// The keyboard: `/` to filter, `g` and a letter to go somewhere, j and k through rows, `?` for this list.
const PLACES = { o: "/", r: "/runs", d: "/datasets", u: "/quarantine", q: "/query", n: "/notifications" };
const SEQUENCE_MS = 1500;
let went = 0;

function typing(target) {
  return target instanceof Element && target.closest("input, select, textarea, [contenteditable], .editor, dialog[open]");
}

function step(direction) {
  const links = [...document.querySelectorAll("main [data-rows] tbody tr a[data-row]")];
  if (!links.length) return false;
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (direction > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + direction));
  links[next].focus();
  links[next].scrollIntoView({ block: "nearest" });
  return true;
}

const DEEDS = {
  "/": () => {
    const field = document.querySelector("[data-filter]");
    field?.focus();
    if (!field) document.querySelector(".editor")?.dispatchEvent(new CustomEvent("wanted"));
    return true;
  },
  "?": () => (document.getElementById("help").showModal(), true),
  t: () => (document.getElementById("theme").click(), true),
  j: () => step(1),
  k: () => step(-1),
  g: () => ((went = Date.now()), true),
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const place = Date.now() - went < SEQUENCE_MS && PLACES[event.key];
  went = 0;
  if (place) location.assign(place);
  else if (!DEEDS[event.key]?.()) return;
  event.preventDefault();
});

document.getElementById("keys").addEventListener("click", () => document.getElementById("help").showModal());
