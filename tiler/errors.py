"""What a tile request can be refused for; each error carries its HTTP status."""

from collections.abc import Mapping, Sequence
from typing import Any


class TileError(Exception):
    """A refusal with an HTTP status.

    Attributes:
        status: HTTP status code, 4xx or 503.
        title: short name of the kind of problem.
        detail: what is wrong and the way out, for people.
        headers: extra response headers, such as Retry-After.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})


class ResolveError(TileError):
    """Raised by `resolve_asset`: the caller may not see the item, or it does not exist."""

    @classmethod
    def not_found(cls, what: str = "item") -> "ResolveError":
        """No such thing, or not the caller's: both read alike."""
        return cls(404, "Not found", f"{what} not found")

    @classmethod
    def unauthorized(cls) -> "ResolveError":
        """No credential that opens the item."""
        return cls(
            401,
            "Unauthorized",
            "a credential is needed: a header, or key=<tile token>",
            headers={"WWW-Authenticate": "Bearer"},
        )


class OutOfRange(TileError):
    """z, x or y outside the tile matrix set."""

    def __init__(self, detail: str) -> None:
        super().__init__(404, "Not found", detail)


class InvalidParameter(TileError):
    """A parameter that is unknown, malformed or does not fit the raster: 422 with a list.

    Attributes:
        errors: one {loc, msg, type} per fault.
    """

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        first = errors[0]
        name = ".".join(str(part) for part in first["loc"])
        super().__init__(422, "Unprocessable Content", f"{name}: {first['msg']}")
        self.errors = [dict(error) for error in errors]

    @classmethod
    def of(cls, name: str, message: str, kind: str = "value_error") -> "InvalidParameter":
        """One fault in the parameter `name`."""
        return cls([{"loc": ["query", name], "msg": message, "type": kind}])


class Unreadable(TileError):
    """The file of the asset is not a GeoTIFF that can be drawn."""

    def __init__(self, detail: str) -> None:
        super().__init__(422, "Unprocessable Content", detail)


class Busy(TileError):
    """The tile pool is full, or a tile took longer than allowed."""

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(
            503, "Service Unavailable", detail, headers={"Retry-After": str(retry_after_seconds)}
        )
