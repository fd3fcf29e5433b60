"""Try alert rules on the items that are there.

    opstac alerts backtest ar_... [--since 2026-01-01T00:00:00Z] [--until ...] [--items 1000]

Lists what the rule would have fired on, in the order in which the items were added and with the
rule's cooldown, then how many items were read and which could not be. The platform is that of
OPSTAC_URL, the credential is OPSTAC_TOKEN, GEOPERA_API_TOKEN or that of `opstac login`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opstac.client import Geopera

PAGE = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    tried = actions.add_parser("backtest", help="what a rule would have fired on")
    tried.add_argument("rule", metavar="RULE", help="id of the rule: ar_...")
    tried.add_argument("--since", metavar="TIME", help="items added from then on, with an offset")
    tried.add_argument("--until", metavar="TIME", help="items added until then")
    tried.add_argument("--items", type=int, default=1000, metavar="N", help="at most; 1000")
    tried.add_argument("--all", action="store_true", help="a line for every item that was read")
    tried.add_argument("--server", metavar="URL", help="the platform (OPSTAC_URL)")


def run(args: argparse.Namespace) -> int:
    """Print the items, then the sums; status 2 where the platform refuses."""
    from opstac.shell.server import Server
    from opstac.shell.status import CommandError

    if args.items < 1:
        raise CommandError("--items must be 1 or more")
    server = Server(args.server)
    read = triggered = fired = unread = 0
    rest = False
    with server.failures(), server.client() as client:
        for page in pages(client, args):
            read += page["count"]
            triggered, fired = triggered + page["triggered"], fired + page["fired"]
            unread, rest = unread + page["unread"], page["next"] is not None
            for result in page["results"]:
                if args.all or result["would_fire"] or result["error"]:
                    print(line(result), flush=True)
    print(
        f"{read} items: the rule would have fired on {fired}; {triggered - fired} more pass its "
        f"comparison while its cooldown runs; {unread} could not be read"
    )
    if rest:
        print("there are more items: raise --items, or go on with --since")
    return 0


def pages(client: Geopera, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The pages of a backtest, up to the number of items asked for."""
    body: dict[str, Any] = {"rule_id": args.rule, "start": args.since, "end": args.until}
    left = args.items
    while left > 0:
        page = client.op("alerts.backtest", {**body, "limit": min(left, PAGE)})
        yield page
        left -= page["count"]
        body["next"] = page["next"]
        if page["next"] is None:
            return


def line(result: Mapping[str, Any]) -> str:
    """One item in words."""
    begin = f"{result['created_at']}  {result['item_id']}"
    if result["error"] is not None:
        return f"{begin}  not read: {result['error']}"
    said = "fires" if result["would_fire"] else "cooldown" if result["would_trigger"] else "-"
    return f"{begin}  {result['computed_value']:.6g}  {said}"
