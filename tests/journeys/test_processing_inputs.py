"""Bad inputs at every operation of processing and clips, and at every input of every process: the
answer is a 4xx problem that points at what is wrong, never a 5xx.
"""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from ops_gateway.domains import load
from ops_gateway.kernel.operation import REGISTRY
from opstac.journey import area_inside
from processes.process import discover

load()
OPERATIONS = sorted(
    op for op in REGISTRY if op.startswith(("processing.", "clip.")) and op != "clip.areas.list"
)
DEEP = "[" * 60 + "]" * 60
# as JSON text: some of it no client library would write
WELL_FORMED = (
    "5", "-1.5", "true", '"x"', '""', "[]", "{}", '[null, {"a":[]}]', '"\\u0000"', '{"\\u0000":1}',
    str(2**70), "1e308",
    '{"type":"Polygon","coordinates":"x"}',
    '{"type":"Polygon","coordinates":[[[1e308,0],[0,1e308],[1,1],[1e308,0]]]}',
)  # fmt: skip
# tried at one field of each
LARGE = (DEEP, str(2**53 + 1), '"' + "x" * 70_000 + '"', "[" + "1," * 20_000 + "1]")
NO_JSON = ("NaN", "-Infinity", "1e999", '"\\ud800"', '["\\udfff"]', '"\\x"', "[" * 3000, "")


class Asker:
    """Sends JSON text as it is, and notes what should not have been answered."""

    def __init__(self, scene) -> None:
        self.scene = scene
        self.wrong: list[str] = []
        self.asked = 0

    async def ask(self, op: str, text: str, note: str, allowed=range(200, 500)):
        answer = await self.scene.api.client.post(
            f"/v1/op/{op}",
            content=text.encode(),
            headers={
                "Authorization": f"Bearer {self.scene.owner.token}",
                "Content-Type": "application/json",
            },
        )
        self.asked += 1
        at = f"{op} {note[:120]}: {answer.status_code} {answer.text[:200]}"
        if answer.status_code not in allowed:
            self.wrong.append(at)
        if answer.status_code >= 400:
            problem = answer.json() if answer.content else {}
            if (
                answer.headers["content-type"] != "application/problem+json"
                or problem.get("status") != answer.status_code
                or not problem.get("detail")
            ):
                self.wrong.append(f"no problem: {at}")
            if answer.status_code == 422:
                for error in problem["detail"]:
                    if error["loc"][0] != "body" or not error["msg"] or not error["type"]:
                        self.wrong.append(f"no pointer: {at}")
        return answer

    def points_at(self, answer, place: list[str], note: str) -> None:
        """Note an answer that is no 422 with an error at `place` or below it."""
        found = (
            [e["loc"][: len(place)] for e in answer.json()["detail"]]
            if answer.status_code == 422
            else [answer.status_code]
        )
        if place not in found:
            self.wrong.append(f"{note[:120]}: {found} and not {place}")


@pytest.fixture
def asker(scene) -> Asker:
    return Asker(scene)


def sane(scene) -> dict[str, object]:
    """A value for every field that an operation may ask for."""
    return {
        "project_id": scene.project,
        "workspaceId": scene.project,
        "organization_id": scene.owner.organization_id,
        "job_type_id": "ndvi",
        "process_id": "ndvi",
        "job_id": "job_missing",
        "source_item_id": scene.item["id"],
        "aoi_geometry": area_inside(scene.item),
        "area": "harbour",
        "mosaic_types": ["data"],
        "mosaic_type": "data",
    }


def text_of(body: dict[str, object], name: str, value: str) -> str:
    """JSON text of `body` with one member's value as raw text."""
    rest = {key: member for key, member in body.items() if key != name}
    inner = json.dumps(rest)[1:-1]
    return f"{{{inner}{', ' if inner else ''}{json.dumps(name)}: {value}}}"


