// The client: operations by id and as a tree, and what takes more than one call.

import {
  Connection,
  isJson,
  newKey,
  pause,
  pieces,
  whole,
  type CallOptions,
  type ClientOptions,
  type Request,
} from "./connection.js";
import { keylessIds, readIds } from "./generated/ids.js";
import { parseLines } from "./lines.js";
import type { Answer, Arguments, BytesId, OperationId } from "./names.js";
import { JobFailed, NoAnswer } from "./problem.js";
import { plant, type Operations } from "./tree.js";
import { sendFile, type UploadOptions } from "./upload.js";

/** A job as `wait` gives it. */
export type Job = Answer<"processing.project_job.get">["job"];

/** An upload session as `upload` gives it. */
export type Upload = Answer<"uploads.get">["upload"];

/** How `wait` waits. */
export interface WaitOptions {
  /** How long at most: 15 minutes. */
  timeoutMs?: number | undefined;
  /** How often to look: every second. */
  intervalMs?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Called with the job each time it was looked at. */
  onProgress?: ((job: Job) => void) | undefined;
}

const ID = /^[a-z0-9_]+(\.[a-z0-9_]+)*$/i;
const SEARCH = /^\/[^?#]*\/search$/;
const REPEATABLE = ["GET", "HEAD", "PUT", "DELETE"];
const READS: ReadonlySet<string> = new Set(readIds);
const KEYLESS: ReadonlySet<string> = new Set(keylessIds);
const ENDED = ["completed", "failed", "cancelled"];

/** JSON would silently make null of the numbers that it has not: no value, for the server. */
function finite(key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new TypeError(`${key} is ${value}, which no JSON can say`);
  }
  return value;
}

/**
 * Calls the operations of one platform with one credential.
 *
 *     const client = new Geopera({ token: "gpra_…" });
 *     const { item } = await client.op("items.get", { itemId: "it_…" });
 *     const { item } = await client.items.get({ itemId: "it_…" });   // the same
 *
 * Every call may reject with `Problem` (refused) or `NoAnswer` (the network failed).
 */
export class Geopera {
  readonly #connection: Connection;

  constructor(options: ClientOptions = {}) {
    this.#connection = new Connection(options);
    plant(this, (id, body, callOptions) => this.invoke(id, body as object, callOptions));
  }

  /** The platform's address. */
  get baseUrl(): string {
    return this.#connection.base.href;
  }

  /** Run an operation: its JSON answer, or bytes where it answers none. */
  async op<Id extends OperationId>(
    id: Id,
    ...[body, options]: Arguments<Id, CallOptions>
  ): Promise<Answer<Id>> {
    return (await this.invoke(id, body as object, options)) as Answer<Id>;
  }

