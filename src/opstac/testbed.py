"""A platform that is thrown away: own cluster and files, two organisations, one of everything."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from db.disposable import migrated_cluster
from ops_gateway.domains.billing import grant_credits
from ops_gateway.kernel.logs import configure_logging
from ops_gateway.kernel.services import Limits
from ops_gateway.surfaces.stripe import PATH as STRIPE_WEBHOOK
from opstac import journey, rehearsal
from opstac.client import Geopera
from opstac.compose import Platform
from opstac.people import make_operator, make_user, session
from opstac.server import listen, on_uvloop, serve, worker_environment
from opstac.settings import Settings
from opstac.variables import LOG_LEVEL

SESSION_SECONDS = 3600
CREDITS = 100_000
SCENES = {"BEFORE": "s2-flanders_2021-04_10m.tif", "AFTER": "s2-flanders_2021-07_10m.tif"}


def run_testbed(out: str, port: int) -> None:
    """Serve until a signal; `out` is written once everything is in it."""
    configure_logging(level="WARNING")
    with (
        migrated_cluster() as cluster,
        tempfile.TemporaryDirectory(prefix="opstac-testbed-") as folder,
        cards() as (card_settings, send_events_to),
    ):
        home = Path(folder)
        listener = listen("127.0.0.1", port)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings(
            dsn=cluster.dsn(),
            home=home,
            storage=str(home / "objects"),
            master_secret=secrets.token_urlsafe(48).encode(),
            public_url=url,
            signup_credits=0,
            limits=Limits(*[1_000_000] * 4, public_reads=0),
            webhook_allow="127.0.0.1/32:1024-65535",  # where a receiver of a test listens
            **card_settings,
            cron_token=secrets.token_urlsafe(32),
        )
        env = worker_environment(settings, home) | {
            "OPSTAC_PUBLIC_URL": url,
            LOG_LEVEL.name: "WARNING",
        }

        async def ready(platform: Platform) -> None:
            await asyncio.to_thread(send_events_to, url + STRIPE_WEBHOOK)
            found = await furnish(platform, url)
            written = Path(f"{out}.part")
            written.write_text(json.dumps({"url": url, "env": env, **found}, indent=2))
            os.replace(written, out)
            print(f"ready: {url}", flush=True)

        on_uvloop(serve(settings, listener, worker_env=env, drain_seconds=0, ready=ready))


@contextmanager
def cards() -> Iterator[tuple[dict[str, Any], Callable[[str], None]]]:
    """(settings, where to have events sent) of a rehearsed card provider on this machine.

    Where localstripe is not installed there is none, and card operations say so.
    """
    if not rehearsal.installed():
        yield {}, lambda url: None
        return
    with rehearsal.rehearsing() as (endpoint, provider):
        yield (
            {
                "stripe_key": rehearsal.KEY,
                "stripe_webhook_secret": rehearsal.WEBHOOK_SECRET,
                "stripe_api_base": endpoint,
            },
            provider.send_events_to,
        )


async def furnish(platform: Platform, url: str) -> dict[str, Any]:
    """Two organisations, their people, and one of everything, by the public wire."""
    settings = platform.settings
    people = {
        name: await asyncio.to_thread(make_user, settings, name, f"{name}@example.org")
        for name in ("org_a", "org_b", "nobody", "operator")
    }
    await asyncio.to_thread(make_operator, settings, people["operator"])
    tokens = {name: session(settings, user, SESSION_SECONDS) for name, user in people.items()}
    organizations: dict[str, str] = {}
    for name in ("org_a", "org_b"):
        with Geopera(tokens[name], url) as client:
            made = await asyncio.to_thread(client.op, "organizations.create", {"name": name})
        organizations[name] = made["id"]
        await grant_credits(platform.pipeline, made["id"], CREDITS, "testbed", by="testbed")
    with Geopera(tokens["org_a"], url) as client:
        variables, reader = await asyncio.to_thread(fill, client)
    return {
        "principals": {**tokens, "reader": reader, "cron": settings.cron_token},
        "vars": {"A_ORG": organizations["org_a"], **variables},
    }


def fill(client: Geopera) -> tuple[dict[str, str], str]:
    """(ids of one of everything in organisation A, a key that only reads)."""
    project = client.op("projects.create", {"name": "Harbour"})["id"]
    collection = client.op("collections.create", {"name": "Scenes", "project_id": project})["id"]
    item = journey.upload(
        client,
        project,
        journey.PHOTOGRAPH,
        name="Prairie wetlands",
        datetime=journey.TAKEN,
        collection_id=collection,
    )
    scenes = client.op("collections.create", {"name": "sentinel-2-l2a", "project_id": project})[
        "id"
    ]
    found = {}
    for when, file in SCENES.items():
        stac_id = file.removesuffix("_10m.tif")
        month = stac_id.rsplit("_", 1)[1]
        journey.upload(
            client,
            project,
            journey.SAMPLES / file,
            name=stac_id,
            stac_id=stac_id,
            datetime=f"{month}-01T00:00:00Z",
            collection_id=scenes,
        )
        found[f"A_SCENE_{when}"] = f"sentinel-2:{stac_id}"
    job = client.op("processing.create", {"project_id": project, "job_type_id": "external"})["job"]
    session = client.op(
        "uploads.initiate", {"project_id": project, "file_count": 3, "total_bytes": 1_000_000}
    )
    rule = client.op(
        "alerts.create_rule",
        {"name": "Bright", "expression": "b1", "comparison": "gt", "threshold": 1e6},
    )["alert_rule"]
    key = client.op("api_keys.create", {"name": "reader", "permissions": ["*:read"]})
    profiles = client.op("items.get", {"item_id": item["id"]})["item"]["profiles"]
    return {
        "A_PROJECT": project,
        "A_COLLECTION": collection,
        "A_ITEM": item["id"],
        "A_JOB": job["id"],
        "A_UPLOAD": session["id"],
        "A_KEY_ID": key["id"],
        "A_RULE": rule["id"],
        **({"A_PROFILE": profiles[0]["id"]} if profiles else {}),
        "A_AOI": json.dumps(journey.area_inside(item)),
        **found,
    }, key["key"]
