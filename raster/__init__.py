"""Pixels: what the tile server and the processes share. Imports nothing of ours, nothing heavy.

Importing any module of the package puts GDAL's settings in force first, see `raster.env`.
"""

from raster import env as env
