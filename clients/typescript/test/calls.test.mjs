// What a call sends, what it answers, and how often it is sent.

import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import { Geopera, NoAnswer, Problem, operationIds } from "../dist/index.js";
import { clientOf, refuse, serve } from "./servers.mjs";

const soon = { "Retry-After": "0" };

test("a body goes out as it was written, keys of the user's too", async (t) => {
  const server = await serve(t, () => ({ item: { id: "it_1" } }));
  const body = { itemId: "it_1", properties: { snake_case: 1, camelCase: 2, "a:b": null } };
  const answer = await clientOf(server).op("items.update", body);
  assert.deepEqual(answer, { item: { id: "it_1" } });
  const [{ method, url, headers, body: sent }] = server.seen;
  assert.equal(`${method} ${url}`, "POST /v1/op/items.update");
  assert.equal(headers.authorization, "Bearer gpra_secret");
  assert.equal(headers["content-type"], "application/json");
  assert.deepEqual(JSON.parse(sent), body);
});

test("the tree calls the same operations, in both spellings", async (t) => {
  const server = await serve(t, () => []);
  const client = clientOf(server);
  await client.processing.jobTypes.list({ category: "clip" });
  await client.processing.job_types.list({ category: "clip" });
  await client.astra.process({ operation: "ndvi" });
  await client.astra.process.get({ jobId: "job_1" });
  assert.deepEqual(
    server.seen.map(({ url }) => url.slice(7)),
    ["processing.job_types.list", "processing.job_types.list", "astra.process", "astra.process.get"],
  );
  for (const id of operationIds) {
    const found = id.split(".").reduce((node, name) => node[name], client);
    assert.equal(typeof found, "function", id);
  }
  assert.equal(client.processing.jobTypes.lst, undefined);
  assert.equal(await client, client); // it is no promise
});

test("no operation hides a method of the client", () => {
  const methods = Object.getOwnPropertyNames(Geopera.prototype);
  const heads = operationIds.map((id) => id.split(".")[0]);
  assert.deepEqual(heads.filter((head) => methods.includes(head)), []);
});

test("429, 503 and a broken connection are tried again with the same key", async (t) => {
  const server = await serve(t, (_, response, before) => {
    if (before === 0) response.destroy();
    else if (before === 2) refuse(response, 429, soon);
    else if (before === 3) refuse(response, 503, soon);
    else if (before === 1) {
      // the answer breaks off in its middle
      response.writeHead(200, { "Content-Type": "application/json", "Content-Length": "100" });
      response.write('{"id": "pr');
      setTimeout(() => response.destroy(), 20);
    } else return { id: "proj_1" };
  });
  const made = await clientOf(server).op("projects.create", { name: "A" });
  assert.deepEqual(made, { id: "proj_1" });
  assert.equal(server.seen.length, 5);
  const keys = new Set(server.seen.map(({ headers }) => headers["idempotency-key"]));
  assert.equal(keys.size, 1);
  assert.match([...keys][0], /^[0-9a-f]{32}$/);
});

test("a call has the key that it is given, two calls have two, and a read has none", async (t) => {
  const server = await serve(t, () => ({}));
  const client = clientOf(server);
  await client.projects.create({ name: "A" }, { idempotencyKey: "mine" });
  await client.projects.create({ name: "A" });
  await client.projects.create({ name: "A" });
  await client.projects.list({});
  const keys = server.seen.map(({ headers }) => headers["idempotency-key"]);
  assert.equal(keys[0], "mine");
  assert.equal(new Set(keys).size, 4);
  assert.equal(keys[3], undefined);
});

test("what gives bytes and is no read has no key, and is not done twice", async (t) => {
  const server = await serve(t, (_, response) => response.destroy() && undefined);
  const body = { jobId: "job_1", mosaicType: "x" };
  const failed = clientOf(server).op("clip.job.download", body, { idempotencyKey: "mine" });
  await assert.rejects(failed, NoAnswer);
  assert.deepEqual(server.seen.map(({ headers }) => headers["idempotency-key"]), [undefined]);
});

test("a 409 is tried again only where it says when", async (t) => {
  const server = await serve(t, (_, response, before) => {
    if (before === 0) refuse(response, 409, soon);
    else refuse(response, 409);
  });
  const failed = clientOf(server).op("projects.create", { name: "A" });
  await assert.rejects(failed, (error) => error instanceof Problem && error.status === 409);
  assert.equal(server.seen.length, 2);
});

test("it does not wait as long as it likes, nor for ever", async (t) => {
  const server = await serve(t, (_, response, before) => {
    refuse(response, 429, { "Retry-After": before < 3 ? "0" : "3600" });
  });
  const client = clientOf(server, { retries: 2 });
  await assert.rejects(client.op("projects.list"), { status: 429 });
  assert.equal(server.seen.length, 3);
  await assert.rejects(client.op("projects.list"), { status: 429, retryAfter: 3600 });
  assert.equal(server.seen.length, 4);
});

