// What every page runs.
import "./live.js";
import "./times.js";
import "./keys.js";
import "./actions.js";
import "./upload.js";

document.getElementById("theme").addEventListener("click", () => toggleTheme());

// Copy buttons: `data-copy` holds the text.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.dataset.copied = "";
  const { toast } = await import("./dom.js");
  toast("Copied.");
});
