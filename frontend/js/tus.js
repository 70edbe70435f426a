/** Uploads of files, resumable. Part of the effect module network.js. */

import { get, ApiError, errorOf } from "./network.js";
import { t } from "./text.js";

/** @import { Checkpoint, Dataset, TusError } from "./types.d.ts" */

// starts again from 0 whenever bytes arrive
const PAUSES = [0, 1, 2, 4, 8, 15, 30, 30, 30, 30, 30, 30].map((seconds) => 1000 * seconds);

/**
 * @typedef {{ onProgress(sent: number): void; onInterruption(): void }} RunHandlers
 * @typedef {RunHandlers & { resolve(id: string | null): void; reject(error: unknown): void }} Run
 */

/**
 * Upload of one file by the tus protocol (vendor/tus.min.js): it survives lost connections, a
 * restart of the service and, for the same file in the same browser, a closed page. `purpose` is
 * "checkpoint" or "dataset". `run({ onProgress(sent), onInterruption() })` resolves to the
 * Checkpoint or the Dataset, or to null after `pause()`; `run` again resumes. `end()` removes it,
 * here and on the service.
 * @type {(file: File, purpose: "checkpoint" | "dataset") => { run(handlers: { onProgress(sent:
 *   number): void; onInterruption(): void }): Promise<Checkpoint | Dataset | null>; pause():
 *   Promise<void>; end(): Promise<void> }}
 */
export function upload(file, purpose) {
  /** @type {Run | null} */
  let current = null; // the current run
  const sending = new window.tus.Upload(file, {
    endpoint: "/api/v1/uploads",
    metadata: { filename: file.name, purpose },
    retryDelays: PAUSES,
    removeFingerprintOnSuccess: true,
    // the key under which the browser remembers an upload keeps the endpoint from before /api/v1,
    // so that older ones
    // resume
    fingerprint: (/** @type {File} */ one, /** @type {object} */ options) =>
      window.tus.defaultOptions.fingerprint(one, { ...options, endpoint: "/api/uploads" }),
    onProgress: (/** @type {number} */ sent) => current?.onProgress(sent),
    onShouldRetry(/** @type {TusError} */ error) {
      const again = isTransient(error);
      if (again) current?.onInterruption();
      return again;
    },
    onError: (/** @type {TusError} */ error) => current?.reject(tusError(error)),
    onSuccess: () => current?.resolve(sending.url?.split("/").at(-1) ?? null),
  });
  let known = null; // uploads of this file that this browser has started before
  /** @type {(handlers: RunHandlers) => Promise<Checkpoint | Dataset | null>} */
  async function run(handlers) {
    known ??= await sending.findPreviousUploads();
    if (known.length && !sending.url) sending.resumeFromPreviousUpload(known[0]);
    const id = await new Promise((/** @type {(id: string | null) => void} */ resolve, reject) => {
      current = { ...handlers, resolve, reject };
      sending.start();
    });
    return id ? get(`/api/v1/${purpose}s/${id}`) : null;
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
 * Whether a retry can help: no answer, another request on the same upload, a rate limit, a service
 * that is starting.
 * @type {(error: TusError) => boolean}
 */
function isTransient(error) {
  const status = error.originalResponse?.getStatus() ?? 0;
  return [0, 408, 409, 423, 429, 460, 500, 502, 503, 504].includes(status);
}

/** @type {(error: TusError) => ApiError} */
function tusError(error) {
  const response = error.originalResponse;
  if (!response)
    return new ApiError(t("error.interrupted"), {
      code: "unreachable",
    });
  let body = null;
  try {
    body = JSON.parse(response.getBody());
  } catch {
    // an answer of a proxy, not of the service
  }
  return errorOf(response.getStatus(), body);
}
