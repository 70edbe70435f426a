/** Links to one result, for people without an account: create, copy, revoke. */

import { element, setChildren } from "../element.js";
import { joined, until } from "../format.js";
import { get, post, remove } from "../network.js";
import { t } from "../text.js";
import { attempt, confirmButton, copyField, dropdown, noticeLine } from "./parts.js";

/** @import { Link } from "../types.d.ts" */

/** @type {[string, string][]} */
const SPANS = [
  ["1", t("share.day")],
  ["7", t("share.week")],
  ["30", t("share.month")],
  ["", t("share.always")],
];

/**
 * A panel that opens from the button "Share".
 * @type {(id: string, signal: AbortSignal) => HTMLElement}
 */
export function sharing(id, signal) {
  const notice = noticeLine();
  const made = element("div", { class: "made" });
  const list = element("ul", { class: "links" });
  const span = element(
    "select",
    { "aria-label": t("share.days"), "data-testid": "share-days" },
    SPANS.map(([value, label]) => element("option", { value, selected: value === "30" }, label)),
  );
  const path = /** @type {const} */ (`/api/v1/jobs/${id}/share`);

  async function load() {
    const { items } = await get(path, signal);
    setChildren(list, items.map(linkRow));
  }
  /** @type {(link: Link) => HTMLElement} */
  const linkRow = ({ id: link, created, expires, used }) =>
    element(
      "li",
      { "data-testid": "link-row", "data-id": link },
      element("span", {}, t("share.created", { moment: until(created) })),
      element(
        "span",
        { class: "soft" },
        joined(
          expires ? t("share.validUntil", { moment: until(expires) }) : t("share.valid"),
          used ? t("share.opened", { moment: until(used) }) : t("share.unopened"),
        ),
      ),
      confirmButton(
        t("share.revoke"),
        t("do.revoke"),
        () =>
          attempt(notice, () => remove(`${path}/${link}`)).then(() => [setChildren(made), load()]),
        { testid: "revoke-link" },
      ),
    );
  const make = () =>
    attempt(notice, async () => {
      const { link } = await post(path, { days: span.value ? Number(span.value) : null });
      setChildren(
        made,
        copyField(location.origin + link, "share-link", t("share.link")),
        element("p", { class: "soft" }, t("share.onlyOnce")),
      );
      await load();
    }).catch(() => {});
  const content = [
    element("p", {}, t("share.lead")),
    element(
      "div",
      { class: "actions" },
      element(
        "button",
        { type: "button", class: "button primary", "data-testid": "make-link", onclick: make },
        t("share.make"),
      ),
      span,
    ),
    notice.node,
    made,
    list,
  ];
  const onopen = () => load().catch(() => {});
  return dropdown(t("share.title"), "share", content, { onopen, signal });
}
