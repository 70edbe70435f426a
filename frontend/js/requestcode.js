// deno-lint-ignore-file page/strings -- code, except for its comments
/** A JobSpec as code: curl for a shell, Python for a notebook. Pure. */

import { t } from "./text.js";

/** @import { Spec } from "./types.d.ts" */

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

const JSON_WORDS = { null: "null", true: "true", false: "false", last: "" };

const PYTHON_WORDS = { null: "None", true: "True", false: "False", last: "," };

/**
 * JSON, or the same as Python writes it; small objects on a line. Strings are JSON strings, which Python reads the same.
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
