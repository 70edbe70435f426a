/** Live events of jobs and their growing results. Part of the effect module network.js. */

import { combine, merge } from "./live.js";
import { ApiError, finished, found, get, isAbort, lost } from "./network.js";

/** @import { Entry, Handlers, Job, Result, Tile } from "./types.d.ts" */

/**
 * A plane or a trajectory has no result, not even an empty one, until a worker has computed its
 * range.
 * @type {(error: unknown) => null}
 */
function unlessEarly(error) {
  if (!(error instanceof ApiError) || error.code !== "conflict") throw error;
  return null;
}

// jobs per stream, the limit of the service; browsers open six connections to a host, all tabs
// together
const TOGETHER = 32;

/**
 * Follow jobs and their growing results: `onChange(id, { job, result, error })` on everything new,
 * until `signal` aborts. All of them share one event stream; a hidden tab closes it.
 * @type {(ids: string[], signal: AbortSignal, onChange: (id: string, entry: Entry) => void) =>
 *   { reload(id: string): Promise<unknown> }}
 */
export function follow(ids, signal, onChange) {
  /** @type {((id: string) => Promise<unknown> | null)[]} */
  const groups = [];
  for (let k = 0; k < ids.length; k += TOGETHER)
    groups.push(followTogether(ids.slice(k, k + TOGETHER), signal, onChange));
  return { reload: (id) => Promise.all(groups.map((reload) => reload(id))) };
}

/**
 * @type {(ids: string[], signal: AbortSignal, onChange: (id: string, entry: Entry) => void) =>
 *   (id: string) => Promise<unknown> | null}
 */
function followTogether(ids, signal, onChange) {
  /** @type {Map<string, Entry>} */
  const entries = new Map();
  /** @type {(id: string) => Entry} */
  const entryOf = (id) => entries.get(id) ?? { job: null, result: null, error: null };
  /** @type {Map<string, Tile[]>} */
  const early = new Map(ids.map((id) => [id, []])); // tiles that arrived before their result
  /** @type {Set<string>} */
  const loading = new Set();
  /** @type {string[]} */
  let followed = []; // the jobs of the stream
  let stop = () => {};
  /** @type {(id: string, fresh: Partial<Entry>) => void} */
  const change = (id, fresh) => {
    if (signal.aborted) return;
    const entry = { ...entryOf(id), ...fresh };
    entries.set(id, entry);
    onChange(id, entry);
  };
  /** @type {(id: string, fresh: Partial<Job>) => void} */
  const changeJob = (id, fresh) => {
    const { job } = entryOf(id);
    if (job) change(id, { job: { ...job, ...fresh } });
  };
  /** @type {(id: string, result: Result) => Result} */
  const withEarly = (id, result) => (early.get(id)?.splice(0) ?? []).reduce(merge, result);
  const open = () => ids.filter((id) => !entryOf(id).error && !finished(entryOf(id).job?.state));

  /**
   * Load the job and, where it has new points, its result.
   * @type {(id: string) => Promise<void>}
   */
  async function load(id) {
    loading.add(id);
    try {
      const before = entryOf(id);
      const job = await get(`/api/v1/jobs/${id}`, signal);
      const same =
        before.result?.provenance &&
        before.job?.state === job.state &&
        before.job.progress.done === job.progress.done;
      /** @type {Result | null} */
      const fresh = same ? null : await get(`/api/v1/jobs/${id}/result`, signal).catch(unlessEarly);
      const { result } = entryOf(id); // events may have arrived meanwhile
      const whole = fresh ? combine(result, fresh) : result;
      change(id, { job, result: whole && withEarly(id, whole), error: null });
    } catch (error) {
      if (error instanceof ApiError) change(id, { error });
      else if (!isAbort(error)) throw error;
    } finally {
      loading.delete(id);
    }
  }

  /** @type {Handlers} */
  const handlers = {
    progress: ({ job, state, ...progress }) =>
      changeJob(job, { progress, ...(finished(state) ? {} : { state }) }),
    tile({ job, ...tile }) {
      const { result } = entryOf(job);
      early.get(job)?.push(tile);
      if (result) change(job, { result: withEarly(job, result) });
      if (!result?.provenance && !loading.has(job)) load(job);
    },
    state({ job, state }) {
      if (finished(state)) load(job).then(connect);
      else changeJob(job, { state });
    },
  };

  /**
   * Open a stream of the unfinished jobs; the present one stays open while it covers all of them.
   */
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
  return (id) => (ids.includes(id) ? load(id).then(connect) : null);
}

const FIRST_PAUSE = 1000; // milliseconds

let pause = FIRST_PAUSE;

/**
 * Live events of jobs: handlers { state, progress, tile }. The browser reconnects by itself; where
 * it gives up (a job was deleted, too many streams are open), `again` is called after a pause that
 * grows until an event arrives. Returns a function that stops.
 * @type {(ids: string[], handlers: Handlers, again: () => void) => () => void}
 */
function listen(ids, handlers, again) {
  const source = new EventSource(
    ids.length === 1 ? `/api/v1/jobs/${ids[0]}/events` : `/api/v1/events?jobs=${ids.join()}`,
  );
  let timer = 0;
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => {
      pause = FIRST_PAUSE;
      handle(JSON.parse(event.data));
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
