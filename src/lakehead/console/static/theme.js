// Loaded before the page is painted, so that a theme that was chosen does not flash by. No module, for that reason.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("lakehead-theme");
    } catch {
      return null; // storage may be switched off; then the system's theme holds
    }
  };
  const apply = () => {
    const theme = chosen();
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
    dispatchEvent(new Event("themechange"));
  };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  /** Turn to the other theme, and remember it where it is not the system's own. */
  globalThis.toggleTheme = () => {
    const next = isDark() ? "light" : "dark";
    try {
      if ((next === "dark") === dark.matches) localStorage.removeItem("lakehead-theme");
      else localStorage.setItem("lakehead-theme", next);
      apply();
    } catch {
      root.dataset.theme = next;
      dispatchEvent(new Event("themechange"));
    }
    return next;
  };
  apply();
  dark.addEventListener("change", apply);
  addEventListener("storage", (event) => event.key === "lakehead-theme" && apply());
})();
