"""What a flood costs a server that sheds load, beside one that takes all.

    .venv/bin/python bench/load.py [--seconds 8] [--rounds 3] [--flood 600] [--bodies 400]
                                   [--requests 64] [--mebibytes 64]

Two real servers, one with room for `--requests` requests and `--mebibytes` of bodies, one without
bounds. First some polite clients call an operation, one after the other, and wait as long as a
Retry-After says. Then they do so beside a flood: `--flood` connections that send calls without a
pause, and `--bodies` that each send 1.9 MB of a body and not its end, again as soon as they are
refused. Printed, as medians of the rounds: the server's peak resident memory in the flood and what
is left of it afterwards against that at rest; which of the refusals are 503 with Retry-After; and
good answers a second, of the polite clients alone and of all, against those without a flood.

Clients and server share this machine's processors, so that a flood takes from the rate whatever the
server does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BODY = 1_900_000
POLITE = 8
UNBOUNDED = 1 << 40
OPERATION = "/v1/op/billing.credits.balance"
BULK = "/v1/op/items.list"


# ---------------------------------------------------------------- the server


def serve_one(told: Path, requests: int, body_bytes: int) -> None:
    """A platform on a cluster that is thrown away; writes where it is once it answers."""
    from db.disposable import migrated_cluster
    from ops_gateway.kernel.logs import configure_logging
    from ops_gateway.kernel.services import Limits
    from opstac.client import Geopera
    from opstac.people import make_user, session
    from opstac.server import listen, on_uvloop, serve
    from opstac.settings import Settings

    configure_logging(level="CRITICAL")
    with migrated_cluster() as cluster, tempfile.TemporaryDirectory() as name:
        listener = listen("127.0.0.1", 0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings(
            dsn=cluster.dsn(),
            home=Path(name),
            storage=str(Path(name) / "objects"),
            master_secret=secrets.token_urlsafe(48).encode(),
            public_url=url,
            signup_credits=0,
            limits=Limits(*[10**9] * 4, public_reads=0),
            max_requests=requests,
            max_body_bytes=body_bytes,
        )

        async def ready(_: Any) -> None:
            person = await asyncio.to_thread(make_user, settings, "flood", "flood@example.org")
            token = session(settings, person, 3600)
            with Geopera(token, url) as client:
                await asyncio.to_thread(client.op, "organizations.create", {"name": "flood"})
            part = told.with_suffix(".part")
            part.write_text(json.dumps({"url": url, "token": token}))
            part.replace(told)

        on_uvloop(serve(settings, listener, worker=False, drain_seconds=0, ready=ready))


class Server:
    """A server process, and its memory."""

    def __init__(self, folder: Path, name: str, requests: int, body_bytes: int) -> None:
        self._told = folder / f"{name}.json"
        self.name = name
        words = ["--serve", str(self._told), "--requests", str(requests)]
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__, *words, "--body-bytes", str(body_bytes)],
            env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))},
        )

    def wait(self) -> Any:
        while not self._told.exists():
            if self.process.poll() is not None:
                sys.exit("a server did not start")
            time.sleep(0.1)
        return json.loads(self._told.read_text())

    def memory(self, name: str) -> int:
        """`VmRSS`, or `VmHWM`: the highest since `forget_peak`; kB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+)", status)
        assert found is not None
        return int(found[1])

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


# ---------------------------------------------------------------- those who call


