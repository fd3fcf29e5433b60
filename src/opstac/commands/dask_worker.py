"""Start a Dask worker that computes blocks of jobs for a platform on other machines."""

from __future__ import annotations

import argparse
import os


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("scheduler", help="address of the Dask scheduler, as tcp://host:8786")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="blocks at a time (processors)"
    )
    parser.add_argument("--memory", default="auto", help="restart the worker beyond it, as 4GiB")


def run(args: argparse.Namespace) -> int:
    """Become the worker; it ends with a signal."""
    import sys

    from db.buckets import gdal_endpoint
    from opstac.cli import CommandError

    if args.threads < 1:
        raise CommandError("--threads must be at least 1")
    command = [sys.executable, "-m", "dask", "worker", args.scheduler]
    command += ["--preload", "processes.on_dask", "--no-dashboard", "--name", _name()]
    command += ["--nthreads", str(args.threads), "--memory-limit", args.memory]
    os.execve(command[0], command, {**os.environ, **gdal_endpoint(os.environ)})


def _name() -> str:
    import platform

    return f"opstac-{platform.node()}-{os.getpid()}"
