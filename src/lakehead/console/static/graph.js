// Draws the workflow of a run: laid out by dagre, coloured by what the run made of each state, with zoom and panning.
// The timeline beside it says the same in words; the picture itself is one image to a screen reader.
import dagre from "./vendor/dagre.esm.js";
import { element, svg } from "./dom.js";

const SIGNS = {
  ok: "M-4 .5l2.7 2.700L4-3.2",
  fail: "M-3.5-3.500l7 7M3.5-3.500l-7 7",
  run: "M4 0A4 4 0 1 1 0-4",
  warn: "M0-4.500V1M0 3.800V4",
  idle: "M-3-3h6v6h-6z",
};
const READABLE = 0.8;
const FRAMES = ["Parallel", "Map"];
const measured = document.createElement("canvas").getContext("2d");
const view = { x: 0, y: 0, scale: 1, touched: false };
let shown = null; // what was drawn last: its shape, elements by id, and size

function width(text, font) {
  measured.font = `${font} system-ui, sans-serif`;
  return measured.measureText(text).width;
}

const label = (text, longest = 34) => (text.length > longest ? `${text.slice(0, longest - 1)}…` : text);
const isFrame = (node) => FRAMES.includes(node.type);
const frameId = (id) => `frame ${id}`;

function sizeOf(node) {
  if (node.type === "Start" || node.type === "End") return { width: 16, height: 16 };
  if (isFrame(node) || node.type === "Join") return { width: 10, height: 10 };
  const text = width(label(node.name), "550 12px") + 52;
  return node.type === "Choice" ? { width: text + 26, height: 44 } : { width: Math.max(110, text), height: 38 };
}

/** Places for nodes and edges. A Parallel or Map becomes a frame around its branches, its own node the way in. */
function layout({ nodes, edges }) {
  const graph = new dagre.graphlib.Graph({ compound: true, multigraph: true });
  graph.setGraph({ rankdir: "TB", nodesep: 24, ranksep: 34, edgesep: 10, marginx: 16, marginy: 16 });
  for (const node of nodes) {
    if (isFrame(node)) graph.setNode(frameId(node.id), { label: node.name });
    graph.setNode(node.id, sizeOf(node));
  }
  for (const node of nodes) {
    const inside = node.parent && frameId(node.parent);
    if (isFrame(node)) {
      graph.setParent(node.id, frameId(node.id));
      if (inside) graph.setParent(frameId(node.id), inside);
    } else if (inside) graph.setParent(node.id, inside);
  }
  // Labels take no room: it would be theirs alone. They are drawn where the run went, and elsewhere under the pointer.
  edges.forEach((edge, at) => graph.setEdge(edge.source, edge.target, { weight: edge.caught ? 0.5 : edge.label ? 8 : 20 }, String(at)));
  dagre.layout(graph);
  return graph;
}

/** A smooth line through the points that dagre gives. */
function path(points) {
  const [first, ...rest] = points;
  let d = `M${first.x} ${first.y}`;
  for (let at = 0; at < rest.length - 1; at++) {
    const middle = at === rest.length - 2 ? rest[at + 1] : { x: (rest[at].x + rest[at + 1].x) / 2, y: (rest[at].y + rest[at + 1].y) / 2 };
    d += `Q${rest[at].x} ${rest[at].y} ${middle.x} ${middle.y}`;
  }
  return rest.length === 1 ? `${d}L${rest[0].x} ${rest[0].y}` : d;
}

function diamond(w, h) {
  return `M${-w / 2} 0L${-w / 2 + 20} ${-h / 2}H${w / 2 - 20}L${w / 2} 0L${w / 2 - 20} ${h / 2}H${-w / 2 + 20}Z`;
}

