// Sets the theme before anything is painted: the person's choice, else that of the system.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem("foreband-theme");
  } catch {
    // where nothing may be kept, a choice lasts as long as the page
  }
  const apply = () => {
    document.documentElement.dataset.theme = chosen === "dark" || (chosen !== "light" && system.matches) ? "dark" : "light";
    document.dispatchEvent(new Event("themechange"));
  };
  const choose = () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("foreband-theme", chosen);
    } catch {
      // see above
    }
    apply();
  };
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => document.getElementById("theme").addEventListener("click", choose));
  apply();
})();
