/**
 * State of the page: small stores with subscribers, the theme, the uploads in progress. An effect
 * module.
 */

import { address } from "./route.js";

/** @import { Account, Connection, Query, Route, Store, Upload } from "./types.d.ts" */

/**
 * A value with subscribers. `set` takes the next value or a function of the old one; equal values
 * are not announced.
 * @template Value
 * @param {Value} initial
 * @returns {Store<Value>}
 */
export function store(initial) {
  let value = initial;
  /** @type {Set<(value: Value) => unknown>} */
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      const fresh = next instanceof Function ? next(value) : next;
      if (Object.is(fresh, value)) return;
      value = fresh;
      for (const listener of Array.from(listeners)) listener(value); // a copy: they may add others
    },
    subscribe(listener, signal) {
      listeners.add(listener);
      signal?.addEventListener("abort", () => listeners.delete(listener));
    },
  };
}

/**
 * Whether the service answers: { online, retryAt }. network.js writes it.
 */
export const connection = store(/** @type {Connection} */ ({ online: true, retryAt: null }));

/**
 * The logged-in user: { user, scopes, access, expires }; `outside` where a login is required.
 * network.js writes it.
 */
export const account = store(
  /** @type {Account} */ ({
    user: null,
    scopes: [],
    access: false,
    expires: null,
    outside: false,
  }),
);

/**
 * Uploads of this visit, newest first: { key, file, name, size, sent, speed, state, error, data,
 * checkpoint, dataset }; `data` where it is a data set, `speed` in bytes a second or null, state
 * waiting → sending ⇄ interrupted | paused → sent | failed.
 */
export const uploads = store(/** @type {Upload[]} */ ([]));

/** @type {(key: string, change: Partial<Upload>) => void} */
export const changeUpload = (key, change) =>
  uploads.set((list) =>
    list.map((upload) => (upload.key === key ? { ...upload, ...change } : upload)),
  );
/** @type {(key: string) => void} */
export const removeUpload = (key) =>
  uploads.set((list) => list.filter((upload) => upload.key !== key));

/**
 * "light" or "dark": the user's choice, else the system's. theme.js applied it before the first
 * paint.
 */
const darkSystem = matchMedia("(prefers-color-scheme: dark)");
/** @type {Store<"light" | "dark">} */
export const theme = store(currentTheme());
darkSystem.addEventListener("change", () => theme.set(currentTheme()));

export function toggleTheme() {
  const next = theme.get() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  remember("theme", next === systemTheme() ? null : next);
  if (next === systemTheme()) delete document.documentElement.dataset.theme;
  theme.set(next);
}

/** @type {() => "light" | "dark"} */
function systemTheme() {
  return darkSystem.matches ? "dark" : "light";
}

/** @type {() => "light" | "dark"} */
function currentTheme() {
  const { theme: chosen } = document.documentElement.dataset;
  return chosen === "light" || chosen === "dark" ? chosen : systemTheme();
}

/**
 * Remember a choice between visits; private windows may refuse, and then it lasts for this visit.
 * @type {(name: string, value: string | null) => void}
 */
function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    // nothing to do: the choice lasts until the page is closed
  }
}

/**
 * Write choices into the URL without leaving the view, so that the view can be shared by copying
 * it.
 * @type {(route: Route, change: Query) => void}
 */
export function replaceQuery(route, change) {
  Object.assign(route.query, change);
  history.replaceState(null, "", address(route.path, route.query));
}
