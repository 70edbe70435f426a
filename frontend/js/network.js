/**
 * Requests to the service; tus.js uploads and events.js follows jobs with them. An effect module.
 */

import { account, connection } from "./state.js";
import { t } from "./text.js";

/** @import { Answer, JobState, Posted } from "./types.d.ts" */

/**
 * An error of the service or the network: `message` is a sentence for the user, `field` the field
 * it is about.
 */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{ code?: string; field?: string | null; status?: number; retryAfter?: number }} [about]
   */
  constructor(message, { code = "error", field = null, status = 0, retryAfter = 0 } = {}) {
    super(message);
    this.code = code;
    this.field = field;
    this.status = status;
    this.retryAfter = retryAfter; // seconds
  }
}

/**
 * What an error says.
 * @type {(error: unknown) => string}
 */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));

/**
 * Whether a request was given up because its view was left.
 * @type {(error: unknown) => boolean}
 */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

const MOST_REFUSALS = 8; // of one request, then its error is shown
const LONGEST_PAUSE = 30; // seconds

/**
 * GET as JSON. While the service is unreachable it waits and retries; it gives up only when
 * `signal` aborts. Where the service asks to come back later (429), it does so a few times.
 * @type {<Path extends string>(path: Path, signal?: AbortSignal) => Promise<Answer<Path>>}
 */
export const get = (path, signal) =>
  withRetries(() => call("GET", path, undefined, signal), signal);

/**
 * Wait until the service has what a link at `path` downloads: a browser shows no error of a link.
 * @type {(path: string) => Promise<void>}
 */
export const prepare = (path) =>
  withRetries(async () => {
    const response = await send("GET", path);
    await response.body?.cancel();
  });

/** @type {<T>(ask: () => Promise<T>, signal?: AbortSignal) => Promise<T>} */
async function withRetries(ask, signal) {
  for (let refusals = 0; ;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === "unreachable") await untilOnline(signal);
      else if (error.status === 429 && refusals++ < MOST_REFUSALS)
        await sleep(Math.min(error.retryAfter, LONGEST_PAUSE), signal);
      else throw error;
    }
  }
}

/**
 * That many seconds, and up to half as many more, so that those who wait do not all return at once.
 * @type {(seconds: number, signal?: AbortSignal) => Promise<void>}
 */
function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds * (1 + Math.random() / 2));
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(left());
    });
  });
}

const left = () => new DOMException("left", "AbortError");

/** @type {<Path extends string>(path: Path, body?: unknown) => Promise<Posted<Path>>} */
export const post = (path, body) => call("POST", path, body);

/** @type {(path: string) => Promise<null>} */
export const remove = (path) => call("DELETE", path);

/** @type {(method: string, path: string, body?: unknown, signal?: AbortSignal) => Promise<any>} */
async function call(method, path, body, signal) {
  const response = await send(method, path, body, signal);
  return response.status === 204 ? null : response.json();
}

/**
 * @type {(method: string, path: string, body?: unknown, signal?: AbortSignal) =>
 *   Promise<globalThis.Response>}
 */
async function send(method, path, body, signal) {
  const options = { method, signal };
  if (body !== undefined)
    Object.assign(options, {
      body: JSON.stringify(body),
      headers: { "Content-Type": "application/json" },
    });
  let response;
  try {
    response = await fetch(path, options);
    if (method === "GET" && (await renewLink(path, response.status)))
      response = await fetch(path, options);
  } catch (error) {
    if (isAbort(error)) throw error;
    lost();
    throw new ApiError(t("error.unreachable"), { code: "unreachable" });
  }
  if (response.ok) return response;
  const error = errorOf(response.status, await response.json().catch(() => null));
  error.retryAfter = Number(response.headers.get("retry-after")) || 0;
  throw error;
}

/** @type {Map<string, Promise<boolean>>} */
const renewed = new Map(); // by id of a job: whether it could be seen below /api

/**
 * A link that was opened before there was /api/v1 left a cookie for /api alone. Asked there for the
 * job, the service sets it for both; then the request at `path`, which was refused, may be
 * repeated. Once per job.
 * @type {(path: string, status: number) => Promise<boolean> | false}
 */
function renewLink(path, status) {
  const id = /^\/api\/v1\/jobs\/([a-z0-9]+)/.exec(path)?.[1];
  if (!id || (status !== 401 && status !== 404)) return false;
  const asked = renewed.get(id) ?? fetch(`/api/jobs/${id}`).then((answer) => answer.ok);
  renewed.set(id, asked);
  return asked;
}

