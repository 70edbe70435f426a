// Before the first paint: the theme the reader chose, else the system's. A classic script, so that nothing flashes.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // storage is closed: the system's theme it is
}
