"""Upload GeoTIFFs: each becomes an item, or all of them one.

    opstac upload field.tif --project proj_...
    opstac upload red.tif nir.tif --one-item --name "July" --datetime 2026-07-01T10:00:00Z

A connection that breaks is taken up where it broke, and so is an upload whose process was killed:
the same command goes on within a day. The answer is what came of it, as JSON in a pipe. Status 0
where every file is in, 2 where one was refused, 124 where a conversion has not ended in --timeout
seconds. For whole folders there is `opstac ingest`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opstac.client.uploads import Options
    from opstac.shell.server import Server


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="a GeoTIFF")
    parser.add_argument("--project", metavar="ID", help="where to; not needed if there is only one")
    parser.add_argument("--collection", metavar="ID", help="the collection that the items go into")
    parser.add_argument("--item", metavar="ID", help="add the files to this item")
    parser.add_argument("--one-item", action="store_true", help="all files are one item's")
    parser.add_argument("--name", help="of the item; the file's name where absent")
    parser.add_argument("--description", help="of the item")
    parser.add_argument("--datetime", metavar="TIME", help="when it was taken")
    parser.add_argument("--asset-key", metavar="KEY", help="of one file in its item")
    parser.add_argument(
        "--property", metavar="NAME=VALUE", action="append", default=[],
        help="one of the item's properties, as JSON or text; may be repeated",
    )  # fmt: skip
    parser.add_argument("--categorical", action="store_true", help="the values are classes")
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="how long to wait for a conversion"
    )
    parser.add_argument("--restart", action="store_true", help="go on with no earlier upload")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", action="store_true", help="as JSON, as in a pipe")
    parser.add_argument("--server", metavar="URL", help="the platform (OPSTAC_URL)")


def run(args: argparse.Namespace) -> int:
    """Upload."""
    import sys

    from opstac.shell import answers
    from opstac.shell.server import Refusal, Server
    from opstac.shell.status import DONE, REFUSED

    check(args.paths)
    options = said(args)
    server = Server(args.server)
    project = args.project or only_project(server)
    groups = [args.paths] if args.one_item or args.item else [[path] for path in args.paths]
    made: list[Any] = []
    worst = DONE
    try:
        for group in groups:
            try:
                made.append(send(server, group, project, options))
            except Refusal as error:
                if error.status != REFUSED or len(groups) == 1:
                    raise
                print(f"Error: {group[0]}: {error}", file=sys.stderr)
                worst = REFUSED
    finally:
        # what is in is told, whatever came after
        if made:
            items = [item for one in made for item in one.get("items") or [one]]
            form = "json" if args.json else None
            answers.show({"items": items, "count": len(items)}, form, None)
    return worst


def check(paths: list[str]) -> None:
    """Raise CommandError unless every path is a file that can be read."""
    import os
    from pathlib import Path

    from opstac.shell.status import CommandError

    for path in paths:
        try:
            if Path(path).is_dir():
                raise CommandError(f"{path} is a folder: `opstac ingest {path}` brings it in")
            if not Path(path).is_file():
                raise CommandError(f"{path}: no such file")
        except (OSError, ValueError) as error:
            raise CommandError(f"{path!r}: {error}") from None
        if not os.access(path, os.R_OK):
            raise CommandError(f"{path} cannot be read by this account")


def said(args: argparse.Namespace) -> Options:
    """The options of the client, from the flags."""
    import json

    from opstac.shell import words
    from opstac.shell.status import REFUSED, CommandError

    texts = [args.name, args.description, args.datetime, args.asset_key, *args.property]
    if not all(words.is_text(one) for one in texts if one is not None):
        raise CommandError("an option is not UTF-8", REFUSED)
    properties: dict[str, Any] = {}
    for one in args.property:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise CommandError(f"--property {one!r}: write NAME=VALUE", REFUSED)
        try:
            properties[name] = words.json_text(value) if value[:1] not in ("@", "-") else value
        except (argparse.ArgumentTypeError, json.JSONDecodeError):
            properties[name] = value
    options: dict[str, Any] = {
        "name": args.name,
        "description": args.description,
        "datetime": args.datetime,
        "collection_id": args.collection,
        "item_id": args.item,
        "asset_key": args.asset_key,
        "properties": properties or None,
        "is_categorical": True if args.categorical else None,
        "progress": False if args.quiet else None,
        "resume": not args.restart,
        "timeout": args.timeout,
    }
    return {name: value for name, value in options.items() if value is not None}  # type: ignore[return-value]


def only_project(server: Server) -> str:
    """The project, where there is just one."""
    from opstac.shell.status import REFUSED, CommandError

    found = server.calling(lambda client: client.op("projects.list", {"limit": 2}))
    projects = found.get("projects") if isinstance(found, dict) else None
    if not isinstance(projects, list) or len(projects) != 1:
        raise CommandError("name the project with --project: there is not just one", REFUSED)
    return str(projects[0]["id"])


def send(server: Server, paths: list[str], project: str, options: Options) -> dict[str, Any]:
    """Upload files as one item."""
    from opstac.client import UploadFailed, WaitTimeout
    from opstac.shell.server import Refusal
    from opstac.shell.status import REFUSED, TIMEOUT, CommandError
    from opstac.shell.tables import clean

    try:
        return server.calling(lambda client: client.upload(paths, project, **options))
    except UploadFailed as error:
        raise Refusal(clean(str(error)), REFUSED) from None
    except WaitTimeout as error:
        raise CommandError(f"{clean(str(error))}; it goes on", TIMEOUT) from None
    except OSError as error:
        raise CommandError(f"{error.filename or paths[0]}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(clean(str(error)), REFUSED) from None
