"""Where a run stands: a small file, replaced whole, so that a killed run goes on from it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

VERSION = 1
KINDS = ("created", "updated", "unchanged", "failed")


@dataclass
class State:
    """A run.

    Attributes:
        run: names the run; its idempotency keys begin with it.
        key: what the run is about; another source or target has another.
        place: from where the source goes on.
        counts: outcomes until there.
        reported: bytes of the report until there.
    """

    run: str
    key: Mapping[str, Any]
    place: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    reported: int = 0
    done: int = 0
    version: int = VERSION

    def save(self, path: Path) -> None:
        """Replace the file; it is whole at every moment."""
        growing = path.with_name(path.name + ".part")
        growing.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(growing, path)


def load(path: Path, key: Mapping[str, Any]) -> State:
    """The state of `path` where it is of the same source and target, else a new one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.get("version") == VERSION and found.get("key") == dict(key):
            return State(**found)
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    return State(run=secrets.token_hex(8), key=dict(key))


def default_path(key: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Path:
    """Where the state of a source and target is kept: in `OPSTAC_HOME`, else with the user's."""
    named = {"source": {k: v for k, v in key["source"].items() if k not in ("size", "changed")}}
    text = json.dumps({**key, **named}, sort_keys=True).encode()
    name = hashlib.sha256(text).hexdigest()[:24]
    home = environ.get("OPSTAC_HOME")
    if home:
        return Path(home).expanduser() / "ingest" / f"{name}.json"
    base = environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "opstac" / "ingest" / f"{name}.json"
