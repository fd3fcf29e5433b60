"""The routes of the transaction extension; see `transactions.py` for what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import attr
import orjson
from fastapi import FastAPI
from stac_fastapi.api.models import CollectionUri, EmptyRequest, ItemUri
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.extensions import TransactionExtension
from starlette.requests import Request
from starlette.responses import Response

from stac_api import transactions
from stac_api.checked import clean
from stac_api.client import Service, read_body
from stac_api.document import GEOJSON, Document, quoted
from stac_api.errors import BadRequest, Conflict, NotFound, Unauthorized
from stac_api.given import as_given, given_collection, preferences
from stac_api.output import json_response
from stac_api.tenancy import Visibility

BULK_BYTES = 64 * 1024**2
BULK_ITEMS = 10_000


@attr.s
class Transactions(TransactionExtension):
    """Registers our own methods under the extension's routes, so that a body may be lenient."""

    service: Service = attr.ib(kw_only=True)
    client: Any = attr.ib(default=None)

    def register(self, app: FastAPI) -> None:
        """Add the nine write routes to `app`."""
        self.router.prefix = app.state.router_prefix
        collection = "/collections/{collection_id}"
        item = collection + "/items/{item_id}"
        for method, path, model, function in (
            ("POST", collection + "/items", CollectionUri, self.create_item),
            ("POST", collection + "/bulk_items", CollectionUri, self.bulk_items),
            ("PUT", item, ItemUri, self.update_item),
            ("PATCH", item, ItemUri, self.patch_item),
            ("DELETE", item, ItemUri, self.delete_item),
            ("POST", "/collections", EmptyRequest, self.create_collection),
            ("PUT", collection, CollectionUri, self.update_collection),
            ("PATCH", collection, CollectionUri, self.patch_collection),
            ("DELETE", collection, CollectionUri, self.delete_collection),
        ):
            self.router.add_api_route(
                path,
                create_async_endpoint(function, model),
                methods=[method],
                name=function.__name__.replace("_", " ").capitalize(),
                response_class=self.response_class,
            )
        app.include_router(self.router, tags=["Transactions"])

    async def create_item(self, request: Request, collection_id: str) -> Response:
        """POST an item, or a FeatureCollection of them: all or none."""
        visibility = await self._writer(request)
        body = await read_body(request, BULK_BYTES)
        home = await self.service.collections.one(
            visibility, collection_id, self.service.mount(request)
        )
        if isinstance(body, dict) and body.get("type") == "FeatureCollection":
            items = body.get("features")
            if not isinstance(items, list) or not 0 < len(items) <= BULK_ITEMS:
                raise BadRequest(f"a FeatureCollection has 1 to {BULK_ITEMS} features")
            made = await self._import(request, home, items, method="insert", atomic=True)
            return json_response({"created": made["created"], **_told(made)}, 201)
        clean(body)
        if isinstance(body, dict):  # of many at once, the address alone says where they go
            own = (home["id"], home["opstac:id"])
            _same("item", body, collection_id, "collection", *own)
        entry = transactions.item_input(body, _collection_of(home))
        entry["project_id"] = home["opstac:project"]
        await self.service.run_op(request, "items.create", entry)
        return await self._item(request, home["id"], entry["stac_id"], 201)

    async def bulk_items(self, request: Request, collection_id: str) -> Response:
        """POST {"items": {id: item}, "method": "insert" | "upsert"}: each by itself."""
        visibility = await self._writer(request)
        body = await read_body(request, BULK_BYTES)
        home = await self.service.collections.one(
            visibility, collection_id, self.service.mount(request)
        )
        named = _mapping(body).get("items")
        method = body.get("method") or "insert"
        if not isinstance(named, dict) or not 0 < len(named) <= BULK_ITEMS:
            raise BadRequest(f"items is an object of 1 to {BULK_ITEMS} items by their ids")
        if method not in ("insert", "upsert"):
            raise BadRequest("method is 'insert' or 'upsert'")
        for name, item in named.items():
            if isinstance(item, dict) and item.get("id") != name:
                raise BadRequest(f"the item under {name[:100]!r} has another id")
        made = await self._import(request, home, list(named.values()), method=method)
        return json_response(_told(made))

    async def _import(
        self, request: Request, home: Document, items: list[Any], **how: Any
    ) -> dict[str, Any]:
        place = {"project_id": home["opstac:project"], "collection_id": _collection_of(home)}
        return await self.service.run_op(request, "items.import", {**place, "items": items, **how})

    async def update_item(self, request: Request, collection_id: str, item_id: str) -> Response:
        """PUT: the item as it is to be; files of ours stay."""
        stored, made = await self._stored_and_made(request, collection_id, item_id)
        body = _mapping(await _body(request))
        _same("item", body, stored["id"], "id")
        _same("item", body, collection_id, "collection", stored["collection"])
        return await self._change_item(request, stored, {"id": stored["id"], **body}, made)

    async def patch_item(self, request: Request, collection_id: str, item_id: str) -> Response:
        """PATCH with a JSON Patch or a merge patch."""
        stored, made = await self._stored_and_made(request, collection_id, item_id)
        changed = transactions.patched(stored, await _body(request))
        _same("item", changed, collection_id, "collection", stored["collection"])
        kept = changed.get("assets")
        for key, asset in stored["assets"].items():
            if asset["href"].startswith(f"{self.service.mount(request).base}/v2/assets/") and (
                not isinstance(kept, Mapping) or key not in kept
            ):
                raise Conflict(f"asset {key!r} is a file in our store; assets.delete deletes it")
        return await self._change_item(request, stored, changed, made)

    async def delete_item(self, request: Request, collection_id: str, item_id: str) -> Response:
        """DELETE an item. One that is not there is as good as deleted (RFC 9110, 9.2.2), unless
        the caller wants to see it.
        """
        try:
            stored = await self._stored(request, collection_id, item_id)
        except NotFound:
            if _wants_body(request):
                raise
            # the collection has to be there, and the caller to be one who may delete
            await self._stored_collection(request, collection_id)
            with suppress(NotFound):
                await self.service.run_op(request, "items.delete", {"item_id": "-"})
            return Response(status_code=204)
        await self.service.run_op(
            request, "items.delete", {"item_id": stored["properties"]["opstac:id"]}
        )
        if not _wants_body(request):
            return Response(status_code=204)
        return _applied(Response(orjson.dumps(stored), media_type=GEOJSON))

    async def create_collection(self, request: Request) -> Response:
        """POST a collection; its id becomes its slug."""
        visibility = await self._writer(request)
        body = await _body(request)
        entry = transactions.collection_input(body)
        project = transactions.project_named(body, request)
        entry["project_id"] = project or await self.service.collections.default_project(visibility)
        if entry["project_id"] is None:
            raise BadRequest("there is no project to make it in; name one in X-Project-Id")
        await self.service.run_op(request, "collections.create", entry)
        return await self._collection(request, entry["slug"], 201)

    async def update_collection(self, request: Request, collection_id: str) -> Response:
        """PUT: what a collection is to say of itself."""
        stored = await self._stored_collection(request, collection_id)
        body = _mapping(await _body(request))
        _same("collection", body, stored["id"], "id")
        return await self._change_collection(request, stored, {"id": stored["id"], **body})

    async def patch_collection(self, request: Request, collection_id: str) -> Response:
        """PATCH with a JSON Patch or a merge patch."""
        stored = await self._stored_collection(request, collection_id)
        changed = transactions.patched(stored, await _body(request))
        return await self._change_collection(request, stored, changed)

    async def delete_collection(self, request: Request, collection_id: str) -> Response:
        """DELETE a collection with its items, as clients of STAC expect, or without."""
        stored = await self._stored_collection(request, collection_id)
        entry = {"project_id": stored["opstac:project"], "collection_id": stored["opstac:id"]}
        if stored["opstac:id"] == stored["opstac:project"]:
            raise Conflict("this shows the items that are in no collection; delete those")
        preferred = preferences(request).get("items", "delete")
        items = request.query_params.get("items", preferred)
        if items not in ("keep", "delete"):
            raise BadRequest("items must be 'keep' or 'delete'")
        await self.service.run_op(request, "collections.delete", {**entry, "items": items})
        if _wants_nothing(request):
            return Response(status_code=204)
        return json_response(stored)

    async def _writer(self, request: Request) -> Visibility:
        visibility = await self.service.visibility(request)
        if visibility.anonymous:
            raise Unauthorized("a credential is needed to write")
        return visibility

    async def _stored(self, request: Request, collection: str, item: str) -> Document:
        visibility = await self._writer(request)
        return await self.service.item(visibility, collection, item, self.service.mount(request))

    async def _stored_and_made(
        self, request: Request, collection: str, item: str
    ) -> tuple[Document, list[dict[str, Any]]]:
        """An item as the caller sees it, and those of its links that we made."""
        mount = self.service.mount(request)
        made: list[dict[str, Any]] = []

        def noting(stored: Mapping[str, Any], base: str) -> list[dict[str, Any]]:
            links = mount.item_links(stored, base)
            made.extend(links)
            return links

        noted = replace(mount, item_links=noting)
        visibility = await self._writer(request)
        found = await self.service.item(visibility, collection, item, noted)
        here = found["links"][0]["href"]
        earlier = [link for link in found["links"] if link["href"].startswith(f"{here}/versions/")]
        return found, made + earlier

    async def _stored_collection(self, request: Request, collection: str) -> Document:
        visibility = await self._writer(request)
        mount = self.service.mount(request)
        return await self.service.collections.one(visibility, collection, mount)

    async def _change_item(
        self, request: Request, stored: Document, wanted: Document, made: list[dict[str, Any]]
    ) -> Response:
        changes = transactions.item_changes(stored, wanted, made)
        entry = {"item_id": stored["properties"]["opstac:id"], **changes}
        await self.service.run_op(request, "items.update", entry)
        if not _wants_body(request):
            return Response(status_code=204)
        response = await self._item(request, stored["collection"], stored["id"], 200)
        return _applied(response)

    async def _change_collection(
        self, request: Request, stored: Document, wanted: Document
    ) -> Response:
        entry = transactions.collection_changes(stored, wanted)
        entry |= {"project_id": stored["opstac:project"], "collection_id": stored["opstac:id"]}
        await self.service.run_op(request, "collections.update", entry)
        if _wants_nothing(request):
            return Response(status_code=204)
        return await self._collection(request, stored["id"], 200)

    async def _item(self, request: Request, collection: str, item: str, status: int) -> Response:
        found = await self._stored(request, collection, item)
        if as_given(request):
            found = await self.service.given_item(await self._writer(request), found)
        address = f"{self.service.mount(request).root}/collections/{quoted(collection)}"
        headers = {"Location": f"{address}/items/{quoted(found['id'])}"} if status == 201 else {}
        response = json_response(found, status, **headers)
        response.headers["content-type"] = GEOJSON
        return response

    async def _collection(self, request: Request, name: str, status: int) -> Response:
        found = await self._stored_collection(request, name)
        if as_given(request):
            found = given_collection(found)
        address = f"{self.service.mount(request).root}/collections/{quoted(name)}"
        return json_response(found, status, **({"Location": address} if status == 201 else {}))


