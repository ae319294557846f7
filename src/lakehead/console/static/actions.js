// Buttons that do something: they ask first where that is wanted, call the API, and say what became of it.
import { announce, call, toast } from "./dom.js";

function confirmed(button) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("h2").textContent = button.dataset.confirm;
  dialog.querySelector("p").textContent = button.dataset.confirmText ?? "";
  const yes = dialog.querySelector("[value=yes]");
  yes.textContent = button.dataset.action;
  yes.classList.toggle("danger", button.classList.contains("danger"));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

async function act(button) {
  if (button.dataset.confirm && !(await confirmed(button))) return;
  button.disabled = true;
  try {
    const body = button.dataset.body ? JSON.parse(button.dataset.body) : {};
    const answer = await call(button.dataset.method ?? "POST", button.dataset.path, body);
    const target = button.dataset.goto && answer?.[button.dataset.goto];
    if (target && `/runs/${encodeURIComponent(target)}` !== location.pathname) location.assign(`/runs/${encodeURIComponent(target)}?new=1`);
    toast(button.dataset.done ?? "Done.");
    announce(button.dataset.done ?? "Done.");
  } catch (error) {
    toast(error.message, "fail");
    announce(error.message);
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-path]");
  if (button) act(button);
});
