/** The login, and the view that opens a link to a result. */

import { element } from "../element.js";
import { logIn, openLink } from "../network.js";
import { t, tNodes } from "../text.js";
import { attempt, emptyView, noticeLine } from "./parts.js";

/** @import { View, ViewContext } from "../types.d.ts" */

/**
 * Shown instead of the requested view until a valid token is entered.
 * @type {() => View}
 */
export function login() {
  const notice = noticeLine();
  const token = element("input", {
    type: "password",
    id: "token",
    name: "token",
    autocomplete: "current-password",
    spellcheck: "false",
    required: true,
    "data-testid": "login-token",
    "aria-describedby": "token-help",
  });
  const button = element(
    "button",
    { type: "submit", class: "button primary", "data-testid": "login" },
    t("login.title"),
  );
  /** @type {(event: Event) => Promise<void>} */
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    await attempt(notice, () => logIn(token.value.trim())).catch(() => token.select());
    button.disabled = false;
  };
  const form = element(
    "form",
    { class: "card", onsubmit: submit },
    element("h1", {}, t("login.title")),
    element("label", { for: "token" }, t("login.token")),
    token,
    element(
      "p",
      { class: "soft", id: "token-help" },
      tNodes("login.tokenHelp", {
        command: element("code", {}, "landscape token make --user NAME"),
      }),
    ),
    notice.node,
    button,
  );
  requestAnimationFrame(() => token.focus());
  return {
    title: t("login.title"),
    node: element("section", { class: "view login", "data-testid": "login-view" }, form),
  };
}

/**
 * A link to one result: opened by the service for this browser, then its job is shown.
 * @type {(context: ViewContext) => View}
 */
export function shared({ route, signal }) {
  const node = element(
    "div",
    { class: "view" },
    element("p", { class: "empty" }, t("shared.opening")),
  );
  openLink(route.id).then(
    (job) => signal.aborted || location.replace(`#/jobs/${job}`),
    (error) =>
      node.replaceChildren(
        emptyView(
          t("shared.invalid"),
          error.message,
          element("a", { class: "button", href: "#/" }, t("page.toGallery")),
        ),
      ),
  );
  return { title: t("shared.title"), node };
}
