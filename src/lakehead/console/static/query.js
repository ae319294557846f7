// The query desk: an editor that knows the tables, queries that run beside the page, their answers as table and chart.
import { createEditor } from "./vendor/codemirror.js";
import { announce, bytes, call, duration, element, icon, number } from "./dom.js";

const PAGE = 100;
const LOOKS_MS = [50, 80, 120, 200, 300, 500];
const LONGEST_URL = 6_000;
const at = (id) => document.getElementById(id);
const desk = at("desk");
const ui = { go: at("go"), cancel: at("cancel"), told: at("told"), problem: at("problem"), answer: at("answer"), rows: at("rows"), chart: at("chart"), shown: at("shown") };
let now = null; // the query whose answer is shown or awaited
let offset = 0;
let clock = 0;

const editor = createEditor(at("editor"), {
  text: at("editor").dataset.sql,
  label: "SQL. Press Escape, then Tab, to leave the editor",
  hint: "SELECT ...",
  run,
  changed: () => {},
});
at("editor").addEventListener("wanted", () => editor.focus());

// Asking ---------------------------------------------------------------------------------------------------------

async function run() {
  const sql = (editor.selected.trim() || editor.text.trim()).replace(/;\s*$/, "");
  if (!sql) return editor.focus();
  remember(sql);
  await follow(() => call("POST", "/api/v1/queries", { sql }));
}

/** The address tells the query, so that it can be shared and comes back with the browser's own history. */
function remember(sql) {
  const url = `/query?sql=${encodeURIComponent(sql)}`;
  if (url.length < LONGEST_URL && url !== location.pathname + location.search) history.pushState(null, "", url);
}

async function follow(begin) {
  const mine = Symbol("query");
  now = { mine, id: null };
  begun();
  try {
    let state = await begin();
    for (let look = 0; now?.mine === mine && state.status === "RUNNING"; look++) {
      now.id = state.id;
      ui.cancel.hidden = false;
      await change(LOOKS_MS[Math.min(look, LOOKS_MS.length - 1)]);
      state = await call("GET", `/api/v1/queries/${state.id}`);
    }
    if (now?.mine !== mine) return;
    now.id = state.id;
    await ended(state);
  } catch (error) {
    if (now?.mine === mine) failed("The query could not be asked", error.message);
  } finally {
    if (now?.mine === mine) idle();
    listHistory();
  }
}

/** Wait for word that a query changed, or for so long. */
function change(milliseconds) {
  return new Promise((resolve) => {
    const told = ({ detail }) => detail.topics.includes("queries") && done();
    const done = () => {
      clearTimeout(timer);
      document.removeEventListener("lake:change", told);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    document.addEventListener("lake:change", told);
  });
}

function begun() {
  const started = performance.now();
  ui.problem.hidden = true;
  ui.go.disabled = true;
  ui.told.textContent = "Running";
  clearInterval(clock);
  clock = setInterval(() => (ui.told.textContent = `Running for ${duration((performance.now() - started) / 1000)}`), 100);
}

function idle() {
  clearInterval(clock);
  ui.go.disabled = false;
  ui.cancel.hidden = true;
}

async function ended(state) {
  clearInterval(clock);
  if (state.status === "CANCELLED") {
    ui.told.textContent = "Cancelled.";
    announce("Cancelled");
  } else if (state.status === "FAILED") {
    const { line, column } = state.where ?? {};
    const place = line ? ` (line ${line}${column ? `, column ${column}` : ""})` : "";
    failed("The query failed", [`${state.error}${place}`, state.hint].filter(Boolean).join("\n"));
  } else {
    await answered(state);
  }
}

function failed(title, text) {
  clearInterval(clock);
  ui.told.textContent = "Failed.";
  ui.problem.querySelector("h2").textContent = title;
  ui.problem.querySelector("p").textContent = text;
  ui.problem.hidden = false;
  ui.answer.hidden = true;
}

ui.go.addEventListener("click", run);
ui.cancel.addEventListener("click", () => now?.id && call("POST", `/api/v1/queries/${now.id}/cancel`).catch((error) => failed("The query could not be cancelled", error.message)));

// Answers --------------------------------------------------------------------------------------------------------

async function answered(state) {
  const [read, all] = state.partitions ?? [];
  const parts = [
    `${number(state.row_count)} ${state.row_count === 1 ? "row" : "rows"}${state.truncated ? ", the first ones" : ""} in ${duration(state.seconds ?? 0)}`,
    state.files == null ? "" : `${number(state.files)} ${state.files === 1 ? "file" : "files"}, ${bytes(state.scanned_bytes)} read`,
    all ? `${number(read)} of ${number(all)} partitions` : "",
  ];
  ui.told.textContent = parts.filter(Boolean).join(" · ");
  announce(parts[0]);
  now.state = state;
  now.chart = undefined;
  at("csv").href = `/api/v1/queries/${state.id}/csv`;
  at("parquet").href = `/api/v1/queries/${state.id}/parquet`;
  await show(0);
  ui.answer.hidden = false;
  if (view() === "chart") await chart();
}

async function show(from) {
  const mine = now;
  const page = await call("GET", `/api/v1/queries/${mine.state.id}/page?offset=${from}&limit=${PAGE}`);
  if (now !== mine) return;
  offset = from;
  ui.rows.replaceChildren(table(page));
  ui.rows.scrollTop = 0;
  const last = from + page.rows.length;
  at("earlier").disabled = from === 0;
  at("later").disabled = last >= page.total;
  ui.shown.textContent = page.total ? `rows ${number(from + 1)} to ${number(last)} of ${number(page.total)}` : "no rows";
}

const NUMBERS = /^(tinyint|smallint|int|integer|bigint|float|real|double|decimal)/;

function table({ columns, rows }) {
  const right = columns.map(([, type]) => NUMBERS.test(type));
  const head = columns.map(([name, type], i) => element("th", { scope: "col", class: right[i] ? "num" : null }, name, element("span", { class: "type" }, type)));
  const body = rows.map((row) => element("tr", {}, ...row.map((value, i) => cell(value, right[i]))));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
}

function cell(value, right) {
  if (value === null) return element("td", { class: right ? "num null" : "null" }, "null");
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return element("td", { class: right ? "num" : null, title: text.length > 40 ? text : null }, text);
}

at("earlier").addEventListener("click", () => show(Math.max(0, offset - PAGE)));
at("later").addEventListener("click", () => show(offset + PAGE));

// Charts ---------------------------------------------------------------------------------------------------------

const view = () => desk.querySelector("[data-view][aria-current]").dataset.view;

for (const link of desk.querySelectorAll("[data-view]")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    desk.querySelectorAll("[data-view]").forEach((other) => other.removeAttribute("aria-current"));
    link.setAttribute("aria-current", "true");
    const charted = view() === "chart";
    ui.rows.hidden = charted;
    ui.chart.hidden = !charted;
    if (charted && now?.state) await chart();
  });
}

