"""The first five minutes: a private platform, one image, one clip, and what it cost.

What was done is noted in `demo.json` of the data folder, step by step, so that a second run repeats
nothing and an interrupted one goes on where it was.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from db.embedded import default_cluster, default_home
from db.locks import exclusive
from opstac import database, journey, settings
from opstac.cli import CommandError
from opstac.client import Geopera, OperationError
from opstac.compose import Platform
from opstac.people import make_user, session
from opstac.server import listen, on_uvloop, serve, worker_environment
from opstac.settings import Settings
from opstac.variables import LOG_LEVEL

CREDITS = 10_000
SESSION_SECONDS = 3600
KEY_SCOPES = [
    "*:read", "projects:*", "items:*", "collections:*", "uploads:*", "processing:*", "clip:*",
    "tiles:*",
]  # fmt: skip


class Notes:
    """What the demo has done, kept in a file that only its owner reads."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier run noted."""
        self.path = path
        self.known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def __getitem__(self, name: str) -> Any:
        """A noted value."""
        return self.known[name]

    def __contains__(self, name: str) -> bool:
        """Whether the step was done."""
        return name in self.known

    def keep(self, **values: Any) -> None:
        """Note values at once and for good."""
        self.known.update(values)
        part = self.path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self.known, file, indent=2)
        os.replace(part, self.path)


def run_demo(*, image: str | None, host: str | None, port: int | None, once: bool) -> None:
    """Run the main job, print where everything is, and serve until a signal.

    Raises CommandError: another demo runs here, the port is taken, the image is not there.
    """
    from ops_gateway.kernel.logs import configure_logging

    level = LOG_LEVEL.text() if LOG_LEVEL.name in os.environ else "ERROR"
    configure_logging(level)
    path = Path(image).expanduser().resolve() if image else journey.PHOTOGRAPH
    if not path.is_file():
        raise CommandError(f"there is no file {path}")
    say = Steps()
    home = default_home()
    home.mkdir(parents=True, exist_ok=True)
    with exclusive(home / "demo.lock", "opstac demo"):
        say("database")
        found = database.find()
        try:
            say.done(
                "private cluster" if found.private else "DATABASE_URL", database.migrate(found)
            )
            made = settings.read(dsn=found.dsn, home=home)
            made = replace(made, host=host or made.host, port=port or made.port, signup_credits=0)
            serve_demo(made, found.dsn, path, say, level=level, once=once)
        finally:
            if found.private:
                default_cluster().stop()


def serve_demo(made: Settings, dsn: str, path: Path, say: Steps, *, level: str, once: bool) -> None:
    """Serve with a worker, and do the main job beside it."""
    with closing(listen(made.host, made.port)) as listener:
        url = made.public_url or f"http://{shown(made.host)}:{made.port}"
        made = replace(made, public_url=url)
        notes = Notes(made.home / "demo.json")
        if notes.known.get("database") not in (None, identity(dsn)):
            notes.known = {}  # another database: nothing noted holds there
        notes.keep(database=identity(dsn))

        async def ready(platform: Platform) -> bool:
            say.done(url)
            try:
                await organize(platform, notes, url, say)
                with Geopera(notes["api_key"], url, timeout_seconds=600) as client:
                    await asyncio.to_thread(main_job, client, notes, path, say)
                    await asyncio.to_thread(report, client, notes, url)
            except OperationError as error:
                raise CommandError(f"the demo was refused: {error}") from error
            if not once:
                print("\nServing until Ctrl-C.", flush=True)
            return once

        say("server and worker")
        environment = worker_environment(made, made.home)
        environment |= {"OPSTAC_PUBLIC_URL": url, LOG_LEVEL.name: level}
        on_uvloop(serve(made, listener, worker_env=environment, drain_seconds=0, ready=ready))


def identity(dsn: str) -> str:
    """Which database a connection string means, without its password."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(dsn)
    if str(parts.get("host", "")).startswith(("127.", "localhost", "/")):
        parts.pop("port", None)  # a private cluster may come up on another port
    return "/".join(str(parts.get(name, "")) for name in ("host", "port", "dbname"))


def shown(host: str) -> str:
    """The host as a browser on this machine reaches it."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host
    return "127.0.0.1" if everywhere else host


class Steps:
    """A progress line a step."""

    def __init__(self) -> None:
        """The clock starts."""
        self._number = 0
        self._began = time.monotonic()

    def __call__(self, name: str) -> None:
        """A step begins."""
        self._number += 1
        self._began = time.monotonic()
        print(f"[{self._number:2}] {name} …", flush=True)

    def done(self, text: str, more: list[str] | None = None) -> None:
        """The step ended."""
        took = time.monotonic() - self._began
        extra = f" ({', '.join(more)})" if more else ""
        print(f"     {text}{extra} · {took:.1f} s", flush=True)


