"""A request's query: which parameters there are, what each may be, and the style they ask for."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from tiler.errors import InvalidParameter
from tiler.style import Look

_NUMBER = re.compile(r"\d{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter.

    Attributes:
        description: for the reference and the OpenAPI document.
        read: text → value; raises ValueError with what it must be.
        longest: characters.
        schema: JSON Schema of the text.
    """

    description: str
    read: Callable[[str], Any] = str
    longest: int = 128
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers of low to high."""

    def read(text: str) -> int:
        if not (_NUMBER.fullmatch(text) and low <= int(text) <= high):
            raise ValueError(f"must be a whole number of {low} to {high}")
        return int(text)

    return read


def _whole(description: str, low: int, high: int, default: int) -> Parameter:
    schema = {"type": "integer", "minimum": low, "maximum": high, "default": default}
    return Parameter(description, whole(low, high), schema=schema)


PARAMETERS: dict[str, Parameter] = {
    "key": Parameter("A tile token or an API key, where no header can be sent.", longest=2048),
    "asset_key": Parameter("The item's asset; by default its data asset."),
    "profile": Parameter("A display profile of the item, by id or name; default its default one."),
    "bands": Parameter("One or three bands by number or name: `3,2,1`, `B08`.", longest=256),
    "expression": Parameter("A formula of bands; one or three, separated by `;`.", longest=1024),
    "rescale": Parameter("`low,high` for every band, or a pair for each.", longest=512),
    "colormap": Parameter("Name of a colour map, for one band.", longest=64),
    "quality": _whole("Of JPEG and WebP.", 1, 100, 82),
}

ACCESS = ("key", "asset_key")
STYLE = ("bands", "expression", "rescale", "colormap")
TILE = (*ACCESS, "profile", *STYLE, "quality")


@dataclass(frozen=True, slots=True)
class Query:
    """A request's parameters, checked as far as that goes without the raster.

    Refusing comes after authentication: who may not see an item learns nothing of it.
    """

    values: dict[str, Any]
    errors: tuple[dict[str, Any], ...]

    @property
    def style(self) -> Look:
        """What of it says how the picture looks."""
        return {name: self.values[name] for name in STYLE if name in self.values}  # type: ignore[return-value]

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter's value."""
        return self.values.get(name, default)

    def refuse(self) -> None:
        """Raise InvalidParameter where something is wrong with it."""
        if self.errors:
            raise InvalidParameter(self.errors)


def read_query(request: Request, allowed: Iterable[str]) -> Query:
    """The parameters of a route that takes those `allowed`; any other is an error."""
    allowed = frozenset(allowed)
    texts: dict[str, str] = {}
    values: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []

    def wrong(name: str, message: str, kind: str = "value_error") -> None:
        errors.append({"loc": ["query", name[:64]], "msg": message, "type": kind})

    for name, text in request.query_params.multi_items():
        known = PARAMETERS[name] if name in allowed else None
        if known is None:
            wrong(name, "unknown parameter", "extra_forbidden")
        elif name in texts:
            wrong(name, "given twice")
        elif len(text) > known.longest:
            wrong(name, f"longer than {known.longest} characters", "too_long")
        elif "\0" in text:
            wrong(name, "holds a zero byte")
        elif name in STYLE and not text.strip():
            wrong(name, "is empty")
        else:
            texts[name] = text
            try:
                values[name] = known.read(text)
            except ValueError as error:
                wrong(name, str(error))
    return Query(values, tuple(errors))
