"""Offer areas to be clipped.

An area is an item of some organization under a name. Organizations that it is open to clip the
rasters of the item with clip.create_from_area, and see nothing else of it.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    from opstac.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    made = actions.add_parser("set", help="offer an item, in place of what had the name")
    made.add_argument("area", metavar="AREA", help="its name: a-z, 0-9, '.', '_' and '-'")
    made.add_argument("item", metavar="ITEM", help="id of the item: it_...")
    made.add_argument("--title", help="for people; the name where absent")
    made.add_argument("--description", help="for people")
    made.add_argument(
        "--mosaic", action="append", metavar="KEY",
        help="an asset that is offered, repeatable; all rasters of the item where absent",
    )  # fmt: skip
    made.add_argument(
        "--to", action="append", metavar="ORG",
        help="an organization that sees it, repeatable; all where absent",
    )  # fmt: skip
    actions.add_parser("list", help="what is offered to whom")
    removed = actions.add_parser("remove", help="take an area back")
    removed.add_argument("area", metavar="AREA", help="its name")


def run(args: argparse.Namespace) -> int:
    """Offer, list or take back."""
    import asyncio

    from ops_gateway.kernel.errors import OpError
    from opstac import database, settings
    from opstac.cli import CommandError

    found = database.find(start=False)
    configuration = settings.read(dsn=found.dsn, home=found.home)
    if args.action == "list":
        for row in areas(configuration):
            to = "all" if row["open_to"] is None else ", ".join(row["open_to"])
            keys = ", ".join(row["mosaic_types"])
            print(f"{row['area']}: {row['item_id']} ({keys}), open to {to}")
        return 0
    try:
        print(asyncio.run(change(configuration, args)))
    except OpError as error:
        raise CommandError(error.detail) from None
    return 0


def areas(configuration: Settings) -> list[dict[str, Any]]:
    """Every area there is, by name."""
    return _rows(configuration, "select * from clip_area order by area")


async def change(configuration: Settings, args: argparse.Namespace) -> str:
    """Carry out `set` or `remove` as the organization whose item it is; what was done."""
    from db.pool import make_pool
    from ops_gateway.domains import clip_areas
    from ops_gateway.kernel.errors import NotFound
    from opstac.compose import core

    is_new = args.action == "set"
    owner = _rows(
        configuration,
        "select organization_id from item where id = %s and deleted_at is null"
        if is_new
        else "select organization_id from item join clip_area on item_id = id where area = %s",
        args.item if is_new else args.area,
    )
    if not owner:
        raise NotFound(f"there is no {'item ' + args.item if is_new else 'area ' + args.area}")
    organization_id = owner[0]["organization_id"]
    for other in (args.to or ()) if is_new else ():
        if not _rows(configuration, "select 1 from organization where organization_id = %s", other):
            raise NotFound(f"there is no organization {other}")
    before = _rows(configuration, "select item_id from clip_area where area = %s", args.area)
    async with (
        core(configuration, pool_size=2) as platform,
        make_pool(configuration.dsn, "opstac_system", min_size=1, max_size=1) as system,
    ):
        if is_new:
            offer = clip_areas.Offer(
                args.area, args.item, args.title, args.description, args.mosaic, args.to
            )
            keys = await clip_areas.offer(platform.pipeline, organization_id, offer, by="operator")
            said = f"{args.area}: {args.item} ({', '.join(keys)})"
        else:
            await clip_areas.withdraw(platform.pipeline, organization_id, args.area, by="operator")
            said = f"{args.area} is offered no more"
        ended = 0
        for row in before:  # what had the name; a change may close it to somebody
            ended += await clip_areas.stop_clips(platform.pipeline, system, row["item_id"])
        return f"{said}; {ended} unfinished clips failed" if ended else said


def _rows(configuration: Settings, query: LiteralString, *values: str) -> list[dict[str, Any]]:
    import psycopg
    from psycopg.rows import dict_row

    from db.pool import session_options

    options = session_options(role="opstac_system")
    with (
        psycopg.connect(configuration.dsn, options=options) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        return cursor.execute(query, values).fetchall()
