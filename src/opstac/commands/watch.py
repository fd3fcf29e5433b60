"""Follow a job until it ends.

    opstac watch job_... && echo done

How far it is is shown on standard error, its record in the end on standard output. Status 0 where
it completed, 3 where it failed or was cancelled, 124 where it has not ended within --timeout.
Ctrl-C ends the watching alone: the job goes on.
"""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("job", metavar="JOB", help="id of the job: job_...")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="give up after them")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="its record as JSON, as in a pipe")
    parser.add_argument("--server", metavar="URL", help="the platform (OPSTAC_URL)")


def seconds(word: str) -> float:
    """A time above 0."""
    from opstac.shell import words

    found = words.number(word)
    if found <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return found


def run(args: argparse.Namespace) -> int:
    """Follow it."""
    import sys

    from opstac.shell import answers
    from opstac.shell.following import Follower, NotEnded
    from opstac.shell.server import Server
    from opstac.shell.status import DONE, FAILED, INTERRUPTED, TIMEOUT
    from opstac.shell.tables import clean

    follower = Follower(Server(args.server), args.job, shown=not args.quiet)
    try:
        job: dict[str, Any] = follower.follow(args.timeout)
    except NotEnded as error:
        print(f"opstac: {error}; it goes on", file=sys.stderr)
        return TIMEOUT
    except KeyboardInterrupt:
        print(f"\n{clean(args.job)} goes on; `opstac watch` follows it again", file=sys.stderr)
        return INTERRUPTED
    answers.show({"job": job}, "json" if args.json else None, None)
    if job["status"] == "completed":
        return DONE
    error = job.get("error") or {}
    reason = clean(str(error.get("message") or error.get("code") or ""))
    print(f"Error: the job {job['status']}{': ' + reason if reason else ''}", file=sys.stderr)
    return FAILED
