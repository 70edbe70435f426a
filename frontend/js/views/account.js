/** The logged-in user and, for administrators, access tokens. */

import { element, setChildren } from "../element.js";
import { until } from "../format.js";
import { get, logOut, post, remove } from "../network.js";
import { account as store } from "../state.js";
import { attempt, confirmButton, copyField, noticeLine } from "./parts.js";

/** @import { Notice, Scope, Token, View, ViewContext } from "../types.d.ts" */

/** @type {Record<Scope, string>} */
const MEANING = {
  read: "view your own and public data",
  submit: "upload, compute, and delete your own data",
  admin: "everything, for all users",
  work: "file access for a worker on another host",
};

const SCOPES = /** @type {Scope[]} */ (Object.keys(MEANING));

/** @type {(context: ViewContext) => View} */
export function account({ signal }) {
  const { user, scopes, access, expires } = store.get();
  const notice = noticeLine();
  const leave = element(
    "button",
    {
      type: "button",
      class: "button",
      "data-testid": "log-out",
      onclick: () => attempt(notice, logOut).catch(() => {}),
    },
    "Log out",
  );
  const may = scopes.includes("admin")
    ? "You can view and change everything of all users."
    : `You can ${scopes.map((scope) => MEANING[scope]).join("; ")}.`;
  const words = access
    ? `${may}${expires ? ` This session ends ${until(expires)}.` : ""}`
    : "Access control is off: anyone who can reach this service can view and change everything.";
  const head = element(
    "header",
    { class: "view-head" },
    element(
      "div",
      { class: "titles" },
      element("h1", { "data-testid": "account-user" }, user ?? ""),
      element("p", { class: "lead" }, words),
    ),
    element("div", { class: "actions" }, access && leave),
  );
  const admin = access && scopes.includes("admin");
  return {
    title: "Account",
    node: element(
      "div",
      { class: "view account" },
      head,
      notice.node,
      admin && tokens(notice, signal),
    ),
  };
}

/**
 * Every token: user, scopes, expiry; the secret of a new one is shown once.
 * @type {(notice: Notice, signal: AbortSignal) => HTMLElement}
 */
function tokens(notice, signal) {
  const list = element("tbody", {});
  const made = element("div", { class: "made" });
  const load = async () =>
    setChildren(list, (await get("/api/v1/tokens", signal)).items.map(tokenRow));
  /** @type {(token: Token) => HTMLElement} */
  const tokenRow = ({ id, user, name, scopes, created, expires, used }) =>
    element(
      "tr",
      { "data-testid": "token-row", "data-id": id, "data-user": user },
      element("th", { scope: "row" }, user, name && element("span", { class: "unit" }, name)),
      element("td", {}, scopes.join(", ")),
      element("td", {}, until(created)),
      element("td", {}, expires ? until(expires) : "–"),
      element("td", {}, used ? until(used) : "never"),
      element(
        "td",
        {},
        confirmButton(
          `Revoke this token of ${user}`,
          "Revoke",
          () => attempt(notice, () => remove(`/api/v1/tokens/${id}`)).then(load),
          { testid: "revoke-token" },
        ),
      ),
    );
  load().catch(({ message }) => notice.say(message));
  const columns = ["user", "scopes", "created", "expires", "last used", ""];
  return element(
    "section",
    { class: "tokens" },
    element("h2", {}, "Tokens"),
    tokenForm(notice, (secret, user) => [
      setChildren(
        made,
        copyField(secret, "new-token", `Token of ${user}`),
        element("p", { class: "soft" }, "Copy it now: it is shown only once."),
      ),
      load(),
    ]),
    made,
    element(
      "div",
      { class: "card table-card" },
      element(
        "table",
        { class: "numbers" },
        element(
          "thead",
          {},
          element(
            "tr",
            {},
            columns.map((name) =>
              element(
                "th",
                { scope: "col" },
                name || element("span", { class: "unseen" }, "revoke"),
              ),
            ),
          ),
        ),
        list,
      ),
    ),
  );
}

/** @type {(notice: Notice, onMade: (token: string, user: string) => void) => HTMLElement} */
function tokenForm(notice, onMade) {
  const user = element("input", {
    type: "text",
    required: true,
    maxlength: 64,
    autocomplete: "off",
    spellcheck: "false",
    "data-testid": "token-user",
    pattern: "[A-Za-z0-9][A-Za-z0-9._@+\\-]*",
    title: "Letters, digits and . _ @ + -",
  });
  const days = element("input", {
    type: "number",
    min: 1,
    max: 36500,
    placeholder: "no expiry",
    "data-testid": "token-days",
  });
  const boxes = SCOPES.map((scope) =>
    element("input", {
      type: "checkbox",
      value: scope,
      checked: scope === "read" || scope === "submit",
      "data-testid": `token-${scope}`,
    }),
  );
  /** @type {(event: Event) => void} */
  const submit = (event) => {
    event.preventDefault();
    const scopes = boxes.filter(({ checked }) => checked).map(({ value }) => value);
    attempt(notice, () =>
      post("/api/v1/tokens", {
        user: user.value,
        scopes,
        days: days.value ? Number(days.value) : null,
      }),
    ).then(
      ({ token, user: name }) => {
        user.value = "";
        onMade(token, name);
      },
      () => {},
    );
  };
  return element(
    "form",
    { class: "token-form", onsubmit: submit },
    element("label", {}, "User ", user),
    element(
      "fieldset",
      {},
      element("legend", { class: "unseen" }, "Scopes"),
      boxes.map((box, k) => element("label", { title: MEANING[SCOPES[k]] }, box, " ", SCOPES[k])),
    ),
    element("label", {}, "Days ", days),
    element(
      "button",
      { type: "submit", class: "button primary", "data-testid": "make-token" },
      "Create token",
    ),
  );
}