function drawNode(node, at) {
  const group = svg("g", { class: "node", transform: `translate(${at.x} ${at.y})` });
  if (node.type === "Start" || node.type === "End") {
    group.classList.add("end");
    group.append(svg("circle", { r: 7 }), svg("title", {}, node.type));
    return { group };
  }
  if (isFrame(node) || node.type === "Join") {
    group.append(svg("circle", { r: 3.5 }));
    return { group };
  }
  const { width: w, height: h } = at;
  const shape = node.type === "Choice" ? svg("path", { class: "box", d: diamond(w, h) }) : svg("rect", { x: -w / 2, y: -h / 2, width: w, height: h, rx: 7 });
  const mark = svg("path", { class: "mark", transform: `translate(${-w / 2 + (node.type === "Choice" ? 26 : 16)} 0)` });
  const name = svg("text", { x: 6, y: -1 }, label(node.name));
  const kind = svg("text", { class: "kind", x: 6, y: 12 });
  group.append(shape, mark, name, kind, svg("title", {}, node.name));
  return { group, mark, kind };
}

function drawFrame(node, at) {
  const group = svg("g", { class: "cluster", transform: `translate(${at.x - at.width / 2} ${at.y - at.height / 2})` });
  group.append(svg("rect", { width: at.width, height: at.height, rx: 10 }), svg("text", { x: 12, y: 18 }, `${node.name} · ${node.type}`));
  return group;
}

function drawEdge(edge, at) {
  const group = svg("g", { class: `edge${edge.caught ? " caught" : ""}${edge.taken ? " taken" : ""}` }, svg("path", { d: path(at.points), "marker-end": edge.taken ? "url(#tip-taken)" : "url(#tip)" }));
  const middle = at.points[Math.floor(at.points.length / 2)];
  if (edge.label) group.append(svg("text", { x: middle.x, y: middle.y + 3.5 }, label(edge.label, 24)), svg("title", {}, edge.label));
  return group;
}

const tip = (id, name) => svg("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto", markerUnits: "userSpaceOnUse" }, svg("path", { class: name, d: "M0 .5L8 4L0 7.500z" }));

function paint(data) {
  for (const node of data.nodes) {
    const { group, mark, kind } = shown.nodes.get(node.id);
    group.classList.toggle("entered", node.status !== "");
    group.setAttribute("data-kind", node.kind);
    shown.frames.get(node.id)?.setAttribute("data-kind", node.kind);
    if (!mark) continue;
    mark.setAttribute("d", SIGNS[node.kind] ?? "");
    const often = node.count > 1 ? ` · ${node.count}×` : "";
    kind.textContent = `${node.type}${["", "ok"].includes(node.kind) ? "" : ` · ${node.status.toLowerCase()}`}${often}`;
  }
  data.edges.forEach((edge, at) => {
    const group = shown.edges[at];
    if (group.classList.contains("taken") === edge.taken) return;
    group.classList.toggle("taken", edge.taken);
    group.querySelector("path").setAttribute("marker-end", edge.taken ? "url(#tip-taken)" : "url(#tip)");
    if (edge.taken) group.parentNode.append(group);
  });
}

function shapeOf(data) {
  return JSON.stringify([data.nodes.map((node) => [node.id, node.name, node.parent]), data.edges.map((edge) => [edge.source, edge.target, edge.label])]);
}

function place() {
  shown.scene.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
}

/** Show the whole graph; where that would be too small to read, what matters most of it: see `centre`. */
function fit(whole = false) {
  const box = shown.root.getBoundingClientRect();
  if (!box.width) return;
  const all = Math.min(box.width / shown.width, box.height / shown.height, 1.1);
  view.scale = whole ? all : Math.max(all, READABLE);
  const at = shown.centre;
  const edge = (room, size, middle) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, room / 2 - middle)));
  view.x = edge(box.width, shown.width * view.scale, at.x * view.scale);
  view.y = edge(box.height, shown.height * view.scale, at.y * view.scale);
  place();
}

