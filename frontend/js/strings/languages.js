/**
 * The languages of the page by BCP 47 tag, each a module whose default export is its catalogue. The
 * first is the default. A further language is a module like en.js and a line here.
 */

/** @import { Catalogue } from "../types.d.ts" */

/** @type {Record<string, () => Promise<{ default: Catalogue }>>} */
export const LANGUAGES = {
  "en-GB": () => import("./en.js"),
};
