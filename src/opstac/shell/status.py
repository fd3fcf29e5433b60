"""Exit statuses, the same for every command."""

from __future__ import annotations

DONE = 0
MEND = 1
REFUSED = 2
FAILED = 3
LATER = 75  # EX_TEMPFAIL of sysexits.h
TIMEOUT = 124  # as `timeout` of coreutils has it
INTERRUPTED = 130  # what a shell reports for a process ended by Ctrl-C

MEANINGS = {
    DONE: "done",
    MEND: "something must be mended first, said in one line: a setting, a file, a server that "
    "does not answer or fails",
    REFUSED: "a mistake in the command line, or an operation that was refused; again it would be "
    "refused again",
    FAILED: "what was watched ended badly: a job of `opstac watch` failed or was cancelled, the "
    "database of `opstac db status` does not run",
    LATER: "the platform asked for patience (429, 503): the same call may succeed later",
    TIMEOUT: "`opstac watch --timeout`: not ended in that time",
    INTERRUPTED: "Ctrl-C",
}


class CommandError(Exception):
    """A command cannot go on; its message says why and what to do. Shown without a traceback."""

    prefix = "opstac: "

    def __init__(self, message: str, status: int = MEND) -> None:
        """`status`: what the process ends with."""
        super().__init__(message)
        self.status = status