/** The state that runs, else the one that failed, else the start. */
function centre(data, graph) {
  const first = (test) => data.nodes.find(test);
  const node = first((one) => one.kind === "run" && !isFrame(one)) ?? first((one) => one.kind === "fail" && !isFrame(one)) ?? first((one) => one.type === "Start");
  return graph.node(node.id);
}

function zoom(factor, centre) {
  const box = shown.root.getBoundingClientRect();
  const at = centre ?? { x: box.width / 2, y: box.height / 2 };
  const scale = Math.min(2.5, Math.max(0.15, view.scale * factor));
  view.x = at.x - ((at.x - view.x) * scale) / view.scale;
  view.y = at.y - ((at.y - view.y) * scale) / view.scale;
  view.scale = scale;
  view.touched = true;
  place();
}

function panning(root) {
  root.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    root.setPointerCapture(event.pointerId);
    root.classList.add("panning");
  });
  root.addEventListener("pointermove", (event) => {
    if (!root.hasPointerCapture(event.pointerId)) return;
    view.x += event.movementX;
    view.y += event.movementY;
    view.touched = true;
    place();
  });
  for (const name of ["pointerup", "pointercancel"]) root.addEventListener(name, () => root.classList.remove("panning"));
  root.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = root.getBoundingClientRect();
      zoom(event.deltaY < 0 ? 1.12 : 1 / 1.12, { x: event.clientX - box.left, y: event.clientY - box.top });
    },
    { passive: false },
  );
}

function buttons() {
  const make = (text, told, deed) => {
    const button = element("button", { type: "button", "aria-label": told, title: told }, text);
    button.addEventListener("click", deed);
    return button;
  };
  return element("div", { class: "zoom" }, make("+", "Zoom in", () => zoom(1.25)), make("−", "Zoom out", () => zoom(0.8)), make("⤢", "Show all of it", () => fit(true)));
}

function draw(host, data) {
  const graph = layout(data);
  const nodes = new Map(data.nodes.map((node) => [node.id, drawNode(node, graph.node(node.id))]));
  const frames = new Map(data.nodes.filter(isFrame).map((node) => [node.id, drawFrame(node, graph.node(frameId(node.id)))]));
  const edges = data.edges.map((edge, at) => drawEdge(edge, graph.edge(edge.source, edge.target, String(at))));
  const lines = svg("g", {}, ...edges.filter((_, at) => !data.edges[at].taken), ...edges.filter((_, at) => data.edges[at].taken));
  const scene = svg("g", {}, ...frames.values(), lines, ...[...nodes.values()].map(({ group }) => group));
  const root = svg("svg", { "aria-hidden": "true" }, svg("defs", {}, tip("tip", "arrow"), tip("tip-taken", "arrow taken")), scene);
  host.replaceChildren(root, buttons());
  const size = graph.graph();
  shown = { shape: shapeOf(data), nodes, frames, edges, scene, root, width: size.width, height: size.height, centre: centre(data, graph) };
  panning(root);
  paint(data);
  fit();
  new ResizeObserver(() => view.touched || fit()).observe(root);
}

/** The graph without the lines from a state that ends it all, Fail or Succeed, to the end: they say nothing new. */
function plain({ nodes, edges }) {
  const last = new Set(nodes.filter(({ type }) => type === "Fail" || type === "Succeed").map(({ id }) => id));
  const kept = edges.filter(({ source, target }) => !last.has(source) || target !== "end");
  // Where nothing else leads there, the end must hang on something.
  return { nodes, edges: kept.some(({ target }) => target === "end") ? kept : edges };
}

function update() {
  const figure = document.getElementById("graph");
  if (!figure) return;
  const data = plain(JSON.parse(figure.dataset.graph));
  if (shown?.shape === shapeOf(data) && shown.root.isConnected) paint(data);
  else draw(figure.querySelector("[data-keep]"), data);
}

document.body.addEventListener("htmx:afterSwap", update);
update();
