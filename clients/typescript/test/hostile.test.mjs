// Servers and callers that mean no good.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NoAnswer, Problem } from "../dist/index.js";
import { clientOf, serve } from "./servers.mjs";

test("the credential goes nowhere else, not by redirects either", async (t) => {
  const thief = await serve(t, () => ({ stolen: true }));
  for (const status of [301, 302, 303, 307, 308]) {
    const server = await serve(t, (_, response) => {
      response.writeHead(status, { Location: `${thief.url}/take` });
      response.end();
    });
    const client = clientOf(server);
    const calls = [
      () => client.op("projects.list"),
      () => client.op("projects.create", { name: "A" }),
      () => client.fetch("/assets/stac"),
      () => client.stream("/assets/stac/search", {}).next(),
    ];
    for (const call of calls) {
      await assert.rejects(call(), (error) => error instanceof Problem && error.status === status);
    }
    assert.equal(server.seen.length, 4);
  }
  assert.deepEqual(thief.seen, []);
});

test("a link elsewhere is fetched without the credential", async (t) => {
  const server = await serve(t, () => ({}));
  const other = await serve(t, () => ({}));
  const client = clientOf(server);
  const { port } = new URL(other.url);
  const links = [other.url, `//127.0.0.1:${port}/a`, `/\\127.0.0.1:${port}/a`, `\\\\127.0.0.1:${port}`];
  for (const link of links) await client.fetch(link);
  await client.fetch(server.url + "/b");
  await client.fetch("/c?d=1");
  for (const { headers } of other.seen) assert.equal(headers.authorization, undefined);
  assert.deepEqual(
    server.seen.filter(({ headers }) => headers.authorization === "Bearer gpra_secret").map(({ url }) => url),
    server.seen.map(({ url }) => url),
  );
  assert.equal(server.seen.length + other.seen.length, 6);
});

test("an id is an id", async (t) => {
  const server = await serve(t, () => ({}));
  const client = clientOf(server);
  const wrong = ["", "..", "../../storage/x", "a/b", "a?b", "a#b", "a..b", ".a", "items.get\n", "a%2e", "é"];
  for (const id of wrong) await assert.rejects(client.invoke(id, {}), TypeError);
  for (const id of [null, undefined, {}, ["items.get"]]) {
    await assert.rejects(async () => client.invoke(id, {}), TypeError);
  }
  assert.deepEqual(server.seen, []);
  await client.invoke("__proto__", {});
  await client.invoke("constructor.prototype", {});
  assert.deepEqual(server.seen.map(({ url }) => url), ["/v1/op/__proto__", "/v1/op/constructor.prototype"]);
});

test("keys such as __proto__ change no object, in bodies, answers and problems", async (t) => {
  const text = '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}, "detail": 5, "title": [1]}';
  const server = await serve(t, (_, response, before) => {
    response.writeHead(before % 2 ? 400 : 200, { "Content-Type": "application/json" });
    response.end(text);
  });
  const client = clientOf(server);
  const body = JSON.parse(text);
  const answer = await client.op("items.update", body);
  assert.equal(JSON.stringify(answer), JSON.stringify(body));
  assert.equal(server.seen[0].body, JSON.stringify(body));
  await assert.rejects(client.op("items.update", body), { status: 400, title: "Error", detail: "" });
  assert.equal({}.polluted, undefined);
  assert.equal(client.__proto__, Object.getPrototypeOf(client));
  assert.equal(client.items.__proto__, undefined);
  assert.equal(client.items.constructor, undefined);
  assert.throws(() => Object.assign(client, { items: null }), TypeError);
});

test("problems of every shape", async (t) => {
  const shapes = ["null", "[]", "5", '"text"', "{", "", '{"detail": [null, {"loc": 1}, {}], "status": "x"}', `{"detail": ${'['.repeat(5000)}${']'.repeat(5000)}}`];
  const server = await serve(t, (_, response, before) => {
    response.writeHead(400, { "Content-Type": "application/problem+json" });
    response.end(shapes[before]);
  });
  for (const _ of shapes) {
    await assert.rejects(clientOf(server).op("projects.list"), (error) => {
      return error instanceof Problem && error.status === 400 && typeof error.detail === "string";
    });
  }
});

