/**
 * The page: shows the view of the URL, and what surrounds it (header, banner, drop target).
 *
 * Hooks for browser tests (data-testid):
 *   everywhere  new-job, warning (job and compare), theme, banner, drop-input (file input; gallery
 *               and library), view-surface|contour|heatmap, height-linear|log|paper,
 *               value-loss|accuracy, reset-camera, plot (with data-drawn once painted; Plotly's
 *               .data: z[j][i] = height of losses[i][j],
 *               customdata[j][i] = losses[i][j] itself)
 *   gallery     comparison (data-name), gallery-cell (data-job, data-state), gallery-compare
 *   library     upload-row (data-name, data-state waiting|sending|interrupted|paused|failed),
 *               upload-words, pause-upload, resume-upload, dismiss-upload,
 *               checkpoint-row (data-id, data-name, data-state), checkpoint-state,
 *               choose-architecture (data-index), compute, delete, confirm
 *               dataset-row (data-id, data-name, data-state), dataset-state
 *   new job     job-kind, job-end, job-second, job-third, job-epochs, job-epoch, job-epochs-all,
 *               job-directions, job-repeats,
 *               job-normalization, job-orthogonality, job-biases, job-loss, job-batch-norm,
 *               job-also, job-checkpoint, job-dataset, job-split, job-images, job-subset,
 *               job-count-alpha, job-count-beta, job-min, job-max,
 *               job-own-beta, job-min-beta, job-max-beta, job-seed, job-subset-seed, job-precision,
 *               job-name, job-cost, job-problem, start-job,
 *               request-curl, request-python
 *   jobs        job-row (data-id, data-state), select-job, compare-button, job-state, job-progress,
 *               cancel-job, retry-job, delete, confirm
 *   job         job-state, job-progress, cancel-job, retry-job, heatmap, surface, result,
 *               result-loss-center and result-accuracy-center
 *               (data-value: the number in full), result-least, result-most, number-NAME (the
 *               service's numbers, data-value), self-check (data-passed), caption, provenance,
 *               non-finite,
 *               download-json|npz|csv|h5|png
 *               share, share-days, make-link, share-link (the address, in an input), link-row
 *               (data-id), revoke-link;
 *               job-guest for guests with a link
 *   login       login-view, login-token, login; account (in the header), account-user, log-out
 *   account     token-user, token-read|submit|admin|work, token-days, make-token, new-token,
 *               token-row (data-id, data-user), revoke-token
 *   compare     compare-cell (data-job, data-state), cell-loss-center (data-value), number-KEY in a
 *               row with data-job (data-value), comparable
 *               (data-serious), caption, export-png
 */

import { element, setChildren } from "./element.js";
import { language } from "./language.js";
import { whoAmI } from "./network.js";
import { parse } from "./route.js";
import { account, connection, theme, toggleTheme } from "./state.js";
import { t } from "./text.js";
import { send } from "./uploads.js";
import { account as accountView } from "./views/account.js";
import { compare } from "./views/compare.js";
import { gallery } from "./views/gallery.js";
import { job } from "./views/job.js";
import { jobs } from "./views/jobs.js";
import { library } from "./views/library.js";
import { login, shared } from "./views/login.js";
import { newJob } from "./views/newjob.js";
import { emptyView } from "./views/parts.js";

/** @import { Account, Connection, PlainKey, View, ViewContext } from "./types.d.ts" */

/** @type {Record<string, (context: ViewContext) => View>} */
const VIEWS = { gallery, library, jobs, job, new: newJob, compare, account: accountView, shared };
const FOR_GUESTS = new Set(["job", "shared"]);

/**
 * A node of index.html.
 * @type {(selector: string) => HTMLElement}
 */
function find(selector) {
  const node = document.querySelector(selector);
  // deno-lint-ignore page/strings -- for developers
  if (!(node instanceof HTMLElement)) throw new Error(`index.html has no ${selector}`);
  return node;
}

const page = find("#page");
const navigation = find("#navigation");
const menu = find(".menu");
let leave = new AbortController();
/** @type {string | null} */
let shown = null;

/**
 * Show the view of the URL. A view gets { route, signal } and returns { title, node }; `signal`
 * aborts when it is left.
 */
