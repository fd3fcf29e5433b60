"""The page of analytics methods, from the registry."""

from __future__ import annotations

from opstac.reference.markdown import code, table
from opstac.reference.tables import default_of, title_of, type_of
from processes import method as methods

INTRODUCTION = """# Analytics methods

Run one with `analytics.execute` and `{"operation": name, "params": {…}}`. A method that takes
`item_ids` answers with `results`, one an item: an answer, or an error with its reason; the call
is refused only where every item fails. A 422 carries the method's JSON Schema as
`expected_schema`. [Write one](../how-to/write-a-method.md) in 30 lines.

Exactly one of `band`, `index_name` and `expression` says which value of a pixel is meant. Bands are
found by their names; `band_mapping` overrides. Values have scale and offset applied. Pixels that
are nodata, masked, transparent or hidden by `mask` do not count. With a geometry each pixel weighs
as much as the geometry covers of it, computed exactly; `count` is the sum of these weights.

Items on unlike grids are compared on the coarser one: a finer raster is averaged, one of about the
same resolution interpolated bilinearly, classes take the most frequent or nearest value; grids
that differ by whole pixels are not resampled. The answer says so in `alignment`. An index whose
constants presuppose reflectance divides whole numbers without a scale by 10,000 (of 8 bits: by
255); the answer says so in `reflectance`.
"""


def page() -> str:
    """The whole page."""
    ours = [m for m in methods.discover().values() if m.module.startswith("processes.")]
    parts = [INTRODUCTION.strip()]
    for found in sorted(ours, key=lambda m: m.name):
        parts += entry(found)
    codes = [[code(name), meaning] for name, meaning in methods.ERROR_CODES.items()]
    parts += ["## Refusals", "The `type` of a 422's error:", table(["type", "when"], codes)]
    return "\n\n".join(parts)


def entry(found: methods.Registered) -> list[str]:
    """The parts of one method's entry."""
    schema = found.input_schema()
    rows = [
        [
            code(name),
            type_of(field, schema.get("$defs", {})),
            "yes" if name in schema.get("required", ()) else default_of(field),
            field.get("description") or title_of(name, field),
        ]
        for name, field in schema.get("properties", {}).items()
    ]
    together = "called once with all items" if found.together else "called once an item"
    return [
        f"## `{found.name}`",
        f"{found.title}: version {found.version} · {together}.",
        found.description,
        table(["parameter", "type", "required", "meaning"], rows),
    ]
