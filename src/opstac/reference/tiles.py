"""The page about the tile server: its routes and their parameters."""

from __future__ import annotations

from opstac.reference.markdown import code, table
from tiler.app import FAMILIES
from tiler.draw import FORMATS
from tiler.matrix_sets import NAMES
from tiler.pool import TilePool
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import ALIASES, PARAMETERS, TILE
from tiler.routes.service import Service


def page() -> str:
    """Every route of the tile server and every parameter."""
    found = endpoints()
    rows = [[code(f"{e.method} {e.path}"), e.summary, _takes(e)] for e in found]
    parameters = [
        [code(name), _values(name), known.description] for name, known in sorted(PARAMETERS.items())
    ]
    aliases = ", ".join(f"`{alias}` for `{name}`" for alias, name in ALIASES.items())
    return (
        "# Tiles\n\n"
        "Pictures and values of items by GET, described for machines at `/api/v1/openapi.json`. "
        "Who may see an item is told by a header, or by `key`: a tile token, as TileJSON and WMTS "
        "put it into their URLs, or an API key. A parameter that a route does not take, or that "
        "cannot be, is refused with 422.\n\n"
        f"Formats are {', '.join(map(code, FORMATS))}. Tile matrix sets are "
        f"{', '.join(map(code, NAMES))}. Outside the raster a tile is transparent; outside the "
        "matrix set it is 404.\n\n## Routes\n\n"
        + table(["route", "gives", "takes"], rows)
        + f"\n\n*tile parameters*: {', '.join(map(code, TILE))}.\n\n## Parameters\n\n"
        + f"TiTiler's names are understood: {aliases}.\n\n"
        + table(["name", "values", "meaning"], parameters)
    )


def endpoints() -> list[Endpoint]:
    """All routes, as they would be served."""

    async def never(*_: object) -> object:
        raise RuntimeError("routes that are only described serve nothing")

    pool = TilePool(1)
    service = Service(never, pool, resolve_mosaic=never)  # type: ignore[arg-type]
    found = [route for family in FAMILIES for route in family(service)]
    pool.close()
    return [route for route in found if isinstance(route, Endpoint)]


def _takes(endpoint: Endpoint) -> str:
    takes = endpoint.takes
    if set(TILE) <= set(takes):
        more = [code(name) for name in takes if name not in TILE]
        return ", ".join(["*tile parameters*", *more])
    return ", ".join(map(code, takes)) or "nothing"


def _values(name: str) -> str:
    schema = PARAMETERS[name].schema
    if "enum" in schema:
        words = ", ".join(map(code, schema["enum"]))
    elif "minimum" in schema:
        words = f"{schema['minimum']} to {schema['maximum']}"
    else:
        words = "true, false" if schema["type"] == "boolean" else "text"
    default = schema.get("default")
    shown = str(default).lower() if isinstance(default, bool) else default
    return words if default is None else f"{words}; default {shown}"
