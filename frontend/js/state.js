/** State of the page: small stores with subscribers, the theme, the uploads in progress. An effect module. */

import { address } from "./route.js";

/** A value with subscribers. `set` takes the next value or a function of the old one; equal values are not announced. */
export function store(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      const fresh = typeof next === "function" ? next(value) : next;
      if (Object.is(fresh, value)) return;
      value = fresh;
      for (const listener of Array.from(listeners)) listener(value); // a copy: they may add others
    },
    /** Calls `listener` on every change until `signal` aborts. */
    subscribe(listener, signal) {
      listeners.add(listener);
      signal?.addEventListener("abort", () => listeners.delete(listener));
    },
  };
}

/** Whether the service answers: { online, retryAt }. network.js writes it. */
export const connection = store({ online: true, retryAt: null });

/** The logged-in user: { user, scopes, access, expires }; `outside` where a login is required. network.js writes it. */
export const account = store({
  user: null,
  scopes: [],
  access: false,
  expires: null,
  outside: false,
});

/**
 * Uploads of this visit, newest first: { key, file, name, size, sent, speed, state, error, data, checkpoint, dataset }; `data` where it is a data set,
 * `speed` in bytes a second or null, state waiting → sending ⇄ interrupted | paused → sent | failed.
 */
export const uploads = store([]);

export const changeUpload = (key, change) =>
  uploads.set((list) =>
    list.map((upload) => (upload.key === key ? { ...upload, ...change } : upload)),
  );
export const removeUpload = (key) =>
  uploads.set((list) => list.filter((upload) => upload.key !== key));

/** "light" or "dark": the user's choice, else the system's. theme.js applied it before the first paint. */
const darkSystem = matchMedia("(prefers-color-scheme: dark)");
export const theme = store(currentTheme());
darkSystem.addEventListener("change", () => theme.set(currentTheme()));

export function toggleTheme() {
  const next = theme.get() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  remember("theme", next === systemTheme() ? null : next);
  if (next === systemTheme()) delete document.documentElement.dataset.theme;
  theme.set(next);
}

function systemTheme() {
  return darkSystem.matches ? "dark" : "light";
}

function currentTheme() {
  return document.documentElement.dataset.theme ?? systemTheme();
}

/** Remember a choice between visits; private windows may refuse, and then it lasts for this visit. */
function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    // nothing to do: the choice lasts until the page is closed
  }
}

/** Write choices into the URL without leaving the view, so that the view can be shared by copying it. */
export function replaceQuery(route, change) {
  Object.assign(route.query, change);
  history.replaceState(null, "", address(route.path, route.query));
}
