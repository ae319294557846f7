// Small tools that the other scripts share. Text is only ever set as text.

/** An element: `element("td", {class: "num"}, "1")`. Attributes that are null or false are left out. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value != null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/** One of the icons of the page's sprite. */
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
}

export const number = (value) => Number(value).toLocaleString("en-US");

/** `1,536` bytes are `1.5 kB`; as the server writes them. */
export function bytes(value) {
  let size = value;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (size < 1000) return unit === "B" ? `${size} B` : `${size.toFixed(size < 10 ? 1 : 0)} ${unit}`;
    size /= 1000;
  }
  return `${size.toFixed(1)} TB`;
}

/** Seconds as people say them: `85 ms`, `1.24 s`, `3 min 5 s`, `2 h 10 min`. */
export function duration(seconds) {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** Tell a screen reader, without a word to the eye. */
export function announce(text) {
  const region = document.getElementById("announcer");
  if (region && region.textContent !== text) region.textContent = text;
}

/** Tell everyone, for a while. `kind` is "fail" for what went wrong. */
export function toast(text, kind = "") {
  const shown = element("p", { "data-kind": kind || null }, text);
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), kind === "fail" ? 12_000 : 5_000);
}

/** Talk to the API: JSON in, JSON out. Throws an Error whose message says what happened and what to do. */
export async function call(method, path, body = undefined) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw Object.assign(new Error(problem(told, answer.status)), { status: answer.status });
  return told;
}

/** What an error answer of the API says, as one sentence or two. */
export function problem(told, status) {
  const { message, hint } = told?.error ?? {};
  if (!message) return `The server answered ${status}.`;
  const sentence = message[0].toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? "" : ".");
  return hint ? `${sentence} ${hint}` : sentence;
}
