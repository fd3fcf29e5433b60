// Calls to this server. An API key, if there is one, is kept for the tab and sent as a header.

const STORED = "opstac-api-key";

export const apiKey = () => sessionStorage.getItem(STORED);
export const keepKey = (key) => sessionStorage.setItem(STORED, key);
export const forgetKey = () => sessionStorage.removeItem(STORED);

/** The JSON of an answer; throws an Error with the problem's words. */
async function call(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  if (apiKey()) headers.Authorization = `Bearer ${apiKey()}`;
  const response = await fetch(path, { ...options, headers });
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const detail = Array.isArray(body.detail)
    ? body.detail.map((fault) => `${(fault.loc ?? []).at(-1)}: ${fault.msg}`).join("; ")
    : body.detail;
  const error = new Error(detail || body.title || `the server answered ${response.status}`);
  error.status = response.status;
  throw error;
}

const post = (path, body) =>
  call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

/** TileJSON of an item; `choices` are the tile routes' query parameters. */
export async function tilejson(item, choices) {
  const query = new URLSearchParams(choices);
  const path = `/api/v1/items/${encodeURIComponent(item)}/tiles/tilejson.json?${query}`;
  const document = await call(path);
  // the server may be known under another name than the one in the address bar
  document.tiles = document.tiles.map((url) => url.replace(/^https?:\/\/[^/]+/, location.origin));
  return document;
}

/** One item as GeoJSON, or null where it is not found. */
export async function item(id) {
  const found = await post("/assets/stac/search", { ids: [id], limit: 1 });
  return found.features?.[0] ?? null;
}

export const newestItems = () => post("/assets/stac/search", { limit: 100 });

/** What an item was made from. */
export const lineage = (id) =>
  post("/v1/op/provenance.get", {
    entity_type: "item",
    entity_id: id,
    direction: "up",
    max_depth: 10,
  });

/** What a route below an item answers; `choices` are its query parameters. */
export const ofItem = (id, route, choices) =>
  call(`/api/v1/items/${encodeURIComponent(id)}/${route}?${new URLSearchParams(choices)}`);

export const colorMaps = () => call("/api/v1/colorMaps");
