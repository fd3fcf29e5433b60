"""What a door gave."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

from walk.case import Sent


@dataclass(frozen=True)
class Seen:
    """What a door gave: JSON or bytes; `status` is None where it does not tell."""

    status: int | None
    content: Any

    @property
    def refused(self) -> bool:
        """A problem came back."""
        return isinstance(self.content, dict) and {"type", "title", "status"} <= self.content.keys()


def seen(answer: httpx.Response) -> Seen:
    """A response, parsed where it is JSON."""
    return Seen(answer.status_code, parsed(answer.headers.get("content-type", ""), answer.content))


def parsed(kind: str, content: bytes) -> Any:
    """JSON's value, else the bytes."""
    media_type = kind.partition(";")[0].strip()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    return json.loads(content) if is_json and content else content


def bearer(sent: Sent) -> dict[str, str]:
    """The header of the credential."""
    return {"Authorization": f"Bearer {sent.by.token}"} if sent.by and sent.by.token else {}
