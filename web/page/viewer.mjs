// One item on a map, with what can be chosen of its picture. `window.opstacViewer` tells a test or
// an embedding page how far it is: `ready` once the picture is drawn, then again after a change.

import * as api from "./api.mjs";
import { lookAt, makeMap, setOpacity, showRaster } from "./map.mjs";

const $ = (id) => document.getElementById(id);
const address = new URLSearchParams(location.search);
const item = decodeURIComponent(location.pathname.split("/").at(-2));
const CHOICES = ["profile", "bands", "expression", "colormap", "rescale"];
const map = makeMap($("map"));
let choices = {};

window.opstacViewer = { ready: false, error: null, item, map };

function say(text, isError = false) {
  $("message").textContent = text;
  $("message").classList.toggle("error", isError);
  window.opstacViewer.error = isError ? text : null;
  if (isError) document.documentElement.dataset.viewer = "error";
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

function option(value, text = value) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = text;
  return made;
}

async function fillChoices(information) {
  $("profile").replaceChildren(option("", "the item's own"));
  for (const { id, name } of information.profiles) $("profile").append(option(id, name));
  for (const name of information.band_names) $("band-names").append(option(name));
  const { groups } = await api.colorMaps();
  $("colormap").replaceChildren(option("", "those of the profile"));
  for (const [group, names] of Object.entries(groups)) {
    const made = document.createElement("optgroup");
    made.label = group;
    made.append(...names.map((name) => option(name)));
    $("colormap").append(made);
  }
  for (const name of CHOICES) {
    const wanted = choices[name] ?? "";
    const lists = $(name).tagName === "SELECT";
    // a profile's name, or colours by value: not among the options, and still what is shown
    if (lists && ![...$(name).options].some((one) => one.value === wanted)) {
      $(name).append(option(wanted));
    }
    $(name).value = wanted;
  }
}

const rounded = (value) => (Number.isInteger(value) ? String(value) : Number(value).toPrecision(4));
const cssColor = ([red, green, blue, alpha]) => `rgb(${red} ${green} ${blue} / ${alpha / 255})`;

function showLegend(shown) {
  $("legend").hidden = !shown.colors;
  $("classes").hidden = !shown.classes;
  if (shown.colors) {
    const canvas = $("ramp").getContext("2d");
    canvas.clearRect(0, 0, 256, 14);
    shown.colors.forEach((color, at) => {
      canvas.fillStyle = cssColor(color);
      canvas.fillRect(at, 0, 1, 14);
    });
    const [low, high] = shown.rescale[0];
    $("low").textContent = rounded(low);
    $("high").textContent = rounded(high);
  }
  $("classes").replaceChildren(
    ...(shown.classes ?? []).slice(0, 64).map(({ low, high, color }) => {
      const row = document.createElement("li");
      const swatch = document.createElement("canvas");
      swatch.width = swatch.height = 12;
      const canvas = swatch.getContext("2d");
      canvas.fillStyle = cssColor(color);
      canvas.fillRect(0, 0, 12, 12);
      row.append(swatch, low === high ? ` ${rounded(low)}` : ` ${rounded(low)} to ${rounded(high)}`);
      return row;
    }),
  );
}

async function draw() {
  window.opstacViewer.ready = false;
  document.documentElement.dataset.viewer = "loading";
  const document_ = await api.tilejson(item, choices);
  const drawn = new Promise((done) => map.once("idle", done));
  await showRaster(map, document_);
  setOpacity(map, Number($("opacity").value));
  showLegend(await api.ofItem(item, "style", choices));
  drawn.then(() => {
    window.opstacViewer.ready = true;
    document.documentElement.dataset.viewer = "ready";
  });
  return document_;
}

async function showValues({ lng, lat }) {
  const turned = ((((lng + 180) % 360) + 360) % 360) - 180;
  const wanted = Object.fromEntries(
    ["key", "asset_key", "expression"].filter((n) => choices[n]).map((n) => [n, choices[n]]),
  );
  const place = `point/${turned.toFixed(6)},${lat.toFixed(6)}`;
  const found = await api.ofItem(item, place, wanted);
  $("position").textContent = `${lat.toFixed(5)}°, ${turned.toFixed(5)}°`;
  $("values").replaceChildren();
  found.values.forEach((value, at) => {
    const name = document.createElement("dt");
    name.textContent = found.band_descriptions[at];
    const number = document.createElement("dd");
    number.textContent = value === null ? "no value" : rounded(value);
    $("values").append(name, number);
  });
}

const reporting =
  (work) =>
  async (...given) => {
    try {
      await work(...given);
    } catch (error) {
      if (error.status === 401) {
        api.forgetKey();
        $("signin").hidden = false;
      }
      say(error.message, true);
    }
  };

async function start() {
  const token = takeKey();
  choices = Object.fromEntries(address);
  if (token) choices.key = token;
  say("Loading…");
  const access = Object.fromEntries(
    ["key", "asset_key"].filter((name) => choices[name]).map((name) => [name, choices[name]]),
  );
  const information = await api.ofItem(item, "info", access);
  await fillChoices(information);
  const found = await draw();
  lookAt(map, found);
  $("name").textContent = found.name;
  document.title = `${found.name} · opstac`;
  $("item").hidden = false;
  $("signin").hidden = true;
  say("");
  map.on("click", reporting((event) => showValues(event.lngLat)));
}

$("signin").addEventListener("submit", (event) => {
  event.preventDefault();
  api.keepKey($("api-key").value.trim());
  location.reload();
});
$("opacity").addEventListener("input", (event) => setOpacity(map, Number(event.target.value)));
$("picture").addEventListener(
  "submit",
  (event) => {
    event.preventDefault();
    for (const name of CHOICES) {
      const value = $(name).value.trim();
      if (value) choices[name] = value;
      else delete choices[name];
    }
    const { key, ...shown } = choices;
    if (key?.startsWith("tt_")) shown.key = key;
    history.replaceState(null, "", `?${new URLSearchParams(shown)}`);
    reporting(async () => {
      await draw();
      say("");
    })();
  },
);

reporting(start)();
