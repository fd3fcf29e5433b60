"""Start a private platform, run the main job on real imagery and serve until Ctrl-C.

Run again it is up in seconds and repeats nothing. DATABASE_URL uses that server instead.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--image", metavar="FILE", help="a GeoTIFF of yours; else a photograph of ours"
    )
    parser.add_argument("--host", default=None, help="address to listen on (OPSTAC_HOST)")
    parser.add_argument("--port", type=int, default=None, help="port (OPSTAC_PORT, 8080)")
    parser.add_argument(
        "--once", action="store_true", help="end after the job instead of serving on"
    )
    parser.add_argument("--yes", action="store_true", help="install packages without asking")


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    from opstac.demo import run_demo

    run_demo(image=args.image, host=args.host, port=args.port, once=args.once)
    return 0
