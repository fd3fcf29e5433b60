"""What may differ between two answers to the same question, taken out of them; all else is kept.

- An identifier is replaced by its kind and its place among those seen: `it_1`, `it_2`. So is a
  secret, and an id of the card provider. A request's id is `req_0`.
- A time, day or month that the clock of the run made is `<time>`, `<day>`, `<month>`: one from two
  months before to two years after now. What the cases send lies outside of this.
- What a run measured of itself, how long it took and how much of a file it read, is `<measured>`.
- The digest of a process's code is `<code>`, the version of a library `<version>`.
- In a URL, the server's own address is `https://geo.example.org`; that of a receiver of messages
  `https://receiver.example.org`; the values of `exp`, `sig`, `key`, `token` and `for` are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

HOST = "https://geo.example.org"
RECEIVER = "https://receiver.example.org"

_OURS = r"\b[a-z]{1,10}_[0-9a-hjkmnp-tv-z]{22}\b"
_HEX = r"\b[a-z]{2,5}_[0-9a-f]{32}\b"
_UUID = r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
_CARDS = r"\b(?:pm|pi|seti|cus|src|card|req|in)_(?!card_)[A-Za-z0-9]{12,}(?:_secret_\w+)?\b"
_KEYS = r"\bgpra_[A-Za-z0-9]{8,}|\bwhsec_[A-Za-z0-9+/]{40,}=*|\bshr_[\w-]{20,}"
_TOKEN = r"(?<![\w-])[A-Za-z0-9_-]{43}(?![\w-])|\bey[\w-]+\.[\w-]+\.[\w-]+"
IDS = re.compile("|".join((_OURS, _HEX, _UUID, _KEYS, _CARDS, _TOKEN)))
TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?")
DAY = re.compile(r"\b\d{4}-\d\d-\d\d\b(?!T)")
MONTH = re.compile(r"\b\d{4}-\d\d\b(?!-)")
SIGNED = re.compile(r"\b(exp|sig|key|token|for)=[^&\s\"<]+")
RECEIVED = re.compile(r"http://127\.0\.0\.1:\d+(?=/(?:hook|no)\b)")
MEASURED = ("seconds", "processor_seconds", "duration_ms", "bytes_read")
BEFORE, AFTER = timedelta(days=62), timedelta(days=730)


def _told(key: str, value: Any) -> Any:
    """What stands for a member by its name; None where its value is looked at."""
    if key in MEASURED and isinstance(value, int | float):
        return "<measured>"
    if key == "code" and isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return "<code>"
    if key == "libraries" and isinstance(value, Mapping):
        return dict.fromkeys(value, "<version>")
    return None


class Names:
    """Replaces what a run made; the same thing always by the same name."""

    def __init__(self, url: str, now: datetime | None = None) -> None:
        """`url`: of the server."""
        self.url = url
        self.now = now or datetime.now(UTC)
        self.known: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def of(self, value: Any) -> Any:
        """A JSON value without what a run made of it."""
        if isinstance(value, Mapping):
            # pictures are made at one moment, and come in any order
            if isinstance(assets := value.get("assets"), Mapping):
                for key in sorted(assets):
                    self.of(assets[key])
            return {
                self.text(key): _told(key, inner) or self.of(inner) for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.of(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """The same for a text."""
        text = RECEIVED.sub(RECEIVER, text.replace(self.url, HOST))
        text = SIGNED.sub(lambda found: f"{found[1]}=...", text)
        text = IDS.sub(lambda found: self.name(found[0]), text)
        text = TIME.sub(lambda found: self._moment(found[0], "<time>"), text)
        text = DAY.sub(lambda found: self._moment(found[0], "<day>"), text)
        return MONTH.sub(lambda found: self._moment(found[0], "<month>"), text)

    def name(self, found: str) -> str:
        """What stands for an identifier."""
        if found.startswith("req_"):
            return "req_0"
        if found not in self.known:
            kind, separator, _ = found.partition("_")
            if found.count("-") == 4 and len(found) == 36:
                kind = "uuid"
            elif not separator or re.fullmatch(_TOKEN, found):
                kind = "token"
            elif "_secret_" in found:
                kind += "_secret"
            self._counts[kind] = number = self._counts.get(kind, 0) + 1
            self.known[found] = f"{kind}_{number}"
        return self.known[found]

    def _moment(self, found: str, name: str) -> str:
        whole = found + "-01" if len(found) == 7 else found
        try:
            at = datetime.fromisoformat(whole)
        except ValueError:
            return found
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return name if self.now - BEFORE < at < self.now + AFTER else found
