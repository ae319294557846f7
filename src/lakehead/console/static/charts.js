// Draws the figures of `data-chart` by uPlot, in the page's colours, and again when they or the theme change.
import { duration, element, number } from "./dom.js";

const drawn = new Map(); // element id -> {plot, data}
const cursors = "charts";

/** A token of the style sheet as the colour that it stands for now: a canvas knows no `var()`. */
function colour(name) {
  const probe = element("i", { hidden: true });
  document.body.append(probe);
  probe.style.color = `var(--${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export const TONES = { ok: "ok", fail: "fail", warn: "warn", run: "run", idle: "idle", violet: "code-builtin", accent: "accent" };

const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const told = { count: (value) => number(value), seconds: (value) => duration(value), number: (value) => number(value) };
const ticked = { count: (value) => compact.format(value), seconds: (value) => duration(value), number: (value) => compact.format(value) };

export const UTC = (seconds, precise) => new Date(seconds * 1000).toISOString().slice(0, precise ? 19 : 16).replace("T", " ");

/** Bars on top of each other: what is drawn is the sum so far, the highest first. */
function stacked(series) {
  let below = series[0].values.map(() => 0);
  return series.map(({ values }) => (below = below.map((sum, at) => sum + (values[at] ?? 0)))).reverse();
}

function axes(data, unit) {
  const text = colour("muted");
  const grid = { stroke: colour("line"), width: 1 };
  const common = { stroke: text, font: "11.5px system-ui, sans-serif", grid, ticks: { show: false } };
  const room = (plot, values) => 12 + 6.5 * Math.max(3, ...(values ?? []).map((value) => value.length));
  return [
    { ...common, grid: { show: false }, size: 26, gap: 4, space: 70, values: data.labels ? (_, at) => at.map((x) => cut(data.labels[x])) : moments },
    { ...common, size: room, values: (_, at) => at.map((value) => ticked[unit](value)), space: 34 },
  ];
}

/** Times of the day, and the day itself where it begins. */
function moments(_, at) {
  const step = (at[1] ?? 0) - at[0];
  return at.map((stamp) => {
    const text = UTC(stamp);
    if (step >= 86400 * 28) return text.slice(0, 7);
    return step >= 86400 || text.endsWith("00:00") ? text.slice(5, 10) : text.slice(11);
  });
}

const cut = (label) => (label === undefined ? "" : String(label).length > 14 ? `${String(label).slice(0, 13)}…` : String(label));

function tip(host, data, unit, order) {
  const box = element("div", { class: "tip", hidden: true });
  host.append(box);
  return (plot) => {
    const at = plot.cursor.idx;
    if (at == null || plot.cursor.left < 0) {
      box.hidden = true;
      return;
    }
    const heading = data.labels ? String(data.labels[at]) : `${UTC(data.x[at])}${data.kind === "bars" && data.step ? ` (${duration(data.step)})` : ""}`;
    const lines = order.map((one) => element("div", {}, element("span", {}, one.name), element("span", {}, one.values[at] == null ? "–" : told[unit](one.values[at]))));
    box.replaceChildren(element("b", {}, heading), ...lines);
    box.hidden = false;
    const left = plot.cursor.left + plot.bbox.left / devicePixelRatio;
    box.style.left = left > plot.width / 2 ? "" : `${left + 24}px`;
    box.style.right = left > plot.width / 2 ? `${plot.width - left + 8}px` : "";
  };
}

/** Draw into `host` (which holds `.plot`). `data`: kind, x, series of {name, tone, values}, unit; or labels in place of x. */
export function draw(host, data) {
  const holder = host.querySelector(".plot");
  drawn.get(host.id)?.plot.destroy();
  host.querySelectorAll(".tip, .none").forEach((old) => old.remove());
  holder.replaceChildren();
  const unit = data.unit ?? "number";
  const bars = data.kind === "bars";
  const empty = !data.x.length || data.series.every(({ values }) => values.every((value) => !value));
  const order = bars && data.series.length > 1 && !data.beside ? [...data.series].reverse() : data.series;
  const values = order === data.series ? order.map((one) => one.values) : stacked(data.series);
  const paint = ({ name, tone }) => {
    const ink = colour(TONES[tone] ?? "accent");
    const shape = bars
      ? { fill: ink, paths: uPlot.paths.bars({ size: [0.78, 48], radius: 0.12 }), points: { show: false } }
      : { paths: uPlot.paths.linear(), points: { show: data.x.length < 30, size: 5, fill: ink }, spanGaps: true, width: 1.75 };
    return { label: name, stroke: ink, width: 0, ...shape };
  };
  const place = data.from === undefined ? {} : { range: () => [data.from, data.to] };
  const edge = data.labels ? { range: () => [-0.6, data.x.length - 0.4] } : {};
  const plot = new uPlot(
    {
      width: Math.max(120, holder.clientWidth),
      height: holder.clientHeight || 168,
      tzDate: (stamp) => uPlot.tzDate(new Date(stamp * 1000), "UTC"),
      legend: { show: false },
      cursor: { y: false, points: { show: !bars }, sync: data.from === undefined ? undefined : { key: cursors }, drag: { x: false, y: false } },
      scales: { x: { time: !data.labels, ...place, ...edge }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : empty ? 1 : Math.max(high * 1.08, 0.001)] } },
      axes: axes(data, unit),
      series: [{}, ...order.map(paint)],
      hooks: { setCursor: [tip(host, data, unit, data.series)] },
    },
    [data.x, ...values],
    holder,
  );
  if (empty) host.append(element("p", { class: "none" }, "Nothing in this window"));
  drawn.set(host.id, { plot, data });
}

function drawAll(force = false) {
  for (const host of document.querySelectorAll("[data-chart]")) {
    if (!force && drawn.get(host.id)?.text === host.dataset.chart) continue;
    draw(host, JSON.parse(host.dataset.chart));
    drawn.get(host.id).text = host.dataset.chart;
  }
}

function resize() {
  for (const [id, { plot }] of drawn) {
    const holder = document.getElementById(id)?.querySelector(".plot");
    if (holder?.clientWidth) plot.setSize({ width: holder.clientWidth, height: holder.clientHeight || 168 });
  }
}

function again() {
  drawAll(true);
  for (const [id, { data, text }] of drawn) if (!text && document.getElementById(id)) draw(document.getElementById(id), data);
}

addEventListener("themechange", again);
new ResizeObserver(resize).observe(document.getElementById("main"));
document.body.addEventListener("htmx:afterSwap", () => drawAll());
if (document.querySelector("[data-chart]")) drawAll();
