"""Search: one SQL call, then the documents clients see.

The tenant's slot and visible projects are part of the one query. Rows come back as stored
(hydration in SQL is the main cost of a pgstac search); the slot's base item is merged, ids,
collections, links and addresses are put in here.

All reads run in READ ONLY transactions as `opstac_stac`, so `reader_pool` may point at a replica.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from db.pool import Pool
from db.queries import queries
from stac_api import normal_form, tokens
from stac_api.document import Document, Mount, feature
from stac_api.errors import BadRequest, Unauthorized
from stac_api.named import named_collections
from stac_api.reader import Reader
from stac_api.request import SearchRequest
from stac_api.tenancy import UNSHOWN, Visibility

sql = queries(__file__)

COUNTED_EXACTLY = 1_000
"""Beyond this a count takes longer than the page that it is told with."""
ANONYMOUS_SECONDS = 10
"""How long one statement of a caller without a credential may take."""
_NAMES_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search.

    Attributes:
        features: as clients see them.
        matched: how many items match in all; None on pages after the first of a caller that pages
            without counting.
        estimated: `matched` is the planner's estimate, as there are more than `COUNTED_EXACTLY` or
            counting them is not cheap.
        next, prev: paging tokens; None at the end and at the beginning.
        at_least: of an estimate, how many are certain.
    """

    features: list[Document]
    matched: int | None
    estimated: bool
    next: str | None
    prev: str | None
    at_least: int = 0

    def collection(self, links: Iterable[Mapping[str, Any]] = ()) -> Document:
        """The GeoJSON FeatureCollection."""
        document: Document = {
            "type": "FeatureCollection",
            "features": self.features,
            "links": list(links),
            "numberReturned": len(self.features),
        }
        if self.matched is not None:
            document["numberMatched"] = self.matched
            if self.estimated:
                document["numberMatchedEstimated"] = True
                document["opstac:numberMatchedAtLeast"] = self.at_least
        return document


