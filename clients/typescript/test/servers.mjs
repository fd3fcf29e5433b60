// Servers that a test scripts: what they are asked, and what they say to it.

import { createServer } from "node:http";
import { Geopera } from "../dist/index.js";

/**
 * Start a server for one test.
 *
 * @param answer called with each request ({method, url, headers, body}) and the response, and with
 *     how many came before; what it returns is sent as JSON
 */
export async function serve(t, answer) {
  const seen = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    try {
      for await (const part of request) parts.push(part);
    } catch {
      return; // the caller broke off
    }
    const { method, url, headers } = request;
    seen.push({ method, url, headers, body: Buffer.concat(parts).toString() });
    const said = await answer(seen.at(-1), response, seen.length - 1);
    if (said === undefined) return;
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(said));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, seen };
}

/** A client of such a server. */
export function clientOf(server, options = {}) {
  return new Geopera({ token: "gpra_secret", baseUrl: server.url, ...options });
}

/** Refuse a request with a problem document. */
export function refuse(response, status, headers = {}, detail = "no") {
  response.writeHead(status, { "Content-Type": "application/problem+json", ...headers });
  response.end(JSON.stringify({ type: "about:blank", title: "Refused", status, detail }));
}
