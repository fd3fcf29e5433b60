"""What the operations of the walk act on, made through the public wire when first asked for.

What no operation makes (people, the past, what the platform itself would do hours later) is made
as an operator or the worker would make it.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from ops_gateway.domains import clip_areas
from ops_gateway.domains.billing import grant_credits
from ops_gateway.kernel.authenticate import issue_session
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.ids import new_id
from ops_gateway.worker.relay import relay
from opstac.alerting import Alerting
from opstac.deliveries import deliveries
from opstac.journey import SAMPLES
from opstac.matching import match_due
from opstac.server import worker_environment
from processes.process import discover
from walk.server import CRON, Running

APRIL = SAMPLES / "s2-flanders_2021-04_10m.tif"
JULY = SAMPLES / "s2-flanders_2021-07_10m.tif"
# within the rasters above
FIELDS = {
    "type": "Polygon",
    "coordinates": [
        [[5.322, 50.631], [5.328, 50.631], [5.328, 50.635], [5.322, 50.635], [5.322, 50.631]],
    ],
}
JOB_SECONDS = 120
PASSWORD = "correct horse"
BODY = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """Whoever calls: a human, a key, the scheduler, a job's worker."""

    token: str
    user_id: str | None = None
    organization_id: str = ""


class World:
    """A platform with things in it."""

    def __init__(self, running: Running, tamper: Callable[..., None], forker: Any) -> None:
        """`tamper` runs SQL past every trigger, as damage or a migration would; `forker` starts
        worker processes.
        """
        self._forker = forker
        self.running = running
        self.platform, self.url = running.platform, running.url
        self.settings = running.platform.settings
        self.tamper = tamper
        self.http = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        options = "-c search_path=opstac,pgstac,queue,public -c role=opstac_system"
        self._session = psycopg.connect(
            self.settings.dsn, autocommit=True, row_factory=dict_row, options=options
        )
        # jobs are taken though no worker is looking just now: nothing runs them behind a test
        for process in discover().values():
            self.sql(
                "insert into registered_worker (job_type_id, version, name, queue, active,"
                " heartbeat_at) values (%s, %s, 'walk', 'jobs', true, now() + interval '1 day')"
                " on conflict do nothing",
                process.id,
                process.version,
            )
        self._made: dict[str, Any] = {}
        self._keeping = False
        self._passing: list[str] = []
        self._open: list[Any] = [self.http, self._session]

    def close(self) -> None:
        """End what is open."""
        for thing in self._open:
            thing.close()
        if "receiver" in self.__dict__:
            self.receiver.shutdown()
            self.receiver.server_close()

    # ------------------------------------------------------------ calls

    def call(self, op_id: str, body: Any = None, as_: Person | None = None) -> httpx.Response:
        """POST an operation, by default as the owner."""
        headers = {"Authorization": f"Bearer {(as_ or self.owner).token}"}
        return self.http.post(f"/v1/op/{op_id}", json=body or {}, headers=headers)

    def ok(self, op_id: str, body: Any = None, as_: Person | None = None) -> Any:
        """The parsed answer of an operation that must succeed."""
        answer = self.call(op_id, body, as_)
        assert answer.status_code in (200, 201, 202), f"{op_id}: {answer.text[:2000]}"
        return answer.json()

    def sql(self, query: str, *params: Any) -> list[BODY]:
        """Rows of a statement that passes row-level security."""
        cursor = self._session.execute(query.encode(), params or None)
        return cursor.fetchall() if cursor.description else []

    def act(self, who: Person, work: Callable[[Any], Any]) -> Any:
        """A change by the platform itself for an organization, with its records."""
        principal = Principal(kind="service", id="walk", organization_id=who.organization_id)
        return self.running.run(self.platform.pipeline.act("walk.act", principal, work))

    def name(self, what: str) -> str:
        """A name that nothing else has; like an id, it is not compared."""
        return new_id(what)

    def of(self, what: str, make: Callable[[], Any]) -> Any:
        """The one thing of that name, made at first use."""
        if what not in self._made:
            with self.keeping():
                self._made[what] = make()
        return self._made[what]

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Organizations that are made in the block are there for all cases to come."""
        before, self._keeping = self._keeping, True
        try:
            yield
        finally:
            self._keeping = before

    def closes(self, thing: Any) -> Any:
        """The thing, which is closed at the end."""
        self._open.append(thing)
        return thing

    # ------------------------------------------------------------ people

    def user(self) -> Person:
        """A new person without an organization."""
        user_id = str(uuid.uuid4())
        email = f"{user_id}@example.org"
        self.sql("insert into app_user (id, email, name) values (%s, %s, 'Robin')", user_id, email)
        token = issue_session(self.platform.keys, self.settings.issuer, user_id, seconds=7200)
        return Person(token, user_id)

    def room(self) -> None:
        """Room for one more organization: no maintenance loop runs here."""
        self.sql(
            "select provision_slot() where not exists"
            " (select from organization_slot where organization_id is null and not public)"
        )

    def leave(self) -> None:
        """A case is over: its own organizations are gone, as after their time of grace, and what
        they put nothing in is room for others.

        To make room takes longer than most calls, and what looks through all organizations has
        the longer to do the more there are.
        """
        self.sql(
            "update organization set deleted_at = coalesce(deleted_at, now()), purged_at = now()"
            " where organization_id = any(%s)",
            self._passing,
        )
        self.sql(
            "update organization_slot s set organization_id = null, taken_at = null"
            " where organization_id = any(%s) and not exists"
            " (select from item i where i.organization_id = s.organization_id)"
            " and not exists (select from removal r where r.organization_id = s.organization_id)",
            self._passing,
        )
        self._passing.clear()

    def organization(self, name: str = "Acme") -> Person:
        """The owner of a new organization."""
        self.room()
        person = self.user()
        made = self.ok("organizations.create", {"name": name}, person)
        if not self._keeping:
            self._passing.append(made["id"])
        return Person(person.token, person.user_id, made["id"])

    def member(self, owner: Person, role: str = "member") -> Person:
        """A new person of an organization."""
        person = self.user()
        invited = self.ok(
            "organizations.invitations.create",
            {"email": f"{person.user_id}@example.org", "role": role},
            owner,
        )
        self.ok("organizations.invitations.accept", {"token": token_of(invited)}, person)
        return Person(person.token, person.user_id, owner.organization_id)

    def key(self, owner: Person, *permissions: str) -> Person:
        """A new API key."""
        body = {"name": self.name("key"), "permissions": list(permissions)}
        made = self.ok("api_keys.create", body, owner)
        return Person(made["key"], None, owner.organization_id)

    @cached_property
    def owner(self) -> Person:
        """Whoever calls where a case does not say otherwise."""
        # whatever case came first, it has the slug of its name
        self.tamper("update organization set slug = organization_id where slug = 'acme'")
        with self.keeping():
            made = self.organization()
        self.grant(made, 100_000)
        return made

    @cached_property
    def stranger(self) -> Person:
        """The owner of another organization."""
        with self.keeping():
            return self.organization("Other")

    @cached_property
    def operator(self) -> Person:
        """Who runs the platform, and is in no organization."""
        person = self.user()
        self.sql("insert into platform_operator (user_id) values (%s)", person.user_id)
        return person

    @property
    def cron(self) -> Person:
        """The scheduler."""
        return Person(CRON)

    def grant(self, who: Person, credits: int) -> None:
        """Credits, as `opstac grant` gives them."""
        self.running.run(
            grant_credits(
                self.platform.pipeline, who.organization_id, credits, "a gift", by="operator"
            )
        )

    # ------------------------------------------------------------ the catalogue

    def new_project(self, who: Person | None = None) -> str:
        """A project's id."""
        return self.ok("projects.create", {"name": "Harbour"}, who)["id"]

    @cached_property
    def project(self) -> str:
        """The owner's project of the things below."""
        return self.new_project()

    def new_collection(self, who: Person | None = None, project: str | None = None) -> str:
        """A collection's id."""
        body = {"name": self.name("scenes"), "project_id": project or self.project}
        return self.ok("collections.create", body, who)["id"]

    @cached_property
    def collection(self) -> str:
        """The collection of the items below."""
        body = {"name": "Fields", "slug": "fields", "project_id": self.project}
        return self.ok("collections.create", body)["id"]

    def upload(
        self, path: Path, who: Person | None = None, project: str | None = None, **more: Any
    ) -> BODY:
        """Bring a file in as any client would; the item."""
        upload = self.uploaded(path, who, project)
        return self.ok("uploads.complete", {"upload_id": upload, **more}, who)["items"][0]

    def uploaded(
        self, path: Path = APRIL, who: Person | None = None, project: str | None = None
    ) -> str:
        """An upload whose bytes are there and that is not completed."""
        body = {"project_id": project or self.project, "total_bytes": path.stat().st_size}
        upload = self.ok("uploads.initiate", body, who)["id"]
        body = {"upload_id": upload, "file_name": path.name, "content_type": "image/tiff"}
        place = self.ok("uploads.signed_url", body, who)
        put = self.http.put(place["upload_url"], content=path.read_bytes())
        assert put.is_success, put.text
        return upload

    @cached_property
    def item(self) -> BODY:
        """A Sentinel-2 scene of April with six named bands."""
        return self.upload(
            APRIL, name="April", stac_id="april", datetime="2021-04-01T00:00:00Z",
            collection_id=self.collection,
        )  # fmt: skip

    @cached_property
    def later(self) -> BODY:
        """The same fields in July."""
        return self.upload(
            JULY, name="July", stac_id="july", datetime="2021-07-01T00:00:00Z",
            collection_id=self.collection,
        )  # fmt: skip

    @cached_property
    def shelf(self) -> tuple[str, str]:
        """A project with a collection of two scenes, which stays as it is."""
        project = self.new_project()
        collection = self.new_collection(project=project)
        for scene in (self.item, self.later):
            self.ok(
                "items.duplicate",
                {
                    "item_id": scene["id"], "new_name": scene["name"],
                    "target_project_id": project, "target_collection_id": collection,
                },
            )  # fmt: skip
        return project, collection

    def raster_of(self, item_id: str) -> BODY:
        """The asset `data` of an item."""
        listed = self.ok("items.list_assets", {"item_id": item_id})["assets"]
        return next(asset for asset in listed if asset["key"] == "data")

    @cached_property
    def asset(self) -> BODY:
        """The item's raster."""
        return self.raster_of(self.item["id"])

    @property
    def clipped(self) -> str:
        """The item that a clip of the one above became."""
        return self.jobs["clip"]["output_item_ids"][0]

    @cached_property
    def area(self) -> str:
        """An area of the operator, open to all: the item above under a name."""
        offer = clip_areas.Offer(
            "fields", self.item["id"], "Fields", "Flanders in spring", None, None
        )
        org = self.owner.organization_id
        self.running.run(clip_areas.offer(self.platform.pipeline, org, offer, by="operator"))
        return "fields"

    def copy(self) -> BODY:
        """A new item with the raster of the one above."""
        body = {"item_id": self.item["id"], "new_name": "Copy"}
        made = self.ok("items.duplicate", body)
        return made.get("item", made)

    def note(self, who: Person | None = None, project: str | None = None, **more: Any) -> BODY:
        """A new item without a file."""
        body = {
            "name": "Survey", "type": "user_raster", "project_id": project or self.project,
            "geometry": FIELDS, "datetime": "2024-05-01T10:00:00Z", **more,
        }  # fmt: skip
        return self.ok("items.create", body, who)

    # ------------------------------------------------------------ what the worker does

    def pass_events_on(self) -> None:
        """What the worker's relay and its alarm would do now."""

        async def work() -> None:
            system = self.running.system
            while await relay(system) or await match_due(self.platform.pipeline, system):
                pass
            await Alerting(self.platform.pipeline, self.running.system, name="walk").drain()

        self.running.run(work())

    def deliver(self, pauses: tuple[float, ...] = (0.0,)) -> None:
        """Attempt what is due until nothing is; `pauses` between the attempts."""

        async def work() -> None:
            while await relay(self.running.system):
                pass
            sender = deliveries(self.platform.pipeline, self.running.system, self.settings)
            sender._pauses = pauses
            while due := await sender.claim():
                for one in due:
                    await sender.attempt(one)

        self.running.run(work())

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker process while the block lasts."""
        environment = {
            **os.environ,
            **worker_environment(self.settings, self.settings.home),
            "OPSTAC_PUBLIC_URL": self.url,
            "OPSTAC_PARENT_PID": str(os.getpid()),
            "OPSTAC_WORKER_NAME": "walker",
        }
        process = self._forker.start(["-m", "opstac", "worker"], environment)
        try:
            yield
        finally:
            process.kill()
            process.wait_for()

    def ended(self, *jobs: str) -> dict[str, BODY]:
        """The jobs, once all have completed under a worker."""
        deadline = time.monotonic() + JOB_SECONDS
        with self.worker():
            while True:
                found = {
                    job: self.ok("processing.project_job.get", {"job_id": job})["job"]
                    for job in jobs
                }
                if all(job["status"] in ("completed", "failed") for job in found.values()):
                    break
                assert time.monotonic() < deadline, "the jobs do not end"
                time.sleep(0.1)
        assert all(job["status"] == "completed" for job in found.values()), found
        return found

    @cached_property
    def jobs(self) -> dict[str, BODY]:
        """Jobs that ran, by what they are: `clip`, `area`, `ndvi`."""
        clip = self.ok(
            "clip.create_from_item",
            {
                "source_item_id": self.item["id"], "project_id": self.project,
                "aoi_geometry": FIELDS, "output_name": "Corner",
            },
        )["job"]["id"]  # fmt: skip
        inputs = {"source_item_id": self.item["id"]}
        ndvi = self.job(dispatched=True, job_type_id="ndvi", input_params=inputs)["id"]
        found = self.ended(clip, ndvi)
        return {"clip": found[clip], "ndvi": found[ndvi]}

    def job(self, *, dispatched: bool = False, **inputs: Any) -> BODY:
        """A new job that nobody has begun, never answered by an earlier one; a clip."""
        op_id = "processing.create_and_dispatch" if dispatched else "processing.create"
        return self.ok(
            op_id,
            {
                "project_id": self.project, "job_type_id": "clip", "use_cache": False,
                "input_params": {"source_item_id": self.item["id"], "aoi_geometry": FIELDS},
                **inputs,
            },
        )["job"]  # fmt: skip

    def computed(self) -> tuple[str, str]:
        """A job that is computed outside, and the path of the file handed in for it."""
        body = {"project_id": self.project, "job_type_id": "external"}
        job = self.ok("processing.create_and_dispatch", body)["job"]["id"]
        put = self.http.put(
            f"/v1/jobs/{job}/outputs/result.tif",
            content=APRIL.read_bytes(),
            headers={"Authorization": f"Bearer {self.owner.token}"},
        )
        assert put.status_code == 201, put.text
        return job, put.json()["object_path"]

    # ------------------------------------------------------------ outside

    @cached_property
    def receiver(self) -> ThreadingHTTPServer:
        """A server that takes every message but those to /no."""

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(500 if self.path == "/no" else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def hook(self, path: str = "/hook") -> str:
        """Where messages are taken."""
        return f"http://127.0.0.1:{self.receiver.server_address[1]}{path}"

    def with_card(self, name: str = "pm_card_visa") -> tuple[Person, BODY]:
        """The owner of a new organization with a card, and the card."""
        owner = self.organization()
        return owner, self.ok("payment_methods.attach", {"payment_method_id": name}, owner)


def token_of(invited: BODY) -> str:
    """The token in the link of an invitation."""
    return invited["url"].rpartition("/")[2]