def _collection_of(home: Document) -> str | None:
    """The platform's id of a collection; None for the one that stands for a project."""
    return home["opstac:id"] if home["opstac:id"] != home["opstac:project"] else None


def _told(made: dict[str, Any]) -> dict[str, Any]:
    """An import's outcome as the bulk transaction extension tells it."""
    failed = [entry for entry in made["items"] if entry["outcome"] == "failed"]
    return {
        "received": len(made["items"]),
        "success": made["created"] + made["updated"],
        "skipped": made["unchanged"],
        "errors": [
            {"id": entry["id"] or "", "msg": _said(entry["problem"]["detail"])} for entry in failed
        ],
    }


def _said(detail: Any) -> str:
    if isinstance(detail, list):
        places = (f"{'.'.join(map(str, part['loc'][1:]))}: {part['msg']}" for part in detail)
        return "; ".join(places)
    return str(detail)


async def _body(request: Request, limit: int = 2 * 1024**2) -> Any:
    body = await read_body(request, limit)
    clean(body)
    return body


def _same(kind: str, body: Mapping[str, Any], named: str, member: str, *also: str) -> None:
    """Raise BadRequest where a body says another id or collection than its address."""
    said = body.get(member)
    if said is not None and said not in (named, *also):
        raise BadRequest(f"the {member} in the body is not the one in the address of the {kind}")


# Two suites that clients are tried with differ: of a change of an item stac-api-validator wants 204
# and no body, stac-fastapi's own tests 200 and the document. Of collections only the latter ask.


def _wants_body(request: Request) -> bool:
    return preferences(request).get("return") == "representation"


def _wants_nothing(request: Request) -> bool:
    return preferences(request).get("return") == "minimal"


def _applied(response: Response) -> Response:
    response.headers["preference-applied"] = "return=representation"
    return response


def _mapping(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    return body
