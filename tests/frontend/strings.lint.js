/**
 * A rule for `deno lint`: what people read on the page comes from the catalogue (js/strings/), never
 * from a string in the code. Found are strings where text is expected (a child of element(), a title, a label, …),
 * and elsewhere strings that look like English: two words, or one with a capital letter.
 */

/** Calls with arguments that are text: of a function by its name, of a method with a dot; the first and the last. */
const TEXT_ARGUMENTS = {
  element: [2, Infinity],
  svg: [2, Infinity],
  setText: [1, 1],
  emptyState: [0, Infinity],
  emptyView: [0, Infinity],
  confirmButton: [0, 1],
  filePicker: [1, 1],
  mark: [0, 0],
  Error: [0, 0],
  ApiError: [0, 0],
  ".say": [0, 0],
  ".update": [1, 1],
};
/** Properties whose values are text. */
const TEXT_PROPERTIES =
  /^(title|placeholder|alt|label|legend|says|means|unit|caption|textContent|aria-label|aria-description)$/;
/** Properties, and calls, whose values are for machines. */
const CODE_PROPERTIES =
  /^(class|style|type|font|d|viewBox|sandbox|autocomplete|pattern|rootMargin|textposition|background)$|^--|^data-/;
const CODE_CALLS =
  /^(t|tNodes|matchMedia|find|fetch|\.(querySelector|querySelectorAll|toggle|getExtension|getContext|addEventListener|setProperty))$/;
/** Words that are the same in every language: names of languages, programs and headers. */
const NAMES = new Set([
  "curl",
  "landscape",
  "Python",
  "Content-Type",
  "AbortError",
  "Files",
  "NaN",
]);

const WORD = /\p{L}{2,}/u;
const ENGLISH = /\p{L}{2,}\s+\p{L}{2,}|(^|[\s(])\p{Lu}\p{Ll}+/u;

const nameOf = (callee) =>
  callee.type === "MemberExpression" ? `.${callee.property.name ?? ""}` : (callee.name ?? "");
const keyOf = ({ key }) => key.name ?? key.value ?? "";

/** Where a string ends up: "text", "code", or "" where that cannot be told. */
function placeOf(node) {
  for (let child = node, parent = node.parent; parent; child = parent, parent = parent.parent) {
    if (/^(Import|Export)/.test(parent.type)) return "code";
    if (parent.type === "Property" || parent.type === "PropertyDefinition") {
      if (parent.key === child) return "code";
      if (TEXT_PROPERTIES.test(keyOf(parent))) return "text";
      return CODE_PROPERTIES.test(keyOf(parent)) ? "code" : "";
    }
    if (parent.type === "CallExpression" || parent.type === "NewExpression") {
      const name = nameOf(parent.callee);
      const k = parent.arguments.indexOf(child);
      if (name === "element" && parent.arguments[0].value === "code") return "code";
      const [first, last] = TEXT_ARGUMENTS[name] ?? [Infinity, 0];
      if (first <= k && k <= last) return "text";
      return CODE_CALLS.test(name) ? "code" : "";
    }
    if (parent.type === "AssignmentExpression")
      return parent.left.type === "MemberExpression" &&
        TEXT_PROPERTIES.test(nameOf(parent.left).slice(1))
        ? "text"
        : "";
    if (parent.type === "BinaryExpression" && parent.operator !== "+") return "code";
    if (parent.type === "ConditionalExpression" && parent.test === child) return "code";
    if (/Function|Statement|Declaration/.test(parent.type)) return "";
  }
  return "";
}

export default {
  name: "page",
  rules: {
    strings: {
      create(context) {
        function check(node, text) {
          if (!WORD.test(text) || NAMES.has(text.trim())) return;
          const place = placeOf(node);
          if (place === "code" || (place === "" && !ENGLISH.test(text))) return;
          context.report({
            node,
            message: `"${text.replace(/^_/, "").trim()}" is text for people, outside the catalogue. Add it to js/strings/en.js and use t().`,
          });
        }
        return {
          Literal: (node) => typeof node.value === "string" && check(node, node.value),
          // what follows a value without a space is a part of a name: `${name}Min`
          TemplateLiteral: (node) =>
            node.quasis.forEach((part, k) => check(node, (k ? "_" : "") + (part.cooked ?? ""))),
        };
      },
    },
  },
};