  /** `op` without types, for an operation that is newer than this client. */
  async invoke(id: string, body?: object | null, options: CallOptions = {}): Promise<unknown> {
    const request = this.#operation(id, body, options);
    return await this.#connection.send(request, async (response, silence) => {
      const bytes = await whole(response, silence, this.#connection.maxBytes);
      return isJson(response) ? this.#parsed(request, bytes) : bytes;
    });
  }

  /** An operation's answer as it came, with its media type: an image, a file, or JSON's own text. */
  async bytes<Id extends BytesId>(
    id: Id,
    ...[body, options]: Arguments<Id, CallOptions>
  ): Promise<Blob> {
    const request = this.#operation(id, body as object, options ?? {});
    return await this.#connection.send(request, async (response, silence) => {
      const bytes = await whole(response, silence, this.#connection.maxBytes);
      return new Blob([bytes as BlobPart], { type: response.headers.get("Content-Type") ?? "" });
    });
  }

  /**
   * The bytes of an answer as they come, so that it may be of any size. Leaving the loop ends the
   * request. In node they go to a file so:
   *
   *     await writeFile("clip.tif", client.pieces("clip.job.download", { jobId, mosaicType }));
   *
   * @param target an operation's id; or a path of the platform, or a link that it gave, which is
   *     fetched with GET and without a body
   */
  async *pieces(
    target: string,
    body?: object | null,
    options: CallOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const isPlace = target.startsWith("/") || target.includes("://");
    const request = isPlace
      ? this.#path(target, null, options)
      : this.#operation(target, body, options);
    request.name = request.name.split("?")[0]!; // what is signed is told in no error
    request.streams = true;
    const stream = await this.#connection.send(request, async (response, silence) =>
      pieces(response, silence),
    );
    try {
      yield* stream;
    } catch (error) {
      if (options.signal?.aborted) throw options.signal.reason;
      throw new NoAnswer(request.name, "the answer broke off", request.idempotencyKey, {
        cause: error,
      });
    }
  }

  /**
   * The lines of an NDJSON answer, each parsed as it comes. Leaving the loop ends the request.
   *
   *     for await (const item of client.stream("/assets/stac/search", { limit: 10000 })) …
   *
   * @param target an operation's id, or a path of the platform that a body is POSTed to; without
   *     a body a path is fetched with GET
   */
  async *stream<Line = unknown>(
    target: string,
    body?: object | null,
    options: CallOptions = {},
  ): AsyncGenerator<Line, void, undefined> {
    const request = target.startsWith("/")
      ? this.#path(target, body, options)
      : this.#operation(target, body, options);
    request.streams = true;
    // a search is POSTed and reads; what else a path does with a body nobody knows
    if (SEARCH.test(target)) request.repeatable = true;
    request.headers = { ...request.headers, Accept: "application/x-ndjson" };
    const stream = await this.#connection.send(request, async (response, silence) => {
      const kind = response.headers.get("Content-Type") ?? "";
      if (/^application\/(x-)?ndjson\b/i.test(kind)) return pieces(response, silence);
      await response.body?.cancel();
      throw new NoAnswer(target, `it answers ${kind || "nothing"}, not lines`);
    });
    try {
      yield* parseLines(stream, this.#connection.maxBytes) as AsyncGenerator<Line, void>;
    } catch (error) {
      if (options.signal?.aborted) throw options.signal.reason;
      if (error instanceof RangeError) throw error;
      throw new NoAnswer(target, "the lines broke off", undefined, { cause: error });
    }
  }

  /**
   * Any path of the platform, or a link that it gave; rejects with `Problem` where that refuses.
   * The credential goes to the platform's own origin alone, and redirects are not followed.
   */
  async fetch(
    link: string | URL,
    init: CallOptions & {
      method?: string;
      body?: BodyInit;
      headers?: Record<string, string>;
    } = {},
  ): Promise<Response> {
    const { method = "GET", ...rest } = init;
    const path = String(link);
    const repeatable = REPEATABLE.includes(method.toUpperCase());
    const request = { ...rest, name: path, method, path, repeatable, streams: true };
    return await this.#connection.send(request, async (response) => response);
  }

  /**
   * Wait until a job has ended.
   *
   * @throws JobFailed it failed or was cancelled
   * @throws NoAnswer it had not ended after `timeoutMs`
   */
  async wait(jobId: string, options: WaitOptions = {}): Promise<Job> {
    const { timeoutMs = 15 * 60_000, intervalMs = 1000, signal, onProgress } = options;
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const { job } = await this.op("processing.project_job.get", { jobId }, { signal });
      onProgress?.(job);
      if (ENDED.includes(job.status)) {
        if (job.status !== "completed") throw new JobFailed(job);
        return job;
      }
      if (Date.now() + intervalMs > deadline) {
        throw new NoAnswer(`job ${jobId}`, `it is still ${job.status} after ${timeoutMs} ms`);
      }
      await pause(intervalMs, signal);
    }
  }

  /**
   * Bring a file in: the upload session, with the ids of the items it became. What the connection
   * loses is sent again from where the server stands.
   */
  async upload(file: Blob, options: UploadOptions): Promise<Upload> {
    return await sendFile(this, this.#connection, file, options);
  }

  #operation(id: string, body: object | null | undefined, options: CallOptions): Request {
    if (typeof id !== "string" || !ID.test(id)) {
      throw new TypeError(`${String(JSON.stringify(id)).slice(0, 80)} is no operation's id`);
    }
    const request = this.#path(`/v1/op/${id}`, body ?? {}, options);
    request.name = id;
    request.repeatable = READS.has(id);
    // the server keeps no answer of bytes: what gives them would be done again, key or not
    if (KEYLESS.has(id)) delete request.idempotencyKey;
    else request.idempotencyKey ??= newKey();
    return request;
  }

  #path(path: string, body: object | null | undefined, options: CallOptions): Request {
    return {
      ...options,
      name: path,
      path,
      repeatable: !body,
      headers: { "Content-Type": "application/json", Accept: "application/json, */*;q=0.9" },
      ...(body ? { method: "POST", body: JSON.stringify(body, finite) } : { method: "GET" }),
    };
  }

  #parsed(request: Request, bytes: Uint8Array): unknown {
    if (!bytes.length) return undefined;
    try {
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch (error) {
      throw new NoAnswer(request.name, "what came is no JSON", request.idempotencyKey, {
        cause: error,
      });
    }
  }
}

// every operation as a property of a property, typed
export interface Geopera extends Operations {}

