// Builds dist/: types from the platform's OpenAPI document, then the package.
//
//     npm run build                                           the document of this checkout
//     npm run build -- http://127.0.0.1:8080/openapi.json     that of a running platform, or a file
//
// Nothing that is made is committed: it cannot be older than the operations it describes.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const here = dirname(fileURLToPath(import.meta.url));

/** The document, from an address, a file, or this checkout's command line. */
async function readDocument(source) {
  if (!source) {
    const made = spawnSync(join(here, "..", "..", "opstac"), ["openapi"], { maxBuffer: 1 << 28 });
    if (made.status !== 0) throw new Error(`opstac openapi: ${made.error ?? made.stderr}`);
    return JSON.parse(made.stdout);
  }
  if (!/^https?:/.test(source)) return JSON.parse(readFileSync(source, "utf8"));
  const response = await fetch(source);
  if (!response.ok) throw new Error(`${source}: ${response.status}`);
  return response.json();
}

/**
 * The part of the document that a caller's types come from: of each operation its input and its
 * success, and the schemas that these need. An eighth of the whole.
 */
export function reduced(document) {
  const given = new Set();
  const answered = new Set();
  const paths = {};
  for (const [path, { post }] of Object.entries(document.paths)) {
    if (!path.startsWith("/v1/op/") || !post) continue;
    const success = Object.entries(post.responses).filter(([status]) => status.startsWith("2"));
    collect(post.requestBody, document, given);
    collect(success, document, answered);
    paths[path] = {
      post: {
        operationId: post.operationId,
        summary: post.summary,
        requestBody: post.requestBody,
        responses: Object.fromEntries(success),
      },
    };
  }
  const schemas = {};
  for (const name of [...new Set([...given, ...answered])].sort()) {
    const schema = document.components.schemas[name];
    schemas[name] = given.has(name) ? schema : outgoing(schema);
  }
  return { openapi: document.openapi, info: document.info, paths, components: { schemas } };
}

/** Names of the schemas that a value points to, and those that they point to. */
function collect(value, document, names) {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    const name = key === "$ref" && typeof inner === "string" ? inner.split("/").at(-1) : undefined;
    if (name === undefined) collect(inner, document, names);
    else if (!names.has(name)) {
      names.add(name);
      collect(document.components.schemas[name], document, names);
    }
  }
}

/** A schema of answers alone: what has a default is always there, and only what is known is typed. */
function outgoing(schema) {
  if (Array.isArray(schema)) return schema.map(outgoing);
  if (typeof schema !== "object" || schema === null) return schema;
  const made = Object.fromEntries(Object.entries(schema).map(([key, inner]) => [key, outgoing(inner)]));
  if (schema.properties === undefined || schema.type !== "object") return made;
  const present = Object.keys(schema.properties).filter((name) => "default" in schema.properties[name]);
  made.required = [...new Set([...(schema.required ?? []), ...present])];
  if (schema.additionalProperties === true) delete made.additionalProperties;
  return made;
}

/** The two generated modules: types of all schemas and operations, and the ids as values. */
async function generated(document) {
  const ast = await openapiTS(reduced(document), { defaultNonNullable: false, silent: true });
  const wanted = ast.filter((node) => ["components", "operations"].includes(node.name?.text));
  const operations = Object.values(document.paths)
    .map(({ post }) => post)
    .filter((post) => post?.operationId);
  const ids = operations.map((post) => post.operationId).sort();
  const wrong = ids.find((id) => !/^[a-z0-9_]+(\.[a-z0-9_]+)*$/.test(id));
  if (wrong !== undefined) throw new Error(`${wrong} is no operation's id`);
  const those = (holds) => operations.filter(holds).map((post) => post.operationId).sort();
  const reads = those((post) => post["x-side-effect"] === "read");
  const keyless = those((post) => !post.parameters?.some(({ name }) => name === "idempotency-key"));
  return {
    "schema.ts": `// Made by openapi-typescript.\n\n${astToString(wanted)}`,
    "ids.ts":
      `export const operationIds = ${JSON.stringify(ids, null, 1)} as const;\n` +
      `export const readIds = ${JSON.stringify(reads, null, 1)} as const;\n` +
      `export const keylessIds = ${JSON.stringify(keyless, null, 1)} as const;\n`,
  };
}

/** Compile into a folder of its own, which then takes the place of dist/. */
function compile(modules) {
  const work = mkdtempSync(join(here, ".build-"));
  try {
    cpSync(join(here, "src"), join(work, "src"), { recursive: true });
    for (const name of ["package.json", "tsconfig.json"]) cpSync(join(here, name), join(work, name));
    symlinkSync(join(here, "node_modules"), join(work, "node_modules"));
    mkdirSync(join(work, "src", "generated"), { recursive: true });
    for (const [name, text] of Object.entries(modules)) {
      writeFileSync(join(work, "src", "generated", name), text);
    }
    const tsc = join(here, "node_modules", "typescript", "bin", "tsc");
    const done = spawnSync(process.execPath, [tsc, "-p", work], { encoding: "utf8" });
    if (done.status !== 0) throw new Error(done.stdout + done.stderr);
    rmSync(join(here, "dist"), { recursive: true, force: true });
    renameSync(join(work, "dist"), join(here, "dist"));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

compile(await generated(await readDocument(process.argv[2])));
