"""The recorded calls that the pages show, and whether they are what a run gives."""

from __future__ import annotations

import json
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
    if then == json.loads(json.dumps(now)):
        return None
    word = "is not recorded" if then is None else f"was recorded otherwise: {then}, now {now}"
    return f"{op.id} {word}; see `pytest tests/doors --record`, then `./opstac docs`"


def keep(op: Operation, now: Body) -> None:
    """Record it."""
    examples.FOLDER.mkdir(parents=True, exist_ok=True)
    path = examples.FOLDER / f"{op.domain}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known[op.id] = now
    text = json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False)
    path.write_text(text + "\n")