async def test_every_field_of_every_operation(scene, asker):
    for op_id in OPERATIONS:
        model = REGISTRY[op_id].input
        values = sane(scene)
        fields = {info.alias or name: info for name, info in model.model_fields.items()}
        body = {name: values[name] for name, info in fields.items() if info.is_required()}
        first = next(iter(fields), None)
        for name, info in fields.items():
            if info.is_required():
                rest = {key: value for key, value in body.items() if key != name}
                answer = await asker.ask(op_id, json.dumps(rest), f"without {name}")
                asker.points_at(answer, ["body", name], f"{op_id} without {name}")
            for value in (*WELL_FORMED, *(LARGE if name == first else ())):
                note = f"{op_id} {name} = {value}"
                answer = await asker.ask(op_id, text_of(body, name, value), note)
                try:
                    model.model_validate({**body, name: json.loads(value)})
                except ValidationError:
                    asker.points_at(answer, ["body", name], note)
        for value in NO_JSON:
            text = text_of(body, name, value)
            await asker.ask(op_id, text, f"{name} = {value}", allowed=(400, 422))
        for text in ("5", "[]", '"x"', "[1", "\ufeff{}", "{}{}"):
            await asker.ask(op_id, text, text, allowed=(400, 422))
        # what no field has is ignored, as everywhere
        extra = await asker.ask(op_id, json.dumps({**body, "more": {"x": [1]}}), "extra")
        plain = await asker.ask(op_id, json.dumps(body), "plain")
        if extra.status_code != plain.status_code:
            asker.wrong.append(f"{op_id}: extra {extra.status_code}, plain {plain.status_code}")
    assert not asker.wrong, "\n".join(asker.wrong[:30])
    assert asker.asked > 500


async def test_every_input_of_every_process(scene, asker):
    """Validate refuses what the process's schema refuses and points into `inputs`; execute too."""
    values = {
        "source_item_id": scene.item["id"],
        "source_item_ids": [scene.item["id"]],
        "aoi_geometry": area_inside(scene.item),
        "expression": "(nir - red) / (nir + red)",
        "index_name": "NDVI",
    }
    for process in discover().values():
        fields = process.inputs.model_fields
        # an input that a later process needs is wrong everywhere, which hides no other wrong one
        needed = [name for name, info in fields.items() if info.is_required()]
        good = {name: values.get(name, "x") for name in needed}
        for name in fields:
            texts = (*WELL_FORMED, "null", *(LARGE if name == next(iter(fields)) else ()))
            bad = []
            for text in texts:
                try:
                    process.check({**good, name: json.loads(text)})
                except ValidationError as error:
                    # some rules are of several inputs together
                    if any(e["loc"][:1] == (name,) for e in error.errors()):
                        bad.append(text)
                inputs = text_of(good, name, text)
                note = f"{process.id} {name} = {text}"
                asked = f'{{"process_id": "{process.id}", "inputs": {inputs}}}'
                answer = await asker.ask("processing.catalog.validate", asked, note)
                if text in bad:
                    asker.points_at(answer, ["body", "inputs", name], note)
            if name != "message" and not bad:
                asker.wrong.append(f"{process.id}.{name} takes anything")
            for text in bad[:1]:
                inputs = text_of(good, name, text)
                asked = (
                    f'{{"process_id": "{process.id}", "workspaceId": "{scene.project}", '
                    f'"inputs": {inputs}}}'
                )
                answer = await asker.ask("processing.execute", asked, f"{process.id} {name}")
                asker.points_at(answer, ["body", "inputs", name], f"{process.id} {name} = {text}")
        if process.inputs.model_config.get("extra") == "forbid":  # `external` is told anything
            more = {"process_id": process.id, "inputs": {**good, "more": 1}}
            answer = await asker.ask("processing.catalog.validate", json.dumps(more), "extra")
            asker.points_at(answer, ["body", "inputs", "more"], f"{process.id} extra")
        else:
            assert process.id == "external"
        for missing in good:
            rest = {key: value for key, value in good.items() if key != missing}
            body = {"process_id": process.id, "inputs": rest}
            answer = await asker.ask("processing.catalog.estimate", json.dumps(body), "missing")
            asker.points_at(answer, ["body", "inputs", missing], f"{process.id} without {missing}")
    assert not asker.wrong, "\n".join(asker.wrong[:30])
    assert asker.asked > 1000
    balance = await scene.ok("billing.credits.balance")
    assert balance["reserved"] == 0
