"""The page at `/` and its files: items on a map, everything served from here.

GET /                 the page
GET /static/{path}    its modules, styles and MapLibre
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ops_gateway.kernel.errors import NotFound

WEB = Path(__file__).resolve().parents[2] / "web" / "page"

# Python's own table does not know .mjs everywhere, and a module of another type is not run
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}

# The page asks nobody but this server; MapLibre decodes tiles in a worker and into blobs.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
ASK_AGAIN = "no-cache"
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class File:
    """A file that is served: read once, at start."""

    body: bytes
    media_type: str
    etag: str
    cache_control: str


def routes(folder: Path = WEB) -> list[BaseRoute]:
    """The page's routes.

    Args:
        folder: what is served. Only what is in it now ever is.
    """
    files = {p.relative_to(folder).as_posix(): _read(p, folder) for p in _files(folder)}

    async def page(request: Request) -> Response:
        return _answer(request, files["index.html"])

    async def static(request: Request) -> Response:
        found = files.get(request.path_params["path"])
        if found is None:
            raise NotFound("no such file")
        return _answer(request, found)

    return [
        Route("/", page, methods=["GET"]),
        Route("/static/{path:path}", static, methods=["GET"]),
    ]


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix in MEDIA_TYPES and p.is_file())


def _read(path: Path, folder: Path) -> File:
    body = path.read_bytes()
    # a folder of its own has the version in its name; the page's own files change under theirs
    versioned = path.parent != folder
    return File(
        body=body,
        media_type=MEDIA_TYPES[path.suffix],
        etag=f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"',
        cache_control=FOREVER if versioned else ASK_AGAIN,
    )


def _answer(request: Request, file: File) -> Response:
    headers = {**HEADERS, "ETag": file.etag, "Cache-Control": file.cache_control}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers=headers, media_type=file.media_type)
