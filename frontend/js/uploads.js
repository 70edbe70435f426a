/** Uploads under way: from files the reader gave to checkpoints and data sets the service knows. Joins network.js and state.js. */

import { isData } from "./datasets.js";
import { upload } from "./network.js";
import { changeUpload, removeUpload, uploads } from "./state.js";

const stops = new Map();
let count = 0;

/** Begin to send files, one after the other so that each is as quick as it can be. */
export async function send(files) {
  const rows = [...files].map((file) => ({ key: `upload-${(count += 1)}`, file, name: file.name, size: file.size, sent: 0, state: "waiting", error: null, data: isData(file.name), checkpoint: null, dataset: null }));
  uploads.set((list) => [...rows.toReversed(), ...list]);
  for (const { key } of rows) await sendOne(key);
}

/** Send a file whose upload failed again. */
export const sendAgain = (key) => sendOne(key);

/** Stop an upload (the service keeps nothing of it), or put a failed one away. */
export function dismiss(key) {
  stops.get(key)?.abort();
  removeUpload(key);
}

async function sendOne(key) {
  const row = uploads.get().find((own) => own.key === key);
  if (!row) return;
  const stop = new AbortController();
  stops.set(key, stop);
  changeUpload(key, { state: "sending", sent: 0, error: null });
  try {
    const arrived = await upload(row.file, { path: row.data ? "/api/datasets" : "/api/checkpoints", signal: stop.signal, onProgress: (sent) => changeUpload(key, { sent: Math.min(sent, row.size) }) });
    changeUpload(key, { state: "sent", sent: row.size, [row.data ? "dataset" : "checkpoint"]: arrived, file: null });
  } catch (error) {
    changeUpload(key, { state: "failed", error: error.message });
  }
  stops.delete(key);
}