test("a link with a password, and numbers that JSON has not, are refused before anything is sent", async (t) => {
  const server = await serve(t, () => ({}));
  const client = clientOf(server);
  const { port } = new URL(server.url);
  await assert.rejects(client.fetch(`http://a:b@127.0.0.1:${port}/`), TypeError);
  await assert.rejects(client.fetch("/", { headers: { a: "b\nc: d" } }), TypeError);
  await assert.rejects(client.alerts.updateRule({ ruleId: "x", threshold: NaN }), /threshold is NaN/);
  await assert.rejects(client.items.update({ itemId: "x", properties: { a: [1 / 0] } }), TypeError);
  for (const idempotencyKey of ["", "a\nb", "é", "x".repeat(256)]) {
    await assert.rejects(client.op("projects.create", { name: "A" }, { idempotencyKey }), TypeError);
  }
  assert.deepEqual(server.seen, []);
});

test("an answer has its limit, in one piece and in lines", async (t) => {
  let closed = 0;
  const server = await serve(t, ({ url }, response) => {
    response.on("close", () => closed++);
    const kind = url.startsWith("/v1") ? "application/json" : "application/x-ndjson";
    response.writeHead(url === "/v1/op/projects.get" ? 400 : 200, { "Content-Type": kind });
    const more = () => {
      while (!response.destroyed && response.write("x".repeat(65536)));
      if (!response.destroyed) response.once("drain", more);
    };
    more();
  });
  const client = clientOf(server, { maxBytes: 2 << 20 });
  await assert.rejects(client.op("projects.list"), RangeError);
  await assert.rejects(client.op("projects.get", { projectId: "x" }), { name: "Problem", status: 400 });
  await assert.rejects(client.stream("/endless").next(), RangeError);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(closed, 3);
});

test("what is no JSON is no answer", async (t) => {
  const bodies = ["{", "\u0000", "NaN", '{"a": 1'];
  const server = await serve(t, (_, response, before) => {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(bodies[before]);
  });
  for (const _ of bodies) {
    await assert.rejects(clientOf(server).op("projects.list"), { name: "NoAnswer" });
  }
  assert.equal(server.seen.length, bodies.length);
});

test("lines come one by one, however they are cut", async (t) => {
  const text = '{"name":"Zürich 🏔"}\r\n\n{"n":2}\n[3]';
  const bytes = Buffer.from(text);
  const server = await serve(t, async ({ url }, response) => {
    response.writeHead(200, { "Content-Type": "application/x-ndjson; charset=utf-8" });
    if (url === "/bytes") {
      for (const byte of bytes) {
        response.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      response.end();
    } else response.end(bytes);
  });
  const client = clientOf(server);
  for (const path of ["/bytes", "/whole"]) {
    const lines = await Array.fromAsync?.(client.stream(path)) ?? (await all(client.stream(path)));
    assert.deepEqual(lines, [{ name: "Zürich 🏔" }, { n: 2 }, [3]]);
  }
  assert.equal(server.seen[0].headers.accept, "application/x-ndjson");
});

test("leaving a loop over lines closes the connection", async (t) => {
  let closed;
  const left = new Promise((resolve) => (closed = resolve));
  const server = await serve(t, (_, response) => {
    response.on("close", closed);
    response.writeHead(200, { "Content-Type": "application/x-ndjson" });
    response.write('{"n":1}\n{"n":2}\n');
  });
  for await (const line of clientOf(server).stream("/feed")) {
    assert.deepEqual(line, { n: 1 });
    break;
  }
  await left;
});

test("lines that break off, are no lines, or fall silent are an error", async (t) => {
  const server = await serve(t, ({ url }, response) => {
    if (url === "/json") return {};
    response.writeHead(200, { "Content-Type": "application/x-ndjson" });
    response.write(url === "/torn" ? '{"n":1}\n{"n":' : '{"n":1}\nnonsense\n');
    if (url === "/torn") setTimeout(() => response.destroy(), 20);
  });
  const client = clientOf(server, { timeoutMs: 300 });
  await assert.rejects(client.stream("/json").next(), NoAnswer);
  for (const path of ["/torn", "/nonsense", "/silent"]) {
    const seen = [];
    const read = async () => {
      for await (const line of client.stream(path)) seen.push(line);
    };
    await assert.rejects(read(), NoAnswer);
    assert.deepEqual(seen, [{ n: 1 }]);
  }
});

test("a loop over lines may be given up from outside", async (t) => {
  const server = await serve(t, (_, response) => {
    response.writeHead(200, { "Content-Type": "application/x-ndjson" });
    response.write('{"n":1}\n');
  });
  const controller = new AbortController();
  const lines = clientOf(server).stream("/feed", null, { signal: controller.signal });
  assert.deepEqual((await lines.next()).value, { n: 1 });
  setTimeout(() => controller.abort(new Error("enough")), 30);
  await assert.rejects(lines.next(), { message: "enough" });
});

async function all(lines) {
  const found = [];
  for await (const line of lines) found.push(line);
  return found;
}
