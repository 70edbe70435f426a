/** Uploads in progress, from chosen files to checkpoints and data sets. Connects network.js and state.js. */

import { isData } from "./datasets.js";
import { upload } from "./tus.js";
import { seen, speed } from "./speed.js";
import { changeUpload, removeUpload, uploads } from "./state.js";

const sending = new Map(); // by key, what network.js gave: { run, pause, end }
let count = 0;

/** Upload files, one after the other so that each is as fast as possible. */
export async function send(files) {
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

/** Upload a file, or resume one that was paused or failed. Resolves when it is complete, paused or failed again. */
export async function resume(key) {
  const row = uploads.get().find((own) => own.key === key);
  if (!row || (row.state === "sending" && sending.has(key))) return;
  if (!sending.has(key)) sending.set(key, upload(row.file, row.data ? "dataset" : "checkpoint"));
  changeUpload(key, { state: "sending", speed: null, error: null });
  let samples = [];
  const onProgress = (sent) => {
    samples = seen(samples, Date.now(), sent);
    changeUpload(key, { state: "sending", sent: Math.min(sent, row.size), speed: speed(samples) });
  };
  const onInterruption = () => {
    samples = [];
    changeUpload(key, { state: "interrupted", speed: null });
  };
  try {
    const arrived = await sending.get(key).run({ onProgress, onInterruption });
    if (arrived === null) return changeUpload(key, { state: "paused", speed: null });
    changeUpload(key, {
      state: "sent",
      sent: row.size,
      [row.data ? "dataset" : "checkpoint"]: arrived,
      file: null,
    });
    sending.delete(key);
  } catch (error) {
    changeUpload(key, { state: "failed", error: error.message });
  }
}

/** Pause an upload; the service keeps what it has received. */
export const pause = (key) => sending.get(key)?.pause();

/** Cancel an upload (the service keeps nothing of it), or remove a failed one from the list. */
export function dismiss(key) {
  sending.get(key)?.end();
  sending.delete(key);
  removeUpload(key);
}
