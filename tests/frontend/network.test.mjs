import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

globalThis.localStorage ??= { getItem: () => null, setItem() {} };
globalThis.document ??= { documentElement: { dataset: {} }, addEventListener() {} };
globalThis.matchMedia ??= () => ({ matches: false, addEventListener() {} });
globalThis.location ??= { hash: "" };
globalThis.addEventListener ??= () => {};
const { get, prepare } = await import("../../frontend/js/network.js");

/** The service answers with these, one after the other, the last again and again. */
function service(...answers) {
  const asked = [];
  globalThis.fetch = async (path) => {
    const [status, body] = answers[Math.min(asked.length, answers.length - 1)];
    asked.push(path);
    const headers = status === 429 ? { "Retry-After": "3" } : {};
    return new Response(JSON.stringify(body), { status, headers });
  };
  return asked;
}

/** Let the timers of a promise run as they are set, until it ends; resolves to the seconds. */
async function untilEnded(promise) {
  let ended = false;
  const end = () => (ended = true);
  promise.then(end, end);
  for (let seconds = 0; ; seconds += 1) {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    if (ended) return seconds;
    mock.timers.tick(1000);
  }
}

const BUSY = [429, { error: { code: "too_many", message: "Try again in 3 s." } }];

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
});

test("a request that is refused with 429 is sent again when the service says", async () => {
  const asked = service(BUSY, BUSY, [200, { losses: [] }]);
  const answer = get("/api/v1/jobs/a/result");
  const seconds = await untilEnded(answer);
  assert.deepEqual(await answer, { losses: [] });
  assert.equal(asked.length, 3);
  assert.ok(seconds >= 6 && seconds <= 10, `${seconds} s`);
});

test("after a few refusals the service's sentence is shown", async () => {
  const asked = service(BUSY);
  const answer = get("/api/v1/jobs/a/result");
  await untilEnded(answer);
  await assert.rejects(answer, /Try again in 3 s/);
  assert.ok(asked.length > 3 && asked.length < 12);
});

test("a view that is left asks no more", async () => {
  const asked = service(BUSY);
  const view = new AbortController();
  const answer = get("/api/v1/jobs/a/result", view.signal);
  setImmediate(() => setImmediate(() => view.abort()));
  await untilEnded(answer);
  await assert.rejects(answer, { name: "AbortError" });
  assert.equal(asked.length, 1);
});

test("a download is prepared before the browser is sent to it, and other errors are not repeated", async () => {
  const asked = service(BUSY, [200, "file"]);
  const ready = prepare("/api/v1/jobs/a/result?format=csv");
  await untilEnded(ready);
  assert.equal(await ready, undefined);
  assert.equal(asked.length, 2);
  const once = service([500, { error: { code: "damaged", message: "1 part changed." } }]);
  await assert.rejects(prepare("/api/v1/jobs/a/result?format=csv"), /1 part changed/);
  assert.equal(once.length, 1);
});
