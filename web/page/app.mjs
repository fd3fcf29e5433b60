// The page: sign in and choose an item, or open the one that the address names.

import * as api from "./api.mjs";
import { lookAt, makeMap, setOpacity, showFootprint, showRaster } from "./map.mjs";

const $ = (id) => document.getElementById(id);
const address = new URLSearchParams(location.search);
const map = makeMap($("map"));

function say(text, isError = false) {
  $("message").textContent = text;
  $("message").classList.toggle("error", isError);
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** The key of the address: a tile token stays there, an API key moves to the tab's memory. */
function takeKey() {
  const key = address.get("key");
  if (!key || key.startsWith("tt_")) return key;
  api.keepKey(key);
  address.delete("key");
  history.replaceState(null, "", `?${address}`);
  return null;
}

async function listItems() {
  say("Loading…");
  const { features } = await api.newestItems();
  const list = $("items");
  list.replaceChildren();
  for (const feature of features) {
    const row = document.createElement("li");
    const name = feature.properties.title ?? feature.id;
    row.append(element("a", name, { href: `?item=${encodeURIComponent(feature.id)}` }));
    const date = (feature.properties.datetime ?? "").slice(0, 10);
    if (date) row.append(` ${date}`);
    list.append(row);
  }
  list.hidden = false;
  $("signin").hidden = true;
  say(features.length ? "" : "No items yet.");
}

function facts(feature) {
  const { properties } = feature;
  const shown = {
    Taken: properties.datetime ?? properties.start_datetime,
    Clouds: properties["eo:cloud_cover"] === undefined ? null : `${properties["eo:cloud_cover"]} %`,
    Resolution: properties.gsd ? `${properties.gsd} m` : null,
    Collection: feature.collection,
    Item: feature.id,
  };
  for (const [name, value] of Object.entries(shown)) {
    if (value) $("facts").append(element("dt", name), element("dd", String(value)));
  }
}

async function showLineage(id) {
  const { edges } = await api.lineage(id);
  $("no-lineage").hidden = edges.length > 0;
  $("no-lineage").textContent = "Nothing is recorded.";
  for (const edge of edges) {
    const row = element("li", `${edge.src_type} ${edge.relation.replaceAll("_", " ")} `);
    const name = `${edge.dst_type} ${edge.dst_id}`;
    row.append(
      edge.dst_type === "item"
        ? element("a", name, { href: `?item=${encodeURIComponent(edge.dst_id)}` })
        : name,
    );
    $("lineage").append(row);
  }
}

async function draw(id, choices) {
  const found = await api.tilejson(id, choices);
  await showRaster(map, found);
  return found;
}

async function showItem(id, token) {
  const choices = Object.fromEntries([...address].filter(([name]) => name !== "item"));
  if (token) choices.key = token;
  say("Loading…");
  const found = await draw(id, choices);
  lookAt(map, found);
  $("name").textContent = found.name;
  document.title = `${found.name} · opstac`;
  $("expression").value = choices.expression ?? "";
  $("colormap").value = choices.colormap ?? "";
  $("item").hidden = false;
  say("");
  $("opacity").addEventListener("input", (event) => setOpacity(map, Number(event.target.value)));
  $("picture").addEventListener("submit", async (event) => {
    event.preventDefault();
    const wanted = { ...choices };
    for (const name of ["expression", "colormap"]) {
      if ($(name).value) wanted[name] = $(name).value;
      else delete wanted[name];
    }
    try {
      await draw(id, wanted);
      say("");
    } catch (error) {
      say(error.message, true);
    }
  });
  if (!api.apiKey()) return;
  $("signout").hidden = false;
  const feature = await api.item(id);
  if (feature) {
    facts(feature);
    if (feature.geometry) await showFootprint(map, feature.geometry);
  }
  await showLineage(id);
}

async function start() {
  const token = takeKey();
  const id = address.get("item");
  $("signin").addEventListener("submit", (event) => {
    event.preventDefault();
    api.keepKey($("api-key").value.trim());
    location.reload();
  });
  $("signout").addEventListener("click", () => {
    api.forgetKey();
    location.assign(location.pathname);
  });
  try {
    if (id) await showItem(id, token);
    else if (api.apiKey()) await listItems();
    else $("signin").hidden = false;
  } catch (error) {
    if (error.status === 401) {
      api.forgetKey();
      $("signin").hidden = false;
    }
    say(error.message, true);
  }
}

start();
