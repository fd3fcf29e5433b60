// What a call fails with.

/** One fault of an input, in a 422. */
export interface Fault {
  loc: (string | number)[];
  msg: string;
  type: string;
}

/** The server refused: its problem document (RFC 9457). */
export class Problem extends Error {
  override readonly name = "Problem";
  /** The HTTP status. */
  readonly status: number;
  /** The kind of problem. */
  readonly title: string;
  /** A URI that names the kind of problem. */
  readonly type: string;
  /** What was wrong and what would be right; of a 422 the faults, one a line. */
  readonly detail: string;
  /** Each fault of the input, where the status is 422. */
  readonly faults: readonly Fault[];
  /** The request's id, for a report. */
  readonly instance: string | undefined;
  /** Seconds after which the server wants to be asked again. */
  readonly retryAfter: number | undefined;

  constructor(
    /** The operation or path that was called. */
    readonly operation: string,
    status: number,
    /** The document as it came. */
    readonly document: Readonly<Record<string, unknown>>,
    /** What the call was sent with: with the same one it is carried on and not done twice. */
    readonly idempotencyKey?: string,
    retryAfter?: number,
  ) {
    const text = (name: string, otherwise: string) => {
      const value = Object.hasOwn(document, name) ? document[name] : undefined;
      return typeof value === "string" ? value : otherwise;
    };
    const faults = Array.isArray(document["detail"]) ? document["detail"].filter(isFault) : [];
    const detail = faults.length
      ? faults.map((fault) => `${fault.loc.join(".")}: ${fault.msg}`).join("\n")
      : text("detail", "");
    const title = text("title", "Error");
    super(`${operation}: ${status} ${detail || title}`);
    this.status = status;
    this.title = title;
    this.type = text("type", "about:blank");
    this.detail = detail;
    this.faults = faults;
    this.instance = text("instance", "") || undefined;
    this.retryAfter = retryAfter;
  }
}

function isFault(value: unknown): value is Fault {
  if (typeof value !== "object" || value === null) return false;
  const { loc, msg } = value as Partial<Fault>;
  return Array.isArray(loc) && typeof msg === "string";
}

/**
 * No whole answer came: the network failed, the server fell silent, or what came was no answer.
 * Whether the operation was done is not known; the same call with `idempotencyKey` finds out and
 * does nothing twice.
 */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";

  constructor(
    /** The operation or path that was called. */
    readonly operation: string,
    reason: string,
    readonly idempotencyKey?: string,
    options?: ErrorOptions,
  ) {
    super(`${operation}: ${reason}`, options);
  }
}

/** What of a job says how it ended. */
interface Ended {
  id: string;
  status: string;
  error: { code: string; message: string } | null;
}

/** A job that was waited for ended without success. */
export class JobFailed<Job extends Ended> extends Error {
  override readonly name = "JobFailed";
  /** Why, for a program: of a failed job a code such as `no_overlap`, else `cancelled`. */
  readonly code: string;

  constructor(readonly job: Job) {
    const { id, status, error } = job;
    super(`job ${id} ${status}${error ? `: ${error.code}, ${error.message}` : ""}`);
    this.code = error?.code ?? status;
  }
}
