/** A row of the library: a checkpoint. */

import { element, setChildren, setText } from "../element.js";
import { ago, joined } from "../format.js";
import { post, remove } from "../network.js";
import { bytes, number, percent } from "../numbers.js";
import { address } from "../route.js";
import { t } from "../text.js";
import { attempt, badge, confirmButton } from "./parts.js";
import { thumbnail } from "./thumbnail.js";
import { forget } from "./uploadrow.js";

/** @import { Checkpoint, CheckpointItem, Child, Notice, Row } from "../types.d.ts" */

/**
 * A checkpoint: its architecture, or why it was rejected.
 * @type {(item: CheckpointItem, options: { notice: Notice; again(): void; signal: AbortSignal
 *   }) => Row<CheckpointItem>}
 */
export function checkpointRow({ checkpoint: { id, name } }, { notice, again, signal }) {
  const state = badge("checkpoint-state");
  const thumb = element("a", { class: "thumb" });
  const network = element("div", { class: "network" });
  const measures = element("div", { class: "measures" });
  const when = element("span", { class: "soft when" });
  const compute = element(
    "a",
    { class: "button", href: address("/new", { checkpoint: id }), "data-testid": "compute" },
    t("library.compute"),
  );
  const erase = confirmButton(t("do.deleteNamed", { name }), t("do.delete"), () =>
    attempt(notice, () => remove(`/api/v1/checkpoints/${id}`))
      .then(() => forget(id))
      .then(again),
  );
  const node = element(
    "li",
    { class: "row", "data-testid": "checkpoint-row", "data-id": id, "data-name": name },
    thumb,
    element(
      "div",
      { class: "main" },
      element("b", { class: "name" }, name),
      element("div", {}, state.node),
      network,
    ),
    measures,
    when,
    element("div", { class: "actions" }, compute, erase),
  );
  let seen = "";
  return {
    node,
    update({ checkpoint, surface }) {
      const key = JSON.stringify([checkpoint, surface]);
      setText(when, ago(checkpoint.created, Date.now()));
      if (key === seen) return;
      seen = key;
      const choosing =
        checkpoint.state === "ready" &&
        !checkpoint.architecture &&
        checkpoint.candidates.length > 1;
      node.dataset.state = checkpoint.state;
      state.update(choosing ? "choose" : checkpoint.state, stateWords(checkpoint, choosing));
      setChildren(network, choosing && candidates(checkpoint, notice, again));
      setChildren(measures, measuresOf(checkpoint));
      when.title = checkpoint.created;
      compute.hidden = !checkpoint.architecture;
      erase.hidden = !checkpoint.yours;
      if (surface) {
        thumb.href = `#/jobs/${surface}`;
        thumb.setAttribute("aria-label", t("library.surfaceOf", { name }));
        thumbnail(thumb, surface, signal);
      }
    },
  };
}

/** @type {(checkpoint: Checkpoint, choosing: boolean) => string} */
function stateWords({ state, architecture, reason }, choosing) {
  if (choosing) return t("library.choose");
  if (state === "ready") return architecture?.label ?? t("state.ready");
  return state === "rejected" ? (reason ?? "") : t(`state.${state}`);
}

/** @type {(checkpoint: Checkpoint, notice: Notice, again: () => void) => HTMLElement} */
function candidates(checkpoint, notice, again) {
  /** @type {(index: number) => Promise<unknown>} */
  const choose = (index) =>
    attempt(notice, () =>
      post(`/api/v1/checkpoints/${checkpoint.id}/architecture`, { index }),
    ).then(again, () => {});
  return element(
    "div",
    { class: "actions" },
    checkpoint.candidates.map(({ label }, index) =>
      element(
        "button",
        {
          type: "button",
          class: "button",
          "data-testid": "choose-architecture",
          "data-index": index,
          onclick: () => choose(index),
        },
        label,
      ),
    ),
  );
}

/** What is shown of the metadata of a file; the rest is in its title. */
const NOTED = /** @type {const} */ (["train_loss", "test_error", "best_acc", "acc", "epoch"]);

/**
 * Number of parameters, size, and metadata found in the file.
 * @type {(checkpoint: Checkpoint) => Child}
 */
function measuresOf({ parameters, size, facts }) {
  const said = NOTED.filter((name) => facts?.[name] !== undefined).slice(0, 2);
  return [
    element(
      "span",
      {},
      joined(parameters !== null && t("parameters", { count: parameters }), bytes(size)),
    ),
    said.length > 0 &&
      element(
        "span",
        {
          class: "soft",
          title: Object.entries(facts)
            .map(([name, value]) => `${name}: ${value}`)
            .join("\n"),
        },
        said.map((name) => t(`noted.${name}`, { value: noted(name, facts[name]) })).join(" · "),
      ),
  ];
}

/** @type {(name: string, value: string) => string} */
function noted(name, value) {
  if (name === "test_error" && Number(value) <= 1) return percent(Number(value), 1);
  return /^-?\d*\.\d{5,}/.test(value) ? number(Number(value), 3) : String(value).slice(0, 24);
}
