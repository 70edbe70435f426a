/** A row of the library: a data set. */

import { datasetWords, shapeWords, splitWords } from "../datasets.js";
import { element, setChildren, setText } from "../element.js";
import { ago, joined } from "../format.js";
import { remove } from "../network.js";
import { bytes } from "../numbers.js";
import { t } from "../text.js";
import { attempt, badge, confirmButton } from "./parts.js";
import { forget } from "./uploadrow.js";

/** @import { Dataset, DatasetItem, Notice, Row } from "../types.d.ts" */

/**
 * A data set: what it holds, or why it was rejected. Built-in ones cannot be deleted.
 * @type {(dataset: Dataset, options: { notice: Notice; again(): void }) => Row<DatasetItem>}
 */
export function datasetRow({ id, name }, { notice, again }) {
  const state = badge("dataset-state");
  const title = element("span", { class: "soft" });
  const measures = element("div", { class: "measures" });
  const when = element("span", { class: "soft when" });
  const erase =
    id &&
    confirmButton(t("do.deleteNamed", { name }), t("library.deleteData"), () =>
      attempt(notice, () => remove(`/api/v1/datasets/${id}`))
        .then(() => forget(id))
        .then(again),
    );
  const node = element(
    "li",
    { class: "row", "data-testid": "dataset-row", "data-id": id ?? "", "data-name": name },
    element(
      "div",
      { class: "main" },
      element("b", { class: "name" }, name),
      element("div", {}, state.node),
      title,
    ),
    measures,
    when,
    element("div", { class: "actions" }, erase),
  );
  let seen = "";
  return {
    node,
    update(dataset) {
      const own = dataset.dataset;
      setText(when, own.created ? ago(own.created, Date.now()) : t("library.builtIn"));
      if (JSON.stringify(own) === seen) return;
      seen = JSON.stringify(own);
      node.dataset.state = own.state;
      if (erase) erase.hidden = !own.yours;
      state.update(own.state, datasetWords(own));
      setText(title, own.title === name ? "" : own.title);
      when.title = own.created ?? "";
      const splits = splitWords(own.splits);
      const size = own.size === null ? "" : bytes(own.size);
      setChildren(
        measures,
        element("span", {}, joined(splits, size)),
        own.state === "ready" && element("span", { class: "soft" }, shapeWords(own)),
      );
    },
  };
}