function show() {
  const route = parse(location.hash);
  leave.abort();
  leave = new AbortController();
  const view =
    account.get().outside && route.name !== "shared" ? login : (VIEWS[route.name] ?? missing);
  const { title, node } = view({ route, signal: leave.signal });
  document.title = t("page.title", { view: title });
  setChildren(page, node);
  for (const link of navigation.querySelectorAll("a")) {
    if (link.dataset.view === route.name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  fold();
  if (shown !== null) {
    scrollTo(0, 0);
    page.focus({ preventScroll: true });
  }
  shown = route.name;
}

/** The URL has changed; guests can see what a link opened, and have to log in for the rest. */
function go() {
  const { user, access } = account.get();
  const before = inside;
  if (access && user === null)
    account.set((own) => ({ ...own, outside: !FOR_GUESTS.has(parse(location.hash).name) }));
  if (inside === before) show();
}

/**
 * Update the header for the logged-in user, and the view where a login or logout has changed it.
 */
/** @type {string | null} */
let inside = null;
/** @type {(own: Account) => void} */
function showAccount({ user, access, outside }) {
  document.body.classList.toggle("guest", access && user === null);
  const link = find(".who");
  link.hidden = find(".account-link").hidden = !access;
  link.setAttribute("href", user === null ? "#/" : "#/account");
  link.textContent = user ?? t("login.title");
  if (inside !== null && inside !== `${user} ${outside}`) show();
  inside = `${user} ${outside}`;
}

/** @type {() => View} */
function missing() {
  const node = emptyView(
    t("page.missing"),
    t("page.missingHint"),
    element("a", { class: "button", href: "#/" }, t("page.toGallery")),
  );
  return { title: t("page.missing"), node };
}

function fold(open = false) {
  menu.setAttribute("aria-expanded", String(open));
  navigation.classList.toggle("open", open);
}

/** Files can be dropped anywhere; the library shows their progress. */
function acceptDrops() {
  const overlay = find("#drop");
  /** @type {(event: DragEvent) => boolean} */
  const files = (event) => Boolean(event.dataTransfer?.types.includes("Files"));
  let depth = 0;
  /** @type {(change: number) => void} */
  const cover = (change) => {
    depth = Math.max(0, depth + change);
    overlay.hidden = depth === 0;
  };
  addEventListener("dragenter", (event) => files(event) && cover(1));
  addEventListener("dragleave", (event) => files(event) && cover(-1));
  addEventListener("dragover", (event) => files(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!event.dataTransfer || !files(event)) return;
    event.preventDefault();
    cover(-depth);
    send(event.dataTransfer.files);
    location.hash = "#/library";
  });
}

/**
 * A banner while the service is unreachable.
 * @type {(connection: Connection) => void}
 */
function showConnection({ online, retryAt }) {
  const banner = find("#banner");
  const seconds = Math.max(0, Math.round(((retryAt ?? 0) - Date.now()) / 1000));
  setChildren(
    banner,
    online
      ? []
      : element(
          "p",
          { "data-testid": "banner" },
          seconds > 1 ? t("page.offlineFor", { seconds }) : t("page.offline"),
        ),
  );
}

/**
 * The text of index.html in the language of the page: data-text and data-label name keys of the
 * catalogue.
 */
function translateFrame() {
  const key = (/** @type {string | undefined} */ name) => /** @type {PlainKey} */ (name);
  document.documentElement.lang = language;
  for (const node of /** @type {NodeListOf<HTMLElement>} */ (
    document.querySelectorAll("[data-text]")
  ))
    node.textContent = t(key(node.dataset.text));
  for (const node of /** @type {NodeListOf<HTMLElement>} */ (
    document.querySelectorAll("[data-label]")
  ))
    node.setAttribute("aria-label", t(key(node.dataset.label)));
}

const sayTheme = () => find(".theme").setAttribute("aria-pressed", String(theme.get() === "dark"));

translateFrame();
addEventListener("hashchange", go);
menu.addEventListener("click", () => fold(menu.getAttribute("aria-expanded") !== "true"));
find(".theme").addEventListener("click", toggleTheme);
find(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  page.focus();
});
connection.subscribe(showConnection);
theme.subscribe(sayTheme);
sayTheme();
acceptDrops();
await whoAmI(FOR_GUESTS.has(parse(location.hash).name));
account.subscribe(showAccount);
showAccount(account.get());
show();
