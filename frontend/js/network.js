/** Requests to the service; tus.js uploads and events.js follows jobs with them. An effect module. */

import { account, connection } from "./state.js";

/** An error of the service or the network: `message` is a sentence for the user, `field` the field it is about. */
export class ApiError extends Error {
  constructor(message, { code = "error", field = null, status = 0 } = {}) {
    super(message);
    Object.assign(this, { code, field, status });
  }
}

/** GET as JSON. While the service is unreachable it waits and retries; it gives up only when `signal` aborts. */
export async function get(path, signal) {
  for (;;) {
    try {
      return await call("GET", path, undefined, signal);
    } catch (error) {
      if (error.code !== "unreachable") throw error;
      await untilOnline(signal);
    }
  }
}

export const post = (path, body) => call("POST", path, body);

export const remove = (path) => call("DELETE", path);

async function call(method, path, body, signal) {
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
    if (error.name === "AbortError") throw error;
    lost();
    throw new ApiError(
      "The service does not answer. Nothing was changed; try again when it is back.",
      { code: "unreachable" },
    );
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  throw errorOf(response.status, await response.json().catch(() => null));
}

const renewed = new Map(); // by id of a job: whether it could be seen below /api

/**
 * A link that was opened before there was /api/v1 left a cookie for /api alone. Asked there for the job, the service
 * sets it for both; then the request at `path`, which was refused, may be repeated. Once per job.
 */
function renewLink(path, status) {
  const id = /^\/api\/v1\/jobs\/([a-z0-9]+)/.exec(path)?.[1];
  if (!id || (status !== 401 && status !== 404)) return false;
  if (!renewed.has(id))
    renewed.set(
      id,
      fetch(`/api/jobs/${id}`).then((answer) => answer.ok),
    );
  return renewed.get(id);
}

export function errorOf(status, body) {
  const { code, message, field } = body?.error ?? {};
  if (status === 401)
    account.set((own) =>
      own.outside ? own : { ...own, user: null, scopes: [], access: true, outside: true },
    );
  return new ApiError(
    message ??
      `The service answered with status ${status}. Try again; if it happens again, look at its log.`,
    { code, field, status },
  );
}

/** Fetch the logged-in user. A guest who opened a link to a result has no user and needs no login. */
export async function whoAmI(guest) {
  const response = await fetch("/api/v1/session").catch(() => null);
  if (response?.ok) account.set({ ...(await response.json()), outside: false });
  else if (response?.status === 401)
    account.set({ user: null, scopes: [], access: true, expires: null, outside: !guest });
}

/** Start a session; its cookie cannot be read by scripts. */
export async function logIn(token) {
  account.set({ ...(await post("/api/v1/session", { token })), outside: false });
}

/** End the session and reload the page, so that nothing of this user stays in memory. */
export async function logOut() {
  await remove("/api/v1/session");
  location.reload();
}

/** Open a link to one result in this browser; resolves to the id of its job. */
export async function openLink(secret) {
  const response = await fetch("/api/v1/shared", {
    method: "POST",
    body: JSON.stringify({ link: secret }),
    headers: { "Content-Type": "application/json" },
  });
  const body = await response.json().catch(() => null);
  if (!response.ok)
    throw new ApiError(body?.error?.message ?? "The service does not answer. Try again.", {
      code: body?.error?.code,
      status: response.status,
    });
  return body.job;
}

/**
 * Run `task` now and `seconds` after each end, except while the tab is hidden, until `signal` aborts. Returns a
 * function that runs it at once.
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

/** Ignore the errors of a view that was left, and 401, after which the login is shown. */
export function unlessAborted(error) {
  if (error.name !== "AbortError" && error.status !== 401) throw error;
}

let probing = null;

/** Poll the health of the service with exponential back-off until it answers, or another request succeeds. */
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
  clearTimeout(probing);
  probing = null;
  if (!connection.get().online) connection.set({ online: true, retryAt: null });
}

function untilOnline(signal) {
  return new Promise((resolve, reject) => {
    if (connection.get().online) return resolve();
    connection.subscribe(({ online }) => online && resolve(), signal);
    signal?.addEventListener("abort", () => reject(new DOMException("left", "AbortError")));
  });
}

export const finished = (state) => state === "done" || state === "failed" || state === "cancelled";
