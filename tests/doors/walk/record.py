"""The recorded calls that the pages show, and whether they are what a run gives."""

from __future__ import annotations

import json
import math
from typing import Any

from ops_gateway.kernel.operation import Operation
from opstac.reference import examples
from walk.case import Body
from walk.seen import Seen


def entry(op: Operation, body: Body, answer: Seen) -> Body:
    """What is recorded of a call: the body with stand-ins, the answer shortened."""
    found: Body = {"body": body, "status": answer.status}
    if isinstance(answer.content, bytes):
        return {**found, "media": op.media_type or "the asked format"}
    return {**found, "answer": examples.shortened(answer.content)}


def differs(op: Operation, now: Body) -> str | None:
    """What is not as recorded."""
    then: Any = examples.recorded(op.domain).get(op.id)
    if _same(then, json.loads(json.dumps(now))):
        return None
    word = "is not recorded" if then is None else f"was recorded otherwise: {then}, now {now}"
    return f"{op.id} {word}; see `pytest tests/doors --record`, then `./opstac docs`"


def _same(then: Any, now: Any) -> bool:
    """Equal, but for the last digits of a float: processors sum in another order."""
    if isinstance(then, dict) and isinstance(now, dict):
        return then.keys() == now.keys() and all(_same(then[key], now[key]) for key in then)
    if isinstance(then, list) and isinstance(now, list):
        return len(then) == len(now) and all(map(_same, then, now))
    if isinstance(then, float) and isinstance(now, float):
        return math.isclose(then, now, rel_tol=1e-9, abs_tol=1e-12)
    return type(then) is type(now) and then == now


def keep(op: Operation, now: Body) -> None:
    """Record it."""
    examples.FOLDER.mkdir(parents=True, exist_ok=True)
    path = examples.FOLDER / f"{op.domain}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known[op.id] = now
    text = json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False)
    path.write_text(text + "\n")
