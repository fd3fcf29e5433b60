// The map: a plain ground with a grid of degrees, the raster, the footprint.

import * as maplibregl from "./maplibre-gl-6.17.0/maplibre-gl.mjs";

const STYLE = {
  version: 8,
  sources: { grid: { type: "geojson", data: graticule() } },
  layers: [
    { id: "ground", type: "background", paint: { "background-color": "#eef3f4" } },
    { id: "grid", type: "line", source: "grid", paint: { "line-color": "#d3dee0" } },
  ],
};

function graticule() {
  const lines = [];
  for (let lon = -180; lon <= 180; lon += 10) {
    lines.push([
      [lon, -85],
      [lon, 85],
    ]);
  }
  for (let lat = -80; lat <= 80; lat += 10) {
    lines.push(Array.from({ length: 37 }, (_, i) => [-180 + i * 10, lat]));
  }
  return { type: "MultiLineString", coordinates: lines };
}

/** A map in an element; `data-map` on the document is `idle` when all is drawn. */
export function makeMap(container) {
  const map = new maplibregl.Map({
    container,
    style: STYLE,
    center: [0, 20],
    zoom: 1,
    attributionControl: { compact: true },
    // no labels are drawn: no fonts are asked for
    localIdeographFontFamily: false,
  });
  ready.set(map, new Promise((done) => map.once("load", done)));
  map.addControl(new maplibregl.NavigationControl(), "top-right");
  map.addControl(new maplibregl.ScaleControl(), "bottom-right");
  const state = document.documentElement.dataset;
  map.on("dataloading", () => (state.map = "loading"));
  map.on("idle", () => (state.map = "idle"));
  return map;
}

// `isStyleLoaded()` is false again whenever a source loads: what counts is the first time
const ready = new WeakMap();
const styled = (map) => ready.get(map);

/** Show a TileJSON document's tiles; returns when the layer is there, not when it is drawn. */
export async function showRaster(map, document) {
  await styled(map);
  if (map.getLayer("raster")) map.removeLayer("raster");
  if (map.getSource("raster")) map.removeSource("raster");
  map.addSource("raster", {
    type: "raster",
    tiles: document.tiles,
    tileSize: 256,
    bounds: document.bounds,
    minzoom: document.minzoom,
    maxzoom: document.maxzoom,
  });
  const below = map.getLayer("footprint") ? "footprint" : undefined;
  map.addLayer({ id: "raster", type: "raster", source: "raster" }, below);
}

export const setOpacity = (map, value) => map.setPaintProperty("raster", "raster-opacity", value);

/** Outline a geometry. */
export async function showFootprint(map, geometry) {
  await styled(map);
  const data = { type: "Feature", properties: {}, geometry };
  if (map.getSource("footprint")) {
    map.getSource("footprint").setData(data);
    return;
  }
  map.addSource("footprint", { type: "geojson", data });
  map.addLayer({
    id: "footprint",
    type: "line",
    source: "footprint",
    paint: { "line-color": "#d9480f", "line-width": 2 },
  });
}

/** Look at bounds [west, south, east, north]; across the antimeridian at the centre. */
export function lookAt(map, document) {
  const [west, south, east, north] = document.bounds;
  if (east - west >= 360) {
    const [longitude, latitude, zoom] = document.center;
    map.jumpTo({ center: [longitude, latitude], zoom });
  } else {
    map.fitBounds([west, south, east, north], { padding: 40, animate: false });
  }
}
