// NDJSON: one JSON document a line, parsed as the lines come.

/** A stream of bytes as parsed lines; no line may be longer than `maxBytes`. */
export async function* parseLines(
  pieces: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<unknown> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  // a line that comes in many pieces is put together once, when it ends
  let begun: string[] = [];
  let size = 0;
  for await (const piece of pieces) {
    size += piece.length;
    const [first, ...rest] = decoder.decode(piece, { stream: true }).split("\n");
    begun.push(first!);
    for (const next of rest) {
      const line = begun.join("").trim();
      if (line) yield JSON.parse(line);
      begun = [next];
      size = next.length;
    }
    if (size > maxBytes) throw new RangeError(`a line has more than ${maxBytes} bytes`);
  }
  const line = (begun.join("") + decoder.decode()).trim();
  if (line) yield JSON.parse(line);
}
