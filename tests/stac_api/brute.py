"""The same searches in plain Python with shapely: random items, random conditions, and what must
come of them. Conditions are three-valued, as in SQL: None is unknown."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import shapely
from shapely.geometry import box, mapping, shape

Row = dict[str, Any]
Test = Callable[[Row], bool | None]
Condition = tuple[dict[str, Any], Test]

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
PLATFORMS = ["a", "b", "Čé", "a%", "A"]
TAGS = ["x", "y", "z"]


def text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


# ---------------------------------------------------------------- items


MOMENTS: list[datetime] = []


def random_moment(r: random.Random) -> datetime:
    """Often one that was given before: what begins where another ends tells < from <=."""
    if MOMENTS and r.random() < 0.4:
        return r.choice(MOMENTS[:12])
    MOMENTS.append(EPOCH + timedelta(hours=r.randrange(0, 24 * 900, 6)))
    return MOMENTS[-1]


def random_geometry(r: random.Random) -> dict[str, Any] | None:
    kind = r.choice(["point", "box", "box", "line", "crossing", "none", "triangle"])
    x, y = r.uniform(-178, 170), r.uniform(-85, 80)
    if kind == "point":
        return {"type": "Point", "coordinates": [x, y]}
    if kind == "line":
        return {"type": "LineString", "coordinates": [[x, y], [x + 3, y + 2]]}
    if kind == "triangle":
        ring = [[x, y], [x + 5, y + 1], [x + 2, y + 5], [x, y]]
        return {"type": "Polygon", "coordinates": [ring]}
    if kind == "box":
        return mapping(box(x, y, x + r.uniform(0.1, 8), y + r.uniform(0.1, 8)))
    if kind == "crossing":
        parts = [box(180 - r.uniform(1, 9), y, 180, y + 3), box(-180, y, -180 + 4, y + 3)]
        return {
            "type": "MultiPolygon",
            "coordinates": [mapping(part)["coordinates"] for part in parts],
        }
    return None


def bbox(geometry: dict[str, Any] | None) -> list[float] | None:
    if geometry is None:
        return None
    west, south, east, north = shape(geometry).bounds
    if geometry["type"] == "MultiPolygon":
        one, other = shape(geometry).geoms
        west, east = one.bounds[0], other.bounds[2]
    return [west, south, east, north]


def random_row(r: random.Random, collections: list[tuple[str | None, str]]) -> Row:
    """What `Organization.row` takes, and `when` and the rest of `properties`."""
    properties: dict[str, Any] = {}
    for name, make in (
        ("n", lambda: r.randrange(-3, 6)),
        ("x", lambda: r.choice([0, 1, 2.5, -1, 3])),
        ("mix", lambda: r.choice([1, 2, "1", "b", True, 2.5])),
        ("platform", lambda: r.choice(PLATFORMS)),
        ("flag", lambda: r.choice([True, False])),
        ("tags", lambda: r.sample(TAGS, r.randrange(0, 4))),
        ("when", lambda: r.choice([text(random_moment(r)), text(random_moment(r))[:10], "soon"])),
        ("nothing", lambda: None),
    ):
        if r.random() < 0.7:
            properties[name] = make()
    moment = random_moment(r)
    collection, project = r.choice(collections)
    row: Row = {
        "collection_id": collection,
        "project_id": project,
        "geometry": random_geometry(r),
        "datetime": text(moment),
        "properties": properties,
    }
    row["bbox"] = bbox(row["geometry"])
    if r.random() < 0.3:
        row["start_datetime"] = text(moment)
        # often until another begins
        later = [at for at in MOMENTS[:12] if at > moment]
        end = moment + timedelta(hours=r.randrange(1, 400))
        row["end_datetime"] = text(r.choice(later) if later and r.random() < 0.5 else end)
    if r.random() < 0.8:
        row["cloud_cover"] = r.choice([0, 5, 15, 40, 99.5, 100, 12.25])
    return row


def value(row: Row, name: str) -> Any:
    if name == "eo:cloud_cover":
        return row.get("cloud_cover")
    if name in ("datetime", "title"):
        return row["datetime"] if name == "datetime" else row["name"]
    return row["properties"].get(name)


def number(found: Any) -> float | None:
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def moment_of(found: Any) -> tuple[datetime, datetime] | None:
    """First and last moment of a time in a document."""
    if not isinstance(found, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d(T.*Z)?", found):
        return None
    if len(found) == 10:
        day = datetime.fromisoformat(found).replace(tzinfo=UTC)
        return day, day + timedelta(days=1, microseconds=-1)
    at = datetime.fromisoformat(found)
    return at, at


def first(row: Row) -> datetime:
    return datetime.fromisoformat(row.get("start_datetime") or row["datetime"])


def last(row: Row) -> datetime:
    return datetime.fromisoformat(row.get("end_datetime") or row["datetime"])


# ---------------------------------------------------------------- conditions


def compare(operator: str, left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    return {
        "=": left == right,
        "<>": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[operator]


OPERATORS = ["=", "<>", "<", "<=", ">", ">="]


def on_number(r: random.Random) -> Condition:
    name, operator = r.choice(["n", "x", "mix", "eo:cloud_cover", "missing"]), r.choice(OPERATORS)
    wanted = r.choice([0, 1, 2, 2.5, 15, -1])
    args: list[Any] = [{"property": name}, wanted]
    if r.random() < 0.3:
        turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(operator, operator)
        node = {"op": turned, "args": args[::-1]}
    else:
        node = {"op": operator, "args": args}
    return node, lambda row: compare(operator, number(value(row, name)), wanted)


def on_arithmetic(r: random.Random) -> Condition:
    operator, a, b = r.choice(OPERATORS), r.choice([1, 2, -2]), r.choice([0, 1, 3])
    inner = {"op": "+", "args": [{"property": "n"}, {"op": "*", "args": [a, {"property": "x"}]}]}
    node = {"op": operator, "args": [{"op": "*", "args": [inner, 2]}, b]}

    def test(row: Row) -> bool | None:
        n, x = number(value(row, "n")), number(value(row, "x"))
        return None if n is None or x is None else compare(operator, (n + a * x) * 2, b)

    return node, test


def on_text(r: random.Random) -> Condition:
    name, operator = r.choice(["platform", "mix", "title"]), r.choice(OPERATORS)
    wanted = r.choice([*PLATFORMS, "1", "b"])

    def test(row: Row) -> bool | None:
        found = value(row, name)
        return compare(operator, found if isinstance(found, str) else None, wanted)

    return {"op": operator, "args": [{"property": name}, wanted]}, test


def on_pattern(r: random.Random) -> Condition:
    pattern = r.choice(["a%", "%", "_", "A\\%", "b_", "Č%"])
    written = re.split(r"(\\.|%|_)", pattern)
    kinds = {"%": ".*", "_": "."}
    expression = "".join(kinds.get(p) or re.escape(p[-1:] if p[:1] == "\\" else p) for p in written)
    folded = r.random() < 0.5
    left: Any = {"property": "platform"}
    right: Any = pattern
    if folded:
        left, right = {"op": "casei", "args": [left]}, {"op": "casei", "args": [right]}

    def test(row: Row) -> bool | None:
        found = value(row, "platform")
        if found is None:
            return None
        flags = re.IGNORECASE if folded else 0
        return re.fullmatch(expression, found, flags | re.DOTALL) is not None

    return {"op": "like", "args": [left, right]}, test


def on_list(r: random.Random) -> Condition:
    if r.random() < 0.5:
        wanted = r.sample(PLATFORMS, 2)
        node = {"op": "in", "args": [{"property": "platform"}, wanted]}
        return (
            node,
            lambda row: (
                None if value(row, "platform") is None else value(row, "platform") in wanted
            ),
        )
    low, high = r.choice([(0, 2), (1, 1), (-3, 0), (3, 1)])
    node = {"op": "between", "args": [{"property": "n"}, low, high]}
    return node, lambda row: None if value(row, "n") is None else low <= value(row, "n") <= high


def on_kind(r: random.Random) -> Condition:
    name = r.choice(["n", "nothing", "missing", "flag", "tags"])
    if name == "flag":
        wanted = r.choice([True, False])
        node = {"op": "=", "args": [{"property": "flag"}, wanted]}
        return node, lambda row: compare("=", value(row, "flag"), wanted)
    return {"op": "isNull", "args": [{"property": name}]}, lambda row: value(row, name) is None


def on_two(r: random.Random) -> Condition:
    one, other, operator = *r.sample(["n", "x", "mix", "platform"], 2), r.choice(OPERATORS)

    def test(row: Row) -> bool | None:
        left, right = value(row, one), value(row, other)
        if number(left) is not None and number(right) is not None:
            return compare(operator, left, right)
        if type(left) is type(right) and isinstance(left, str | bool):
            return compare(operator, left, right)
        return None

    return {"op": operator, "args": [{"property": one}, {"property": other}]}, test


# first and last moment on the left, then on the right (CQL2, table 12)
RELATIONS: dict[str, Callable[[Any, Any, Any, Any], bool]] = {
    "t_before": lambda a, b, c, d: b < c,
    "t_after": lambda a, b, c, d: a > d,
    "t_meets": lambda a, b, c, d: b == c,
    "t_metBy": lambda a, b, c, d: a == d,
    "t_overlaps": lambda a, b, c, d: a < c < b < d,
    "t_overlappedBy": lambda a, b, c, d: c < a < d < b,
    "t_starts": lambda a, b, c, d: a == c and b < d,
    "t_startedBy": lambda a, b, c, d: a == c and b > d,
    "t_during": lambda a, b, c, d: a > c and b < d,
    "t_contains": lambda a, b, c, d: a < c and b > d,
    "t_finishes": lambda a, b, c, d: a > c and b == d,
    "t_finishedBy": lambda a, b, c, d: a < c and b == d,
    "t_equals": lambda a, b, c, d: a == c and b == d,
    "t_disjoint": lambda a, b, c, d: not (a <= d and b >= c),
    "t_intersects": lambda a, b, c, d: a <= d and b >= c,
}
NEVER, ALWAYS = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def random_time(r: random.Random) -> tuple[Any, tuple[datetime, datetime]]:
    """An instant, a day or an interval of a filter, and its first and last moment."""
    low, high = sorted([random_moment(r), random_moment(r)])
    kind = r.choice(["timestamp", "date", "both", "both", "both", "from", "to"])
    if kind == "timestamp":
        return {"timestamp": text(low)}, (low, low)
    if kind == "date":
        low = low.replace(hour=0)
        return {"date": text(low)[:10]}, (low, low + timedelta(days=1, microseconds=-1))
    begin, end = (NEVER if kind == "to" else low), (ALWAYS if kind == "from" else high)
    ends = [".." if at in (NEVER, ALWAYS) else text(at) for at in (begin, end)]
    return {"interval": ends}, (begin, end)


def on_time(r: random.Random) -> Condition:
    if r.random() < 0.3:
        operator, at = r.choice(OPERATORS), random_moment(r)
        node = {"op": operator, "args": [{"property": "datetime"}, {"timestamp": text(at)}]}
        return node, lambda row: compare(operator, first(row), at)
    name, (literal, wanted) = r.choice(["when", "datetime", "span", "span"]), random_time(r)
    operator, turned = r.choice(sorted(RELATIONS)), r.random() < 0.2
    span = [{"property": "start_datetime"}, {"property": "end_datetime"}]
    args: list[Any] = [{"interval": span} if name == "span" else {"property": name}, literal]

    def test(row: Row) -> bool | None:
        found = (first(row), last(row)) if name == "span" else (first(row), first(row))
        if name == "when":
            found = moment_of(value(row, name))
        if found is None:
            return None
        return RELATIONS[operator](*((*wanted, *found) if turned else (*found, *wanted)))

    return {"op": operator, "args": args[::-1] if turned else args}, test


def on_place(r: random.Random) -> Condition:
    x, y = r.uniform(-170, 120), r.uniform(-80, 40)
    place = box(x, y, x + r.uniform(1, 60), y + r.uniform(1, 50))
    operator = r.choice(["s_intersects", "s_within", "s_disjoint", "s_contains"])
    test = {
        "s_intersects": shapely.intersects,
        "s_within": shapely.within,
        "s_disjoint": shapely.disjoint,
        "s_contains": shapely.contains,
    }[operator]
    literal: Any = {"bbox": list(place.bounds)} if r.random() < 0.5 else mapping(place)
    return {
        "op": operator,
        "args": [{"property": "geometry"}, literal],
    }, lambda row: None if row["geometry"] is None else bool(test(shape(row["geometry"]), place))


def on_array(r: random.Random) -> Condition:
    wanted, operator = r.sample(TAGS, 2), r.choice(["a_contains", "a_overlaps", "a_containedby"])

    def test(row: Row) -> bool | None:
        tags = value(row, "tags")
        if tags is None:
            return None
        return {
            "a_contains": set(tags) >= set(wanted),
            "a_overlaps": bool(set(tags) & set(wanted)),
            "a_containedby": set(tags) <= set(wanted),
        }[operator]

    return {"op": operator, "args": [{"property": "tags"}, wanted]}, test


LEAVES = (
    *(on_number, on_arithmetic, on_text, on_pattern, on_list, on_kind, on_two, on_time),
    *(on_place, on_array),
)


def random_condition(r: random.Random, depth: int = 2) -> Condition:
    if depth == 0 or r.random() < 0.4:
        return r.choice(LEAVES)(r)
    operator = r.choice(["and", "or", "not"])
    parts = [random_condition(r, depth - 1) for _ in range(1 if operator == "not" else 2)]

    def test(row: Row) -> bool | None:
        found = [part(row) for _, part in parts]
        if operator == "not":
            return None if found[0] is None else not found[0]
        decisive = operator == "or"
        if decisive in found:
            return decisive
        return None if None in found else not decisive

    return {"op": operator, "args": [node for node, _ in parts]}, test


def random_search(r: random.Random, names: dict[str, str]) -> tuple[dict[str, Any], Test]:
    """A search's body and what holds of the items it finds. `names`: collection id → its name."""
    body: dict[str, Any] = {}
    tests: list[Test] = []
    if r.random() < 0.35:
        x, y, width = r.uniform(-180, 179), r.uniform(-89, 30), r.uniform(1, 170)
        north, east = y + r.uniform(1, 59), x + width
        places = [box(x, y, min(east, 180), north)]
        if east > 180:
            east -= 360
            places.append(box(-180, y, east, north))
        body["bbox"] = [x, y, east, north]
        tests.append(
            lambda row: (
                row["geometry"] is not None
                and any(shapely.intersects(shape(row["geometry"]), place) for place in places)
            )
        )
    if r.random() < 0.35:
        low, high = sorted([random_moment(r), random_moment(r)])
        kind = r.choice(["both", "from", "to", "at"])
        high = low if kind == "at" else high
        body["datetime"] = {
            "both": f"{text(low)}/{text(high)}",
            "from": f"{text(low)}/..",
            "to": f"../{text(high)}",
            "at": text(low),
        }[kind]
        tests.append(
            lambda row: (
                (kind == "from" or first(row) <= high) and (kind == "to" or last(row) >= low)
            )
        )
    if r.random() < 0.25:
        chosen = r.sample(sorted(names), r.randrange(1, len(names) + 1))
        body["collections"] = [names[id_] for id_ in chosen]
        tests.append(lambda row: (row["collection_id"] or row["project_id"]) in chosen)
    if r.random() < 0.15:
        wanted = r.choice([0, 1, 2])
        body["query"] = {"n": {"gte": wanted}, "platform": {"in": PLATFORMS[:3]}}
        tests.append(
            lambda row: (
                value(row, "n") is not None
                and value(row, "n") >= wanted
                and value(row, "platform") in PLATFORMS[:3]
            )
        )
    elif r.random() < 0.8 or not body:
        body["filter"], condition = random_condition(r)
        tests.append(condition)
        if r.random() < 0.3:
            some = r.sample(sorted(names), r.randrange(1, len(names) + 1))
            within: dict[str, Any] = {
                "op": "in",
                "args": [{"property": "collection"}, [names[id_] for id_ in some]],
            }
            if len(some) == 1:
                within = {"op": "=", "args": [{"property": "collection"}, names[some[0]]]}
            parts = r.choice([[within], [within, body["filter"]], [body["filter"], within]])
            if len(parts) == 1:
                tests.pop()
            body["filter"] = parts[0] if len(parts) == 1 else {"op": "and", "args": parts}
            tests.append(lambda row: (row["collection_id"] or row["project_id"]) in some)
    return body, lambda row: all(test(row) is True for test in tests)


