"""Start, stop or look at the private database.

`opstac demo` does this by itself; here it can be done alone. DATABASE_URL is not looked at.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("action", choices=["start", "stop", "status", "url"])
    parser.add_argument("--yes", action="store_true", help="install packages without asking")


def run(args: argparse.Namespace) -> int:
    """Do the action on the cluster of OPSTAC_HOME; `status` gives 3 where it does not run."""
    from db.embedded import default_cluster

    cluster = default_cluster()
    if args.action == "url":
        print(cluster.dsn())
        return 0
    if args.action == "start":
        said = "started" if cluster.start() else "runs already"
        status = cluster.status()
        print(f"database {said}: port {status.port}, process {status.pid}, {status.folder}")
        return 0
    if args.action == "stop":
        print("database stopped" if cluster.stop() else "the database was not running")
        return 0
    status = cluster.status()
    if not status.exists:
        print(f"no database in {status.folder}")
    elif status.running:
        print(
            f"running: PostgreSQL {status.version}, port {status.port}, process {status.pid}, "
            f"{status.folder}"
        )
    else:
        print(f"stopped: PostgreSQL {status.version}, {status.folder}")
    return 0 if status.running else 3
