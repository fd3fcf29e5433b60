"""Rows with or without a geometry as a file: GeoJSON, GeoParquet or CSV, written piece by piece.

    with writer(path, "geoparquet", {"class": "int", "area_m2": "float"}, crs=crs) as out:
        out.write({"class": [3], "area_m2": [400.0]}, geometries)

GeoJSON is longitude and latitude, cut at the antimeridian (RFC 7946); GeoParquet (1.1, WKB) keeps
the coordinate reference system. The same rows give the same bytes.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pyproj
import shapely
from rasterio.crs import CRS

from processes.blocks import Grid
from processes.process import (
    CSV_MEDIA_TYPE,
    GEOJSON_MEDIA_TYPE,
    GEOPARQUET_MEDIA_TYPE,
    Output,
)
from raster import footprint, reader

Format = Literal["geojson", "geoparquet", "csv"]
PolygonFormat = Literal["geojson", "geoparquet"]
Kind = Literal["int", "float", "text"]
Columns = Mapping[str, Sequence[Any]]

MEDIA_TYPES: dict[str, str] = {
    "geojson": GEOJSON_MEDIA_TYPE,
    "geoparquet": GEOPARQUET_MEDIA_TYPE,
    "csv": CSV_MEDIA_TYPE,
}
SUFFIXES: dict[str, str] = {"geojson": ".geojson", "geoparquet": ".parquet", "csv": ".csv"}
GEOGRAPHIC = CRS.from_epsg(4326)
_DECIMALS = 9  # of a degree: 0.1 mm
_TURN = 360.0


class Writer(Protocol):
    """A file that rows are written into."""

    def write(self, rows: Columns, geometries: Sequence[Any] | np.ndarray | None = None) -> None:
        """Add rows.

        Args:
            rows: column → one value a row; None where there is none.
            geometries: shapely's, one a row, in the file's `crs`; CSV leaves them out.
        """
        ...


@contextmanager
def writer(
    path: Path, form: Format, columns: Mapping[str, Kind], *, crs: CRS = GEOGRAPHIC
) -> Iterator[Writer]:
    """A new file at `path`.

    Args:
        columns: name → kind, in their order.
        crs: of the geometries that are written.
    """
    if form == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            yield _Csv(file, columns)
    elif form == "geojson":
        with path.open("w", encoding="utf-8") as file:
            made = _GeoJson(file, columns, crs)
            yield made
            made.finish()
    else:
        made = _GeoParquet(path, columns, crs)
        try:
            yield made
        finally:
            made.close()


class _Csv:
    def __init__(self, file: Any, columns: Mapping[str, Kind]) -> None:
        self._out = csv.writer(file, lineterminator="\n")
        self._columns = list(columns)
        self._out.writerow(self._columns)

    def write(self, rows: Columns, geometries: Any = None) -> None:
        for values in zip(*(rows[name] for name in self._columns), strict=True):
            self._out.writerow(["" if value is None else value for value in values])


class _GeoJson:
    def __init__(self, file: Any, columns: Mapping[str, Kind], crs: CRS) -> None:
        self._file, self._columns, self._crs = file, list(columns), crs
        self._first = True
        file.write('{"type":"FeatureCollection","features":[')

    def write(self, rows: Columns, geometries: Any = None) -> None:
        assert geometries is not None
        placed = to_degrees(np.asarray(geometries, dtype=object), self._crs)
        texts = shapely.to_geojson(placed)
        for number, text in enumerate(texts):
            said = {name: rows[name][number] for name in self._columns}
            properties = json.dumps(said, ensure_ascii=False, allow_nan=False)
            geometry = "null" if text is None else _rounded(text)
            self._file.write("\n" if self._first else ",\n")
            self._file.write(
                f'{{"type":"Feature","properties":{properties},"geometry":{geometry}}}'
            )
            self._first = False

    def finish(self) -> None:
        self._file.write("\n]}\n")


def output(path: Path, form: Format, grid: Grid, count: int, name: str | None) -> Output:
    """A file of `count` features found on `grid`, as what a run gives; its place is the grid's."""
    whole: Any = grid
    geometry, bbox = footprint.to_geojson(footprint.full_area(whole))
    return Output(
        asset_key="data",
        path=path,
        name=name,
        media_type=MEDIA_TYPES[form],
        geometry=geometry,
        bbox=tuple(bbox),
        properties={"opstac:features": count},
    )


