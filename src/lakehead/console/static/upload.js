// Landing files: dropped or chosen, sent one after the other with their progress, then followed to their run.
import { announce, bytes, element, problem } from "./dom.js";

const queue = [];
let sending = false;

function put(url, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.setRequestHeader("Content-Type", "text/csv");
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onload = () => {
      let told = null;
      try {
        told = JSON.parse(request.responseText);
      } catch {
        // what is no JSON is told by its status
      }
      if (request.status < 300) resolve(told);
      else reject(new Error(problem(told, request.status)));
    };
    request.onerror = () => reject(new Error("The connection was lost. Nothing of the file was landed."));
    request.send(file);
  });
}

function take(zone, files) {
  const dataset = zone.querySelector("#drop-dataset").value;
  for (const file of files) {
    const bar = element("progress", { max: 1, value: 0, "aria-label": `Sending ${file.name}` });
    const note = element("span", { class: "note" }, "waiting");
    const item = element("li", { "data-state": "waiting" }, element("span", { class: "break" }, file.name, " ", element("span", { class: "muted" }, bytes(file.size))), bar, note);
    zone.querySelector(".uploads").append(item);
    queue.push({ dataset, file, item, bar, note });
  }
  if (!sending) next();
}

async function next() {
  const one = queue.shift();
  sending = Boolean(one);
  if (!one) return;
  const { dataset, file, item, bar, note } = one;
  const url = `/api/v1/datasets/${dataset.split("/").map(encodeURIComponent).join("/")}/files/${encodeURIComponent(file.name)}`;
  item.dataset.state = "sending";
  try {
    const landed = await put(url, file, (share) => {
      bar.value = share;
      note.textContent = share < 1 ? `${Math.floor(share * 100)}%` : "landing";
    });
    bar.value = 1;
    item.dataset.state = "landed";
    note.replaceChildren(landed.new ? "landed: " : "landed before: ", element("a", { href: `/runs/${encodeURIComponent(landed.execution)}?new=1` }, "watch its run"));
    announce(`${file.name} landed`);
  } catch (error) {
    item.dataset.state = "failed";
    bar.remove();
    note.textContent = error.message;
    announce(`${file.name} could not be landed. ${error.message}`);
  }
  next();
}

const files = (event) => event.dataTransfer?.types.includes("Files");
let depth = 0;

function dragging(on) {
  document.body.classList.toggle("dragging", on);
}

addEventListener("dragenter", (event) => files(event) && ++depth && dragging(true));
addEventListener("dragleave", (event) => files(event) && --depth <= 0 && dragging(false));
addEventListener("dragover", (event) => files(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!files(event)) return;
  event.preventDefault();
  depth = 0;
  dragging(false);
  const zone = document.querySelector("[data-drop]");
  if (zone) take(zone, [...event.dataTransfer.files]);
});
document.addEventListener("click", (event) => {
  event.target.closest("[data-choose]")?.closest("[data-drop]").querySelector("input[type=file]").click();
});
document.addEventListener("change", (event) => {
  const field = event.target;
  if (field.matches("[data-drop] input[type=file]")) {
    take(field.closest("[data-drop]"), [...field.files]);
    field.value = "";
  }
});