class Searcher(Reader):
    """Answers searches from one pool. Holds no state of a request.

    A collection's slug never changes, so what an id is called is remembered.
    """

    def __init__(
        self,
        pool: Pool,
        key: bytes,
        *,
        note_public: Callable[[str], None] = lambda organization: None,
    ) -> None:
        """`key` signs paging tokens; every server of the platform needs the same one.

        `note_public` is told of each organization whose items somebody without a credential found,
        once a page.
        """
        self._note_public = note_public
        super().__init__(pool)
        self._key = key
        self._slugs: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def search(
        self,
        visibility: Visibility,
        request: SearchRequest,
        mount: Mount,
        *,
        count: bool = True,
    ) -> Page:
        """One page of what `visibility` may see of `request`.

        Args:
            count: find `matched`; a page reached by token has it from the first one.

        Raises:
            BadRequest: the database finds the search has no meaning, or it takes too long.
            Unauthorized: without credential, a collection named is not public.
            Unavailable: the database does not answer.
        """
        require_shown(visibility, request)
        binding = _binding(visibility, request)
        place = tokens.open_token(self._key, binding, request.token) if request.token else {}
        named = set(request.collections or ())
        in_filter = normal_form.collection_names(request.filter) if request.filter else set()
        known: dict[str, list[str]] = {}
        if in_filter or (visibility.anonymous and named):
            known = await self.ids(visibility, named | in_filter)
        if visibility.anonymous and not named <= known.keys():
            raise Unauthorized
        if visibility.empty:
            return Page([], 0, False, None, None)
        search = pgstac_search(request, known)
        collections = named_collections(request, search)
        backward = place.get("d") == "p"
        place_of = {
            "organization": visibility.organization_id,
            "slot": visibility.slot,
            "projects": None if visibility.projects is None else sorted(visibility.projects),
        }
        answer = await self.fetch_for(
            visibility,
            sql.search_public_items if visibility.anonymous else sql.search_items,
            **({} if visibility.anonymous else place_of),
            collections=collections,
            ids=None if request.ids is None else list(request.ids),
            search=orjson.dumps(search).decode(),
            limit=request.limit + 1,
            offset=0 if place else request.offset,
            after=orjson.dumps(place["k"]).decode() if place else None,
            reverse=backward,
            count=COUNTED_EXACTLY if count and not place else None,
        )
        row = answer[0]
        rows: list[Any] = orjson.loads(row["rows"]) if row["rows"] else []
        cut = bool(rows) and rows[-1] is None  # more bytes than one answer has
        if cut:
            rows.pop()
        more = cut or len(rows) > request.limit
        del rows[request.limit :]
        if backward:
            rows.reverse()
        counted = [row["matched"], bool(row["estimated"]), row["at_least"]]
        if place:  # a token of an earlier version has no third
            counted = [*place.get("m", [None, False]), COUNTED_EXACTLY + 1][:3]
        matched, estimated, at_least = counted
        ends = _ends(rows, place, more, backward, request)
        sealed = [
            tokens.seal(self._key, binding, {"d": way, "k": at, "m": counted}) if at else None
            for way, at in zip("np", ends, strict=True)
        ]
        features = await self._features(visibility, rows, row["base"], request, mount)
        return Page(features, matched, estimated, sealed[0], sealed[1], at_least or 0)

    async def ids(self, visibility: Visibility, names: Iterable[str]) -> dict[str, list[str]]:
        """Collection ids that names (id, slug or project id) stand for; unknown ones are absent."""
        found: dict[str, list[str]] = {}
        if visibility.anonymous:
            for row in await self.fetch(sql.public_names, names=sorted(names)):
                found.setdefault(row["name"], []).append(row["id"])
            return found
        if visibility.organization_id is None:
            return found
        projects = None if visibility.projects is None else sorted(visibility.projects)
        for row in await self.fetch(
            sql.names,
            organization=visibility.organization_id,
            projects=projects,
            names=sorted(names),
        ):
            found.setdefault(row["name"], []).append(row["id"])
            self._remember(visibility.organization_id, row["id"], row["slug"])
        return found

    async def shown_names(self, visibility: Visibility, ids: Iterable[str]) -> dict[str, str]:
        """What clients call the collections with these ids; those that are gone are absent."""
        names, organization = sorted(set(ids)), visibility.organization_id
        if visibility.anonymous:
            rows = await self.fetch(sql.public_names, names=names)
        elif organization is None:
            return {}
        else:
            rows = await self.fetch(
                sql.names, organization=organization, projects=None, names=names
            )
        return {row["id"]: row["slug"] for row in rows}

    async def _features(
        self,
        visibility: Visibility,
        rows: Sequence[Document],
        base: str,
        request: SearchRequest,
        mount: Mount,
    ) -> list[Document]:
        if not rows:
            return []
        base_item = {k: v for k, v in orjson.loads(base).items() if v is not None}
        stored = [stored_item(row, base_item) for row in rows]
        organization = visibility.organization_id or ""
        collections = {item["properties"]["opstac:collection"] for item in stored}
        slugs: dict[str, str] = {}
        if visibility.anonymous:  # what it is called hangs on what else is public, so ask each time
            public = await self.fetch(sql.public_names, names=sorted(collections))
            slugs = {row["id"]: row["slug"] for row in public}
            for owner in {row["organization_id"] for row in public}:
                self._note_public(owner)
        unknown = {c for c in collections if (organization, c) not in self._slugs}
        if unknown and organization:
            named = await self.fetch(
                sql.names, organization=organization, projects=None, names=sorted(unknown)
            )
            names = {row["id"]: row["slug"] for row in named}
            for id_ in unknown:  # one that is gone shows its id, and never comes back
                self._remember(organization, id_, names.get(id_, id_))
        features = []
        for item in stored:
            collection: str = item["properties"]["opstac:collection"]
            shown = slugs.get(collection) or self._slugs.get((organization, collection), collection)
            document = feature(item, shown, mount)
            if visibility.anonymous:
                document["properties"].pop("opstac:project", None)
                if document["properties"].pop("opstac:version", None):
                    here = document["links"][0]["href"]
                    document["links"] = [
                        link
                        for link in document["links"]
                        if not link["href"].startswith(f"{here}/versions/")
                    ]
            if request.include or request.exclude:
                document = chosen(document, request.include, request.exclude)
            features.append(document)
        return features

    def _remember(self, organization: str, id_: str, slug: str) -> None:
        self._slugs[organization, id_] = slug
        if len(self._slugs) > _NAMES_KEPT:
            self._slugs.popitem(last=False)

    async def fetch_for(
        self, visibility: Visibility, query: Any, **parameters: Any
    ) -> list[dict[str, Any]]:
        """As `fetch`, in at most `ANONYMOUS_SECONDS` where there is no credential."""
        seconds = ANONYMOUS_SECONDS if visibility.anonymous else None
        return await self.fetch(query, seconds, **parameters)


