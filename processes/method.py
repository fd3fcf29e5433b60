"""What an analytics method is: a class with a name, typed parameters and `execute`.

One file in `processes/methods/` holds one method:

    @method
    class Histogram:
        \"\"\"How often each value occurs.\"\"\"

        name = "histogram"
        title = "Histogram"
        input_model = HistogramParams

        def execute(self, params, ctx): ...

A package of somebody else's names its module in the entry point group `opstac.methods`; nothing
here has to know of it. A method reads items and answers with numbers; it knows nothing of who asks.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from pydantic import BaseModel, ValidationError

from processes.packages import load_all
from processes.process import Source

GROUP = "opstac.methods"
ERROR_CODES = {
    "band_missing": "a band, an index's band or constant is not there",
    "no_overlap": "the area lies outside the raster, or the rasters do not overlap",
    "no_valid_pixel": "no pixel of the area holds a value",
    "too_many_pixels": "more would be read than one call may",
    "not_georeferenced": "the raster does not say where it lies",
    "grid_mismatch": "the rasters cannot be brought onto one grid",
    "invalid_params": "the parameters do not fit the data",
}
"""Why a method gives no answer: code → when."""


class MethodError(Exception):
    """No answer can be given for these parameters; `code` is one of `ERROR_CODES`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Selection:
    """Which items a method reads, in words that the platform turns into items.

    Attributes:
        item_ids: in this order; all of them must be there.
        collection_id: every item of this collection, by time, from `start` to `end`.
        search: a STAC search, whose items are taken by time.
        start, end: ISO 8601, inclusive; of a collection or search only.
    """

    item_ids: tuple[str, ...] = ()
    collection_id: str | None = None
    search: Mapping[str, Any] | None = None
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class Item:
    """An item as a method sees it; `sources` are its raster assets, the default one first.

    Attributes:
        datetime: ISO 8601 in UTC, of the item itself; the start of an interval.
    """

    id: str
    datetime: str | None
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sources: tuple[Source, ...] = ()


class Method(Protocol):
    """What `@method` takes.

    Attributes:
        name: what `analytics.execute` is called with; lower case, letters, digits and `_`.
        title: a few words; the class's docstring is the description.
        input_model: pydantic model of `params`; its JSON Schema is published.

    Optional attributes: `version` ("1.0"; raise it when the same call gives another answer),
    `together` (False: called once an item; True: once with all of them), `data_types`
    (["raster"]), `output_schema` (a JSON Schema), `examples` (a list of params), and
    `items(params) -> Selection` where the model has other fields than `item_id` and `item_ids`.
    """

    name: str
    title: str
    input_model: type[BaseModel]

    def execute(self, params: Any, ctx: Any) -> Mapping[str, Any]:
        """The answer: JSON values only; what is not finite becomes null."""
        ...


@dataclass(frozen=True)
class Registered:
    """A method as it is published."""

    name: str
    title: str
    description: str
    version: str
    data_types: tuple[str, ...]
    together: bool
    input_model: type[BaseModel]
    output_schema: Mapping[str, Any]
    examples: tuple[Mapping[str, Any], ...]
    made: Method
    module: str

    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the parameters."""
        return self.input_model.model_json_schema()

    def selection(self, params: BaseModel) -> Selection:
        """The items that a call reads."""
        chosen = getattr(self.made, "items", None)
        if chosen is not None:
            return chosen(params)
        one, many = getattr(params, "item_id", None), getattr(params, "item_ids", None)
        return Selection(item_ids=tuple(many or ([one] if one else ())))

    def check(self, params: Mapping[str, Any]) -> BaseModel:
        """The typed parameters. Raises: pydantic.ValidationError."""
        return self.input_model.model_validate(dict(params))


METHODS: dict[str, Registered] = {}
"""Every method by name, filled by `discover`."""

_OUTPUT: dict[str, Any] = {
    "type": "object",
    "required": ["operation"],
    "properties": {"operation": {"type": "string"}},
    "additionalProperties": True,
}

C = TypeVar("C", bound=type)


def method(cls: C) -> C:
    """Register a method.

    Raises: ValueError: the name is taken or cannot be one; TypeError: an attribute is missing.
    """
    made = cast("Method", cls())
    name = getattr(made, "name", None)
    if not isinstance(name, str) or not name.isidentifier() or name.lower() != name:
        raise ValueError(f"{cls.__name__}.name must be lower-case letters, digits and _")
    model = getattr(made, "input_model", None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise TypeError(f"{cls.__name__}.input_model must be a pydantic model")
    if not callable(getattr(made, "execute", None)):
        raise TypeError(f"{cls.__name__} has no execute(params, ctx)")
    if name in METHODS:
        raise ValueError(f"method {name!r} is declared twice")
    METHODS[name] = Registered(
        name=name,
        title=getattr(made, "title", name),
        description=" ".join((inspect.getdoc(cls) or name).split()),
        version=getattr(made, "version", "1.0"),
        data_types=tuple(getattr(made, "data_types", ("raster",))),
        together=bool(getattr(made, "together", False)),
        input_model=model,
        output_schema=getattr(made, "output_schema", _OUTPUT),
        examples=tuple(getattr(made, "examples", ())),
        made=made,
        module=cls.__module__,
    )
    return cls


_seen: set[str] = set()


def discover() -> dict[str, Registered]:
    """Import every module of `processes/methods/` and every entry point; cheap to repeat.

    A package of somebody else's that cannot be imported, or whose name is taken, is left out with
    a line in the log: it does not stop the platform.
    """
    load_all("processes.methods", GROUP, METHODS, _seen)
    return METHODS


def first_error(error: ValidationError) -> str:
    """The place and message of the first error, for people."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])
