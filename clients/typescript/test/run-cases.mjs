// Carries out many calls in one process: JSON lines in, JSON lines out, in the same order.
//
//     {"id": "items.get", "body": {"itemId": "it_…"}}      by client.op
//     {"tree": "items.get", "body": {…}}                   by the tree: client.items.get
//     {"module": "/path/example.mjs"}                      imported; what it prints is the answer
//
// Answers: {"answer": …}, {"bytes": {"size", "sha256"} (and "base64" where the case says "whole")}, {"printed": "…"}, or, of what
// failed, {"problem": {"name", "status", "detail", "document", "message"}}.
// The address is in GEOPERA_API_URL, the credential in GEOPERA_API_TOKEN; a case may have its own
// "token" (null: none).

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { format } from "node:util";
import { Geopera } from "../dist/index.js";

const clients = new Map();

function clientOf(token) {
  if (!clients.has(token)) clients.set(token, new Geopera({ token }));
  return clients.get(token);
}

function camel(name) {
  return name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}

async function carryOut(given) {
  if (given.module) return { printed: await printed(given.module) };
  const token = given.token === undefined ? process.env.GEOPERA_API_TOKEN : given.token;
  const client = clientOf(token);
  const options = given.idempotency_key ? { idempotencyKey: given.idempotency_key } : {};
  const call = given.tree
    ? given.tree.split(".").reduce((node, name) => node[camel(name)], client)
    : (body) => client.invoke(given.id, body, options);
  const answer = await call(given.body, options);
  if (!(answer instanceof Uint8Array)) return { answer: answer ?? null };
  const sha256 = createHash("sha256").update(answer).digest("hex");
  return { bytes: { size: answer.length, sha256, base64: given.whole ? Buffer.from(answer).toString("base64") : undefined } };
}

async function printed(path) {
  const lines = [];
  const { log } = console;
  console.log = (...values) => lines.push(format(...values));
  try {
    await import(pathToFileURL(path).href);
  } finally {
    console.log = log;
  }
  return lines.join("\n");
}

for await (const line of createInterface({ input: process.stdin })) {
  if (!line.trim()) continue;
  let told;
  try {
    told = await carryOut(JSON.parse(line));
  } catch (error) {
    const { name, status, detail, document, message } = error;
    told = { problem: { name, status, detail, document, message } };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