def require_shown(visibility: Visibility, request: SearchRequest) -> None:
    """Raise BadRequest where a search is about what the caller is shown of no item.

    What can be filtered or ordered by can be found out, and a paging token holds it.
    """
    if not visibility.anonymous:
        return
    named = {name for name, _ in request.sortby}
    if request.filter is not None:
        named |= normal_form.property_names(request.filter)
    for name in named:
        if name.split(".")[0] in UNSHOWN:
            raise BadRequest(f"{name[:60]} is not shown without a credential")


def _binding(visibility: Visibility, request: SearchRequest) -> bytes:
    owner = orjson.dumps([visibility.organization_id, visibility.slot])
    return owner + request.digest


def pgstac_search(request: SearchRequest, known: Mapping[str, Sequence[str]]) -> Document:
    """The part of a search that pgstac compiles; the rest are parameters of our function."""
    search: Document = {}
    if request.geometry is not None:
        search["intersects"] = request.geometry
    if request.datetime is not None:
        search["datetime"] = request.datetime
    if request.filter is not None:
        search["filter"] = normal_form.normal(dict(request.filter), known)
        search["filter-lang"] = "cql2-json"
    if request.sortby:
        search["sortby"] = [
            {"field": _stored_field(name), "direction": "desc" if descending else "asc"}
            for name, descending in request.sortby
        ]
    return search


def _stored_field(name: str) -> str:
    return {"id": "opstac:stac_id", "collection": "opstac:collection"}.get(name, name)


def _ends(
    rows: Sequence[Document],
    place: Mapping[str, Any],
    more: bool,
    backward: bool,
    request: SearchRequest,
) -> tuple[Document | None, Document | None]:
    """The rows that the next and the previous page go on from."""
    if not rows:
        return None, None
    forward = more if not backward else True
    back = more if backward else bool(place)
    return (
        _place(rows[-1], request) if forward else None,
        _place(rows[0], request) if back else None,
    )


def _place(row: Document, request: SearchRequest) -> Document:
    """What ordering compares of a row, so that the place is found even when the item is gone."""
    properties = row["content"]["properties"]
    fields = {_stored_field(name).split(".")[0] for name, _ in request.sortby}
    return {
        "id": row["id"],
        "datetime": row["datetime"],
        "end_datetime": row["end_datetime"],
        "content": {"properties": {f: properties[f] for f in sorted(fields) if f in properties}},
    }


def stored_item(row: Document, base_item: Mapping[str, Any]) -> Document:
    """A row of `search_items` as the document that was stored."""
    item = {**base_item, **row["content"]}
    item["id"], item["geometry"] = row["id"], row["geometry"]
    item.setdefault("assets", {})
    return item


def chosen(document: Document, include: Iterable[str], exclude: Iterable[str]) -> Document:
    """The fields extension: `include` if there are any, then less `exclude`.

    What identifies an item (type, version, id, collection) is kept unless it is excluded by name.
    """
    wanted = set(include)
    if wanted:
        found = _only(document, wanted)
        # of which nothing wanted is there, only says which it is
        same = (
            ("type", "stac_version", "id", "collection") if found else ("id", "collection", "links")
        )
        document = _only(document, wanted | set(same))
    for path in exclude:
        # what is asked for stays, and with it what it lies in
        if path not in wanted and not any(name.startswith(f"{path}.") for name in wanted):
            _drop(document, path.split("."))
    return document


def _only(document: Document, paths: Iterable[str]) -> Document:
    kept: Document = {}
    for path in paths:
        names, source = path.split("."), document
        for name in names[:-1]:
            source = source.get(name) if isinstance(source, dict) else None  # type: ignore[assignment]
        if not isinstance(source, dict) or names[-1] not in source:
            continue
        target = kept
        for name in names[:-1]:
            target = target.setdefault(name, {})
            if target is source:  # its whole parent is kept already
                break
        target[names[-1]] = source[names[-1]]
    return {name: kept[name] for name in document if name in kept}


def _drop(document: Document, path: Sequence[str]) -> None:
    for name in path[:-1]:
        document = document.get(name)  # type: ignore[assignment]
        if not isinstance(document, dict):
            return
    document.pop(path[-1], None)
