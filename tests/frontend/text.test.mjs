import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { choose } from "../../frontend/js/language.js";
import en from "../../frontend/js/strings/en.js";
import { LANGUAGES } from "../../frontend/js/strings/languages.js";
import { listed, t, tNodes } from "../../frontend/js/text.js";

const page = new URL("../../frontend/", import.meta.url);

/** The names in braces, sorted; every plural form has to have the same. */
function namesIn(entry) {
  const texts = typeof entry === "string" ? [entry] : Object.values(entry);
  return texts.map((text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort());
}

test("a string takes its values: numbers as counts, text as it is", () => {
  assert.equal(t("part.of", { part: 1500, total: "1500" }), "1\u202f500 of 1500");
});

test("a plural form is that of Intl.PluralRules for `count`", () => {
  for (const count of [0, 1, 2, 1500]) {
    const noun = new Intl.PluralRules("en").select(count) === "one" ? "point" : "points";
    assert.equal(t("points", { count }).replaceAll("\u202f", ""), `${count} ${noun}`);
  }
});

test("nodes keep their place in a sentence", () => {
  const link = { node: true };
  assert.deepEqual(tNodes("compare.single", { link }), ["This is a single result. ", link, ""]);
});

test("names are listed as in a sentence", () => {
  assert.equal(listed(["a"]), "a");
  assert.equal(listed(["a", "b", "c"]), "a, b and c");
});

test("the language is the first that the browser asks for and the page has, in any variant, else the default", () => {
  const present = ["en-GB", "de", "pt-BR"];
  assert.equal(choose(["fr", "de-CH", "en"], present), "de");
  assert.equal(choose(["pt-PT"], present), "pt-BR");
  assert.equal(choose(["en-US"], present), "en-GB");
  assert.equal(choose(["ja"], present), "en-GB");
  assert.equal(choose([], present), "en-GB");
});

test("every language has every string of the English one, with the same values", async () => {
  for (const [tag, load] of Object.entries(LANGUAGES)) {
    const { default: strings } = await load();
    assert.deepEqual(Object.keys(strings).sort(), Object.keys(en).sort(), tag);
    for (const [key, entry] of Object.entries(strings)) {
      const [expected] = namesIn(en[key]);
      for (const names of namesIn(entry)) assert.deepEqual(names, expected, `${tag}: ${key}`);
    }
  }
});

/** The page's code, but for the catalogues. */
const code = readdirSync(new URL("js/", page), { recursive: true })
  .filter((name) => name.endsWith(".js") && !name.startsWith("strings"))
  .map((name) => readFileSync(new URL(`js/${name}`, page), "utf8"))
  .concat(readFileSync(new URL("index.html", page), "utf8"))
  .join("\n");

test("every string of the catalogue is used, by its key or by a template of keys such as `state.${state}`", () => {
  const templates = [...code.matchAll(/`([a-z]+(?:\.[a-z]+)*\.)\$\{/g)].map(([, start]) => start);
  const unused = Object.keys(en).filter(
    (key) => !code.includes(`"${key}"`) && !templates.some((start) => key.startsWith(start)),
  );
  assert.deepEqual(unused, []);
});

test("the text in index.html is that of the English catalogue", () => {
  const html = readFileSync(new URL("index.html", page), "utf8");
  const texts = [...html.matchAll(/<[^>]*data-text="([^"]+)"[^>]*>([^<]*)</g)];
  assert.ok(texts.length > 8);
  for (const [, key, text] of texts) assert.equal(text, en[key], key);
  for (const [tag, key] of html.matchAll(/<[^>]*data-label="([^"]+)"[^>]*>/g))
    assert.ok(tag.includes(`aria-label="${en[key]}"`), key);
  // what is left is the name of the program, and what is read without JavaScript
  const rest = html
    .replace(/<noscript>.*<\/noscript>|<title>.*<\/title>|<meta[^>]*>/g, "")
    .replace(/(<[^>]*data-text="[^"]+"[^>]*>)[^<]*/g, "$1")
    .replace(/<[^>]*>/g, " ");
  assert.equal(rest.trim().replace(/\s+/g, " "), "Loss Landscape");
});
