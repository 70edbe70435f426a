/** A row of the library: an upload in progress. */

import { element, setText } from "../element.js";
import { bytes } from "../format.js";
import { uploads } from "../state.js";
import { dismiss, pause, resume } from "../uploads.js";
import { badge, progressBar } from "./parts.js";

/** @import { Row, Upload } from "../types.d.ts" */

/** @type {Record<string, string>} */
const UPLOAD_WORDS = {
  waiting: "waiting",
  sending: "uploading",
  interrupted: "connection lost, retrying",
  paused: "paused",
  failed: "upload failed",
};

/**
 * An upload in progress: how much has arrived and how fast, or why it failed.
 * @type {(upload: Upload) => Row<Upload>}
 */
export function uploadRow({ key, name }) {
  const state = badge("checkpoint-state");
  const bar = progressBar(`Upload of ${name}`, "upload-progress");
  const words = element("span", {
    class: "soft",
    "aria-live": "polite",
    "data-testid": "upload-words",
  });
  /** @type {(label: string, testid: string, onclick: () => void) => HTMLElement} */
  const button = (label, testid, onclick) =>
    element("button", { type: "button", class: "button", "data-testid": testid, onclick }, label);
  const rest = button("Pause", "pause-upload", () => pause(key));
  const again = button("Resume", "resume-upload", () => resume(key));
  const node = element(
    "li",
    { class: "row", "data-testid": "upload-row", "data-name": name },
    element("div", { class: "thumb" }),
    element(
      "div",
      { class: "main" },
      element("b", { class: "name" }, name),
      element("div", {}, state.node, " ", words),
      bar.node,
    ),
    element(
      "div",
      { class: "actions" },
      rest,
      again,
      element(
        "button",
        {
          type: "button",
          class: "quiet",
          "data-testid": "dismiss-upload",
          onclick: () => dismiss(key),
        },
        "Dismiss",
      ),
    ),
  );
  return {
    node,
    update({ state: own, sent, size, speed, error }) {
      const failed = own === "failed";
      node.dataset.state = own;
      state.update(failed ? "rejected" : "reading", UPLOAD_WORDS[own]);
      setText(
        words,
        failed
          ? (error ?? "")
          : [`${bytes(sent)} of ${bytes(size)}`, speed !== null && `${bytes(speed)}/s`]
              .filter(Boolean)
              .join(" · "),
      );
      bar.update(size ? sent / size : 0, `${bytes(sent)} of ${bytes(size)}`);
      bar.node.hidden = failed;
      rest.hidden = own !== "sending" && own !== "interrupted";
      again.hidden = !failed && own !== "paused";
      setText(again, failed ? "Retry" : "Resume");
    },
  };
}

/** @type {(id: string) => void} */
export function forget(id) {
  uploads.set((rows) =>
    rows.filter(({ checkpoint, dataset }) => (checkpoint ?? dataset)?.id !== id),
  );
}
