"""The platform that items are brought to, over its public API."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import orjson

from opstac.ingest.sources import Bad, Item

Outcome = dict[str, Any]

GIVE_UP_SECONDS = 600
FIRST_ANSWER_SECONDS = 15  # a platform that was never there is not waited for
PAUSES = (429, 502, 503, 504)


class CannotGoOn(Exception):
    """The platform refuses the run as a whole, or does not answer; the message says why."""


class Refused(Exception):
    """The platform refused one call."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        """`problem`: its RFC 9457 document."""
        super().__init__(f"{problem.get('status')} {problem.get('detail')}")
        self.problem = dict(problem)
        self.status = int(problem.get("status", 0))


class Target:
    """A project of a platform, or a collection in it. May be used by several threads."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        give_up_seconds: float = GIVE_UP_SECONDS,
        auth: httpx.Auth | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connect to nothing yet.

        Args:
            token: an API key or a session's token; `auth` in place of it renews one that ended.
            give_up_seconds: how long a call is repeated while the platform does not take it.
        """
        self.url = url.rstrip("/")
        self.project_id = ""
        self.collection_id: str | None = None
        self._give_up, self._sleep = give_up_seconds, sleep
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(
            base_url=self.url, headers=headers, auth=auth, timeout=300, transport=transport
        )

    def choose(self, project_id: str | None, collection: str | None, like: Item) -> None:
        """Find the project and the collection, which is made where it is missing.

        Args:
            project_id: by default the only one.
            collection: id, slug or name; None for items in none.
            like: a STAC collection that a new one takes title and description from.

        Raises CannotGoOn: there is no such project, or none can be told from the others.
        """
        patience, self._give_up = self._give_up, min(self._give_up, FIRST_ANSWER_SECONDS)
        self._find(project_id, collection, like)
        self._give_up = patience

    def _find(self, project_id: str | None, collection: str | None, like: Item) -> None:
        if project_id is None:
            found = self.call("projects.list", {"limit": 2})["projects"]
            if len(found) != 1:
                raise CannotGoOn("name the project with --project: there is not just one")
            project_id = str(found[0]["id"])
        self.project_id = project_id
        there = self.call("collections.list", {"project_id": project_id})["collections"]
        if collection is None:
            return
        for name in ("id", "slug", "name"):
            for known in there:
                if known.get(name) == collection:
                    self.collection_id = str(known["id"])
                    return
        said = {
            "project_id": project_id,
            "slug": collection,
            "name": str(like.get("title") or collection)[:200],
            "description": like.get("description"),
        }
        self.collection_id = str(self.call("collections.create", said)["id"])

    def store(self, entries: Sequence[Item | Bad], key: str) -> list[Outcome]:
        """Import items; an outcome for each entry, in their order. Raises CannotGoOn."""
        items = [entry for entry in entries if not isinstance(entry, Bad)]
        stored = iter(self._import(items, key) if items else [])
        return [bad_outcome(e) if isinstance(e, Bad) else next(stored) for e in entries]

    def _import(self, items: Sequence[Item], key: str) -> list[Outcome]:
        place = {"project_id": self.project_id, "collection_id": self.collection_id}
        body = {**place, "items": items}
        # a key is for one body: a page of another catalogue may have changed since
        digest = hashlib.sha256(orjson.dumps(body)).hexdigest()[:16]
        try:
            answer = self.call("items.import", body, key=f"{key}-{digest}")
        except Refused as error:
            if len(items) > 1 and error.status in (400, 413, 422):
                half = len(items) // 2
                before = self._import(items[:half], f"{key}a")
                return before + self._import(items[half:], f"{key}b")
            if error.status in (400, 413, 422):
                return [failed(str(items[0].get("id")), error.problem)]
            raise CannotGoOn(str(error)) from None
        return [
            {k: v for k, v in entry.items() if k != "index" and v is not None}
            for entry in answer["items"]
        ]

    def call(self, operation: str, body: Mapping[str, Any], *, key: str | None = None) -> Any:
        """Run an operation, again with the same key while the platform is busy or away.

        Raises:
            Refused: it will not.
            CannotGoOn: it has no credential that holds, or never answered.
        """
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        content = orjson.dumps(dict(body))
        response = self.send(
            lambda: self.http.post(f"/v1/op/{operation}", content=content, headers=headers)
        )
        if response.is_success:
            return orjson.loads(response.content)
        problem = problem_of(response)
        if response.status_code in (401, 403, 404):
            raise CannotGoOn(f"{operation}: {problem['status']} {problem['detail']}")
        raise Refused(problem)

    def send(self, request: Callable[[], httpx.Response]) -> httpx.Response:
        """Make a request until it is answered by more than "later". Raises CannotGoOn."""
        began, pause, said = time.monotonic(), 0.5, ""
        while True:
            wait = pause
            try:
                response = request()
                waits = response.headers.get("retry-after", "")
                in_progress = response.status_code == 409 and waits
                if response.status_code not in PAUSES and not in_progress:
                    return response
                said = f"{response.status_code} {response.text[:200]}"
                wait = max(pause, float(waits)) if waits.isdecimal() else pause
            except httpx.TransportError as error:
                said = str(error) or type(error).__name__
            if time.monotonic() - began + wait > self._give_up:
                raise CannotGoOn(f"{self.url} does not take it: {said}")
            self._sleep(min(wait, 60.0))
            pause = min(pause * 2, 30.0)


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem document of a refusal."""
    try:
        found = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        found = {"title": "Error", "detail": response.text[:200]}
    return {"detail": "", **found, "status": response.status_code}


def failed(name: str | None, problem: Mapping[str, Any]) -> Outcome:
    """The outcome of what was refused."""
    return {"id": name, "outcome": "failed", "problem": dict(problem)}


def bad_outcome(entry: Bad) -> Outcome:
    """The outcome of what is no item."""
    problem = {"type": "about:blank", "title": "Not an item", "status": 0, "detail": entry.reason}
    return failed(entry.id, problem)