def _rounded(text: str) -> str:
    def plain(value: Any) -> Any:
        return round(value, _DECIMALS) if isinstance(value, float) else [plain(v) for v in value]

    found = json.loads(text)
    return json.dumps(
        {"type": found["type"], "coordinates": plain(found["coordinates"])}, separators=(",", ":")
    )


class _GeoParquet:
    def __init__(self, path: Path, columns: Mapping[str, Kind], crs: CRS) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        # the other allocators reserve more addresses than a bounded child may have
        self._pool = pa.system_memory_pool()
        kinds = {"int": pa.int64(), "float": pa.float64(), "text": pa.string()}
        fields = [(name, kinds[kind]) for name, kind in columns.items()]
        self._schema = pa.schema([*fields, ("geometry", pa.binary())])
        self._out = pq.ParquetWriter(
            str(path),
            self._schema,
            compression="zstd",
            memory_pool=self._pool,
            store_schema=False,  # else readers by Arrow do not see what is added at the end
        )
        self._crs, self._types = crs, set[str]()
        self._bounds: list[float] | None = None

    def write(self, rows: Columns, geometries: Any = None) -> None:
        import pyarrow as pa

        assert geometries is not None
        shapes = np.asarray(geometries, dtype=object)
        if not len(shapes):
            return
        known = shapes[~shapely.is_missing(shapes)]
        self._types |= {shape.geom_type for shape in known}
        if len(known):
            left, bottom, right, top = map(float, shapely.total_bounds(known))
            was = self._bounds or [left, bottom, right, top]
            self._bounds = [
                *(min(was[0], left), min(was[1], bottom)),
                *(max(was[2], right), max(was[3], top)),
            ]
        wkb = shapely.to_wkb(shapes, byte_order=1)
        arrays = [
            pa.array(list(values), type=field.type, memory_pool=self._pool)
            for values, field in zip(
                [*(rows[name] for name in self._schema.names[:-1]), wkb], self._schema, strict=True
            )
        ]
        self._out.write_batch(pa.record_batch(arrays, schema=self._schema))

    def close(self) -> None:
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(self._types),
            "crs": _projjson(self._crs),
        }
        if self._bounds:
            column["bbox"] = self._bounds
        said = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        self._out.add_key_value_metadata({"geo": json.dumps(said)})
        self._out.close()


def _projjson(crs: CRS) -> dict[str, Any]:
    """A CRS as PROJJSON; longitude comes first in a file, so EPSG:4326 is written as OGC:CRS84."""
    if crs == GEOGRAPHIC:
        return pyproj.CRS.from_user_input("OGC:CRS84").to_json_dict()
    return pyproj.CRS.from_wkt(crs.to_wkt()).to_json_dict()


def to_degrees(geometries: np.ndarray, crs: CRS) -> np.ndarray:
    """Geometries as longitude and latitude, cut at the antimeridian.

    Args:
        geometries: shapely's, in `crs`; their edges should be short beside the Earth's curve.
    """
    if crs == GEOGRAPHIC:
        moved = geometries
    else:
        moved = shapely.transform(geometries, lambda xy: reader.move(crs, "EPSG:4326", xy))
    bounds = shapely.bounds(moved)
    astray = np.flatnonzero(
        (bounds[:, 2] - bounds[:, 0] > _TURN / 2) | (bounds[:, 0] < -180) | (bounds[:, 2] > 180)
    )
    if crs.is_projected or len(astray):
        moved = moved.copy()
    for number in astray:
        moved[number] = _cut(moved[number], unwrap=crs.is_projected)
    return moved


def _cut(geometry: Any, *, unwrap: bool) -> Any:
    """One geometry that goes beyond ±180° or, projected, jumped over it."""
    if unwrap:
        # nothing that was projected from one raster reaches round half the Earth
        geometry = shapely.transform(geometry, lambda xy: xy + np.where(xy < 0, [_TURN, 0], 0))
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry)
    west, _, east, _ = geometry.bounds
    pieces = []
    for turn in range(int(np.floor((west + 180) / _TURN)), int(np.floor((east + 180) / _TURN)) + 1):
        left = _TURN * turn - 180
        piece = geometry.intersection(shapely.box(left, -90, left + _TURN, 90))
        pieces.append(shapely.transform(piece, lambda xy, by=_TURN * turn: xy - [by, 0]))
    kind = shapely.get_dimensions(geometry)
    parts = [
        part
        for piece in pieces
        for part in shapely.get_parts(piece)
        if shapely.get_dimensions(part) == kind and not part.is_empty
    ]
    if len(parts) == 1:
        return parts[0]
    return shapely.MultiPolygon(parts) if kind == 2 else shapely.MultiLineString(parts)
