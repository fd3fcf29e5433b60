"""What a caller may give as geometry, and the box of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_gateway.catalogue.geometry import bbox_of, checked, checked_bbox, positions
from ops_gateway.kernel.errors import Invalid

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(-200, 200)
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "coordinates", "geometries", "x"]), inner, max_size=3
        )
    ),
    max_leaves=20,
)
SIMPLE = ("Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon")
KINDS = st.sampled_from([*SIMPLE, "GeometryCollection", "Circle"])
PLACE = st.tuples(st.floats(-180, 180), st.floats(-90, 90)).map(list)


@given(st.builds(lambda k, c: {"type": k, "coordinates": c, "geometries": c}, KINDS, JSON) | JSON)
def test_anything_is_a_geometry_or_refused(value):
    try:
        made = checked(value)
    except Invalid as error:
        assert error.errors[0]["loc"] == ["body", "geometry"]
        return
    assert checked(made) == made
    west, south, east, north = bbox_of(made)
    assert -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90


@given(st.lists(PLACE, min_size=1, max_size=20))
def test_a_box_holds_every_position(places):
    geometry = checked({"type": "MultiPoint", "coordinates": places})
    west, south, east, north = bbox_of(geometry)
    for x, y in positions(geometry):
        assert south <= y <= north
        assert west <= x <= east if west <= east else x >= west or x <= east


@pytest.mark.parametrize(
    ("spans", "box"),
    [
        ([(170, 180), (-180, -170)], (170, -170)),
        ([(170, 180), (-180, -170), (-100, -90)], (170, -90)),
        ([(-180, 180)], (-180, 180)),
        ([(-180, 0), (0, 180)], (-180, 180)),
        ([(10, 20), (30, 40)], (10, 40)),
        ([(-180, -170), (0, 10)], (-180, 10)),
    ],
)
def test_parts_on_both_sides_of_the_antimeridian(spans, box):
    parts = [[[[w, 0], [e, 0], [e, 1], [w, 1], [w, 0]]] for w, e in spans]
    west, south, east, north = bbox_of({"type": "MultiPolygon", "coordinates": parts})
    assert ((west, east), south, north) == (box, 0, 1)


def test_the_place_of_a_fault_is_told():
    ring = [[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]
    for value, words in (
        ({"type": "Polygon", "coordinates": [ring]}, "Self-intersection at [1 1]"),
        ({"type": "Polygon", "coordinates": [ring[:-1]]}, "coordinates[0] is not closed"),
        ({"type": "LineString", "coordinates": [[0, 0], [0, 91]]}, "coordinates[1]: latitude 91"),
    ):
        with pytest.raises(Invalid, match=words.replace("[", r"\[")):
            checked(value)


def test_a_height_is_left_out():
    assert checked({"type": "Point", "coordinates": [1, 2, 300]})["coordinates"] == [1, 2]
    assert checked_bbox([1, 2, -5, 3, 4, 90]) == [1, 2, 3, 4]
    assert checked_bbox([178, -18, -179, -16]) == [178, -18, -179, -16]
