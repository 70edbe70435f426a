/** Strings of the page, from the catalogue of its language. Pure. */

import { catalogue, language } from "./language.js";
import { whole } from "./numbers.js";

/** @import { Arguments, Child, Key, PlainKey } from "./types.d.ts" */

const plurals = new Intl.PluralRules(language);

/**
 * The string of a key: t("list.of", { done: 3, total: "all" }). Numbers are written as counts, text
 * as it is; a string that has plural forms takes the one for the number `count`.
 * @type {<K extends Key>(key: K, ...values: Arguments<K, string | number>) => string}
 */
export const t = (key, ...values) => parts(key, values[0] ?? {}).join("");

/**
 * The same with nodes as values: a list of strings and nodes, in the order of the language.
 * @type {<K extends Key>(key: K, ...values: Arguments<K, Child>) => Child[]}
 */
export const tNodes = (key, ...values) => parts(key, values[0] ?? {});

/**
 * The string of a key that is put together of names, such as those of an option; `otherwise` where
 * there is none.
 * @type {(key: string, otherwise?: string) => string}
 */
export const named = (key, otherwise = "") =>
  key in catalogue ? t(/** @type {PlainKey} */ (key)) : otherwise;

/** @type {(key: Key, values: Record<string, Child>) => Child[]} */
function parts(key, values) {
  const entry = catalogue[key];
  const text = typeof entry === "string" ? entry : (entry[form(values.count)] ?? entry.other);
  return text.split(/\{(\w+)\}/).map((part, k) => (k % 2 ? written(values[part]) : part));
}

/** @type {(count: Child) => Intl.LDMLPluralRule} */
const form = (count) => plurals.select(Number(count));

/** @type {(value: Child) => Child} */
const written = (value) => (typeof value === "number" ? whole(value) : value);

/**
 * Names as in a sentence: "a, b and c".
 * @type {(names: string[]) => string}
 */
export const listed = (names) => new Intl.ListFormat(language).format(names);

/**
 * The same of nodes.
 * @type {(nodes: Child[]) => Child[]}
 */
export const listedNodes = (nodes) =>
  new Intl.ListFormat(language)
    .formatToParts(nodes.map((_, k) => String(k)))
    .map(({ type, value }) => (type === "element" ? nodes[Number(value)] : value));
