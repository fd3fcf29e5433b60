"""The items of another STAC API, page by page."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urljoin

import httpx
import orjson

from opstac.client.connection import origin_of
from opstac.ingest.sources import Bad, Batch, Item, Place, Unusable

ATTEMPTS = 6
REDIRECTS = 10
PAGE = 500


class Catalogue:
    """A collection of a STAC API, or all of it; goes on from the last `next` link."""

    def __init__(
        self,
        url: str,
        *,
        collection: str | None = None,
        bbox: str | None = None,
        datetime: str | None = None,
        headers: Mapping[str, str] | None = None,
        client: httpx.Client | None = None,
    ) -> None:
        """`headers` are sent to scheme, host and port of `url` alone."""
        self._url, self.collection = url.rstrip("/"), collection
        self._origin = origin_of(httpx.URL(url))
        self._query = {"bbox": bbox, "datetime": datetime}
        self._headers = dict(headers or {})
        self._client = client or httpx.Client(timeout=120)
        self.total: int | None = None
        self.identity: Mapping[str, Any] = {
            "api": self._url, "collection": collection, "bbox": bbox, "datetime": datetime,
        }  # fmt: skip

    def describe(self) -> Item:
        """The collection's own document; `{}` where it has none."""
        if self.collection is None:
            return {}
        return self._get({"href": f"{self._url}/collections/{self.collection}"})

    def batches(self, start: Place, size: int) -> Iterator[Batch]:
        """See `Source`. A page is a batch."""
        link: Place | None = start.get("next") or self._first(min(size, PAGE))
        done = int(start.get("done", 0))
        if start.get("end"):
            return
        while link is not None:
            page = self._get(link)
            features = page.get("features")
            if not isinstance(features, list):
                raise Unusable(f"{link['href']}: not a page of items")
            matched = page.get("numberMatched")
            self.total = matched if isinstance(matched, int) else self.total
            following = self._next(page, link)
            if following is not None and following == link:
                raise Unusable(f"{link['href']}: its next page is itself")
            link = following
            done += len(features)
            entries = [f if isinstance(f, dict) else Bad("not a JSON object") for f in features]
            after = {"next": link, "done": done} if link else {"end": True, "done": done}
            if entries:
                yield Batch(entries, after, done)

    def _first(self, size: int) -> Place:
        query = {name: value for name, value in self._query.items() if value} | {"limit": size}
        landing = self._get({"href": self._url})
        search = next(
            (
                link["href"]
                for link in landing.get("links", ())
                if link.get("rel") == "search" and link.get("method", "GET") == "GET"
            ),
            None,
        )
        if search is not None:
            if self.collection is not None:
                query["collections"] = self.collection
            return {"href": f"{urljoin(self._url + '/', search)}?{urlencode(query)}"}
        if self.collection is None:
            raise Unusable(f"{self._url} has no search; name a --collection")
        return {"href": f"{self._url}/collections/{self.collection}/items?{urlencode(query)}"}

    def _next(self, page: Item, here: Place) -> Place | None:
        for link in page.get("links", ()):
            if isinstance(link, dict) and link.get("rel") == "next" and link.get("href"):
                following: Place = {"href": urljoin(here["href"], str(link["href"]))}
                if str(link.get("method", "GET")).upper() == "POST":
                    body = link.get("body") or {}
                    if link.get("merge"):
                        body = {**here.get("body", {}), **body}
                    following["body"] = body
                return following
        return None

    def _get(self, link: Place) -> Item:
        said = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(min(30, 2**attempt))
            try:
                response = self._asked(link)
            except httpx.InvalidURL as error:
                raise Unusable(f"{link['href']}: {error}") from None
            except httpx.TransportError as error:
                said = str(error) or type(error).__name__
                continue
            if response.status_code == 429 or response.status_code >= 500:
                said = f"{response.status_code} {response.text[:200]}"
                continue
            if not response.is_success:
                raise Unusable(f"{link['href']}: {response.status_code} {response.text[:200]}")
            try:
                found = orjson.loads(response.content)
            except orjson.JSONDecodeError:
                raise Unusable(f"{link['href']}: the answer is not JSON") from None
            if not isinstance(found, dict):
                raise Unusable(f"{link['href']}: the answer is no JSON object")
            return found
        raise Unusable(f"{link['href']}: {said}")

    def _asked(self, link: Place) -> httpx.Response:
        """The answer where the redirects end. Each step is looked at: a header that says who we are
        is for the host that it was given for.
        """
        method = "POST" if "body" in link else "GET"
        content = orjson.dumps(link["body"]) if "body" in link else None
        url = httpx.URL(link["href"])
        for _ in range(REDIRECTS):
            headers = {"Accept": "application/geo+json, application/json"}
            if content is not None:
                headers["Content-Type"] = "application/json"
            if origin_of(url) == self._origin:
                headers |= self._headers
            response = self._client.request(method, url, content=content, headers=headers)
            if not response.has_redirect_location:
                return response
            url = url.join(response.headers["location"])
            if response.status_code not in (307, 308):
                method, content = "GET", None
        raise Unusable(f"{link['href']}: more than {REDIRECTS} redirects")
