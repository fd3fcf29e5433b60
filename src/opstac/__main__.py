"""`python -m opstac`: the command line."""

import atexit
import os
import sys
import threading
from contextlib import suppress

from opstac.cli import main


def leave(status: int) -> None:
    """End the process; where obstore was used, without taking the interpreter apart.

    Its threads put Python objects away after a call has been answered. One that asks for the
    interpreter while that is being taken apart is ended by it in the midst of Rust code, which
    aborts the whole process: `opstac verify` did so after its last line, one time in four.
    """
    if "obstore" not in sys.modules:
        sys.exit(status)
    threading._shutdown()  # type: ignore[attr-defined] # waits for threads that are no daemons
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main())
