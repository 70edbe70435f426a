// deno-lint-ignore-file page/strings -- code, except for its comments
/** A JobSpec as code: curl or `landscape` for a shell, Python for a notebook. Pure. */

import { definitionOf } from "./request.js";
import { t } from "./text.js";

/** @import { Axis, Option, OptionValue, Spec } from "./types.d.ts" */

/**
 * The request for a shell.
 * @type {(spec: Spec, origin: string) => string}
 */
export function asCurl(spec, origin) {
  const body = literal(spec, JSON_WORDS).replaceAll("'", "'\\''");
  return `curl -X POST ${origin}/api/v1/jobs \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

/**
 * The request for a notebook: the standard library is enough.
 * @type {(spec: Spec, origin: string) => string}
 */
export function asPython(spec, origin) {
  return `import json, urllib.request

service = "${origin}"
spec = ${literal(spec, PYTHON_WORDS)}
request = urllib.request.Request(f"{service}/api/v1/jobs", json.dumps(spec).encode(), {"Content-Type": "application/json"})
job = json.load(urllib.request.urlopen(request))["id"]
# ${t("code.running")}
result = json.load(urllib.request.urlopen(f"{service}/api/v1/jobs/{job}/result"))
result["losses"]  # ${t("code.order")}`;
}

/**
 * The request as a command of `landscape`, which uploads the files named if the service does not
 * have them.
 * @type {(spec: Spec, origin: string, nameOf: (id: string) => string) => string}
 */
export function asShell(spec, origin, nameOf) {
  const { kind, grid } = spec;
  const { roles, options } = definitionOf(kind);
  const files = roles.flatMap(({ name }) => [spec[name]].flat()).map((id) => nameOf(String(id)));
  const chosen = Object.entries(options).filter(
    ([name, own]) => name in spec && own.shell !== false,
  );
  const values = chosen.flatMap(([name, option]) => shellOptions(name, spec[name], option, nameOf));
  const all = [
    ...(grid ? gridOptions(Object.values(grid)) : []),
    ...values,
    `--server ${origin}`,
    `-o ${kind}.npz`,
  ];
  return [`landscape ${kind} ${files.map(quoted).join(" ")}`, ...all].join(" \\\n  ");
}

/** @type {(axes: Axis[]) => string[]} */
function gridOptions(axes) {
  const [first, second = first] = axes.map(({ min, max }) => `${min}:${max}`);
  const counts = axes.map(({ count }) => count).join("x");
  return [
    `--grid ${counts}`,
    `--range=${first}`,
    ...(second === first ? [] : [`--range-beta=${second}`]),
  ];
}

/**
 * @type {(name: string, value: unknown, option: Option, nameOf: (id: string) => string) =>
 * string[]}
 */
function shellOptions(name, value, { type }, nameOf) {
  const flag = `--${name.replaceAll("_", "-")}`;
  if (type === "Subset") {
    const { count, seed } = /** @type {{ count: number; seed: number }} */ (value);
    return [`${flag} ${count}:${seed}`];
  }
  const given = [/** @type {OptionValue} */ (value)].flat().map(String);
  return given.map((own) => `${flag} ${quoted(name === "dataset" ? nameOf(own) : own)}`);
}

/** @type {(text: string) => string} */
const quoted = (text) =>
  /^[\w.,:=/@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

const JSON_WORDS = { null: "null", true: "true", false: "false", last: "" };

const PYTHON_WORDS = { null: "None", true: "True", false: "False", last: "," };

/**
 * JSON, or the same as Python writes it; small objects on a line. Strings are JSON strings, which
 * Python reads the same.
 * @type {(value: unknown, words: typeof JSON_WORDS, indent?: string) => string}
 */
function literal(value, words, indent = "") {
  if (value === null) return words.null;
  if (typeof value === "boolean") return value ? words.true : words.false;
  if (typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value))
    return `[${value.map((own) => literal(own, words, indent)).join(", ")}]`;
  const inner = `${indent}  `;
  const entries = Object.entries(value).map(
    ([key, own]) => `"${key}": ${literal(own, words, inner)}`,
  );
  if (indent && Object.values(value).every((own) => own === null || typeof own !== "object"))
    return `{${entries.join(", ")}}`;
  return `{\n${inner}${entries.join(`,\n${inner}`)}${words.last}\n${indent}}`;
}