def head_of(path: str, token: str, length: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, float | None]:
    """(status, seconds of Retry-After) of an answer that is read whole."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    if length is not None:
        await reader.readexactly(int(length[1]))
    again = re.search(r"\r\nretry-after: *(\d+)", head, re.IGNORECASE)
    return int(head.split()[1]), float(again[1]) if again else None


async def caller(at: Any, end: float, seen: Counter[str], *, polite: bool) -> None:
    """Calls on one connection, made anew where it is closed."""
    host = urlsplit(at["url"])
    call = head_of(OPERATION, at["token"], 2) + b"{}"
    while time.monotonic() < end:
        writer = None
        try:
            async with asyncio.timeout(end - time.monotonic()):
                reader, writer = await asyncio.open_connection(host.hostname, host.port)
                while time.monotonic() < end:
                    writer.write(call)
                    status, again = await answer_of(reader)
                    seen[name_of(status, again)] += 1
                    if polite and again:
                        await asyncio.sleep(again)
        except TimeoutError:
            return
        except (OSError, asyncio.IncompleteReadError):
            seen["connection lost"] += 1
            await asyncio.sleep(0.01)
        finally:
            if writer is not None:
                writer.close()


async def sender(at: Any, end: float, seen: Counter[str]) -> None:
    """Bodies that do not end."""
    host = urlsplit(at["url"])
    call = head_of(BULK, at["token"], BODY + 10) + b" " * BODY
    while time.monotonic() < end:
        writer = None
        try:
            async with asyncio.timeout(end - time.monotonic()):
                reader, writer = await asyncio.open_connection(host.hostname, host.port)
                writer.write(call)
                seen[name_of(*await answer_of(reader))] += 1
        except TimeoutError:
            seen["held"] += 1
            return
        except (OSError, asyncio.IncompleteReadError):
            # refused while it was still being sent
            seen["connection lost"] += 1
        finally:
            if writer is not None:
                writer.transport.abort()
        await asyncio.sleep(0.05)


def name_of(status: int, again: float | None) -> str:
    return f"{status} with Retry-After" if again else str(status)


def run_callers(at: Any, seconds: float, count: int, bodies: int, polite: bool, told: Any) -> None:
    """A process of clients; puts what they saw, by name."""

    async def all_of_them() -> Counter[str]:
        seen: Counter[str] = Counter()
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(caller(at, end, seen, polite=polite))
            for _ in range(bodies):
                group.create_task(sender(at, end, seen))
        return seen

    told.put((polite, asyncio.run(all_of_them())))


def clients(at: Any, seconds: float, flood: int, bodies: int) -> dict[bool, Counter[str]]:
    """What the polite ones (True) and the flood (False) saw."""
    spawn = multiprocessing.get_context("spawn")
    told: Any = spawn.Queue()
    wanted = [(POLITE, 0, True)] + ([(flood, bodies, False)] if flood or bodies else [])
    running = [spawn.Process(target=run_callers, args=(at, seconds, *one, told)) for one in wanted]
    for process in running:
        process.start()
    found = dict(told.get(timeout=seconds + 120) for _ in running)
    for process in running:
        process.join()
    return found


# ---------------------------------------------------------------- a round


def look(server: Server, at: Any, seconds: float, flood: int, bodies: int) -> dict[str, float]:
    quiet = clients(at, seconds, 0, 0)[True]
    rest = server.memory("VmRSS")
    server.forget_peak()
    found = clients(at, seconds, flood, bodies)
    peak = server.memory("VmHWM")
    time.sleep(2)
    both = found[True] + found[False]
    refused = {name: count for name, count in both.items() if name[:1] in "45"}
    rate = quiet["200"] or 1
    print(f"  {server.name}: {dict(sorted(both.items()))}", file=sys.stderr)
    return {
        "peak memory, at rest = 1": peak / rest,
        "memory 2 s afterwards": server.memory("VmRSS") / rest,
        "refusals": float(sum(refused.values())),
        "of them 503 with Retry-After": refused.get("503 with Retry-After", 0)
        / max(1, sum(refused.values())),
        "good answers of polite clients": found[True]["200"] / rate,
        "good answers of all": both["200"] / rate,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What a flood costs a server.")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flood", type=int, default=600)
    parser.add_argument("--bodies", type=int, default=400)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--mebibytes", type=int, default=64)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--body-bytes", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve_one(asked.serve, asked.requests, asked.body_bytes)
        return
    rounds: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="opstac-bench-") as name:
        servers = [
            Server(Path(name), "bounded", asked.requests, asked.mebibytes << 20),
            Server(Path(name), "unbounded", UNBOUNDED, UNBOUNDED),
        ]
        try:
            at = {server.name: server.wait() for server in servers}
            for _ in range(asked.rounds):
                for server in servers:
                    seen = look(server, at[server.name], asked.seconds, asked.flood, asked.bodies)
                    rounds.setdefault(server.name, []).append(seen)
        finally:
            for server in servers:
                server.process.terminate()
            for server in servers:
                server.process.wait()
    print(f"{'':32} {'bounded':>10} {'unbounded':>10}")
    for what in rounds["bounded"][0]:
        medians = [statistics.median(one[what] for one in rounds[name]) for name in rounds]
        shown = "  ".join(f"{m:9.0f}" if what == "refusals" else f"{m:9.2f}" for m in medians)
        print(f"{what:32} {shown}")


if __name__ == "__main__":
    main()