/** uPlot is loaded when the first chart is wanted. */
function plotter() {
  if (globalThis.uPlot) return Promise.resolve();
  document.head.append(element("link", { rel: "stylesheet", href: desk.dataset.uplotStyle }));
  const script = element("script", { src: desk.dataset.uplot });
  document.head.append(script);
  return new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = () => reject(new Error("The charts could not be loaded."));
  });
}

const TONES = ["accent", "warn", "violet", "ok", "run", "fail", "idle"];

async function chart() {
  const mine = now;
  const [told, { draw }] = await Promise.all([call("GET", `/api/v1/queries/${mine.state.id}/chart`), import("./charts.js"), plotter()]);
  if (now !== mine) return;
  const series = told.series.map((one, i) => ({ ...one, tone: TONES[i % TONES.length] }));
  const legend = series.map(({ name, tone }) => element("span", {}, element("i", { "data-tone": tone }), name));
  at("chart-told").replaceChildren(...legend, element("span", {}, [told.x_name && `by ${told.x_name}`, told.note].filter(Boolean).join(". ")));
  ui.chart.querySelector(".plot").hidden = told.kind === "none";
  if (told.kind === "time") draw(ui.chart, { kind: "lines", x: told.x, series });
  if (told.kind === "bars") draw(ui.chart, { kind: "bars", beside: true, labels: told.x, x: told.x.map((_, i) => i), series });
}

// Beside the editor ----------------------------------------------------------------------------------------------

async function listTables() {
  const tables = await call("GET", "/api/v1/schema");
  editor.offer(Object.fromEntries(tables.map(({ name, columns }) => [name, columns.map((column) => ({ label: column.name, detail: column.type, type: "property" }))])));
  const items = tables.map(({ name, columns }) => {
    const picks = columns.map((column) => element("li", {}, pick(column.name, column.type)));
    return element("li", {}, element("details", { open: tables.length < 3 }, element("summary", {}, name), element("ul", {}, ...picks)));
  });
  at("tables").replaceChildren(...(items.length ? items : [element("li", { class: "muted small" }, "No tables yet: they come with the first file that is loaded.")]));
}

function pick(name, type) {
  const button = element("button", { type: "button", class: "pick", title: `Insert ${name}` }, element("span", {}, name), element("span", { class: "type" }, type));
  button.addEventListener("click", () => editor.insert(/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`));
  return button;
}

const SIGNS = { SUCCEEDED: "ok", FAILED: "fail", RUNNING: "run", CANCELLED: "warn" };

async function listHistory() {
  const past = await call("GET", "/api/v1/queries?limit=30").catch(() => []);
  const items = past.map((state) => {
    const button = element("button", { type: "button", class: "pick", title: state.sql }, element("span", { class: "past" }, state.sql), element("span", { class: "type" }, icon(SIGNS[state.status] ?? "idle"), element("span", { class: "visually-hidden" }, state.status.toLowerCase()), " ", state.seconds == null ? "" : duration(state.seconds)));
    button.addEventListener("click", () => {
      editor.text = state.sql;
      remember(state.sql);
      if (state.has_result || state.status === "RUNNING") follow(() => call("GET", `/api/v1/queries/${state.id}`));
      else editor.focus();
    });
    return element("li", {}, button);
  });
  if (items.length) at("history").replaceChildren(...items);
}

for (const link of desk.querySelectorAll("a[data-sql]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    editor.text = link.dataset.sql;
    run();
  });
}

addEventListener("popstate", () => {
  const sql = new URLSearchParams(location.search).get("sql");
  if (sql !== null) editor.text = sql;
});
document.addEventListener("lake:change", ({ detail }) => detail.topics.includes("tables") && listTables().catch(() => {}));

listTables().catch((error) => at("tables").replaceChildren(element("li", { class: "muted small" }, error.message)));
listHistory();
if (editor.text.trim()) run();
else editor.focus();
