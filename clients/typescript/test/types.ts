// Compiled and never run: what the types accept, and that they refuse what is wrong.

import {
  Geopera,
  type Answer,
  type Call,
  type Camel,
  type Input,
  type Job,
  type OperationId,
  type Operations,
} from "opstac";

const client = new Geopera({ token: "gpra_x", baseUrl: "https://example.org" });

/** Whether two types are the same, and not merely assignable. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_ extends true>(): void => {};

export async function accepted(): Promise<void> {
  const { item } = await client.op("items.get", { itemId: "it_1" });
  holds<Same<typeof item.id, string>>();
  holds<Same<Answer<"items.get">["item"], typeof item>>();
  await client.op("items.get", { item_id: "it_1" });

  // the tree has the same types, in both spellings
  const types = await client.processing.jobTypes.list({ category: "clip" });
  holds<Same<typeof types, Answer<"processing.job_types.list">>>();
  await client.processing.job_types.list({ category: "clip" });
  await client.astra.process({ operation: "ndvi", sceneIds: ["it_1"] });
  await client.astra.process.get({ jobId: "job_1" });
  await client.projects.list();
  await client.op("projects.list");
  await client.op("projects.list", null, { timeoutMs: 1000 });

  // a field's own fields too, and the user's keys stay the user's
  const created = await client.op("uploads.complete", {
    uploadId: "up_1",
    files: [{ fileName: "a.tif", bandNames: ["red"] }],
    properties: { snake_case: 1, camelCase: 2, "eo:cloud_cover": 3 },
  });
  holds<Same<typeof created.upload.id, string>>();

  const picture = await client.op("items.tile.wmts_capabilities", { itemId: "it_1", baseUrl: "https://example.org" });
  holds<Same<typeof picture, Uint8Array>>();
  const blob: Blob = await client.bytes("items.tile.wmts_capabilities", { itemId: "it_1", baseUrl: "https://example.org" });
  void blob;

  for await (const feature of client.stream<{ id: string }>("/assets/stac/search", { limit: 1 })) {
    holds<Same<typeof feature.id, string>>();
  }
  const job: Job = await client.wait("job_1", { onProgress: (seen) => seen.status });
  holds<Same<typeof job.id, string>>();
  await client.upload(new Blob([]), { projectId: "proj_1", item: { name: "A", stacId: "a" } });
  const unknown: unknown = await client.invoke("newer.than_this", { anything: 1 });
  void unknown;
}

export async function refused(): Promise<void> {
  // @ts-expect-error no such operation
  await client.op("items.got", { itemId: "it_1" });
  // @ts-expect-error a field it has not
  await client.op("items.get", { itemId: "it_1", itemsId: "it_1" });
  // @ts-expect-error a field of a wrong type
  await client.op("items.get", { itemId: 1 });
  // @ts-expect-error a field that must be given
  await client.op("items.get", {});
  // @ts-expect-error a body that must be given
  await client.op("items.get");
  // @ts-expect-error a wrong field inside of a field
  await client.op("uploads.complete", { uploadId: "up_1", files: [{ fileNome: "a.tif" }] });
  // @ts-expect-error a wrong value of a closed list
  await client.op("alerts.create_rule", { name: "a", expression: "b1", comparison: 3, threshold: 1 });
  // @ts-expect-error no such operation in the tree
  await client.items.got({ itemId: "it_1" });
  // @ts-expect-error a wrong field in the tree
  await client.items.get({ id: "it_1" });
  // @ts-expect-error an answer that has no such field
  (await client.op("items.get", { itemId: "it_1" })).itme;
  // @ts-expect-error names of answers are never altered
  (await client.op("items.get", { itemId: "it_1" })).item.projectId;
  // @ts-expect-error not an operation that answers bytes
  await client.bytes("items.get", { itemId: "it_1" });
  // @ts-expect-error no option of a call
  await client.op("projects.list", {}, { retry: 1 });
}

export const inputs: Input<"items.get">[] = [{ item_id: "it_1" }, { itemId: "it_1" }];

// of every operation: it stands in the tree, in both spellings, and neither its input nor its
// answer is `any` or nothing
type At<Node, Path extends string> = Path extends `${infer First}.${infer Rest}`
  ? First extends keyof Node
    ? At<Node[First], Rest>
    : "missing"
  : Path extends keyof Node
    ? Node[Path]
    : "missing";
type CamelPath<Path extends string> = Path extends `${infer First}.${infer Rest}`
  ? `${Camel<First>}.${CamelPath<Rest>}`
  : Camel<Path>;
type Untyped<T> = [T] extends [never] ? true : 0 extends 1 & T ? true : false;
type Wrong = {
  [Id in OperationId]:
    | (At<Operations, Id> extends Call<Id> ? never : Id)
    | (At<Operations, CamelPath<Id>> extends Call<Id> ? never : Id)
    | (Untyped<Input<Id>> extends false ? never : Id)
    | (Untyped<Answer<Id>> extends false ? never : Id);
}[OperationId];
holds<Same<Wrong, never>>();
holds<Same<Extract<OperationId, "items.get">, "items.get">>();
