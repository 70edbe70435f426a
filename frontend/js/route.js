/** URLs of the page's views: #/compare?jobs=a,b&height=log. Pure. */

/** @import { Query, Route } from "./types.d.ts" */

/** @type {[string, RegExp][]} */
const PATTERNS = [
  ["gallery", /^\/?$/],
  ["library", /^\/library$/],
  ["jobs", /^\/jobs$/],
  ["job", /^\/jobs\/([a-z0-9]{16,64})$/],
  ["new", /^\/new$/],
  ["account", /^\/account$/],
  ["shared", /^\/shared\/([A-Za-z0-9_-]{20,200})$/],
  ["compare", /^\/compare$/],
];

/**
 * "#/jobs/abc?view=contour" as { name: "job", id: "abc", query: { view: "contour" } }; name is
 * "missing" where no view matches.
 * @type {(hash: string) => Route}
 */
export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#/, "").split("?");
  const query = Object.fromEntries(new URLSearchParams(search));
  for (const [name, pattern] of PATTERNS) {
    const match = pattern.exec(path);
    if (match) return { name, path: path || "/", id: match[1] ?? "", query };
  }
  return { name: "missing", path, id: "", query };
}

/**
 * The URL of `path` with the entries of `query` that are set; commas are not escaped.
 * @type {(path: string, query?: Record<string, string | number | null | undefined>) => string}
 */
export function address(path, query = {}) {
  const entries = Object.entries(query)
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => [name, String(value)]);
  const search = new URLSearchParams(entries).toString().replaceAll("%2C", ",");
  return `#${path}${search ? `?${search}` : ""}`;
}

/**
 * The jobs a comparison names, each once.
 * @type {(query: Query) => string[]}
 */
export const jobsOf = (query) => [
  ...new Set((query.jobs ?? "").split(",").filter((id) => /^[a-z0-9]{16,64}$/.test(id))),
];

/**
 * `query[name]` where it is one of `allowed`, else `fallback`.
 * @type {<T extends string>(query: Query, name: string, allowed: readonly T[], fallback: T) => T}
 */
export const choice = (query, name, allowed, fallback) =>
  allowed.find((one) => one === query[name]) ?? fallback;
