"""Look at this machine and say what is wrong and what to do.

Python and its packages, variables of the environment, the database and what is in it, the store,
the disk, the port, clocks, the platform that commands call and the credential for it. Nothing is
changed, and no secret is shown. Status 0 where nothing is wrong, else 1.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--server", metavar="URL", help="the platform (OPSTAC_URL)")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Look, and print a line for each thing."""
    import json
    import os
    from dataclasses import asdict

    from opstac.doctor import database, environment, findings, machine, server
    from opstac.shell.status import DONE, MEND

    checks: dict[str, findings.Check] = {
        "Python": environment.python,
        "environment": environment.set_variables,
        "data folder": machine.home,
        "database": database.database,
        "store": machine.store,
        "port": machine.port,
        "platform": server.check_of(args.server),
    }
    found = []
    for finding in findings.run(checks, os.environ):
        found.append(finding)
        if not args.json:
            print(f"{finding.level:4}  {finding.what}: {finding.said}", flush=True)
            if finding.advice:
                print(f"      -> {finding.advice}", flush=True)
    if args.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    wrong = sum(finding.level == "bad" for finding in found)
    if not args.json:
        print(f"{wrong} of {len(found)} are wrong" if wrong else "nothing is wrong")
    return MEND if wrong else DONE
