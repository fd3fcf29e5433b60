"""Lineage: both directions, circles, depth, and nothing of projects the caller is not in."""

from __future__ import annotations

from collections import deque

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops_gateway.kernel.ids import new_id


async def clip(api, stock, owner, project):
    """What a clip leaves: upload ← source ← job ← output."""
    source, output = await stock.item(owner, project), await stock.item(owner, project)
    upload, job = stock.upload(owner, project, "completed"), stock.job(owner, project, "completed")
    await stock.edges(
        owner,
        (("item", source["id"]), "generated_by", ("upload", upload)),
        (("processing_job", job), "used", ("item", source["id"])),
        (("item", output["id"]), "generated_by", ("processing_job", job)),
        (("item", output["id"]), "derived_from", ("item", source["id"])),
    )
    return {
        "source": source["id"],
        "output": output["id"],
        "upload": upload,
        "job": job,
        "asset": source["asset_id"],
    }


def short(answer):
    return [(e["depth"], e["src_type"], e["relation"], e["dst_type"]) for e in answer["edges"]]


async def test_an_output_leads_to_its_job_its_source_and_its_upload(api, stock):
    owner = await api.organization()
    made = await clip(api, stock, owner, await api.project(owner))
    up = await api.ok(
        "provenance.get", {"entity_type": "item", "entity_id": made["output"]}, as_=owner
    )
    assert up["root"] == {"entity_type": "item", "entity_id": made["output"]}
    assert up["direction"] == "up"
    assert sorted(short(up)) == [
        (1, "item", "derived_from", "item"),
        (1, "item", "generated_by", "processing_job"),
        (2, "item", "generated_by", "upload"),
        (2, "processing_job", "used", "item"),
    ]
    assert {(n["entity_id"], n["depth"]) for n in up["nodes"]} == {
        (made["output"], 0),
        (made["job"], 1),
        (made["source"], 1),
        (made["upload"], 2),
    }
    assert all(e["invocation_id"].startswith("inv_") for e in up["edges"])
    down = await api.ok(
        "provenance.get",
        {"entity_type": "upload", "entity_id": made["upload"], "direction": "down"},
        as_=owner,
    )
    assert {n["entity_id"] for n in down["nodes"]} == {
        made[k] for k in ("upload", "source", "job", "output")
    }
    both = await api.ok(
        "provenance.get",
        {"entity_type": "item", "entity_id": made["source"], "direction": "both"},
        as_=owner,
    )
    assert {n["entity_id"] for n in both["nodes"]} == {
        made[k] for k in ("upload", "source", "job", "output")
    }


async def test_depth_limits_how_far_it_walks(api, stock):
    owner = await api.organization()
    made = await clip(api, stock, owner, await api.project(owner))
    near = await api.ok(
        "provenance.get",
        {"entity_type": "item", "entity_id": made["output"], "max_depth": 1},
        as_=owner,
    )
    assert {n["entity_id"] for n in near["nodes"]} == {made["output"], made["job"], made["source"]}
    for depth in (0, 51, -1):
        await api.refused(
            422,
            "provenance.get",
            {"entity_type": "item", "entity_id": "x", "max_depth": depth},
            as_=owner,
        )
    await api.refused(
        422,
        "provenance.get",
        {"entity_type": "item", "entity_id": "x", "direction": "sideways"},
        as_=owner,
    )


async def test_a_circle_ends(api, stock):
    owner = await api.organization()
    project = await api.project(owner)
    a, b, c = [(await stock.item(owner, project))["id"] for _ in range(3)]
    await stock.edges(
        owner,
        *[(("item", x), "derived_from", ("item", y)) for x, y in [(a, b), (b, c), (c, a), (a, a)]],
    )
    answer = await api.ok(
        "provenance.get", {"entity_type": "item", "entity_id": a, "max_depth": 50}, as_=owner
    )
    assert len(answer["edges"]) == 4
    assert {(n["entity_id"], n["depth"]) for n in answer["nodes"]} == {(a, 0), (b, 1), (c, 2)}


