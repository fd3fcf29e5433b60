// Against a platform: its address and credential are in the environment, and a file to upload.
// Not named *.test.mjs: `npm test` needs no platform.

import assert from "node:assert/strict";
import { openAsBlob } from "node:fs";
import { test } from "node:test";
import { Geopera, Problem } from "../dist/index.js";

const client = new Geopera({ token: process.env.GEOPERA_API_TOKEN });
let projectId;
let item;

test("a file becomes an item, and the user's keys stay as they are", async () => {
  ({ id: projectId } = await client.projects.create({ name: "Typed" }));
  const file = await openAsBlob(process.env.OPSTAC_TEST_FILE, { type: "image/tiff" });
  const properties = { snake_case: 1, camelCase: 2, "my:key": { inner_key: [1], innerKey: null } };
  const progress = [];
  const options = {
    idempotencyKey: "this-file",
    projectId,
    fileName: "fields.tif",
    pieceBytes: 1 << 20,
    item: { name: "Fields", datetime: "2021-04-01T00:00:00Z", properties },
    onProgress: (sent) => progress.push(sent),
  };
  const upload = await client.upload(file, options);
  assert.deepEqual(await client.upload(file, options), upload);
  assert.deepEqual([progress[0], progress.at(-1)], [0, file.size]);
  const [itemId] = upload.item_ids;
  ({ item } = await client.op("items.get", { itemId }));
  assert.equal(item.name, "Fields");
  for (const [key, value] of Object.entries(properties)) {
    assert.deepEqual(item.properties[key], value, key);
  }
});

test("both spellings, all doors of the client", async () => {
  const ways = [
    await client.op("items.get", { item_id: item.id }),
    await client.op("items.get", { itemId: item.id }),
    await client.items.get({ itemId: item.id }),
    await client.invoke("items.get", { itemId: item.id }),
    await (await client.fetch(`/v1/items/${item.id}`)).json(),
  ];
  for (const way of ways) assert.deepEqual(way, { item });
  await client.items.update({ itemId: item.id, properties: { itemId: "mine", item_id: "mine" } });
  const { item: changed } = await client.items.get({ itemId: item.id });
  assert.equal(changed.properties.itemId, "mine");
  assert.equal(changed.properties.item_id, "mine");
});

test("a repeated call with one key is one call", async () => {
  const options = { idempotencyKey: "once" };
  const made = await client.collections.create({ projectId, name: "A" }, options);
  assert.deepEqual(await client.collections.create({ projectId, name: "A" }, options), made);
  const other = client.collections.create({ projectId, name: "B" }, options);
  await assert.rejects(other, { name: "Problem", status: 409 });
});

test("refusals", async () => {
  await assert.rejects(client.items.get({ itemId: "it_other" }), { status: 404, name: "Problem" });
  await assert.rejects(client.invoke("items.get", { itemId: 5 }), (error) => {
    assert.ok(error instanceof Problem && error.status === 422);
    assert.deepEqual(error.faults[0].loc, ["body", "item_id"]);
    return true;
  });
  await assert.rejects(client.invoke("no.such_operation"), { status: 404 });
  await assert.rejects(new Geopera().op("projects.list"), { status: 401 });
});

test("bytes and lines", async () => {
  const { tiles } = await client.items.tile.tilejson({ itemId: item.id });
  assert.ok(tiles[0].includes(item.id));
  const body = { itemId: item.id, baseUrl: client.baseUrl };
  const document = await client.items.tile.wmtsCapabilities(body);
  assert.match(new TextDecoder().decode(document), /^<\?xml/);
  const blob = await client.bytes("items.tile.wmts_capabilities", body);
  assert.equal(blob.type, "application/xml");
  assert.equal(await blob.text(), new TextDecoder().decode(document));
  const found = [];
  for await (const feature of client.stream("/assets/stac/search", { limit: 10 })) {
    found.push(feature.properties.name ?? feature.id);
  }
  assert.equal(found.length, 1);
});
