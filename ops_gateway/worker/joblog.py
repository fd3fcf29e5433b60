"""What a run says for its owner to read: few lines, and nothing of the machine it ran on."""

from __future__ import annotations

import re
from collections import deque
from datetime import UTC, datetime

from ops_gateway.kernel.logs import HIDDEN, redact

LINES = 40
LONGEST_LINE = 400

# beyond what `redact` knows: keys of object stores, addresses, and places of files
_HIDDEN = (
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}"), HIDDEN),
    (re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://\S+"), "(address)"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "(address)"),
    # a path keeps the name of its file
    (re.compile(r"(?<![\w.])/(?:[^\s/'\"()<>,;:]+/)+([^\s/'\"()<>,;:]*)"), r"…/\1"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class JobLog:
    """The last lines of one run."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LINES)
        self._literals: dict[str, str] = {}

    def hide(self, text: str, shown: str) -> None:
        """From now on say `shown` for `text`, such as a folder whose name has spaces."""
        if text:
            self._literals[text] = shown

    def note(self, text: str) -> None:
        """Add a line with the time."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._lines.append(f"{now} {self.clean(text)}"[:LONGEST_LINE])

    def add(self, text: str) -> None:
        """Add the last lines of what a child printed."""
        for line in text.splitlines()[-LINES:]:
            if cleaned := self.clean(line).rstrip():
                self._lines.append(f"  {cleaned}"[:LONGEST_LINE])

    def clean(self, text: str) -> str:
        """The text without places, secrets and control characters."""
        text = text[:4000]
        # the longest first: a folder may lie in another
        for literal in sorted(self._literals, key=len, reverse=True):
            text = text.replace(literal, self._literals[literal])
        text = redact(text)
        for pattern, shown in _HIDDEN:
            text = pattern.sub(shown, text)
        return _CONTROL.sub(" ", text)

    @property
    def lines(self) -> list[str]:
        """The lines, oldest first."""
        return list(self._lines)