# ---------------------------------------------------------------- order

_RANK = {str: 1, int: 2, float: 2, bool: 3, list: 4}  # of JSON values in PostgreSQL
SORTABLE = ["datetime", "n", "mix", "platform", "eo:cloud_cover", "missing", "title", "flag"]


def random_order(r: random.Random) -> list[dict[str, str]]:
    names = r.sample(SORTABLE, r.choice([1, 1, 2]))
    return [{"field": name, "direction": r.choice(["asc", "desc"])} for name in names]


def ordered(rows: list[Row], order: list[dict[str, str]]) -> list[str]:
    """Ids in the order asked for: null is last going up and first going down, ties by id."""
    rows = sorted(rows, key=lambda row: row["id"], reverse=order[0]["direction"] == "desc")
    for part in reversed(order):

        def key(row: Row, name: str = part["field"]) -> Any:
            found = first(row) if name == "datetime" else value(row, name)
            if name == "datetime":
                return (0, 0, found)
            return (1, 0, 0) if found is None else (0, _RANK[type(found)], found)

        rows = sorted(rows, key=key, reverse=part["direction"] == "desc")
        if part["direction"] == "desc":  # reverse keeps equal ones in order; all is well
            continue
    return [row["id"] for row in rows]


# ---------------------------------------------------------------- aggregations


