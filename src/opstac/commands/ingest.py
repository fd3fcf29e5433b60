"""Bring files, STAC items or another catalogue in.

    opstac ingest scenes/ --project proj_... --into scenes
    opstac ingest items.ndjson --into scenes --report outcomes.ndjson
    opstac ingest https://earth.example/stac --collection sentinel-2-l2a --bbox 3,50,4,51

SOURCE is a folder of GeoTIFFs, a text file with a path or an address a line, a file of STAC items
(NDJSON, a FeatureCollection or one Feature), or the address of a STAC API. What is there already is
left as it is, so the command may be repeated; one that was killed goes on where it stood.

Status 0 where everything was brought in, 1 where some of it failed, 2 where it could not go on. The
credential is OPSTAC_TOKEN, GEOPERA_API_TOKEN or that of `opstac login`.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from opstac.ingest.sources import Source
    from opstac.ingest.state import State

DONE, SOME_FAILED, STOPPED = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("source", metavar="SOURCE", help="folder, file or address of a STAC API")
    parser.add_argument("--project", metavar="ID", help="where to; not needed if there is only one")
    parser.add_argument(
        "--into", metavar="COLLECTION", help="id, slug or name; made where it is missing"
    )
    parser.add_argument("--server", metavar="URL", help="the platform (OPSTAC_URL)")
    parser.add_argument("--collection", metavar="ID", help="of a STAC API: only this collection")
    parser.add_argument(
        "--bbox", metavar="W,S,E,N", help="of a STAC API: what meets the box; --bbox=-180,… below 0"
    )
    parser.add_argument("--datetime", metavar="RANGE", help="of a STAC API: only of this time")
    parser.add_argument(
        "--header", metavar="NAME:VALUE", action="append", default=[],
        help="sent to a STAC API that asks for a credential; may be repeated",
    )  # fmt: skip
    parser.add_argument("--report", metavar="FILE", help="write an outcome a line (NDJSON)")
    parser.add_argument("--state", metavar="FILE", help="where the run's state is kept")
    parser.add_argument(
        "--restart", action="store_true", help="begin anew, whatever the state says"
    )
    parser.add_argument("--batch", metavar="N", type=int, default=1000, help="items a call (1000)")
    parser.add_argument("--parallel", metavar="N", type=int, default=2, help="calls at a time (2)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Bring the source in; prints how much met which end."""
    from db.locks import Busy
    from opstac.ingest.sources import Unusable
    from opstac.ingest.target import CannotGoOn, Refused
    from opstac.shell.tables import clean

    try:
        counts = bring_in(args)
    except (Unusable, CannotGoOn, Refused, Busy, OSError) as error:
        print(clean(f"opstac ingest: {error}"), file=sys.stderr)
        return STOPPED
    print(json.dumps(counts))
    return SOME_FAILED if counts["failed"] else DONE


def bring_in(args: argparse.Namespace) -> dict[str, int]:
    """Outcome → how many, over all runs since the state was begun."""
    from db.locks import exclusive
    from opstac.ingest import rasters, state
    from opstac.ingest.catalogue import Catalogue
    from opstac.ingest.progress import Progress
    from opstac.ingest.run import Run
    from opstac.ingest.sources import Unusable
    from opstac.ingest.target import Target
    from opstac.shell.server import Server
    from opstac.shell.session import Session

    if not (1 <= args.batch <= 10_000 and 1 <= args.parallel <= 32):
        raise Unusable("--batch is 1 to 10000, --parallel 1 to 32")
    source = source_of(args)
    server = Server(args.server)
    target = Target(server.url, None, auth=Session(server))
    like = source.describe() if isinstance(source, Catalogue) and args.into else {}
    with server.failures():
        target.choose(args.project, args.into, like)
    key = {
        "source": dict(source.identity),
        "target": [target.url, target.project_id, target.collection_id],
    }
    path = Path(args.state) if args.state else state.default_path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        held.enter_context(exclusive(path.with_name(path.name + ".lock"), "this ingest"))
        if args.restart:
            path.unlink(missing_ok=True)
        current = state.load(path, key)
        report = (
            held.enter_context(open_report(Path(args.report), current)) if args.report else None
        )
        uploads = isinstance(source, rasters.Folder | rasters.Listed)
        run = Run(
            source,
            rasters.Uploader(target) if uploads else target,
            current,
            path,
            report=report,
            progress=Progress(shown=False if args.quiet else None),
        )
        with server.failures():
            run.go(size=args.batch, parallel=args.parallel)
        # the next run looks at everything again
        path.unlink(missing_ok=True)
    return dict(current.counts)


def source_of(args: argparse.Namespace) -> Source:
    """What the command was given. Raises Unusable."""
    from opstac.ingest import documents, rasters
    from opstac.ingest.catalogue import Catalogue
    from opstac.ingest.sources import Unusable

    if args.source.startswith(("http://", "https://")):
        headers: dict[str, Any] = {}
        for header in args.header:
            name, colon, value = header.partition(":")
            if not colon or not name.strip():
                raise Unusable(f"--header {header!r}: write NAME:VALUE")
            headers[name.strip()] = value.strip()
        return Catalogue(
            args.source,
            collection=args.collection,
            bbox=args.bbox,
            datetime=args.datetime,
            headers=headers,
        )
    if args.collection or args.bbox or args.datetime or args.header:
        raise Unusable("--collection, --bbox, --datetime and --header are for a STAC API")
    path = Path(args.source)
    if path.is_dir():
        return rasters.Folder(path)
    ending = path.suffix.lower()
    if ending in documents.LINES:
        return documents.Lines(path)
    if ending in (".json", ".geojson"):
        return documents.Features(path)
    if ending in rasters.ENDINGS:
        raise Unusable(f"{path}: name the folder it is in, or a list with its path")
    return rasters.Listed(path)


def open_report(path: Path, current: State) -> BinaryIO:
    """The report, cut where the state stands: what came after is reported again."""
    file = path.open("r+b" if path.exists() and current.reported else "wb")
    if current.reported:
        file.truncate(current.reported)
        file.seek(0, 2)
    return file
