// One HTTP call: the address, the credential, waiting, and trying again.

import { Problem, NoAnswer } from "./problem.js";

/** A credential, or what gives the current one: a session's token lasts for minutes. */
export type Token = string | null | (() => string | null | Promise<string | null>);

/** How a client is made. */
export interface ClientOptions {
  /** An API key or a session token; without one, only what is public can be called. */
  token?: Token | undefined;
  /**
   * The platform's address. By default that of the variable GEOPERA_API_URL; else, in a page, the
   * page's own origin, and elsewhere http://127.0.0.1:8080.
   */
  baseUrl?: string | URL | undefined;
  /** How long the server may say nothing before a call is given up: 60 000. */
  timeoutMs?: number | undefined;
  /** How often a call is sent again after 429, 503 or a broken connection: 4. */
  retries?: number | undefined;
  /** Answers that are read whole may be this large: 512 MiB. */
  maxBytes?: number | undefined;
  /** What sends requests, in place of the global `fetch`. */
  fetch?: typeof fetch | undefined;
}

/** How one call is made. */
export interface CallOptions {
  /** Makes the call repeatable; by default every call that is no read gets one of its own. */
  idempotencyKey?: string | undefined;
  /** Ends the call early: it then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
}

/** A request, before it has an address and a credential. */
export interface Request extends CallOptions {
  /** What errors call it. */
  name: string;
  method: string;
  /** A path of the platform, or a whole URL. */
  path: string;
  body?: BodyInit;
  headers?: Record<string, string>;
  /** Whether to send it again without a key, when nobody knows whether it arrived. */
  repeatable: boolean;
  /** Whether the answer is still read when `send` has given it. */
  streams?: boolean;
}

const LOCAL = "http://127.0.0.1:8080";
const LONGEST_WAIT_SECONDS = 60;
const ERROR_BYTES = 1 << 20;

/** The network failed before the whole answer had come. */
class Lost extends Error {}

/** Sends requests to one platform with one credential. */
export class Connection {
  readonly #token: Token;
  readonly #fetch: typeof fetch;
  /** The platform's address; its path ends with a slash. */
  readonly base: URL;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly maxBytes: number;

  constructor(options: ClientOptions = {}) {
    this.#token = options.token ?? null;
    if (typeof this.#token !== "function") checkedToken(this.#token);
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.base = checkedBase(options.baseUrl ?? defaultBase());
    this.timeoutMs = options.timeoutMs ?? 60_000;
    this.retries = options.retries ?? 4;
    this.maxBytes = options.maxBytes ?? 512 * 1024 * 1024;
  }

  /** A path below the platform's address, or a whole URL as it is. */
  url(path: string): URL {
    const base = path.startsWith("/") ? this.base.pathname.slice(0, -1) + path : path;
    const url = new URL(base, this.base);
    if (url.username || url.password) throw new TypeError("a link must not hold a password");
    return url;
  }

  /**
   * Send a request until it is answered well, and read the answer. 429, 503, and a 409 that says
   * when to come again are sent again, and so is what broke off before `read` had it whole; all
   * with the same idempotency key.
   *
   * @throws Problem the server refused
   * @throws NoAnswer there was no whole answer
   */
  async send<T>(
    request: Request,
    read: (response: Response, silence: Silence) => Promise<T>,
  ): Promise<T> {
    const url = this.url(request.path);
    const headers = new Headers(request.headers);
    const key = request.idempotencyKey;
    if (key !== undefined) {
      if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
        throw new TypeError("an idempotency key has 1 to 255 visible ASCII characters");
      }
      headers.set("Idempotency-Key", key);
    }
    for (let attempt = 0; ; attempt++) {
      // a link may lead elsewhere, as one to a signed file does: the credential stays here
      const token = url.origin === this.base.origin ? await this.#currentToken() : undefined;
      if (token !== undefined) headers.set("Authorization", `Bearer ${token}`);
      const silence = new Silence(request.timeoutMs ?? this.timeoutMs, request.signal);
      let streaming = false;
      try {
        const response = await silence.during(this.#once(request, url, headers, silence.signal));
        await this.#refuse(request, response, silence);
        const answer = await read(response, silence);
        streaming = request.streams ?? false;
        return answer;
      } catch (error) {
        const after = this.#secondsUntilNext(request, silence, error, attempt);
        await pause(after * 1000, request.signal);
      } finally {
        if (!streaming) silence.end();
      }
    }
  }

  async #currentToken(): Promise<string | undefined> {
    const token = this.#token;
    return checkedToken(typeof token === "function" ? await token() : token);
  }

  async #once(
    request: Request,
    url: URL,
    headers: Headers,
    signal: AbortSignal,
  ): Promise<Response> {
    const { method, body } = request;
    const sent: RequestInit = { method, headers, signal, redirect: "manual", credentials: "omit" };
    if (body !== undefined) sent.body = body;
    try {
      return await this.#fetch(url, sent);
    } catch (error) {
      throw new Lost("the connection failed", { cause: error });
    }
  }