/**
 * @type {(status: number, body: { error?: { code: string; message: string; field?: string } } |
 *   null) => ApiError}
 */
export function errorOf(status, body) {
  const { code, message, field } = body?.error ?? {};
  if (status === 401)
    account.set((own) =>
      own.outside ? own : { ...own, user: null, scopes: [], access: true, outside: true },
    );
  return new ApiError(message ?? t("error.status", { status: String(status) }), {
    code,
    field,
    status,
  });
}

/**
 * Fetch the logged-in user. A guest who opened a link to a result has no user and needs no login.
 * @type {(guest: boolean) => Promise<void>}
 */
export async function whoAmI(guest) {
  const response = await fetch("/api/v1/session").catch(() => null);
  if (response?.ok) account.set({ ...(await response.json()), outside: false });
  else if (response?.status === 401)
    account.set({ user: null, scopes: [], access: true, expires: null, outside: !guest });
}

/**
 * Start a session; its cookie cannot be read by scripts.
 * @type {(token: string) => Promise<void>}
 */
export async function logIn(token) {
  const own = await post("/api/v1/session", { token });
  account.set({ ...own, outside: false });
}

/**
 * End the session and reload the page, so that nothing of this user stays in memory.
 * @type {() => Promise<void>}
 */
export async function logOut() {
  await remove("/api/v1/session");
  location.reload();
}

/**
 * Open a link to one result in this browser; resolves to the id of its job.
 * @type {(secret: string) => Promise<string>}
 */
export async function openLink(secret) {
  const response = await fetch("/api/v1/shared", {
    method: "POST",
    body: JSON.stringify({ link: secret }),
    headers: { "Content-Type": "application/json" },
  });
  const body = await response.json().catch(() => null);
  if (!response.ok)
    throw new ApiError(body?.error?.message ?? t("error.noAnswer"), {
      code: body?.error?.code,
      status: response.status,
    });
  return body.job;
}

/**
 * Run `task` now and `seconds` after each end, except while the tab is hidden, until `signal`
 * aborts. Returns a function that runs it at once.
 * @type {(task: () => Promise<unknown>, seconds: number | (() => number), signal: AbortSignal)
 *   => () => void}
 */
export function repeat(task, seconds, signal) {
  let timer = 0;
  let running = false;
  const run = async () => {
    clearTimeout(timer);
    if (signal.aborted || running || document.hidden) return;
    running = true;
    await task().catch(unlessAborted);
    running = false;
    if (!signal.aborted)
      timer = setTimeout(run, 1000 * (typeof seconds === "function" ? seconds() : seconds));
  };
  document.addEventListener("visibilitychange", run, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  run();
  return run;
}

/**
 * Ignore the errors of a view that was left, and 401, after which the login is shown.
 * @type {(error: unknown) => void}
 */
export function unlessAborted(error) {
  if (!isAbort(error) && !(error instanceof ApiError && error.status === 401)) throw error;
}

/** @type {number | null} */
let probing = null;

/**
 * Poll the health of the service with exponential back-off until it answers, or another request
 * succeeds.
 */
export function lost() {
  if (probing) return;
  let pause = 1;
  const probe = async () => {
    const answer = await fetch("/api/v1/health").catch(() => null);
    if (!probing) return;
    if (answer && answer.status !== 502 && answer.status !== 504) return found();
    pause = Math.min(2 * pause, 30);
    wait();
  };
  const wait = () => {
    connection.set({ online: false, retryAt: Date.now() + 1000 * pause });
    probing = setTimeout(probe, 1000 * pause);
  };
  wait();
}

export function found() {
  if (probing) clearTimeout(probing);
  probing = null;
  if (!connection.get().online) connection.set({ online: true, retryAt: null });
}

/** @type {(signal?: AbortSignal) => Promise<void>} */
function untilOnline(signal) {
  return new Promise((resolve, reject) => {
    if (connection.get().online) return resolve();
    connection.subscribe(({ online }) => online && resolve(), signal);
    signal?.addEventListener("abort", () => reject(left()));
  });
}

/** @type {(state: JobState | undefined) => boolean} */
export const finished = (state) => state === "done" || state === "failed" || state === "cancelled";
