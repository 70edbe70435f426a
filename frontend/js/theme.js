// Before the first paint: the theme the user chose, else the system's. A classic script, so that
// nothing flashes.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // no access to storage: use the system's theme
}