  /** Raise what is no success. */
  async #refuse(request: Request, response: Response, silence: Silence): Promise<void> {
    if (response.ok || response.status === 304) return;
    if (response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400)) {
      await response.body?.cancel();
      throw new Problem(request.name, response.status, {
        title: "Redirect",
        detail: "the server sends this call elsewhere, and calls are not taken elsewhere",
      }, request.idempotencyKey);
    }
    const document = await problemDocument(response, silence);
    const { status } = response;
    const after = retryAfter(response.headers.get("Retry-After"));
    throw new Problem(request.name, status, document, request.idempotencyKey, after);
  }

  /** How long to wait before the next attempt; raises where there is none. */
  #secondsUntilNext(request: Request, silence: Silence, error: unknown, attempt: number): number {
    if (request.signal?.aborted) throw request.signal.reason;
    const { name, idempotencyKey } = request;
    if (silence.isOver) {
      throw new NoAnswer(name, `the server said nothing for ${silence.ms} ms`, idempotencyKey);
    }
    const backoff = Math.min(8, 0.25 * 2 ** attempt) * (0.5 + Math.random() / 2);
    if (error instanceof Problem) {
      const comesAgain =
        error.status === 429 ||
        error.status === 503 ||
        (error.status === 409 && error.retryAfter !== undefined);
      const after = error.retryAfter ?? backoff;
      if (!comesAgain || attempt >= this.retries || after > LONGEST_WAIT_SECONDS) throw error;
      return after;
    }
    if (!(error instanceof Lost)) throw error;
    const mayRepeat = idempotencyKey !== undefined || request.repeatable;
    if (!mayRepeat || attempt >= this.retries) {
      throw new NoAnswer(name, error.message, idempotencyKey, { cause: error.cause });
    }
    return backoff;
  }
}

/** Ends a request where the server is silent for too long, or its caller wants no more of it. */
export class Silence {
  readonly #controller = new AbortController();
  readonly #forward: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  isOver = false;

  constructor(
    readonly ms: number,
    private readonly outer?: AbortSignal,
  ) {
    this.#forward = () => this.#controller.abort(outer?.reason);
    if (outer?.aborted) this.#forward();
    outer?.addEventListener("abort", this.#forward, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Wait for the server, though not for ever. */
  async during<T>(waiting: Promise<T>): Promise<T> {
    this.#timer = setTimeout(() => {
      this.isOver = true;
      this.#controller.abort(new DOMException("the server is silent", "TimeoutError"));
    }, this.ms);
    try {
      return await waiting;
    } finally {
      clearTimeout(this.#timer);
    }
  }

  /** Let go of the caller's signal. */
  end(): void {
    clearTimeout(this.#timer);
    this.outer?.removeEventListener("abort", this.#forward);
  }
}

/** The pieces of a body, each waited for only so long; leaving early closes the connection. */
export async function* pieces(response: Response, silence: Silence): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  try {
    while (reader) {
      const { done, value } = await silence.during(reader.read().catch(lost));
      if (done) return;
      yield value;
    }
  } finally {
    silence.end();
    await reader?.cancel().catch(() => {});
  }
}

function lost(error: unknown): never {
  throw new Lost("the answer broke off", { cause: error });
}

/** A whole body; where it has more than `maxBytes`, RangeError, or its beginning. */
export async function whole(
  response: Response,
  silence: Silence,
  maxBytes: number,
  beyond: "raise" | "cut" = "raise",
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const piece of pieces(response, silence)) {
    size += piece.length;
    parts.push(piece);
    if (size <= maxBytes) continue;
    if (beyond === "cut") break;
    throw new RangeError(`the answer has more than ${maxBytes} bytes`);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Whether a media type is one JSON document, as `application/geo+json` is. */
export function isJson(response: Response): boolean {
  const kind = (response.headers.get("Content-Type") ?? "").split(";")[0]!.trim().toLowerCase();
  return kind === "application/json" || kind.endsWith("+json");
}

async function problemDocument(
  response: Response,
  silence: Silence,
): Promise<Record<string, unknown>> {
  const text = new TextDecoder().decode(await whole(response, silence, ERROR_BYTES, "cut"));
  if (isJson(response)) {
    try {
      const document: unknown = JSON.parse(text);
      if (typeof document === "object" && document !== null) {
        return document as Record<string, unknown>;
      }
    } catch {
      // said below as it came
    }
  }
  return { title: response.statusText || "Error", detail: text.slice(0, 200) };
}

/** Seconds, from either form of the header. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header);
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, (at - Date.now()) / 1000);
}

/** Wait, unless the caller gives up before. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** A key that no other call has. */
export function newKey(): string {
  // crypto.randomUUID is not there in pages without TLS
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}

/** What a header can carry. The message must not say what the token was. */
function checkedToken(token: string | null | undefined): string | undefined {
  if (token === undefined || token === null || token === "") return undefined;
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) {
    throw new TypeError("the token holds a space, a line break or another character no token has");
  }
  return token;
}

function defaultBase(): string {
  const { process, location } = globalThis as {
    process?: { env?: Record<string, string | undefined> };
    location?: { origin?: string };
  };
  const named = process?.env?.["GEOPERA_API_URL"];
  const page = location?.origin?.startsWith("http") ? location.origin : undefined;
  return named || page || LOCAL;
}

function checkedBase(given: string | URL): URL {
  const url = new URL(given);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new TypeError(`the platform's address begins with https:, not with ${url.protocol}`);
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new TypeError("the platform's address holds a password, a query or a fragment");
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}
