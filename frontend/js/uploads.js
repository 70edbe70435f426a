/**
 * Uploads in progress, from chosen files to checkpoints and data sets. Connects network.js and
 * state.js.
 */

import { isData } from "./datasets.js";
import { messageOf } from "./network.js";
import { upload } from "./tus.js";
import { seen, speed } from "./speed.js";
import { changeUpload, removeUpload, uploads } from "./state.js";

/** @import { Upload } from "./types.d.ts" */

/** @type {Map<string, ReturnType<typeof upload>>} */
const sending = new Map(); // by key
let count = 0;

/**
 * Upload files, one after the other so that each is as fast as possible.
 * @type {(files: Iterable<File>) => Promise<void>}
 */
export async function send(files) {
  /** @type {Upload[]} */
  const rows = [...files].map((file) => ({
    key: `upload-${(count += 1)}`,
    file,
    name: file.name,
    size: file.size,
    sent: 0,
    speed: null,
    state: "waiting",
    error: null,
    data: isData(file.name),
    checkpoint: null,
    dataset: null,
  }));
  uploads.set((list) => [...rows.toReversed(), ...list]);
  for (const { key } of rows) await resume(key);
}

/**
 * Upload a file, or resume one that was paused or failed. Resolves when it is complete, paused or
 * failed again.
 * @type {(key: string) => Promise<void>}
 */
export async function resume(key) {
  const row = uploads.get().find((own) => own.key === key);
  if (!row?.file || (row.state === "sending" && sending.has(key))) return;
  const transfer = sending.get(key) ?? upload(row.file, row.data ? "dataset" : "checkpoint");
  sending.set(key, transfer);
  changeUpload(key, { state: "sending", speed: null, error: null });
  /** @type {{ at: number; sent: number }[]} */
  let samples = [];
  /** @type {(sent: number) => void} */
  const onProgress = (sent) => {
    samples = seen(samples, Date.now(), sent);
    changeUpload(key, { state: "sending", sent: Math.min(sent, row.size), speed: speed(samples) });
  };
  const onInterruption = () => {
    samples = [];
    changeUpload(key, { state: "interrupted", speed: null });
  };
  try {
    const arrived = await transfer.run({ onProgress, onInterruption });
    if (arrived === null) return changeUpload(key, { state: "paused", speed: null });
    changeUpload(key, {
      state: "sent",
      sent: row.size,
      [row.data ? "dataset" : "checkpoint"]: arrived,
      file: null,
    });
    sending.delete(key);
  } catch (error) {
    changeUpload(key, { state: "failed", error: messageOf(error) });
  }
}

/**
 * Pause an upload; the service keeps what it has received.
 * @type {(key: string) => unknown}
 */
export const pause = (key) => sending.get(key)?.pause();

/**
 * Cancel an upload (the service keeps nothing of it), or remove a failed one from the list.
 * @type {(key: string) => void}
 */
export function dismiss(key) {
  sending.get(key)?.end();
  sending.delete(key);
  removeUpload(key);
}
