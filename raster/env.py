"""GDAL's process-wide settings, in force as soon as any module of this package is imported.

GDAL reads its driver list once, when the first file is opened, and its block cache size once, at
first use. `rasterio.Env(GDAL_CACHEMAX=64)` would mean 64 bytes; the environment variable
means MiB. So both are environment variables, set here.
"""

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_PIECE = 32 * 1024**2  # what is larger is the system's at once when it is freed
_FREE = 128 * 1024**2

# Drivers that open other addresses or files named inside a file. `WarpedVRT` works without them.
_SKIPPED = (
    "VRT DERIVED WMS WMTS WCS HTTP STACIT STACTA GTI OGCAPI PLMosaic TileDB EEDA EEDAI DAAS NGW "
    "RASTERLITE MBTiles PostGISRaster Zarr HDF5 HDF5Image netCDF BAG KEA PDF RIK ISIS3 ISIS2 PDS4 "
    "ENVI EHdr MRF ECRGTOC SRTMHGT"
)

GUARDS = {
    "GDAL_SKIP": ",".join(_SKIPPED.split()),
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_HTTP_MAX_RETRY": "2",
    "GDAL_HTTP_TIMEOUT": "10",
    "CPL_CURL_VERBOSE": "NO",
    "CPL_LOG_ERRORS": "OFF",
}
"""Safety settings: always in force, whatever the environment says."""

DEFAULTS = {
    "GDAL_CACHEMAX": "256",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMEXPR_MAX_THREADS": "1",
    "MALLOC_ARENA_MAX": "4",
}
"""Sizes and thread counts: the operator's environment wins."""


def apply() -> None:
    """Put the settings into this process's environment."""
    os.environ.update(GUARDS)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def keep_memory() -> None:
    """Keep the memory of arrays that are freed for the next ones; for a process that computes.

    The allocator else gives pieces of some megabytes back to the system, block after block, and the
    system gives them out again page by page, set to zero: a quarter of the time of simple work.
    Each of its arenas (`MALLOC_ARENA_MAX` of them) keeps up to `_FREE` bytes at its end, and what
    is free below pieces in use, as ever. Nothing happens where the C library knows no such setting.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_MMAP_THRESHOLD, _PIECE)
        tune(_TRIM_THRESHOLD, _FREE)


apply()
