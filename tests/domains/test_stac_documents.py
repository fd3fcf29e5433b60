"""What items say of themselves: valid by the schemas they name, and every link leads somewhere."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pystac
import pytest
from referencing import Registry, Resource

DATA = Path(__file__).parent.parent / "data"
SCHEMAS = {
    f"https://stac-extensions.github.io/{path.stem.rpartition('-')[0]}"
    f"/{path.stem.rpartition('-')[2]}/schema.json": json.loads(path.read_text())
    for path in sorted((DATA / "stac-extensions").glob("*.json"))
}
ANYTHING = Resource.from_contents({"$schema": "http://json-schema.org/draft-07/schema#"})
REGISTRY: Registry = Registry().with_resources(
    [  # said of geometries and of PROJJSON elsewhere; not ours to check here
        ("https://geojson.org/schema/Geometry.json", ANYTHING),
        ("https://proj.org/schemas/v0.7/projjson.schema.json", ANYTHING),
    ]
)


def check(feature: dict) -> None:
    """Every extension the document names validates it, and it names all it uses."""
    for uri in feature["stac_extensions"]:
        schema = SCHEMAS[uri]
        jsonschema.Draft7Validator(schema, registry=REGISTRY).validate(feature)
    text = json.dumps(feature)
    for prefix, name in {
        "proj:": "projection", "raster:": "raster", "eo:": "eo", "file:": "file",
        '"renders"': "render", "processing:": "processing", '"published"': "timestamps",
        '"version"': "version", "wmts:layer": "web-map-links",
    }.items():  # fmt: skip
        named = any(f"/{name}/" in uri for uri in feature["stac_extensions"])
        assert named == (prefix in text), (name, feature["stac_extensions"])


async def stac(api, owner, item_id):
    """The item as a search gives it, which items.get_stac agrees with."""
    (feature,) = (await api.ok("stac.search", {"ids": [item_id]}, as_=owner))["features"]
    alone = (await api.call("items.get_stac", {"item_id": item_id}, as_=owner)).json()
    alone["properties"].pop("opstac:provenance", None)
    assert alone == feature
    return feature


async def test_a_scene_says_all_a_client_needs_to_draw_and_compute(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    item, (asset,) = await catalogue.scene(
        owner, project, properties={"platform": "sentinel-2b", "eo:cloud_cover": 3}
    )
    feature = await stac(api, owner, item["id"])
    check(feature)
    data = feature["assets"]["data"]
    assert data["proj:code"] == "EPSG:32631"
    assert data["proj:shape"] == [asset["height"], asset["width"]]
    west, south, east, north = data["proj:bbox"]
    assert west == data["proj:transform"][2] and north == data["proj:transform"][5]
    assert east > west and north > south
    assert data["file:size"] == asset["size_bytes"]
    assert data["file:checksum"] == "1220" + asset["checksum"]
    band, eo = data["raster:bands"][3], data["eo:bands"][3]
    assert band["data_type"] == "uint16" and band["spatial_resolution"] == pytest.approx(10, 0.01)
    assert {"minimum", "maximum", "mean", "stddev", "valid_percent"} <= set(band["statistics"])
    assert eo == {"name": "nir", "common_name": "nir", "center_wavelength": 0.833}
    properties = feature["properties"]
    assert properties["renders"] == {
        "auto": {"assets": ["data"], "title": "auto", "bidx": [3, 2, 1]}
    }
    assert properties["version"] == "1" and properties["published"] == properties["created"]


async def test_profiles_are_renders(api, catalogue):
    owner = await api.organization()
    item, _ = await catalogue.scene(owner, await api.project(owner))
    body = {
        "item_id": item["id"], "name": "greenness", "type": "expression", "is_default": True,
        "config": {
            "expression": "(nir - red) / (nir + red)", "colormap": "RdYlGn", "rescale": [-1, 1],
        },
    }  # fmt: skip
    await api.ok("visualization.profile.create", body, as_=owner)
    named = {"item_id": item["id"], "name": "by name", "type": "rgb", "sort_order": 3}
    config = {"config": {"bands": ["nir", 3, "b2"], "rescale": [[0, 1], [0, 2], [0, 3]]}}
    await api.ok("visualization.profile.create", named | config, as_=owner)
    feature = await stac(api, owner, item["id"])
    check(feature)
    renders = feature["properties"]["renders"]
    assert renders["greenness"] == {
        "assets": ["data"], "title": "greenness", "expression": "(nir - red) / (nir + red)",
        "rescale": [[-1, 1]], "colormap_name": "rdylgn",
    }  # fmt: skip
    assert renders["by name"]["bidx"] == [4, 3, 2]
    maps = [link for link in feature["links"] if link["rel"] in ("tilejson", "xyz")]
    assert [link["render"] for link in maps] == ["greenness", "greenness"]


async def test_an_item_without_files_names_no_more_than_it_uses(api, catalogue):
    owner = await api.organization()
    item = await catalogue.item(owner, await api.project(owner))
    feature = await stac(api, owner, item["id"])
    check(feature)
    assert {uri.split("/")[3] for uri in feature["stac_extensions"]} == {"timestamps", "version"}


async def test_versions_count_and_name_the_one_before(api, catalogue):
    owner = await api.organization()
    item = await catalogue.item(owner, await api.project(owner))
    assert item["previous_version_id"] is None
    changed = await api.ok("items.update", {"item_id": item["id"], "name": "b"}, as_=owner)
    assert changed["previous_version_id"] == f"{item['id']}@1"
    changed = await api.ok("items.update", {"item_id": item["id"], "name": "c"}, as_=owner)
    assert changed["previous_version_id"] == f"{item['id']}@2"
    feature = await stac(api, owner, item["id"])
    check(feature)
    assert feature["properties"]["version"] == "3"
    ended = "update item set expires_at = '2030-01-01Z' where id = %s"
    api.sql(ended, item["id"])
    await api.ok("items.update", {"item_id": item["id"], "name": "d"}, as_=owner)
    feature = await stac(api, owner, item["id"])
    check(feature)
    assert feature["properties"]["expires"] == "2030-01-01T00:00:00Z"


async def test_every_link_leads_somewhere(api, catalogue):
    owner = await api.organization()
    item, _ = await catalogue.scene(owner, await api.project(owner))
    feature = await stac(api, owner, item["id"])
    rels = {link["rel"] for link in feature["links"]}
    assert {"self", "canonical", "tilejson", "wmts", "xyz", "preview"} <= rels
    headers = {"Authorization": f"Bearer {owner.token}"}
    hrefs = [(link["href"], link.get("type")) for link in feature["links"]]
    hrefs += [(asset["href"], None) for asset in feature["assets"].values()]
    for href, kind in hrefs:
        url = href.replace("{z}", "0").replace("{x}", "0").replace("{y}", "0")
        answer = await api.client.get(url, headers=headers)
        assert answer.status_code in (200, 302), (href, answer.text)
        if kind is not None and kind != "application/json":
            assert answer.headers["content-type"].split(";")[0] == kind, href
        # without a credential there is a reason, and never a fault or a false "not found"
        answer = await api.client.get(url)
        # the STAC API shows the public what is public, and has no such item for it
        allowed = {200, 401} | ({404} if "/assets/stac" in url else set())
        assert answer.status_code in allowed, (href, answer.text)


async def test_pystac_reads_what_is_said(api, catalogue):
    from pystac.extensions.eo import EOExtension
    from pystac.extensions.projection import ProjectionExtension

    owner = await api.organization()
    item, _ = await catalogue.scene(owner, await api.project(owner))
    read = pystac.Item.from_dict(await stac(api, owner, item["id"]))
    asset = read.assets["data"]
    assert ProjectionExtension.ext(asset).epsg == 32631
    bands = EOExtension.ext(asset).bands
    assert [band.common_name for band in bands or []][:4] == ["blue", "green", "red", "nir"]


async def test_documents_of_an_earlier_form_are_written_anew(api, catalogue):
    owner = await api.organization()
    item, _ = await catalogue.scene(owner, await api.project(owner))
    before = await stac(api, owner, item["id"])
    api.sql("update item set document_format = 0 where id = %s", item["id"])
    api.sql(
        "update pgstac.items set content = content #- '{properties,renders}' where id = %s",
        item["id"], role="opstac_owner",
    )  # fmt: skip
    stale = (await api.ok("stac.search", {"ids": [item["id"]]}, as_=owner))["features"][0]
    assert "renders" not in stale["properties"]
    from db.pool import make_pool
    from opstac import chores

    async with make_pool(api.platform.settings.dsn, "opstac_system", min_size=1) as system:
        every = {chore.name: chore for chore in chores.all_of(api.platform, system)}
        await every["rebuild documents"].run()
    assert await stac(api, owner, item["id"]) == before
    (row,) = api.sql("select document_format as n from item where id = %s", item["id"])
    assert row["n"] == 1