def centroid(row: Row) -> tuple[float, float] | None:
    if row["geometry"] is None:
        return None
    made = shape(row["geometry"])
    if row["bbox"][0] > row["bbox"][2]:
        moved = shapely.transform(made, lambda p: p + (p[:, :1] < 0) * [[360, 0]])
        at = moved.centroid
        return (at.x - 360 if at.x > 180 else at.x), at.y
    return made.centroid.x, made.centroid.y


def geohash(x: float, y: float, length: int) -> str:
    spans, bits = [[-180.0, 180.0], [-90.0, 90.0]], []
    for n in range(5 * length):
        span, at = spans[n % 2], (x, y)[n % 2]
        middle = sum(span) / 2
        bits.append(at >= middle)
        span[0 if at >= middle else 1] = middle
    letters = "0123456789bcdefghjkmnpqrstuvwxyz"
    return "".join(
        letters[sum(bit << (4 - k) for k, bit in enumerate(bits[i : i + 5]))]
        for i in range(0, len(bits), 5)
    )


def tile(x: float, y: float, zoom: int) -> tuple[int, int]:
    n = 1 << zoom
    limit = 85.0511287798066
    row = (1 - math.asinh(math.tan(math.radians(max(-limit, min(limit, y))))) / math.pi) / 2 * n
    return max(0, min(n - 1, math.floor((x + 180) / 360 * n))), max(0, min(n - 1, math.floor(row)))


