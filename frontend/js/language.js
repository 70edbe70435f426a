/** The language of the page: the first of the browser's that there is a catalogue for. */

import { LANGUAGES } from "./strings/languages.js";

/**
 * The first of the languages a user `wants` that is `present`, in any regional variant; else the
 * first present.
 * @type {(wants: readonly string[], present: string[]) => string}
 */
export function choose(wants, present) {
  /** @type {(tag: string) => string} */
  const base = (tag) => tag.split("-")[0].toLowerCase();
  for (const tag of wants) {
    const found = present.includes(tag) ? tag : present.find((own) => base(own) === base(tag));
    if (found) return found;
  }
  return present[0];
}

/** A BCP 47 tag: for the catalogue, and for numbers and dates through Intl. */
export const language = choose(globalThis.navigator?.languages ?? [], Object.keys(LANGUAGES));

export const catalogue = (await LANGUAGES[language]()).default;
