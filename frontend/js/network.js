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
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new ApiError("The service does not answer. Nothing was changed; try again when it is back.", { code: "unreachable" });
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  throw errorOf(response.status, await response.json().catch(() => null));
}

function errorOf(status, body) {
  const { code, message, field } = body?.error ?? {};
  if (status === 401) account.set((own) => (own.outside ? own : { ...own, user: null, scopes: [], access: true, outside: true }));
  return new ApiError(message ?? `The service answered with status ${status}. Try again; if it stays, look at its log.`, { code, field, status });
}

/** Ask who we are. Whoever has opened a link to a result is nobody, and not outside either. */
export async function whoAmI(guest) {
  const response = await fetch("/api/session").catch(() => null);
  if (response?.ok) account.set({ ...(await response.json()), outside: false });
  else if (response?.status === 401) account.set({ user: null, scopes: [], access: true, expires: null, outside: !guest });
}

/** Begin a session; its cookie is the service's and out of reach here. */
export async function logIn(token) {
  account.set({ ...(await post("/api/session", { token })), outside: false });
}

/** The page begins anew, so that nothing of this user stays in it. */
export async function logOut() {
  await remove("/api/session");
  location.reload();
}

/** Open a link to one result in this browser; resolves to the id of its job. */
export async function openLink(secret) {
  const response = await fetch("/api/shared", { method: "POST", body: JSON.stringify({ link: secret }), headers: { "Content-Type": "application/json" } });
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
    endpoint: "/api/uploads",
    metadata: { filename: file.name, purpose },
    retryDelays: PAUSES,
    removeFingerprintOnSuccess: true,
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
    return id && get(`/api/${purpose}s/${id}`);
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

/**
 * Live events of a job until its end: handlers { state, progress, tile }. The browser resumes by itself where it was; where it gives
 * up, we begin again with a growing pause. Returns a function that stops.
 */
export function listen(id, handlers) {
  let source = null;
  let timer = 0;
  let pause = 1000;
  const open = () => {
    source = new EventSource(`/api/jobs/${id}/events`);
    for (const name of Object.keys(handlers)) {
      source.addEventListener(name, (event) => {
        pause = 1000;
        handlers[name](JSON.parse(event.data));
      });
    }
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(open, pause);
      pause = Math.min(2 * pause, 30_000);
    };
  };
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
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

/** Ask for the service's health, with growing pauses, until it answers. */
function lost() {
  if (asking) return;
  let pause = 1;
  connection.set({ online: false, retryAt: Date.now() + 1000 });
  const ask = async () => {
    const answer = await fetch("/api/health").catch(() => null);
    if (answer && answer.status !== 502 && answer.status !== 504) {
      asking = null;
      connection.set({ online: true, retryAt: null });
      return;
    }
    pause = Math.min(2 * pause, 30);
    connection.set({ online: false, retryAt: Date.now() + 1000 * pause });
    asking = setTimeout(ask, 1000 * pause);
  };
  asking = setTimeout(ask, 1000);
}

function untilOnline(signal) {
  return new Promise((resolve, reject) => {
    if (connection.get().online) return resolve();
    connection.subscribe(({ online }) => online && resolve(), signal);
    signal?.addEventListener("abort", () => reject(new DOMException("left", "AbortError")));
  });
}

/** Browsers open six connections to a host, all tabs together: three streams for us, the other jobs are asked every few seconds. */
const STREAMS = 3;
let streaming = 0;
const ASK_EVERY = 2.5;

export const finished = (state) => state === "done" || state === "failed" || state === "cancelled";

/**
 * Follow jobs and their growing results: `onChange(id, { job, result, error })` on everything new, until `signal` aborts.
 * Values come by events for the jobs being computed, by asking for the others; a hidden tab rests.
 */
export function follow(ids, signal, onChange) {
  const entries = new Map(ids.map((id) => [id, { job: null, result: null, error: null }]));
  const streams = new Map();
  const change = (id, fresh) => {
    if (signal.aborted) return;
    entries.set(id, { ...entries.get(id), ...fresh });
    onChange(id, entries.get(id));
  };
  const changeJob = (id, fresh) => entries.get(id).job && change(id, { job: { ...entries.get(id).job, ...fresh } });

  /** The job and, where there is more of it than we have, its result. */
  async function load(id) {
    const before = entries.get(id);
    try {
      const job = await get(`/api/jobs/${id}`, signal);
      const same = before.result && before.job?.state === job.state && before.job.progress.done === job.progress.done;
      const fresh = same && !streams.has(id) ? before.result : await get(`/api/jobs/${id}/result`, signal).catch(unlessEarly);
      const result = fresh && fresh !== before.result ? combine(entries.get(id).result, fresh) : fresh;
      change(id, { job, result, error: null });
    } catch (error) {
      if (error.name !== "AbortError") change(id, { error });
    }
  }

  function close(id) {
    if (!streams.has(id)) return;
    streams.get(id)();
    streams.delete(id);
    streaming -= 1;
  }

  function stream(id) {
    let early = []; // tiles that came before the first result
    streaming += 1;
    streams.set(id, listen(id, {
      progress: ({ state, ...progress }) => changeJob(id, { progress, ...(state && !finished(state) ? { state } : {}) }),
      tile: (tile) => {
        const { result } = entries.get(id);
        early.push(tile);
        if (!result) return;
        change(id, { result: early.reduce(merge, result) });
        early = [];
      },
      state: ({ state }) => {
        if (!finished(state)) return changeJob(id, { state });
        close(id);
        load(id).then(fillStreams);
      },
    }));
    load(id);
  }

  function fillStreams() {
    const running = ids.filter((id) => entries.get(id).job?.state === "running" && entries.get(id).result && !streams.has(id));
    if (!signal.aborted && !document.hidden) for (const id of running.slice(0, STREAMS - streaming)) stream(id);
  }

  const unfinished = () => ids.filter((id) => !streams.has(id) && !entries.get(id).error && !finished(entries.get(id).job?.state));
  const ask = repeat(async () => {
    await Promise.all(unfinished().map(load));
    fillStreams();
  }, ASK_EVERY, signal);
  const rest = () => document.hidden && [...streams.keys()].forEach(close);
  document.addEventListener("visibilitychange", rest, { signal });
  signal.addEventListener("abort", () => [...streams.keys()].forEach(close));
  return { reload: (id) => load(id).then(fillStreams), ask };
}
