// What every page runs.
import "./live.js";
import "./times.js";
import "./keys.js";
import "./actions.js";
import "./upload.js";

document.getElementById("theme").addEventListener("click", () => toggleTheme());

// Where a row of tabs is wider than the page, begin where we are.
for (const here of document.querySelectorAll(".nav [aria-current], .tabs [aria-current]")) {
  here.scrollIntoView({ block: "nearest", inline: "center" });
}