test("other refusals are not tried again, and say what was wrong", async (t) => {
  const server = await serve(t, (_, response) => {
    response.writeHead(422, { "Content-Type": "application/problem+json" });
    const detail = [{ loc: ["body", "item_id"], msg: "Field required", type: "missing" }];
    response.end(JSON.stringify({ title: "Invalid", status: 422, detail, instance: "req_1" }));
  });
  await assert.rejects(clientOf(server).op("items.get", {}), (error) => {
    assert.ok(error instanceof Problem && error instanceof Error);
    assert.equal(error.message, "items.get: 422 body.item_id: Field required");
    assert.deepEqual([error.status, error.title, error.instance], [422, "Invalid", "req_1"]);
    assert.deepEqual(error.faults[0].loc, ["body", "item_id"]);
    return true;
  });
  assert.equal(server.seen.length, 1);
});

test("an error without a document is a problem too", async (t) => {
  const server = await serve(t, (_, response) => {
    response.writeHead(502, { "Content-Type": "text/html" });
    response.end("<h1>Bad Gateway</h1>");
  });
  await assert.rejects(clientOf(server).op("projects.list"), {
    name: "Problem",
    status: 502,
    detail: "<h1>Bad Gateway</h1>",
  });
});

test("bytes are bytes", async (t) => {
  const server = await serve(t, (_, response) => {
    response.writeHead(200, { "Content-Type": "image/png" });
    response.end(Buffer.from([137, 80, 78, 71]));
  });
  const client = clientOf(server);
  const body = { cogUrl: "x", z: 0, x: 0, y: 0 };
  assert.deepEqual(await client.op("cog.tile.render", body), new Uint8Array([137, 80, 78, 71]));
  const blob = await client.bytes("cog.tile.render", body);
  assert.deepEqual([blob.type, blob.size], ["image/png", 4]);
});

test("the address may have a path, and comes from the environment", async (t) => {
  const server = await serve(t, () => []);
  await clientOf({ url: `${server.url}/geo` }).op("projects.list");
  process.env.GEOPERA_API_URL = `${server.url}/env/`;
  t.after(() => delete process.env.GEOPERA_API_URL);
  await new Geopera().op("projects.list");
  const urls = server.seen.map(({ url }) => url);
  assert.deepEqual(urls, ["/geo/v1/op/projects.list", "/env/v1/op/projects.list"]);
  assert.equal(server.seen[1].headers.authorization, undefined);
  for (const wrong of ["ftp://a", "https://a:b@c", "https://a/?key=1", "nothing"]) {
    assert.throws(() => new Geopera({ baseUrl: wrong }), TypeError);
  }
});

test("a caller may give up, at once", async (t) => {
  const server = await serve(t, (_, response, before) => {
    if (before) refuse(response, 503, { "Retry-After": "50" });
  });
  const client = clientOf(server);
  for (let times = 0; times < 2; times++) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("enough")), 100);
    const call = client.op("projects.list", {}, { signal: controller.signal });
    await assert.rejects(call, { message: "enough" });
  }
  assert.equal(server.seen.length, 2);
  const call = client.op("projects.list", {}, { signal: AbortSignal.abort(new Error("before")) });
  await assert.rejects(call, { message: "before" });
  assert.equal(server.seen.length, 2);
});

test("a silent server is not waited for, nor asked twice", async (t) => {
  const server = await serve(t, (_, response, before) => {
    if (before) response.writeHead(200, { "Content-Type": "application/json" }).write("[");
  });
  const client = clientOf(server, { timeoutMs: 100 });
  for (let times = 0; times < 2; times++) {
    await assert.rejects(client.op("projects.create", { name: "A" }), (error) => {
      assert.ok(error instanceof NoAnswer && error.message.includes("100 ms"), error);
      assert.equal(error.idempotencyKey, server.seen[times].headers["idempotency-key"]);
      return true;
    });
  }
  assert.equal(server.seen.length, 2);
});

test("where nobody listens there is no answer", async (t) => {
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const { port } = closed.address();
  await new Promise((done) => closed.close(done));
  const client = new Geopera({ baseUrl: `http://127.0.0.1:${port}`, retries: 1 });
  await assert.rejects(client.op("projects.list"), (error) => {
    assert.ok(error instanceof NoAnswer);
    assert.equal(error.cause.cause.code, "ECONNREFUSED");
    return true;
  });
});

