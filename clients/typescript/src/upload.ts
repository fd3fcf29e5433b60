// Uploads: a session, the file by a signed URL in pieces that survive a broken connection, an item.

import type { Geopera, Upload } from "./client.js";
import { newKey, pause, type Connection } from "./connection.js";
import type { Input } from "./names.js";
import { NoAnswer, Problem } from "./problem.js";

type Described = Omit<Extract<Input<"uploads.complete">, { upload_id: string }>, "upload_id">;
type DescribedCamel = Omit<Extract<Input<"uploads.complete">, { uploadId: string }>, "uploadId">;

/** What an upload needs, and what may be said of the item that it becomes. */
export interface UploadOptions {
  projectId: string;
  /** By default the file's own name. */
  fileName?: string | undefined;
  /** By default the file's own type, or `image/tiff`. */
  contentType?: string | undefined;
  /** Name, time, collection and properties of the item: the other fields of `uploads.complete`. */
  item?: Described | DescribedCamel | undefined;
  /** With the same key a repeated upload goes on, or gives the item that it made. */
  idempotencyKey?: string | undefined;
  /** Sent in one request: 32 MiB. */
  pieceBytes?: number | undefined;
  /** Called with the bytes that have arrived and the bytes there are. */
  onProgress?: ((sent: number, total: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Carry an upload through. */
export async function sendFile(
  client: Geopera,
  connection: Connection,
  file: Blob,
  options: UploadOptions,
): Promise<Upload> {
  const { projectId, idempotencyKey: key = newKey(), signal } = options;
  const call = (step: string) => ({ idempotencyKey: `${key}-${step}`, signal });
  const named = (file as Partial<File>).name;
  const { id } = await client.op(
    "uploads.initiate",
    { projectId, fileCount: 1, totalBytes: file.size },
    call("initiate"),
  );
  const contentType = options.contentType ?? (file.type || "image/tiff");
  const fileName = options.fileName ?? named ?? "upload.tif";
  const place = async () => {
    const body = { uploadId: id, fileName, contentType };
    return (await client.op("uploads.signed_url", body, { signal })).upload_url;
  };
  try {
    await sendPieces(connection, place, file, { ...options, contentType });
  } catch (error) {
    // an earlier run with this key has completed it: that is answered again below
    if (!(error instanceof Problem && error.status === 409)) throw error;
  }
  const item = { upload_id: id, ...options.item } as Input<"uploads.complete">;
  let { upload } = await client.op("uploads.complete", item, call("complete"));
  while (upload.status === "processing") {
    await pause(1000, signal);
    ({ upload } = await client.op("uploads.get", { uploadId: id }, { signal }));
  }
  if (upload.status !== "completed") {
    throw new NoAnswer("upload", `it ended as ${upload.status}: ${upload.error_message ?? ""}`, key);
  }
  return upload;
}

/** PUT the file from where the server stands, until it stands at the end. */
async function sendPieces(
  connection: Connection,
  place: () => Promise<string>,
  file: Blob,
  options: UploadOptions & { contentType: string },
): Promise<void> {
  const { pieceBytes = 32 * 1024 * 1024, signal, onProgress, contentType } = options;
  for (let failures = 0; ; ) {
    const path = await place();
    const request = { name: "upload", path, repeatable: true, signal };
    try {
      let { at, complete } = await connection.send({ ...request, method: "HEAD" }, standing);
      if (complete) return;
      if (!(at >= 0 && at <= file.size)) {
        throw new RangeError(`the server has ${at} bytes of a file of ${file.size}`);
      }
      onProgress?.(at, file.size);
      do {
        const end = Math.min(at + pieceBytes, file.size);
        const headers: Record<string, string> = { "Content-Type": contentType };
        if (file.size) headers["Content-Range"] = `bytes ${at}-${end - 1}/${file.size}`;
        const body = file.slice(at, end);
        await connection.send({ ...request, method: "PUT", body, headers }, standing);
        at = end;
        failures = 0;
        onProgress?.(at, file.size);
      } while (at < file.size);
      return;
    } catch (error) {
      // a piece may have arrived in part or in whole, which the server knows; a URL lasts 15 minutes
      const isGoingOn =
        error instanceof NoAnswer ||
        (error instanceof Problem && [401, 403, 408, 409].includes(error.status));
      if (!isGoingOn || ++failures > connection.retries) throw error;
    }
  }
}

async function standing(response: Response): Promise<{ at: number; complete: boolean }> {
  await response.body?.cancel();
  const at = Number(response.headers.get("Upload-Offset") ?? 0);
  return { at, complete: response.headers.get("Upload-Complete") === "?1" };
}
