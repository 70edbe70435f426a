/** A row of the library: an upload in progress. */

import { element, setText } from "../element.js";
import { joined } from "../format.js";
import { bytes } from "../numbers.js";
import { uploads } from "../state.js";
import { t } from "../text.js";
import { dismiss, pause, resume } from "../uploads.js";
import { badge, progressBar } from "./parts.js";

/** @import { Row, Upload } from "../types.d.ts" */

/**
 * An upload in progress: how much has arrived and how fast, or why it failed.
 * @type {(upload: Upload) => Row<Upload>}
 */
export function uploadRow({ key, name }) {
  const state = badge("checkpoint-state");
  const bar = progressBar(t("upload.of", { name }), "upload-progress");
  const words = element("span", {
    class: "soft",
    "aria-live": "polite",
    "data-testid": "upload-words",
  });
  /** @type {(label: string, testid: string, onclick: () => void) => HTMLElement} */
  const button = (label, testid, onclick) =>
    element("button", { type: "button", class: "button", "data-testid": testid, onclick }, label);
  const rest = button(t("upload.pause"), "pause-upload", () => pause(key));
  const again = button(t("upload.resume"), "resume-upload", () => resume(key));
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
        t("upload.dismiss"),
      ),
    ),
  );
  return {
    node,
    update({ state: own, sent, size, speed, error }) {
      const failed = own === "failed";
      const arrived = t("part.of", { part: bytes(sent), total: bytes(size) });
      node.dataset.state = own;
      state.update(
        failed ? "rejected" : "reading",
        t(own === "failed" ? "state.uploadFailed" : `state.${own}`),
      );
      setText(
        words,
        failed
          ? (error ?? "")
          : joined(arrived, speed !== null && t("upload.speed", { size: bytes(speed) })),
      );
      bar.update(size ? sent / size : 0, arrived);
      bar.node.hidden = failed;
      rest.hidden = own !== "sending" && own !== "interrupted";
      again.hidden = !failed && own !== "paused";
      setText(again, t(failed ? "do.retry" : "upload.resume"));
    },
  };
}

/** @type {(id: string) => void} */
export function forget(id) {
  uploads.set((rows) =>
    rows.filter(({ checkpoint, dataset }) => (checkpoint ?? dataset)?.id !== id),
  );
}