test("what may not be repeated is sent once, when nobody knows whether it arrived", async (t) => {
  const server = await serve(t, (_, response) => response.destroy() && undefined);
  const client = clientOf(server, { retries: 1 });
  await assert.rejects(client.fetch("/ogc/x", { method: "POST", body: "{}" }), NoAnswer);
  assert.equal(server.seen.length, 1);
  await assert.rejects(client.fetch("/ogc/x"), NoAnswer);
  assert.equal(server.seen.length, 3);
  await assert.rejects(client.stream("/assets/stac/search", {}).next(), NoAnswer);
  assert.equal(server.seen.length, 5);
});

test("lines are asked for again only where that does nothing twice", async (t) => {
  const server = await serve(t, (_, response) => response.destroy() && undefined);
  const client = clientOf(server, { retries: 1 });
  const asked = async (...call) => {
    const before = server.seen.length;
    await assert.rejects(client.stream(...call).next(), NoAnswer);
    return server.seen.slice(before).map(({ headers }) => headers["idempotency-key"]);
  };
  // no key goes with what answers bytes, nor with what is no operation
  assert.deepEqual(await asked("clip.job.download", { jobId: "j" }), [undefined]);
  assert.deepEqual(await asked("/assets/stac/collections/c/items", { id: "i" }), [undefined]);
  assert.deepEqual(await asked("/x?to=/search", { id: "i" }), [undefined]);
  assert.deepEqual(await asked("/feed"), [undefined, undefined]);
  assert.equal((await asked("items.list", {})).length, 2);
  const keys = await asked("projects.create", { name: "n" });
  assert.equal(keys.length, 2);
  assert.ok(keys[0] && keys[0] === keys[1]);
});

test("a token may be fetched for each request", async (t) => {
  const server = await serve(t, (_, response, before) => {
    if (before) return [];
    refuse(response, 503, soon);
  });
  let turn = 0;
  const client = clientOf(server, { token: async () => `session_${turn++}` });
  await client.projects.list();
  const sent = server.seen.map(({ headers }) => headers.authorization);
  assert.deepEqual(sent, ["Bearer session_0", "Bearer session_1"]);
  const wrong = clientOf(server, { token: () => "a b" });
  await assert.rejects(wrong.projects.list(), TypeError);
  assert.equal(server.seen.length, 2);
});

test("bytes come as they are read, and go to a file of any size", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "opstac-"));
  t.after(() => rm(folder, { recursive: true }));
  const piece = Buffer.alloc(1 << 20, 7);
  const server = await serve(t, async (request, response, before) => {
    if (!before) return refuse(response, 503, soon);
    response.writeHead(200, { "Content-Type": "image/tiff" });
    for (let count = 0; count < (request.url.includes("cut") ? 1 : 256); count++) {
      if (!response.write(piece)) await once(response, "drain");
    }
    if (request.url.includes("cut")) return void response.destroy();
    response.end();
  });
  const client = clientOf(server);
  const rest = process.memoryUsage.rss();
  let peak = 0;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 5);
  const path = join(folder, "a.tif");
  await writeFile(path, client.pieces("items.tile.render", { itemId: "it_1", z: 0, x: 0, y: 0 }));
  clearInterval(watch);
  assert.equal((await stat(path)).size, 256 << 20);
  assert.ok(peak - rest < 160 << 20, `${(peak - rest) >> 20} MiB more`);
  assert.equal(server.seen.length, 2);
  // a link elsewhere gets no credential; leaving early ends it; what breaks off is no end
  const other = new Geopera({ token: "gpra_secret", baseUrl: "http://127.0.0.1:1" });
  for await (const some of other.pieces(`${server.url}/a?sig=S`)) {
    assert.ok(some.length);
    break;
  }
  assert.deepEqual([server.seen[2].method, server.seen[2].headers.authorization], ["GET", undefined]);
  const cut = async () => {
    for await (const some of client.pieces("/cut?sig=S")) assert.ok(some.length);
  };
  await assert.rejects(cut(), (error) => {
    assert.ok(error instanceof NoAnswer && !error.message.includes("sig"), error);
    return true;
  });
});

test("a signal that lasts is not held on to", async (t) => {
  const server = await serve(t, () => []);
  const { signal } = new AbortController();
  for (let times = 0; times < 20; times++) await clientOf(server).op("projects.list", {}, { signal });
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("a token is shown nowhere", () => {
  const client = new Geopera({ token: "gpra_secret" });
  assert.doesNotMatch(inspect(client, { depth: 5, showHidden: true }), /gpra_secret/);
  assert.doesNotMatch(JSON.stringify(client), /gpra_secret/);
  assert.throws(
    () => new Geopera({ token: "gpra_secret\r\nX-Api-Key: other" }),
    (error) => error instanceof TypeError && !error.message.includes("gpra"),
  );
});