async def organize(platform: Platform, notes: Notes, url: str, say: Steps) -> None:
    """An organization with a user, credits and an API key."""
    from ops_gateway.domains.billing import grant_credits

    if "user" not in notes:
        user = await asyncio.to_thread(make_user, platform.settings, "Demo", "demo@example.org")
        notes.keep(user=user)
    token = session(platform.settings, notes["user"], SESSION_SECONDS)
    with Geopera(token, url) as client:
        if "organization" not in notes:
            say("organization and API key")
            try:
                made = await asyncio.to_thread(client.op, "organizations.create", {"name": "Demo"})
            except OperationError as error:
                if error.status != 409:  # made by a run that could not note it
                    raise
                found = await asyncio.to_thread(client.op, "organizations.get")
                made = found["organization"]
            notes.keep(organization=made["id"])
        if "granted" not in notes:
            balance = await asyncio.to_thread(client.op, "billing.credits.balance")
            if balance["balance"] == 0:
                await grant_credits(
                    platform.pipeline, notes["organization"], CREDITS, "demo credits", by="demo"
                )
            notes.keep(granted=CREDITS)
        if "api_key" not in notes:
            body = {"name": "demo", "permissions": [*KEY_SCOPES, "provenance:read", "billing:read"]}
            key = await asyncio.to_thread(client.op, "api_keys.create", body)
            notes.keep(api_key=key["key"])


def main_job(client: Geopera, notes: Notes, path: Path, say: Steps) -> None:
    """Upload, find, draw, clip: each step by the same routes as any client's."""
    if "project" not in notes:
        say("project")
        made = client.op("projects.create", {"name": "Demo"}, idempotency_key="demo-project")
        notes.keep(project=made["id"])
        say.done(made["id"])
    image = f"{path.name}-{path.stat().st_size}"
    if notes.known.get("image") != image:
        say(f"upload of {path.name}")
        taken = {"datetime": journey.TAKEN} if path == journey.PHOTOGRAPH else {}
        item = journey.upload(
            client, notes["project"], path, key=f"demo-{image}", name=path.stem, **taken
        )
        for name in ("tile", "clip_job", "clip_item"):
            notes.known.pop(name, None)
        notes.keep(image=image, item=item["id"])
        say.done(f"item {item['id']}, {len(item['geometry']['coordinates'][0])} corners")
    item = client.op("items.get", {"item_id": notes["item"]})["item"]
    if "tile" not in notes:
        say("STAC search")
        found = client.get("/assets/stac/search", ids=notes["item"])
        if [f["id"] for f in found["features"]] != [notes["item"]]:
            raise CommandError("the item cannot be found by STAC search")
        say.done(f"found in {found['features'][0]['collection']}")
        say("map tile")
        document = client.op("items.tile.tilejson", {"item_id": notes["item"]})
        picture = client.get(journey.middle_tile(document))
        notes.keep(tile=len(picture))
        say.done(f"{len(picture)} bytes, zoom {document['minzoom']} to {document['maxzoom']}")
    if "clip_item" not in notes:
        say("clip by the worker")
        if "clip_job" not in notes:
            job = client.op(
                "clip.create_from_item",
                {
                    "source_item_id": notes["item"],
                    "project_id": notes["project"],
                    "aoi_geometry": journey.area_inside(item),
                    "output_name": f"{item['name'][:150]} clip",
                },
                idempotency_key=f"demo-clip-{notes['item']}",
            )["job"]
            notes.keep(clip_job=job["id"])
        job = journey.wait_for(client, notes["clip_job"])
        if job["status"] != "completed":
            raise CommandError(f"the clip {job['status']}: {job['error']}")
        notes.keep(clip_item=job["output_item_ids"][0], charged=job["credits_charged"])
        say.done(f"item {job['output_item_ids'][0]}, {job['credits_charged']} credits charged")


def report(client: Geopera, notes: Notes, url: str) -> None:
    """Where everything is, what it cost and where the clip came from."""
    balance = client.op("billing.credits.balance")
    lineage = client.op("provenance.get", {"entity_type": "item", "entity_id": notes["clip_item"]})
    key = notes["api_key"]
    print(
        f"""
  Map        {url}/?item={notes["item"]}&key={key}
  STAC       {url}/assets/stac   (Authorization: Bearer <API key>)
  Processes  {url}/ogc
  API key    {key}
  Charged    {notes["charged"]} credits for the clip; {balance["available"]} of {CREDITS} left
  Lineage    of {notes["clip_item"]}:"""
    )
    for edge in sorted(lineage["edges"], key=lambda e: e["depth"]):
        print(
            f"             {edge['src_type']} {edge['src_id']} "
            f"{edge['relation'].replace('_', ' ')} {edge['dst_type']} {edge['dst_id']}"
        )
