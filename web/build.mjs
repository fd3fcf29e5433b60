// Copies MapLibre's published files into page/, where they are committed and served as they are:
// nobody needs Node to run the platform. `--check` fails where they are not what npm installed.

import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const installed = join(here, "node_modules", "maplibre-gl");
const { version } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
const vendor = join(here, "page", `maplibre-gl-${version}`);

// published file → committed file
const files = new Map(
  ["maplibre-gl.mjs", "maplibre-gl-worker.mjs", "maplibre-gl.css"].map((name) => [
    join(installed, "dist", name),
    join(vendor, name),
  ]),
);
files.set(join(installed, "LICENSE.txt"), join(vendor, "LICENSE.txt"));

if (process.argv.includes("--check")) {
  for (const [source, copy] of files) {
    if (!existsSync(copy) || !readFileSync(source).equals(readFileSync(copy))) {
      console.error(`${copy} is stale: run npm run build in web/`);
      process.exit(1);
    }
  }
} else {
  rmSync(vendor, { recursive: true, force: true });
  mkdirSync(vendor);
  for (const [source, copy] of files) cpSync(source, copy);
}
