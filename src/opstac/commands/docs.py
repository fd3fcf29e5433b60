"""Write what is made from the code, or check that it is up to date.

For developers: the reference pages in docs/reference, and the table of operations in
src/opstac/client/generated that the clients read. Both are committed. The page about the database
is made from a migrated one, which is started for it and thrown away.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 1 where a file is stale"
    )
    parser.add_argument("--yes", action="store_true", help="install packages without asking")


def run(args: argparse.Namespace) -> int:
    """Write or compare; says which files differ."""
    from db.disposable import migrated_cluster
    from opstac import reference

    made = {
        reference.CLIENT: reference.client_files(),
        reference.OPERATIONS: reference.operation_pages(),
    }
    with migrated_cluster() as cluster:
        made[reference.FOLDER] = reference.pages(cluster.dsn())
    root = reference.FOLDER.parents[1]
    found = 0
    for folder, files in made.items():
        for name in reference.stale(files, folder):
            place = (folder / name).relative_to(root)
            print(f"{place} {'is stale' if args.check else 'written'}")
            found += 1
        if not args.check:
            reference.write(files, folder)
    if args.check:
        print("run `./opstac docs` and commit it" if found else "the reference is up to date")
    return 1 if args.check and found else 0
