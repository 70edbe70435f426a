/** Requests to the service: REST calls, uploads, live events. An effect module. */

import { combine, merge } from "./live.js";
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

function errorOf(status, body) {
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

// starts again from 0 whenever bytes arrive
const PAUSES = [0, 1, 2, 4, 8, 15, 30, 30, 30, 30, 30, 30].map((seconds) => 1000 * seconds);

/**
 * Upload of one file by the tus protocol (vendor/tus.min.js): it survives lost connections, a restart of the service
 * and, for the same file in the same browser, a closed page. `purpose` is "checkpoint" or "dataset".
 * `run({ onProgress(sent), onInterruption() })` resolves to the Checkpoint or the Dataset, or to null after `pause()`;
 * `run` again resumes. `end()` removes it, here and on the service.
 */
export function upload(file, purpose) {
  let current = null; // handlers of the current run
  const sending = new window.tus.Upload(file, {
    endpoint: "/api/v1/uploads",
    metadata: { filename: file.name, purpose },
    retryDelays: PAUSES,
    removeFingerprintOnSuccess: true,
    // the key under which the browser remembers an upload keeps the endpoint from before /api/v1, so that older ones
    // resume
    fingerprint: (one, options) =>
      window.tus.defaultOptions.fingerprint(one, { ...options, endpoint: "/api/uploads" }),
    onProgress: (sent) => current?.onProgress(sent),
    onShouldRetry(error) {
      const again = isTransient(error);
      if (again) current?.onInterruption();
      return again;
    },
    onError: (error) => current?.reject(tusError(error)),
    onSuccess: () => current?.resolve(sending.url.split("/").at(-1)),
  });
  let known = null; // uploads of this file that this browser has started before
  async function run(handlers) {
    known ??= await sending.findPreviousUploads();
    if (known.length && !sending.url) sending.resumeFromPreviousUpload(known[0]);
    const id = await new Promise((resolve, reject) => {
      current = { ...handlers, resolve, reject };
      sending.start();
    });
    return id && get(`/api/v1/${purpose}s/${id}`);
  }
  const pause = () => sending.abort().then(() => current?.resolve(null));
  const end = () =>
    sending
      .abort(true)
      .catch(() => null)
      .then(() => current?.resolve(null)); // where the service is unreachable, the upload expires there
  return { run, pause, end };
}

/**
 * Whether a retry can help: no answer, another request on the same upload, a rate limit, a service that is starting.
 */
function isTransient(error) {
  const status = error.originalResponse?.getStatus() ?? 0;
  return [0, 408, 409, 423, 429, 460, 500, 502, 503, 504].includes(status);
}

function tusError(error) {
  const response = error.originalResponse;
  if (!response)
    return new ApiError(
      "The connection was lost. What was uploaded is kept for a day; try again.",
      {
        code: "unreachable",
      },
    );
  let body = null;
  try {
    body = JSON.parse(response.getBody());
  } catch {
    // an answer of a proxy, not of the service
  }
  return errorOf(response.getStatus(), body);
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

/** A plane or a trajectory has no result, not even an empty one, until a worker has computed its range. */
function unlessEarly(error) {
  if (error.code !== "conflict") throw error;
  return null;
}

let probing = null;

/** Poll the health of the service with exponential back-off until it answers, or another request succeeds. */
function lost() {
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

function found() {
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

// jobs per stream, the limit of the service; browsers open six connections to a host, all tabs together
const TOGETHER = 32;

/**
 * Follow jobs and their growing results: `onChange(id, { job, result, error })` on everything new, until `signal`
 * aborts. All of them share one event stream; a hidden tab closes it.
 */
export function follow(ids, signal, onChange) {
  const groups = [];
  for (let k = 0; k < ids.length; k += TOGETHER)
    groups.push(followTogether(ids.slice(k, k + TOGETHER), signal, onChange));
  return { reload: (id) => Promise.all(groups.map((reload) => reload(id))) };
}

function followTogether(ids, signal, onChange) {
  const entries = new Map(ids.map((id) => [id, { job: null, result: null, error: null }]));
  const early = new Map(ids.map((id) => [id, []])); // tiles that arrived before their result
  const loading = new Set();
  let followed = []; // the jobs of the stream
  let stop = () => {};
  const change = (id, fresh) => {
    if (signal.aborted) return;
    entries.set(id, { ...entries.get(id), ...fresh });
    onChange(id, entries.get(id));
  };
  const changeJob = (id, fresh) =>
    entries.get(id).job && change(id, { job: { ...entries.get(id).job, ...fresh } });
  const open = () =>
    ids.filter((id) => !entries.get(id).error && !finished(entries.get(id).job?.state));

  /** Load the job and, where it has new points, its result. */
  async function load(id) {
    loading.add(id);
    try {
      const before = entries.get(id);
      const job = await get(`/api/v1/jobs/${id}`, signal);
      const same =
        before.result?.provenance &&
        before.job.state === job.state &&
        before.job.progress.done === job.progress.done;
      const fresh = same ? null : await get(`/api/v1/jobs/${id}/result`, signal).catch(unlessEarly);
      const { result } = entries.get(id); // events may have arrived meanwhile
      const whole = fresh ? combine(result, fresh) : result;
      change(id, {
        job,
        result: whole && early.get(id).splice(0).reduce(merge, whole),
        error: null,
      });
    } catch (error) {
      if (error.name !== "AbortError") change(id, { error });
    } finally {
      loading.delete(id);
    }
  }

  const handlers = {
    progress: ({ job, state, ...progress }) =>
      changeJob(job, { progress, ...(finished(state) ? {} : { state }) }),
    tile({ job, ...tile }) {
      const { result } = entries.get(job);
      early.get(job).push(tile);
      if (result) change(job, { result: early.get(job).splice(0).reduce(merge, result) });
      if (!result?.provenance && !loading.has(job)) load(job);
    },
    state({ job, state }) {
      if (finished(state)) load(job).then(connect);
      else changeJob(job, { state });
    },
  };

  /** Open a stream of the unfinished jobs; the present one stays open while it covers all of them. */
  function connect() {
    const wanted = signal.aborted || document.hidden ? [] : open();
    if (wanted.length && wanted.every((id) => followed.includes(id))) return;
    stop();
    followed = wanted;
    stop = wanted.length ? listen(wanted, handlers, again) : () => {};
  }

  function again() {
    stop();
    followed = [];
    return document.hidden ? null : Promise.all(open().map(load)).then(connect);
  }

  document.addEventListener("visibilitychange", again, { signal });
  signal.addEventListener("abort", connect);
  again();
  return (id) => (entries.has(id) ? load(id).then(connect) : null);
}

const FIRST_PAUSE = 1000; // milliseconds
let pause = FIRST_PAUSE;

/**
 * Live events of jobs: handlers { state, progress, tile }. The browser reconnects by itself; where it gives up (a job
 * was deleted, too many streams are open), `again` is called after a pause that grows until an event arrives. Returns a
 * function that stops.
 */
function listen(ids, handlers, again) {
  const source = new EventSource(
    ids.length === 1 ? `/api/v1/jobs/${ids[0]}/events` : `/api/v1/events?jobs=${ids.join()}`,
  );
  let timer = 0;
  for (const name of Object.keys(handlers)) {
    source.addEventListener(name, (event) => {
      pause = FIRST_PAUSE;
      handlers[name](JSON.parse(event.data));
    });
  }
  source.onopen = found;
  source.onerror = () => {
    fetch("/api/v1/health").catch(lost);
    if (source.readyState !== EventSource.CLOSED) return;
    timer = setTimeout(again, pause);
    pause = Math.min(2 * pause, 30_000);
  };
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
