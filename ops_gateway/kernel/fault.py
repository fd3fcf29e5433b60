"""Named points at which a test may stop the platform: `OPSTAC_FAULT=<point>:<raise|kill>`.

Without `OPSTAC_TESTING=1` in the environment at start the function does nothing.
"""

from __future__ import annotations

import os
import signal

_TESTING = os.environ.get("OPSTAC_TESTING") == "1"


class Fault(RuntimeError):
    """Raised on purpose at a fault point."""


def fault(point: str) -> None:
    """Stop here if the environment says so."""
    if not _TESTING:
        return
    wanted, _, how = os.environ.get("OPSTAC_FAULT", "").partition(":")
    if wanted != point:
        return
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    raise Fault(point)