def cells(row: Row, grid: str, precision: int) -> set[str]:
    """Every cell that a geometry touches, by trying all of them."""
    if row["geometry"] is None:
        return set()
    names, boxes = (
        GRIDS[grid, precision] if (grid, precision) in GRIDS else all_cells(grid, precision)
    )
    touched = shapely.intersects(shape(row["geometry"]), boxes)
    return {names[n] for n in np.flatnonzero(touched)}


GRIDS: dict[tuple[str, int], tuple[list[str], Any]] = {}


def all_cells(grid: str, precision: int) -> tuple[list[str], Any]:
    """Names and boxes of every cell of a grid."""
    names, boxes = [], []
    if grid == "geotile":
        n = 1 << precision

        def north(y: int) -> float:
            if y in (0, n):
                return 90 if y == 0 else -90
            return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y / n))))

        for x, y in itertools.product(range(n), range(n)):
            names.append(f"{precision}/{x}/{y}")
            boxes.append((x * 360 / n - 180, north(y + 1), (x + 1) * 360 / n - 180, north(y)))
    else:
        columns, rows = 1 << (5 * precision + 1) // 2, 1 << 5 * precision // 2
        width, height = 360 / columns, 180 / rows
        for x, y in itertools.product(range(columns), range(rows)):
            west, south = x * width - 180, y * height - 90
            names.append(geohash(west + width / 2, south + height / 2, precision))
            boxes.append((west, south, west + width, south + height))
    GRIDS[grid, precision] = names, shapely.box(*np.array(boxes).T)
    return GRIDS[grid, precision]


