// Waiting for jobs, and uploads that are cut off.

import assert from "node:assert/strict";
import { test } from "node:test";
import { JobFailed, NoAnswer } from "../dist/index.js";
import { clientOf, refuse, serve } from "./servers.mjs";

/** A server whose job takes on one status after the other, the last for ever. */
async function job(t, ...statuses) {
  const server = await serve(t, (_, __, before) => {
    const status = statuses[Math.min(before, statuses.length - 1)];
    const error = status === "failed" ? { code: "bad_formula", message: "no band" } : null;
    return { job: { id: "job_1", status, error } };
  });
  return { server, client: clientOf(server) };
}

test("a job is waited for", async (t) => {
  const { client, server } = await job(t, "pending", "running", "completed");
  const seen = [];
  const options = { intervalMs: 1, onProgress: ({ status }) => seen.push(status) };
  assert.equal((await client.wait("job_1", options)).status, "completed");
  assert.deepEqual(seen, ["pending", "running", "completed"]);
  assert.deepEqual(JSON.parse(server.seen[0].body), { jobId: "job_1" });
});

test("a job that fails is an error that has it", async (t) => {
  for (const [status, code, message] of [
    ["failed", "bad_formula", "job job_1 failed: bad_formula, no band"],
    ["cancelled", "cancelled", "job job_1 cancelled"],
  ]) {
    const { client } = await job(t, status);
    await assert.rejects(client.wait("job_1"), (error) => {
      assert.ok(error instanceof JobFailed && error.job.status === status);
      assert.deepEqual([error.code, error.message], [code, message]);
      return true;
    });
  }
});

test("waiting has an end, and may be given up", async (t) => {
  const { client } = await job(t, "running");
  await assert.rejects(client.wait("job_1", { timeoutMs: 20, intervalMs: 5 }), NoAnswer);
  const signal = AbortSignal.timeout(50);
  await assert.rejects(client.wait("job_1", { signal }), { name: "TimeoutError" });
});

/** A platform that takes one upload; `faults` says what goes wrong at which PUT. */
async function platform(t, size, faults = {}) {
  const state = { stored: Buffer.alloc(0), puts: 0, places: 0, status: "completed", keys: {} };
  const server = await serve(t, (request, response) => {
    const id = request.url.slice("/v1/op/".length);
    if (request.headers["idempotency-key"]) state.keys[id] = request.headers["idempotency-key"];
    if (id === "uploads.initiate") return { id: "up_1" };
    if (id === "uploads.signed_url") state.places++;
    if (id === "uploads.signed_url") return { upload_url: `${server.url}/storage/a?sig=1` };
    if (id === "uploads.complete") {
      state.described = JSON.parse(request.body);
      return { upload: { id: "up_1", status: state.status, item_ids: [] }, items: [] };
    }
    if (id === "uploads.get") return { upload: { id: "up_1", status: "completed", item_ids: ["it_1"] } };
    const standing = () => ({
      "Upload-Offset": String(state.stored.length),
      "Upload-Complete": state.stored.length === size ? "?1" : "?0",
    });
    if (request.method === "HEAD") return response.writeHead(200, standing()).end() && undefined;
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(request.headers["content-range"] ?? "");
    const fault = faults[state.puts++];
    const at = range ? Number(range[1]) : 0;
    if (fault === "lapsed") return refuse(response, 403);
    if (at !== state.stored.length) return refuse(response, 409);
    const bytes = Buffer.from(request.body);
    state.stored = Buffer.concat([state.stored, fault === "half" ? bytes.subarray(0, 3) : bytes]);
    if (fault) return response.destroy() && undefined;
    response.writeHead(201, standing()).end();
  });
  return { state, server, client: clientOf(server, { retries: 2 }) };
}

test("a file goes up in pieces, and goes on where it was cut off", async (t) => {
  const text = "0123456789abcdefghij";
  const { state, client, server } = await platform(t, text.length, { 0: "half", 2: "lost" });
  const progress = [];
  const upload = await client.upload(new Blob([text]), {
    projectId: "proj_1",
    fileName: "a.tif",
    pieceBytes: 8,
    item: { name: "A", properties: { snake_case: 1, camelCase: 2 } },
    idempotencyKey: "mine",
    onProgress: (sent, total) => progress.push(`${sent}/${total}`),
  });
  assert.equal(upload.status, "completed");
  assert.equal(state.stored.toString(), text);
  assert.equal(progress.at(-1), "20/20");
  assert.deepEqual(state.described, {
    upload_id: "up_1", name: "A", properties: { snake_case: 1, camelCase: 2 },
  });
  assert.equal(state.keys["uploads.complete"], "mine-complete");
  const puts = server.seen.filter(({ method }) => method === "PUT");
  assert.ok(puts.length >= 4);
});

test("a URL that has lapsed is asked for again, and no further than it helps", async (t) => {
  const { state, client } = await platform(t, 6, { 0: "lapsed" });
  const options = { projectId: "proj_1", pieceBytes: 3 };
  await client.upload(new Blob(["abcdef"]), options);
  assert.deepEqual([state.stored.toString(), state.places], ["abcdef", 2]);
  const other = await platform(t, 6, { 0: "lapsed", 1: "lapsed", 2: "lapsed", 3: "lapsed" });
  await assert.rejects(other.client.upload(new Blob(["abcdef"]), options), { status: 403 });
  assert.equal(other.state.places, 3);
});

test("a file that is not the one that was begun is not mixed with it", async (t) => {
  const { state, client } = await platform(t, 20);
  state.stored = Buffer.from("0123456789");
  await assert.rejects(client.upload(new Blob(["abc"]), { projectId: "proj_1" }), RangeError);
  assert.equal(state.puts, 0);
});

test("a large file is rewritten while the caller waits", async (t) => {
  const { state, client } = await platform(t, 3);
  state.status = "processing";
  const upload = await client.upload(new Blob(["abc"]), { projectId: "proj_1" });
  assert.deepEqual(upload.item_ids, ["it_1"]);
});
