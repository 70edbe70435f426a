/** The logged-in user and, for administrators, access tokens. */

import { element, setChildren } from "../element.js";
import { until } from "../format.js";
import { get, post, remove, logOut } from "../network.js";
import { account as store } from "../state.js";
import { t } from "../text.js";
import { attempt, confirmButton, copyField, noticeLine } from "./parts.js";

/** @import { Notice, Scope, Token, View, ViewContext } from "../types.d.ts" */

/** @type {Record<Scope, string>} */
const MEANING = {
  read: t("scope.read"),
  submit: t("scope.submit"),
  admin: t("scope.admin"),
  work: t("scope.work"),
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
    t("account.logOut"),
  );
  const may = scopes.includes("admin")
    ? t("account.all")
    : t("account.may", { rights: scopes.map((scope) => MEANING[scope]).join("; ") });
  const words = access
    ? [may, expires && t("account.until", { moment: until(expires) })].filter(Boolean).join(" ")
    : t("account.open");
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
    title: t("account.title"),
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
      element("td", {}, used ? until(used) : t("token.never")),
      element(
        "td",
        {},
        confirmButton(
          t("token.revokeOf", { user }),
          t("do.revoke"),
          () => attempt(notice, () => remove(`/api/v1/tokens/${id}`)).then(load),
          { testid: "revoke-token" },
        ),
      ),
    );
  load().catch(({ message }) => notice.say(message));
  const columns = [
    t("token.user"),
    t("token.scopes"),
    t("token.created"),
    t("token.expires"),
    t("token.used"),
    "",
  ];
  return element(
    "section",
    { class: "tokens" },
    element("h2", {}, t("token.title")),
    tokenForm(notice, (secret, user) => [
      setChildren(
        made,
        copyField(secret, "new-token", t("token.of", { user })),
        element("p", { class: "soft" }, t("share.onlyOnce")),
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
                name || element("span", { class: "unseen" }, t("token.revoke")),
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
    title: t("token.userHint"),
  });
  const days = element("input", {
    type: "number",
    min: 1,
    max: 36500,
    placeholder: t("token.noExpiry"),
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
    element("label", {}, t("token.userLabel"), " ", user),
    element(
      "fieldset",
      {},
      element("legend", { class: "unseen" }, t("token.scopesLabel")),
      boxes.map((box, k) => element("label", { title: MEANING[SCOPES[k]] }, box, " ", SCOPES[k])),
    ),
    element("label", {}, t("token.daysLabel"), " ", days),
    element(
      "button",
      { type: "submit", class: "button primary", "data-testid": "make-token" },
      t("token.make"),
    ),
  );
}
