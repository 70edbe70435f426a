/** The service, as the page sees it: requests, uploads, live events. An effect module; speaks REST and nothing else. */

import { combine, merge } from "./live.js";
import { account, connection } from "./state.js";

/** An error the service (or the network) gave: `message` is a sentence for the reader, `field` names what it is about. */
export class ApiError extends Error {
  constructor(message, { code = "error", field = null, status = 0 } = {}) {
    super(message);
    Object.assign(this, { code, field, status });
  }
}

/** GET as JSON. While the service is away it waits and asks again; it gives up only when `signal` aborts. */
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
  if (body !== undefined) Object.assign(options, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  let response;
  try {
    response = await fetch(path, options);
    if (method === "GET" && (await renewLink(path, response.status))) response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new ApiError("The service does not answer. Nothing was changed; try again when it is back.", { code: "unreachable" });
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  throw errorOf(response.status, await response.json().catch(() => null));
}

const renewed = new Map(); // by id of a job: whether it could be seen below /api

/**
 * A link that was opened before there was /api/v1 left a cookie for /api alone. Asked there for the job, the service sets
 * it for both; then the request at `path`, which was refused, may be repeated. Once per job.
 */
function renewLink(path, status) {
  const id = /^\/api\/v1\/jobs\/([a-z0-9]+)/.exec(path)?.[1];
  if (!id || (status !== 401 && status !== 404)) return false;
  if (!renewed.has(id)) renewed.set(id, fetch(`/api/jobs/${id}`).then((answer) => answer.ok));
  return renewed.get(id);
}

function errorOf(status, body) {
  const { code, message, field } = body?.error ?? {};
  if (status === 401) account.set((own) => (own.outside ? own : { ...own, user: null, scopes: [], access: true, outside: true }));
  return new ApiError(message ?? `The service answered with status ${status}. Try again; if it stays, look at its log.`, { code, field, status });
}

/** Ask who we are. Whoever has opened a link to a result is nobody, and not outside either. */
export async function whoAmI(guest) {
  const response = await fetch("/api/v1/session").catch(() => null);
  if (response?.ok) account.set({ ...(await response.json()), outside: false });
  else if (response?.status === 401) account.set({ user: null, scopes: [], access: true, expires: null, outside: !guest });
}

/** Begin a session; its cookie is the service's and out of reach here. */
export async function logIn(token) {
  account.set({ ...(await post("/api/v1/session", { token })), outside: false });
}

/** The page begins anew, so that nothing of this user stays in it. */
export async function logOut() {
  await remove("/api/v1/session");
  location.reload();
}

/** Open a link to one result in this browser; resolves to the id of its job. */
export async function openLink(secret) {
  const response = await fetch("/api/v1/shared", { method: "POST", body: JSON.stringify({ link: secret }), headers: { "Content-Type": "application/json" } });
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(body?.error?.message ?? "The service does not answer. Try again.", { code: body?.error?.code, status: response.status });
  return body.job;
}

const PAUSES = [0, 1, 2, 4, 8, 15, 30, 30, 30, 30, 30, 30].map((seconds) => 1000 * seconds); // begun anew whenever bytes went through

/**
 * One file on its way by the tus protocol (vendor/tus.min.js): it outlives broken connections, a service that starts again, and, for the
 * same file in the same browser, a page that was closed. `purpose` is "checkpoint" or "dataset".
 * `run({ onProgress(sent), onInterruption() })` resolves to the Checkpoint or the Dataset, or to null when `pause()` made it rest; `run` again
 * goes on. `end()` forgets it, here and there.
 */
export function upload(file, purpose) {
  let told = null; // how the run under way ends
  const sending = new window.tus.Upload(file, {
    endpoint: "/api/v1/uploads",
    metadata: { filename: file.name, purpose },
    retryDelays: PAUSES,
    removeFingerprintOnSuccess: true,
    // the name under which the browser remembers an upload: with the endpoint of before /api/v1, so that one begun then goes on
    fingerprint: (one, options) => window.tus.defaultOptions.fingerprint(one, { ...options, endpoint: "/api/uploads" }),
    onProgress: (sent) => told?.onProgress(sent),
    onShouldRetry(error) {
      const again = mayPass(error);
      if (again) told?.onInterruption();
      return again;
    },
    onError: (error) => told?.reject(tusError(error)),
    onSuccess: () => told?.resolve(sending.url.split("/").at(-1)),
  });
  let known = null; // whether this browser began it before
  async function run(handlers) {
    known ??= await sending.findPreviousUploads();
    if (known.length && !sending.url) sending.resumeFromPreviousUpload(known[0]);
    const id = await new Promise((resolve, reject) => {
      told = { ...handlers, resolve, reject };
      sending.start();
    });
    return id && get(`/api/v1/${purpose}s/${id}`);
  }
  const pause = () => sending.abort().then(() => told?.resolve(null));
  const end = () => sending.abort(true).catch(() => null).then(() => told?.resolve(null)); // where it cannot be told, the service forgets by itself
  return { run, pause, end };
}

/** Whether an error of an upload may pass by itself: no answer, somebody else just then, too much at once, a service that is starting. */
function mayPass(error) {
  const status = error.originalResponse?.getStatus() ?? 0;
  return [0, 408, 409, 423, 429, 460, 500, 502, 503, 504].includes(status);
}

function tusError(error) {
  const response = error.originalResponse;
  if (!response) return new ApiError("The connection broke and did not come back. What is there stays for a day; try again.", { code: "unreachable" });
  let body = null;
  try {
    body = JSON.parse(response.getBody());
  } catch {
    // an answer of something between us and the service
  }
  return errorOf(response.getStatus(), body);
}

/** Run `task` now and every `seconds` after it ended, not while the tab is hidden, until `signal` aborts. `again()` runs it at once. */
export function repeat(task, seconds, signal) {
  let timer = 0;
  let running = false;
  const run = async () => {
    clearTimeout(timer);
    if (signal.aborted || running || document.hidden) return;
    running = true;
    await task().catch(unlessAborted);
    running = false;
    if (!signal.aborted) timer = setTimeout(run, 1000 * (typeof seconds === "function" ? seconds() : seconds));
  };
  document.addEventListener("visibilitychange", run, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  run();
  return run;
}

/** Errors of a view that was left are nobody's concern; whoever is outside is shown the way in instead. */
export function unlessAborted(error) {
  if (error.name !== "AbortError" && error.status !== 401) throw error;
}

/** A plane or a trajectory has no result, not even an empty one, until a worker has found its range. */
function unlessEarly(error) {
  if (error.code !== "conflict") throw error;
  return null;
}

let asking = null;

/** Ask for the service's health, with growing pauses, until it answers or something else has shown that it does. */
function lost() {
  if (asking) return;
  let pause = 1;
  const ask = async () => {
    const answer = await fetch("/api/v1/health").catch(() => null);
    if (!asking) return;
    if (answer && answer.status !== 502 && answer.status !== 504) return found();
    pause = Math.min(2 * pause, 30);
    wait();
  };
  const wait = () => {
    connection.set({ online: false, retryAt: Date.now() + 1000 * pause });
    asking = setTimeout(ask, 1000 * pause);
  };
  wait();
}

function found() {
  clearTimeout(asking);
  asking = null;
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

const TOGETHER = 32; // jobs in one stream, as the service allows; browsers open six connections to a host, all tabs together

/**
 * Follow jobs and their growing results: `onChange(id, { job, result, error })` on everything new, until `signal` aborts.
 * All of them come in one stream of events; a hidden tab rests.
 */
export function follow(ids, signal, onChange) {
  const groups = [];
  for (let k = 0; k < ids.length; k += TOGETHER) groups.push(followTogether(ids.slice(k, k + TOGETHER), signal, onChange));
  return { reload: (id) => Promise.all(groups.map((reload) => reload(id))) };
}

function followTogether(ids, signal, onChange) {
  const entries = new Map(ids.map((id) => [id, { job: null, result: null, error: null }]));
  const early = new Map(ids.map((id) => [id, []])); // tiles that came before the result they belong to
  const loading = new Set();
  let told = []; // the jobs of the stream
  let stop = () => {};
  const change = (id, fresh) => {
    if (signal.aborted) return;
    entries.set(id, { ...entries.get(id), ...fresh });
    onChange(id, entries.get(id));
  };
  const changeJob = (id, fresh) => entries.get(id).job && change(id, { job: { ...entries.get(id).job, ...fresh } });
  const open = () => ids.filter((id) => !entries.get(id).error && !finished(entries.get(id).job?.state));

  /** The job and, where there is more of it than we have, its result. */
  async function load(id) {
    loading.add(id);
    try {
      const before = entries.get(id);
      const job = await get(`/api/v1/jobs/${id}`, signal);
      const same = before.result?.provenance && before.job.state === job.state && before.job.progress.done === job.progress.done;
      const fresh = same ? null : await get(`/api/v1/jobs/${id}/result`, signal).catch(unlessEarly);
      const { result } = entries.get(id); // events may have come meanwhile
      const whole = fresh ? combine(result, fresh) : result;
      change(id, { job, result: whole && early.get(id).splice(0).reduce(merge, whole), error: null });
    } catch (error) {
      if (error.name !== "AbortError") change(id, { error });
    } finally {
      loading.delete(id);
    }
  }

  const handlers = {
    progress: ({ job, state, ...progress }) => changeJob(job, { progress, ...(finished(state) ? {} : { state }) }),
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

  /** The stream of what is not finished; it stays as it is while it tells of all of that. */
  function connect() {
    const wanted = signal.aborted || document.hidden ? [] : open();
    if (wanted.length && wanted.every((id) => told.includes(id))) return;
    stop();
    told = wanted;
    stop = wanted.length ? listen(wanted, handlers, again) : () => {};
  }

  function again() {
    stop();
    told = [];
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
 * Live events of jobs: handlers { state, progress, tile }. The browser resumes by itself where it was; where it gives up (a job is
 * gone, too many streams are open), `again` is called, after a pause that grows until an event comes. Returns a function that stops.
 */
function listen(ids, handlers, again) {
  const source = new EventSource(ids.length === 1 ? `/api/v1/jobs/${ids[0]}/events` : `/api/v1/events?jobs=${ids.join()}`);
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
