"""Write the reference pages from the code, or check that they are up to date.

For developers: the pages are in docs/reference and are committed. The one about the database is
made from a migrated one, which is started for it and thrown away.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 1 where a page is stale"
    )
    parser.add_argument("--yes", action="store_true", help="install packages without asking")


def run(args: argparse.Namespace) -> int:
    """Write or compare; says which pages differ."""
    from db.disposable import migrated_cluster
    from opstac import reference

    with migrated_cluster() as cluster:
        pages = reference.pages(cluster.dsn())
    stale = reference.stale(pages)
    for name in stale:
        print(f"docs/reference/{name} {'is stale' if args.check else 'written'}")
    if args.check:
        print("run `./opstac docs` and commit it" if stale else "the reference is up to date")
        return 1 if stale else 0
    reference.write(pages)
    return 0
