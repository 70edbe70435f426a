/** Links to one result, for people without an account: create, copy, revoke. */

import { element, setChildren } from "../element.js";
import { until } from "../format.js";
import { get, post, remove } from "../network.js";
import { attempt, confirmButton, copyField, noticeLine } from "./parts.js";

/** @import { Link } from "../types.d.ts" */

/** @type {[string, string][]} */
const SPANS = [
  ["1", "for a day"],
  ["7", "for a week"],
  ["30", "for a month"],
  ["", "until revoked"],
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
    { "aria-label": "How long the link is valid", "data-testid": "share-days" },
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
      element("span", {}, `created ${until(created)}`),
      element(
        "span",
        { class: "soft" },
        expires ? `valid until ${until(expires)}` : "valid until revoked",
        used ? ` · last opened ${until(used)}` : " · not opened yet",
      ),
      confirmButton(
        "Revoke this link",
        "Revoke",
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
        copyField(location.origin + link, "share-link", "Link to this result"),
        element("p", { class: "soft" }, "Copy it now: it is shown only once."),
      );
      await load();
    }).catch(() => {});
  const panel = element(
    "div",
    { class: "share-panel card" },
    element(
      "p",
      {},
      "Anyone with the link can view this result, and nothing else, without an account.",
    ),
    element(
      "div",
      { class: "actions" },
      element(
        "button",
        { type: "button", class: "button primary", "data-testid": "make-link", onclick: make },
        "Create link",
      ),
      span,
    ),
    notice.node,
    made,
    list,
  );
  const node = element(
    "details",
    { class: "share" },
    element("summary", { class: "button", "data-testid": "share" }, "Share"),
    panel,
  );
  node.addEventListener("toggle", () => node.open && load().catch(() => {}));
  node.addEventListener("keydown", (event) => event.key === "Escape" && (node.open = false));
  document.addEventListener(
    "pointerdown",
    (event) => event.target instanceof Node && !node.contains(event.target) && (node.open = false),
    { signal },
  );
  return node;
}
