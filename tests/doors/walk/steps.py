"""One operation through every door: the answers compared, then the refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ops_gateway.kernel.operation import REGISTRY, Operation
from opstac.reference import examples
from walk import clients, doors, record, texts
from walk.case import CASES, Body, Sent
from walk.normal import Names
from walk.seen import Seen
from walk.world import Person, World

WRONG = {"not": "this"}
# members of a page that are there without an entry too
PAGING = {"limit", "offset", "cursor", "next", "more", "type", "links", "numberMatched", "context"}
NOBODY = Person("")
FIRST = "POST by id"


def walk(world: World, op_id: str, *, recording: bool = False) -> list[str]:
    """What differs between the doors of an operation; nothing where all is well."""
    op, case = REGISTRY[op_id], CASES[op_id]
    shared, names = None if case.fresh else case.sent(world), Names(world.url)
    answers: dict[str, Seen] = {}
    told: list[str] = []
    # our clients, the command line and the tools are called by what the pages print
    for name in dict.fromkeys([*doors.of(op), *texts.TEXTS]):
        sent = shared or case.sent(world)
        # who is named in a question that all doors put is the same in all of their answers
        own = names if shared else Names(world.url)
        body = own.of(sent.body)
        if name in texts.TEXTS:
            found = texts.carry_out(world, op, sent, own, name)
        else:
            found = doors.of(op)[name](world, op, sent)
        answers[name] = normal(without(found, case.random), own)
        if name == FIRST:
            told += first_one(world, op, body, found, own, recording)
    whole = answers[FIRST].content
    if isinstance(whole, bytes | str) and examples.is_file(op):
        printed = answers.pop("TypeScript").content
        size = len(found.content)
        told += [] if printed == size else [f"{op_id} in TypeScript has {printed} bytes"]
    return [*told, *differences(op_id, answers)]


def first_one(
    world: World, op: Operation, body: Body, found: Seen, names: Names, recording: bool
) -> list[str]:
    """What is wrong with the answer that the others are compared with, and that is recorded."""
    case = CASES[op.id]
    if found.status != op.status or found.refused:
        return [f"{op.id} does not succeed: {found}"]
    if not case.empty and nothing_in(found.content):
        return [f"{op.id} has nothing to tell: {found.content}"]
    if case.about:
        # ids are counted from the start: those of others have been
        found, names = Seen(found.status, case.about(world, found.content)), Names(world.url)
    now = record.entry(op, body, normal(without(found, case.random), names))
    if recording:
        record.keep(op, now)
        return []
    differing = record.differs(op, now)
    return [differing] if differing else []


def refuse(world: World, op_id: str) -> list[str]:
    """What differs between the refusals that the doors of an operation give."""
    op, case = REGISTRY[op_id], CASES[op_id]
    sent = case.sent(world)
    told: list[str] = []
    for why, status, asked in questions(world, op, sent, case.foreign):
        names = Names(world.url)
        names.of(asked.body)
        answers = {}
        for name, door in doors.of(op).items():
            if name == "SDK" and why == "validation" and not passes(op, asked.body):
                continue  # the package itself refuses such a value
            answers[name] = normal(door(world, op, asked), names)
        first = answers["POST by id"]
        if first.status != status:
            told.append(f"{op_id} ({why}): {status} was expected, not {first}")
        told += differences(f"{op_id} ({why})", answers)
        if asked.by is not NOBODY and first.refused:  # without a credential it does not ask
            other = texts.refused_otherwise(world, op, asked, first.content)
            told += [f"{op_id} ({why}) on the command line: {other}"] if other else []
    return told


def questions(world: World, op: Operation, sent: Sent, foreign: str) -> list[tuple[str, int, Sent]]:
    """(why, status, what to send) of what is refused."""
    found = []
    if not op.public:
        found.append(("no credential", 401, Sent(sent.body, NOBODY)))
        found.append(("missing scope", 403, Sent(sent.body, narrow(world, op))))
    if not foreign:
        found.append(("another's", 404, Sent(sent.body, world.stranger)))
    broken = spoilt(op, sent.body)
    if broken is not None:
        found.append(("validation", 422, Sent(broken, sent.by)))
    return found


def narrow(world: World, op: Operation) -> Person:
    """A key that may do something else."""
    for scope in ("tiles:read", "usage:read"):
        if scope != op.scope:
            return world.of(f"key {scope}", lambda scope=scope: world.key(world.owner, scope))
    raise AssertionError(op.scope)


def spoilt(op: Operation, body: Body) -> Body | None:
    """The body with a value of the wrong type; None where no value of a field is wrong.

    A field that the package `geopera` sends on as it is goes before one that it checks itself.
    """
    fields = sorted(
        op.input.model_fields.items(), key=lambda field: (not field[1].is_required(), field[0])
    )
    found = []
    for name, info in fields:
        wire = info.alias or name
        broken = {**body, wire: WRONG}
        try:
            op.input.model_validate(broken)
        except ValidationError:
            found.append(broken)
    passed = [broken for broken in found if passes(op, broken)]
    return next(iter(passed or found), None)


def passes(op: Operation, body: Body) -> bool:
    """Whether the package sends this body as it is."""
    if not clients.in_sdk(op):
        return True
    import importlib

    module = importlib.import_module(f"geopera.api.operations.{op.id.replace('.', '_')}")
    kind: Any = module.sync.__annotations__["body"]
    try:
        made = kind.from_dict(body) if hasattr(kind, "from_dict") else clients.typed(op.id, body)
        return body.items() <= (made if isinstance(made, dict) else made.to_dict()).items()
    except Exception:
        return False


def without(found: Seen, random: tuple[str, ...]) -> Seen:
    """An answer without the members that are random."""

    def left(value: Any) -> Any:
        if isinstance(value, dict):
            pairs = value.items()
            return {name: "<random>" if name in random else left(one) for name, one in pairs}
        return [left(one) for one in value] if isinstance(value, list) else value

    return Seen(found.status, left(found.content)) if random else found


def normal(found: Seen, names: Names) -> Seen:
    """An answer without what a run makes of it."""
    content = found.content
    if isinstance(content, bytes):
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return found
        return Seen(found.status, names.text(text))
    if found.refused and isinstance(content.get("detail"), list):
        # the same fault stands in the query of a GET and in the body of all others
        faults = [{**fault, "loc": ["", *fault["loc"][1:]]} for fault in content["detail"]]
        content = {**content, "detail": faults}
    return Seen(found.status, names.of(content))


def differences(what: str, answers: Mapping[str, Seen]) -> list[str]:
    """A line for each door that gives another answer than the first."""
    (_, first), *others = answers.items()
    return [
        f"{what} by {name}: {where}"
        for name, other in others
        if (where := unlike(first, other)) is not None
    ]


def unlike(first: Seen, other: Seen) -> str | None:
    """Where two answers differ."""
    if other.status is not None and other.status != first.status:
        return f"status {other.status}, not {first.status}: {str(other.content)[:300]}"
    return where(first.content, other.content, "answer")


def where(first: Any, other: Any, at: str) -> str | None:
    """The first place in which two values differ."""
    if is_number(first) and is_number(other):
        # 10.0 is written 10 by JavaScript
        return None if first == other else f"{at} is {other}, not {first}"
    if type(first) is not type(other):
        return f"{at} is {str(other)[:200]!r}, not {str(first)[:200]!r}"
    if isinstance(first, dict):
        if first.keys() != other.keys():
            return f"{at} has other members: {sorted(first.keys() ^ other.keys())}"
        found = (where(first[name], other[name], f"{at}.{name}") for name in first)
        return next((place for place in found if place), None)
    if isinstance(first, list) and len(first) == len(other):
        found = (where(a, b, f"{at}[{n}]") for n, (a, b) in enumerate(zip(first, other)))  # noqa: B905
        return next((place for place in found if place), None)
    return None if first == other else f"{at} is {str(other)[:200]!r}, not {str(first)[:200]!r}"


def is_number(value: Any) -> bool:
    """A number of JSON, which true is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def nothing_in(content: Any) -> bool:
    """An answer that lists and has nothing in its lists, or has no content at all."""
    if isinstance(content, dict):
        return not any(value for name, value in content.items() if name not in PAGING)
    return not content
