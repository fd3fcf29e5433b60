"""Pixels to pictures: map tiles, thumbnails and display statistics of one raster asset.

`tiler.app.create_app` is the HTTP surface, `tiler.render` the same work as plain functions. Who
may see which asset is decided by the `resolve_asset` function that is handed in.
"""

import raster.env  # noqa: F401  (GDAL's settings, before any module here imports rasterio)