def truncated(at: datetime, by: str) -> str:
    at = at.replace(second=0, microsecond=0, minute=0)
    if by == "hour":
        return text(at)
    at = at.replace(hour=0)
    if by == "week":
        at -= timedelta(days=at.weekday())
    elif by != "day":
        month = {"month": at.month, "quarter": (at.month - 1) // 3 * 3 + 1, "year": 1}[by]
        at = at.replace(day=1, month=month)
    return text(at)


def counted(rows: list[Row], name: str, parameters: dict[str, Any], names: dict[str, str]) -> Any:
    """What an aggregation must answer: a value, or key → frequency."""
    if name == "total_count":
        return len(rows)
    if name in ("datetime_min", "datetime_max"):
        moments = [first(row) for row in rows]
        chosen = {"datetime_min": min, "datetime_max": max}[name]
        return text(chosen(moments)) if moments else None
    keys: list[Any] = []
    for row in rows:
        if name == "collection_frequency":
            keys.append(names[row["collection_id"] or row["project_id"]])
        elif name == "datetime_frequency":
            keys.append(truncated(first(row), parameters["datetime_frequency_interval"]))
        elif name.startswith("centroid"):
            precision = parameters[f"{name}_precision"]
            if (at := centroid(row)) is not None:
                x, y = tile(*at, precision)
                hashed = "geohash" in name
                keys.append(geohash(*at, precision) if hashed else f"{precision}/{x}/{y}")
        elif name.startswith("geometry"):
            keys += cells(row, name.split("_")[1], parameters[f"{name}_precision"])
        elif edges := parameters.get(f"{name}_ranges"):
            found = number(value(row, name.removesuffix("_frequency")))
            for low, high in itertools.pairwise(edges):
                inside = found is not None and low <= found < high
                if inside or (found == high == edges[-1]):
                    keys.append(f"{low:g}-{high:g}")
        else:
            found = value(row, name.removesuffix("_frequency"))
            for one in set(found) if isinstance(found, list) else {found} - {None}:
                keys.append((one if isinstance(one, str) else str(one).lower(), type_of(one)))
    return dict(Counter(keys))


def type_of(key: Any) -> str:
    return {bool: "boolean", str: "string"}.get(type(key), "numeric")
