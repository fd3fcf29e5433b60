"""Deliveries of events a second against the same POSTs made by httpx; and with dead receivers.

    python bench/deliveries.py [--messages 2000] [--receivers 16] [--dead 200]

One receiver process answers 204. Ours: claim, read, compose, sign, send and record each message, by
one dispatcher; httpx: one client with kept connections and as many at once. Then the same again
while `--dead` other subscriptions, with 20 messages each, lead to a port that never answers.
"""

import argparse
import asyncio
import base64
import multiprocessing
import secrets
import socket
import sys
import time
from pathlib import Path

import httpx
import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from db.disposable import migrated_cluster  # noqa: E402
from db.pool import make_pool  # noqa: E402
from ops_gateway.kernel.secrets import Keys  # noqa: E402
from ops_gateway.providers.addresses import parse_allowances  # noqa: E402
from ops_gateway.providers.delivery import Sender, sign  # noqa: E402
from ops_gateway.worker.deliveries import PER_RECEIVER, Deliveries  # noqa: E402
from ops_gateway.worker.event_messages import EventMessages  # noqa: E402

BODY = (
    b'{"event_id": "evt_1", "event_type": "item.created", "data": {"name": "' + b"x" * 300 + b'"}}'
)
SUBSCRIBE = """
insert into event_subscription (id, organization_id, event_type, endpoint_url, secret, succeeded_at)
select %s || n, 'org_bench', '*', %s, %s, case when %s then now() end from generate_series(1, %s) n
"""
PLANT = """
with made as (
  insert into event (id, organization_id, type, entity_type, entity_id, data, relayed_at)
  select 'evt_' || s.id || '_' || n, 'org_bench', 'item.created', 'item', 'it_1',
         jsonb_build_object('name', repeat('x', 300)), now()
  from event_subscription s, generate_series(1, %(each)s) n where starts_with(s.id, %(kind)s)
  returning id
)
insert into delivery (id, organization_id, event_id, subscription_id)
select 'dlv_' || id, 'org_bench', id, substring(id from '^evt_(.*)_[0-9]+$') from made
"""


def receive(listener: socket.socket) -> None:
    """Answer 204 to everything, in a process of its own."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = next(
                    int(line[15:])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                await reader.readexactly(size)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(accept, sock=listener)
        await server.serve_forever()

    asyncio.run(serve())


async def plainly(url: str, secret: str, messages: int, at_once: int) -> float:
    """Messages a second by httpx."""
    limits = httpx.Limits(max_connections=at_once)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:
        line = iter(range(messages))

        async def post() -> None:
            for n in line:
                names = {"event_type": "item.created", "event_id": f"e{n}", "delivery_id": f"d{n}"}
                headers = sign(BODY, [secret], **names)
                (await client.post(url, content=BODY, headers=headers)).raise_for_status()

        begin = time.perf_counter()
        await asyncio.gather(*(post() for _ in range(at_once)))
        return messages / (time.perf_counter() - begin)


async def ours(dsn: str, keys: Keys, messages: int, receivers: int) -> float:
    """Messages a second by one dispatcher."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set search_path = opstac; set role opstac_system")
        connection.execute(PLANT, {"each": messages // receivers, "kind": "live"})
        connection.execute("reset role; analyze opstac.delivery; set role opstac_system")
        async with make_pool(dsn, "opstac_system", min_size=2, max_size=8) as pool:
            sender = Sender(allow=parse_allowances("127.0.0.1/32:1-65535"))
            sending = Deliveries(pool, sender, {"event": EventMessages(pool, keys)})
            waiting = (
                "select count(*) from delivery where starts_with(subscription_id, 'live')"
                " and state = 'due'"
            )
            begin = time.perf_counter()
            running = asyncio.create_task(sending.run(every_seconds=0.05))
            while connection.execute(waiting).fetchall()[0][0]:
                await asyncio.sleep(0.05)
            seconds = time.perf_counter() - begin
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    return messages / seconds


async def compare(dsn: str, url: str, hanging: str, options: argparse.Namespace) -> None:
    """Print the three rates and their ratios."""
    keys = Keys(secrets.token_bytes(32))
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    sealed = keys.seal(secret.encode())
    messages = options.messages // options.receivers * options.receivers
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set search_path = opstac; set role opstac_owner")
        connection.execute(
            "insert into organization (organization_id, name, slug)"
            " values ('org_bench', 'Bench', 'bench')"
        )
        connection.execute("set role opstac_system")
        connection.execute(SUBSCRIBE, ("live", url, sealed, True, options.receivers))
        connection.execute(SUBSCRIBE, ("dead", hanging, sealed, False, options.dead))
    at_once = options.receivers * PER_RECEIVER
    await plainly(url, secret, 64, 8)  # what is made at first use
    # its pool is slower with many connections: the best of several sizes
    plain = max([await plainly(url, secret, messages, n) for n in (1, 4, 16, min(at_once, 64))])
    alone = await ours(dsn, keys, messages, options.receivers)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set search_path = opstac; set role opstac_system")
        connection.execute(PLANT, {"each": 20, "kind": "dead"})
        connection.execute("update delivery set id = id || 'x' where state = 'delivered'")
        connection.execute("delete from event where id like 'evt_live%'")
    beside = await ours(dsn, keys, messages, options.receivers)
    print(f"httpx alone              {plain:8.0f} a second")
    print(f"dispatcher               {alone:8.0f} a second, {alone / plain:.2f} of httpx")
    share = beside / alone
    print(f"beside {options.dead:4} dead ones     {beside:8.0f} a second, {share:.2f} of without")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--receivers", type=int, default=16)
    parser.add_argument("--dead", type=int, default=200)
    options = parser.parse_args()
    listener, hole = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    url, hanging = (f"http://127.0.0.1:{s.getsockname()[1]}/hook" for s in (listener, hole))
    process = multiprocessing.Process(target=receive, args=(listener,), daemon=True)
    process.start()
    try:
        with migrated_cluster() as cluster:
            asyncio.run(compare(cluster.dsn(), url, hanging, options))
    finally:
        process.kill()
        hole.close()


if __name__ == "__main__":
    main()
