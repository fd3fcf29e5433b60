// Copies the page and MapLibre's published files into dist/, which is committed and served as it
// is: nobody needs Node to run the platform. `--check` fails where dist/ is not what this makes.

import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const installed = join(here, "node_modules", "maplibre-gl");
const { version } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
const vendor = `maplibre-gl-${version}`;

// source → place in dist
const files = new Map();
for (const name of readdirSync(join(here, "src"))) files.set(join(here, "src", name), name);
for (const name of ["maplibre-gl.mjs", "maplibre-gl-worker.mjs", "maplibre-gl.css"]) {
  files.set(join(installed, "dist", name), join(vendor, name));
}
files.set(join(installed, "LICENSE.txt"), join(vendor, "LICENSE.txt"));

const dist = join(here, "dist");
if (process.argv.includes("--check")) {
  for (const [source, place] of files) {
    const built = join(dist, place);
    if (!existsSync(built) || !readFileSync(source).equals(readFileSync(built))) {
      console.error(`dist/${place} is stale: run npm run build in web/`);
      process.exit(1);
    }
  }
} else {
  rmSync(dist, { recursive: true, force: true });
  for (const [source, place] of files) {
    mkdirSync(dirname(join(dist, place)), { recursive: true });
    cpSync(source, join(dist, place));
  }
}
