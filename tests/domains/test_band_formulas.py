"""Formulas that an organization has named, and the templates that everybody has."""

from __future__ import annotations

import asyncio

import pytest

from raster.bands import INDICES

FORMULA = {"name": "Greenness", "formula": "(nir - red) / (nir + red)"}


async def test_a_formula_is_kept_and_says_which_bands_it_needs(api):
    owner = await api.organization()
    made = await api.ok("band_formulas.create", FORMULA, as_=owner)
    assert made["id"].startswith("bf_") and made["organization_id"] == owner.organization_id
    assert made["required_bands"] == ["nir", "red"]
    assert (made["colormap"], made["value_range"], made["category"]) == (
        "RdYlGn", [-1, 1], "custom",
    )  # fmt: skip
    assert made["is_template"] is False and made["created_at"].endswith("Z")
    got = await api.ok("band_formulas.get", {"formula_id": made["id"]}, as_=owner)
    assert got["band_formula"] == made
    new = {"formula_id": made["id"], "formula": "where(b1 > 0.5, B08, b2)", "value_range": [0, 1]}
    changed = await api.ok("band_formulas.update", new, as_=owner)
    assert changed["required_bands"] == ["b1", "B08", "b2"] and changed["name"] == "Greenness"
    assert changed["updated_at"] >= made["updated_at"]
    gone = await api.ok("band_formulas.delete", {"formula_id": made["id"]}, as_=owner)
    assert gone == {"ok": True, "id": made["id"]}
    await api.refused(404, "band_formulas.get", {"formula_id": made["id"]}, as_=owner)


async def test_the_templates_are_the_index_catalogue(api):
    owner = await api.organization()
    found = (await api.ok("band_formulas.list", as_=owner))["band_formulas"]
    assert {f["name"] for f in found} == set(INDICES) and all(f["is_template"] for f in found)
    for template in found:
        index = INDICES[template["name"]]
        assert template["formula"] == index.formula
        assert template["required_bands"] == list(index.roles)
        assert tuple(template["value_range"]) == index.value_range


async def test_templates_stay_as_they_are(api):
    owner = await api.organization()
    ref = {"formula_id": "bf_template_ndvi"}
    assert (await api.ok("band_formulas.get", ref, as_=owner))["band_formula"]["name"] == "NDVI"
    await api.refused(403, "band_formulas.update", {**ref, "name": "mine"}, as_=owner)
    await api.refused(403, "band_formulas.delete", ref, as_=owner)
    # nor does the database let a tenant's session change one
    (row,) = api.sql("select name from band_formula where id = 'bf_template_ndvi'")
    assert row["name"] == "NDVI"


async def test_a_list_can_be_narrowed(api):
    owner = await api.organization()
    for name, category in (("one", "soil"), ("two", "custom")):
        body = {"name": name, "formula": "b1 + 1", "category": category}
        await api.ok("band_formulas.create", body, as_=owner)
    own = await api.ok("band_formulas.list", {"include_templates": False}, as_=owner)
    assert [f["name"] for f in own["band_formulas"]] == ["two", "one"] and own["count"] == 2
    soil = (await api.ok("band_formulas.list", {"category": "soil"}, as_=owner))["band_formulas"]
    assert [f["name"] for f in soil] == ["one", "BSI"]


async def test_a_name_is_an_organizations_once(api):
    owner, other = await api.organization(), await api.organization()
    answers = await asyncio.gather(
        *[api.call("band_formulas.create", FORMULA, as_=owner) for _ in range(4)]
    )
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409]
    await api.refused(409, "band_formulas.create", {**FORMULA, "name": "greenness "}, as_=owner)
    await api.ok("band_formulas.create", FORMULA, as_=other)
    second = await api.ok("band_formulas.create", {**FORMULA, "name": "second"}, as_=owner)
    body = {"formula_id": second["id"], "name": "GREENNESS"}
    await api.refused(409, "band_formulas.update", body, as_=owner)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"formula": "nir -"}, "formula"),
        ({"formula": "__import__('os')"}, "formula"),
        ({"formula": "1 + 1"}, "formula"),
        ({"formula": "b0 + b1"}, "formula"),
        ({"formula": "b1 ** 99"}, "formula"),
        ({"formula": "(" * 600 + "b1" + ")" * 600}, "formula"),
        ({"formula": "b" * 2000}, "formula"),
        ({"formula": "b1"}, "formula"),
        ({"name": "x"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"value_range": [1]}, "value_range"),
        ({"value_range": [1, 0]}, "value_range"),
        ({"colormap": "nope"}, "colormap"),
        ({"colormap": "x" * 5000}, "colormap"),
        ({"category": "x" * 5000}, "category"),
    ],
)
async def test_what_is_no_formula_is_refused_at_its_place(api, fields, field):
    owner = await api.organization()
    problem = await api.refused(422, "band_formulas.create", {**FORMULA, **fields}, as_=owner)
    assert problem["detail"][0]["loc"] == ["body", field]


async def test_reading_is_not_writing(api):
    owner = await api.organization()
    reader = await api.key(owner, "band_formulas:read")
    await api.ok("band_formulas.list", as_=reader)
    await api.refused(403, "band_formulas.create", FORMULA, as_=reader)
