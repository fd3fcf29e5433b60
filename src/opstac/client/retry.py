"""When a call is made again, and after how long. Decides only; sends and sleeps nothing."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

BUSY = (429, 503)
LONGEST_WAIT = 120.0
"""Seconds; a server that says to come back later than this is told to the caller instead."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How often a call is made again.

    Attributes:
        retries: at most, after the first try.
        first_wait: seconds before the first of them; each next one is twice as long.
        longest_wait: of the doubled ones.
    """

    retries: int = 4
    first_wait: float = 0.5
    longest_wait: float = 20.0

    def pause(self, tries: int, retry_after: float | None = None) -> float | None:
        """Seconds to wait before the next try, or None where there is none.

        Never less than the server asked for. Otherwise it is drawn between half and all of the
        doubled wait, so that clients which were refused together do not come back together.

        Args:
            tries: made so far, at least 1.
            retry_after: what the server asked for.
        """
        if tries > self.retries or (retry_after is not None and retry_after > LONGEST_WAIT):
            return None
        wait = min(self.longest_wait, self.first_wait * 2.0 ** min(tries - 1, 32))
        drawn = wait * random.uniform(0.5, 1)  # nosec B311
        return drawn if retry_after is None else retry_after + drawn / 2


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds from either form of Retry-After (RFC 9110 §10.2.3); None where unreadable."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        at = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(0.0, at - (time.time() if now is None else now))