async def test_roots_of_every_kind_are_found_and_no_others(api, stock):
    owner, other = await api.organization(), await api.organization("Other")
    project = await api.project(owner)
    made = await clip(api, stock, owner, project)
    roots = [
        ("item", made["output"]),
        ("asset", made["asset"]),
        ("processing_job", made["job"]),
        ("upload", made["upload"]),
        ("project", project),
        ("collection", stock.collection(owner, project)),
    ]
    unknown = await api.refused(
        404, "provenance.get", {"entity_type": "item", "entity_id": "it_x"}, as_=other
    )
    for kind, entity_id in roots:
        body = {"entity_type": kind, "entity_id": entity_id, "direction": "both"}
        await api.ok("provenance.get", body, as_=owner)
        foreign = await api.refused(404, "provenance.get", body, as_=other)
        assert {**unknown, "instance": ""} == {**foreign, "instance": ""}
        await api.refused(404, "provenance.get", {**body, "entity_type": "ghost"}, as_=owner)
        await api.refused(403, "provenance.get", body, as_=await api.member(owner, "member"))
    await api.ok("projects.delete", {"project_id": project}, as_=owner)
    for kind, entity_id in roots[:2] + roots[3:]:
        await api.refused(
            404, "provenance.get", {"entity_type": kind, "entity_id": entity_id}, as_=owner
        )


async def test_what_is_in_a_project_of_others_does_not_appear_and_is_not_walked_through(api, stock):
    owner = await api.organization()
    mine, theirs = await api.project(owner, "mine"), await api.project(owner, "theirs")
    top, far = (await stock.item(owner, mine))["id"], (await stock.item(owner, mine))["id"]
    hidden = (await stock.item(owner, theirs))["id"]
    await stock.edges(
        owner,
        (("item", top), "derived_from", ("item", hidden)),
        (("item", hidden), "derived_from", ("item", far)),
    )
    person = await api.member(owner, "member")
    await api.ok("projects.add_member", {"project_id": mine, "user_id": person.user_id}, as_=owner)
    body = {"entity_type": "item", "entity_id": top}
    assert len((await api.ok("provenance.get", body, as_=owner))["edges"]) == 2
    answer = await api.ok("provenance.get", body, as_=person)
    assert answer["edges"] == [] and [n["entity_id"] for n in answer["nodes"]] == [top]


async def test_any_graph_is_walked_as_a_breadth_first_search_walks_it(api, stock):
    owner = await api.organization()
    project = await api.project(owner)

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=14),
        st.integers(1, 6),
    )
    def draw(pairs, depth):
        graphs.append((pairs, depth))

    graphs: list[tuple[list[tuple[int, int]], int]] = []
    draw()
    for pairs, depth in graphs:
        names = [new_id("it") for _ in range(7)]
        for name in names[:1]:
            api.sql(
                "insert into item (id, organization_id, project_id, stac_id, type, name)"
                " values (%s, %s, %s, %s, 'user_raster', 'x')",
                name,
                owner.organization_id,
                project,
                name,
            )
        await stock.edges(
            owner, *[(("item", names[a]), "derived_from", ("item", names[b])) for a, b in pairs]
        )
        for direction, step in (("up", pairs), ("down", [(b, a) for a, b in pairs])):
            found, queue = {0: 0}, deque([0])
            while queue:
                node = queue.popleft()
                for a, b in step:
                    if a == node and b not in found and found[node] < depth:
                        found[b] = found[node] + 1
                        queue.append(b)
            answer = await api.ok(
                "provenance.get",
                {
                    "entity_type": "item",
                    "entity_id": names[0],
                    "direction": direction,
                    "max_depth": depth,
                },
                as_=owner,
            )
            assert {n["entity_id"]: n["depth"] for n in answer["nodes"]} == {
                names[k]: d for k, d in found.items()
            }
