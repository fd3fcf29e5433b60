"""The items of a collection as one raster, as GDAL's driver STACIT reads them over HTTP."""

import asyncio
import json
import os
import sys

# GDAL is told here not to open what links to the outside, which STACIT does: so in a child without
GDAL_READS = """
import json, sys, rasterio
with rasterio.Env(GDAL_HTTP_HEADER_FILE=sys.argv[2]), rasterio.open(sys.argv[1]) as found:
    at = [(500000 + (shift + 128) * 10, 5300000 - 2560) for shift in (0, 512, 1024)]
    pixels = [[int(v) for v in values] for values in found.sample(at)]
    print(json.dumps({"crs": str(found.crs), "shape": found.shape, "pixels": pixels}))
"""


async def test_stacit_reads_the_pixels_of_all_items(live_scenes, tmp_path):
    scenes = live_scenes
    await scenes.add((200, 100, 50), day=1)
    await scenes.add((10, 20, 30), day=2, shift=512)
    await scenes.add((1, 2, 3), day=3, shift=1024)
    header = tmp_path / "header.txt"
    reader = await scenes.api.key(scenes.owner, "items:read")
    header.write_text(f"Authorization: Bearer {reader.token}\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GDAL", "CPL"))}
    # it asks for the second page by itself
    base = scenes.api.client.base_url.join("/assets/stac/collections")
    source = f'STACIT:"{base}/{scenes.collection}/items?limit=2":asset=data'
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-c", GDAL_READS, source, str(header),
        env=environment, stdout=-1, stderr=-1,
    )  # fmt: skip
    out, err = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode == 0, err.decode()
    assert json.loads(out) == {
        "crs": "EPSG:32633",
        "shape": [512, 1536],
        "pixels": [[200, 100, 50], [10, 20, 30], [1, 2, 3]],
    }
