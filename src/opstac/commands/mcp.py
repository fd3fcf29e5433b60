"""Offer the operations as tools to an agent on this machine, over standard input and output.

    opstac mcp [--read-only] [--tools all] [--domains items,alerts]

For hosts that start a program and speak the Model Context Protocol with it. What they ask goes to
`/mcp` of the platform. The credential is OPSTAC_TOKEN, GEOPERA_API_TOKEN or that of `opstac login`.
See docs/how-to/agents.md for what to write into a host's settings.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--server", metavar="URL", help="the platform (OPSTAC_URL)")
    parser.add_argument("--read-only", action="store_true", help="offer and run reads alone")
    parser.add_argument(
        "--tools",
        default="default",
        metavar="WHICH",
        help="which to list: default, all, or ids of operations with commas",
    )
    parser.add_argument(
        "--domains", default="", metavar="NAMES", help="list all tools of these domains"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until standard input ends."""
    import asyncio

    from opstac import bridge
    from opstac.shell.server import Server

    query = {"read_only": "true" if args.read_only else "false", "tools": args.tools}
    if args.domains:
        query["domains"] = args.domains
    server = Server(args.server)
    asyncio.run(bridge.serve(bridge.Platform(server.url, server.credential, query)))
    return 0
