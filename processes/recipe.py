"""What the outputs of a run are a function of: code, libraries, inputs and the sources' bytes.

    made = recipe(process, inputs, sources, platform="0.1.0")
    key(made)   # two runs with one key give the same bytes

A recipe names things by value: a source by the checksum of its file and a digest of what the
platform says of it, code by a digest of its files.
"""

import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from processes.process import Process, Source

LIBRARIES = (
    *("numpy", "rasterio", "scikit-learn", "scipy", "shapely", "pyproj", "spyndex"),
    *("exactextract", "contourpy", "geopandas", "pyarrow", "scikit-image", "numexpr", "numba"),
    "dask",
)
"""Distributions whose version may change a result; those that are installed count."""

# names a result and changes none of its pixels
PRESENTATION = frozenset(("output_name",))
# of a source, what a process may look at; the rest are names and places
_OF_ITEM = (
    *("type", "geometry", "bbox", "datetime", "start_datetime", "end_datetime"),
    *("cloud_cover", "gsd", "properties"),
)
_OF_ASSET = ("media_type", "roles", "band_count", "band_names", "bands", "raster", "is_categorical")


def recipe(
    process: Process, inputs: Mapping[str, Any], sources: Sequence[Source], *, platform: str
) -> dict[str, Any]:
    """What a run of `process` is about to be made of.

    Args:
        inputs: as they were checked, with their defaults.
        platform: version of opstac.
    """
    return {
        "process": process.id,
        "version": process.version,
        "code": code_digest(process),
        "libraries": {"opstac": platform, **libraries()},
        "inputs": dict(inputs),
        "sources": [
            {
                "item_id": source.item_id,
                "asset_key": source.asset_key,
                "checksum": source.asset.get("checksum"),
                "metadata": metadata_digest(source),
            }
            for source in sources
        ],
    }


def key(made: Mapping[str, Any]) -> str | None:
    """SHA-256 of a recipe without what only names the result.

    None where a result may depend on more than the recipe says: a run without sources, or with one
    whose bytes are not known.
    """
    sources = made["sources"]
    if not sources or not all(source["checksum"] for source in sources):
        return None
    inputs = {k: v for k, v in made["inputs"].items() if k not in PRESENTATION}
    return digest({**made, "inputs": inputs})


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its members."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def metadata_digest(source: Source) -> str:
    """Digest of what the platform says of a source beyond its bytes."""
    item = {name: source.item.get(name) for name in _OF_ITEM}
    asset = {name: source.asset.get(name) for name in (*_OF_ASSET, "datetime")}
    return digest([item, asset])


@cache
def libraries() -> dict[str, str]:
    """Version of each library that takes part in a result, GDAL and PROJ among them."""
    import rasterio

    found = {"gdal": rasterio.__gdal_version__, "proj": rasterio.__proj_version__}
    found["python"] = ".".join(map(str, sys.version_info[:3]))
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def code_digest(process: Process) -> str:
    """SHA-256 of the Python files a run of `process` may execute: ours, and its own package's."""
    module = getattr(process.run, "__module__", "") or ""
    package = module.partition(".")[0]
    return _digest_of(tuple(dict.fromkeys(("processes", "raster", package or "processes"))))


@cache
def _digest_of(packages: tuple[str, ...]) -> str:
    found = hashlib.sha256()
    for package in packages:
        for name, content in _files(package):
            found.update(f"{package}/{name}\0{len(content)}\0".encode())
            found.update(content)
    return found.hexdigest()


def _files(package: str) -> list[tuple[str, bytes]]:
    """(name, content) of the Python files of a package or a single module, in order."""
    place = getattr(sys.modules.get(package), "__file__", None)
    if place is None:
        return []
    file = Path(place)
    if file.name != "__init__.py":
        return [(file.name, file.read_bytes())]
    root = file.parent
    return [(str(p.relative_to(root)), p.read_bytes()) for p in sorted(root.rglob("*.py"))]
