"""What a process is: a declaration, typed inputs, and a function from files to files.

One file in `processes/jobs/` declares one process:

    @process(id="echo", title="Echo", inputs=EchoInputs, outputs={…})
    def run(ctx: RunContext[EchoInputs]) -> list[Output]: ...

A package of somebody else's names its module in the entry point group `opstac.processes`; nothing
here has to know of it. Nothing here knows an organization or a scope. A process states its price
and how much of its unit a run will take (`quantity`); an operator's row in the database goes before
the price.
"""

import importlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel

from processes.packages import load_all

GROUP = "opstac.processes"
InputsT = TypeVar("InputsT", bound=BaseModel)
Unit = Literal["SQ_KM", "JOB", "FREE"]
Item = Mapping[str, Any]

COG_MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
ERROR_CODES = (
    "scene_unreadable",
    "band_missing",
    "no_overlap",
    "grid_mismatch",
    "invalid_inputs",
    "target_gone",
    "storage_full",
    "out_of_memory",
    "timeout",
    "attempts_exhausted",
    "deadline_exceeded",
    "cancelled",
    "internal",
)
"""What a job can fail with; that attempts or time are used up, or what stands in the way of its
outputs, is said by the worker alone."""


@dataclass(frozen=True, init=False)
class Price:
    """What a run costs where the operator says nothing else: credits for each unit, a least amount.

    Attributes:
        credits_per_unit: exact, so written as text: `Price("0.05", 1)`.
    """

    credits_per_unit: Decimal
    minimum_credits: int

    def __init__(self, credits_per_unit: Decimal | str | int, minimum_credits: int = 0) -> None:
        """Raises: ValueError: a price that is negative or no number."""
        try:
            rate = Decimal(credits_per_unit)
        except InvalidOperation:
            rate = Decimal("NaN")
        if not rate.is_finite() or rate < 0 or minimum_credits < 0:
            raise ValueError(f"no price: {credits_per_unit!r}, at least {minimum_credits!r}")
        object.__setattr__(self, "credits_per_unit", rate)
        object.__setattr__(self, "minimum_credits", minimum_credits)


NO_PRICE = Price(0)


class JobError(Exception):
    """A run that cannot succeed, however often it is tried; `code` is one of `ERROR_CODES`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class SourceRef:
    """An item that a process reads.

    Attributes:
        item_id: as the inputs name it.
        asset_keys: the assets wanted; None means every raster asset of the item.
        files: True where the assets named may be other files than rasters, such as GeoJSON.
    """

    item_id: str
    asset_keys: tuple[str, ...] | None = None
    files: bool = False


@dataclass(frozen=True)
class Source:
    """One asset of one item, ready to be opened.

    Attributes:
        path: what GDAL opens it by in this process.
        item: the STAC item.
        elsewhere: what another machine opens it by, where that is something else.
        asset: of the platform: `key`, `band_names`, `bands`, `is_categorical`, `title` …
    """

    item_id: str
    asset_key: str
    path: str
    item: Mapping[str, Any] = field(default_factory=dict)
    asset: Mapping[str, Any] = field(default_factory=dict)
    elsewhere: str = ""

    @property
    def band_names(self) -> list[str] | None:
        """Band names as the platform knows them; None where it does not."""
        return list(self.asset.get("band_names") or ()) or None


CheckSources = Callable[[Any, Mapping[str, Source]], None]


def any_sources(inputs: Any, sources: Mapping[str, Source]) -> None:
    """For a process that takes every raster."""


@dataclass(frozen=True)
class Output:
    """What a run made: a file (`path`) or a JSON value (`value`).

    Attributes:
        path: of a file in the run's folder.
        asset_key: under which the file becomes an asset of the output item.
        properties: to be set on the output item.
        categorical: the values are classes, never to be averaged.
        classes: of a categorical raster, as STAC's classification extension has them; see
            `described`.
        roles: of the asset.
        geometry, bbox: EPSG:4326; of a raster they follow from its pixels, of a file that is none
            they are said here or are not known.
        info: `raster.inspect.AssetInfo` of the file, so that nobody inspects it again; of a file
            that is no raster what `raster.inspect.plain_file` says.
    """

    asset_key: str
    path: Path | None = None
    value: Any = None
    name: str | None = None
    media_type: str = COG_MEDIA_TYPE
    band_names: tuple[str, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    geometry: Mapping[str, Any] | None = None
    bbox: tuple[float, ...] | None = None
    datetime: str | None = None
    info: Mapping[str, Any] | None = None
    title: str | None = None
    categorical: bool = False
    classes: tuple[Mapping[str, Any], ...] = ()
    roles: tuple[str, ...] = ("data",)


def described(classes: Mapping[int, tuple[str, str]]) -> tuple[dict[str, Any], ...]:
    """Classes as `classification:classes` has them.

    Args:
        classes: value → (name, colour as six hexadecimal digits).
    """
    return tuple(
        {
            "value": value,
            "name": re.sub(r"[^0-9A-Za-z_-]+", "_", name),
            "title": name,
            "color_hint": color.upper(),
        }
        for value, (name, color) in classes.items()
    )


@dataclass(frozen=True)
class OutputSpec:
    """How an output is described to clients; `schema` is a JSON Schema."""

    title: str
    description: str
    schema: Mapping[str, Any]


def _no_progress(fraction: float, stage: str) -> None:
    """Progress that nobody listens to."""


@dataclass(frozen=True)
class RunContext(Generic[InputsT]):
    """What a run is given.

    Attributes:
        sources: asset key → source, for a process of one item; `<item id>/<asset key>` otherwise.
        out_dir: an empty folder of this attempt; nothing outside it is written.
        progress: call with a fraction in [0, 1] and a word.
    """

    inputs: InputsT
    sources: Mapping[str, Source]
    out_dir: Path
    progress: Callable[[float, str], None] = _no_progress


RASTER_OUTPUT = {
    "type": "string",
    "contentMediaType": COG_MEDIA_TYPE,
    "contentEncoding": "binary",
}
"""Schema of a cloud-optimized GeoTIFF output."""

GEOJSON_MEDIA_TYPE = "application/geo+json"
GEOPARQUET_MEDIA_TYPE = "application/vnd.apache.parquet"
JSON_MEDIA_TYPE = "application/json"
CSV_MEDIA_TYPE = "text/csv"
FILE_MEDIA_TYPES = (
    GEOJSON_MEDIA_TYPE,
    GEOPARQUET_MEDIA_TYPE,
    JSON_MEDIA_TYPE,
    CSV_MEDIA_TYPE,
)
"""What a run may hand in beside GeoTIFF."""


def file_output(*media_types: str) -> dict[str, Any]:
    """Schema of an output that is a file of one of these types."""
    kinds = [
        {"type": "string", "contentMediaType": kind, "contentEncoding": "binary"}
        for kind in media_types
    ]
    return kinds[0] if len(kinds) == 1 else {"oneOf": kinds}


@dataclass(frozen=True)
class Process:
    """A declared process.

    Attributes:
        version: of the process; a registered worker serves one version.
        inputs: pydantic model; its JSON Schema is published.
        sources: the items a run reads, from its inputs.
        unit: of the price: area, a run, or free.
        price: of a unit, where no row of the table `price` says otherwise.
        quantity: how many units a run takes, from inputs and source items; never negative.
        check_sources: raises JobError for inputs and assets that no run can succeed with, as far as
            that is known without opening a file; the keys are those of `RunContext.sources`.
        sync_allowed: a client may wait for the answer (bounded by `max_seconds`).
        max_seconds, max_memory_bytes: the bounds a run is killed at.
        run: None for a process whose work is done by a worker outside.
        module: whose import declares it, as `discover` found it.
    """

    id: str
    version: str
    title: str
    description: str
    keywords: tuple[str, ...]
    category: str
    inputs: type[BaseModel]
    outputs: Mapping[str, OutputSpec]
    sources: Callable[[Any], tuple[SourceRef, ...]]
    unit: Unit
    quantity: Callable[[Any, Sequence[Item]], Decimal]
    sync_allowed: bool
    max_seconds: int
    max_memory_bytes: int
    run: Callable[[RunContext[Any]], list[Output]] | None
    check_sources: CheckSources = any_sources
    price: Price = NO_PRICE
    module: str = ""

    @property
    def job_control_options(self) -> list[str]:
        """As OGC API Processes spells them."""
        return ["async-execute", "dismiss", *(["sync-execute"] if self.sync_allowed else [])]

    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the inputs; made once, so it is read and not changed."""
        return _schema_of(self.inputs)

    def check(self, inputs: Mapping[str, Any]) -> BaseModel:
        """The typed inputs. Raises: pydantic.ValidationError."""
        return self.inputs.model_validate(inputs)


@cache
def _schema_of(inputs: type[BaseModel]) -> dict[str, Any]:
    return inputs.model_json_schema()


PROCESSES: dict[str, Process] = {}
"""Every declared process by id, filled by `discover`."""


_ID = re.compile("[a-z][a-z0-9_]{0,63}")


def no_sources(inputs: Any) -> tuple[SourceRef, ...]:
    """For a process that reads no item."""
    return ()


def per_job(inputs: Any, items: Sequence[Item]) -> Decimal:
    """One unit, whatever the inputs."""
    return Decimal(1)


def process(
    *,
    id: str,
    title: str,
    inputs: type[BaseModel],
    outputs: Mapping[str, OutputSpec],
    version: str = "1.0",
    keywords: Sequence[str] = (),
    category: str = "raster",
    sources: Callable[[Any], tuple[SourceRef, ...]] = no_sources,
    unit: Unit = "FREE",
    price: Price = NO_PRICE,
    quantity: Callable[[Any, Sequence[Item]], Decimal] = per_job,
    check_sources: CheckSources = any_sources,
    sync_allowed: bool = False,
    max_seconds: int = 3600,
    max_memory_bytes: int = 2 * 1024**3,
    external: bool = False,
) -> Callable[[Callable[[RunContext[Any]], list[Output]]], Callable[..., list[Output]]]:
    """Declare a process; the decorated function's docstring is its description.

    Raises: ValueError: a second declaration of an id, one that cannot be an id, or a price of what
        is free; TypeError: something else than what is asked for.
    """
    if unit == "FREE" and price != NO_PRICE:
        raise ValueError(f"process {id!r} has a price and no unit")

    def declare(run: Callable[[RunContext[Any]], list[Output]]) -> Callable[..., list[Output]]:
        if not isinstance(id, str) or not _ID.fullmatch(id):
            raise ValueError(f"{id!r} is no process id: lower-case letters, digits and _")
        if id in PROCESSES:
            raise ValueError(f"process {id!r} is declared twice")
        made = Process(
            id=id,
            version=version,
            title=title,
            description=" ".join((run.__doc__ or title).split()),
            keywords=tuple(keywords),
            category=category,
            inputs=inputs,
            outputs=dict(outputs),
            sources=sources,
            unit=unit,
            quantity=quantity,
            check_sources=check_sources,
            price=price,
            sync_allowed=sync_allowed,
            max_seconds=max_seconds,
            max_memory_bytes=max_memory_bytes,
            run=None if external else run,
            module=getattr(run, "__module__", ""),
        )
        _refuse_wrong_types(made)
        PROCESSES[id] = made
        return run

    return declare


def _refuse_wrong_types(made: Process) -> None:
    """What a catalogue of all processes would otherwise stumble over. Raises: TypeError."""
    texts = (made.version, made.title, made.category, *made.keywords, *made.outputs)
    work = (made.sources, made.quantity, made.check_sources)
    fits = {
        "texts": all(isinstance(text, str) and text for text in texts),
        "inputs": isinstance(made.inputs, type) and issubclass(made.inputs, BaseModel),
        "outputs": all(isinstance(spec, OutputSpec) for spec in made.outputs.values()),
        "unit": made.unit in get_args(Unit),
        "price": isinstance(made.price, Price),
        "functions": all(callable(f) for f in work) and (made.run is None or callable(made.run)),
        "bounds": all(
            isinstance(bound, int) and bound > 0
            for bound in (made.max_seconds, made.max_memory_bytes)
        ),
    }
    wrong = [name for name, good in fits.items() if not good]
    if wrong:
        raise TypeError(f"process {made.id!r} is declared with wrong {', '.join(wrong)}")
    # both are published; a type that has no JSON Schema is refused here
    json.dumps([made.input_schema(), [dict(spec.schema) for spec in made.outputs.values()]])


_seen: set[str] = set()


def discover() -> dict[str, Process]:
    """Every process: of `processes/jobs/`, and of packages that are installed; cheap to repeat.

    A package that cannot be imported, or that declares what is wrong or taken, is left out whole
    with a line in the log: it does not stop the platform.
    """
    load_all("processes.jobs", GROUP, PROCESSES, _seen)
    return PROCESSES


def find(process_id: str, module: str = "") -> Process | None:
    """One process, as a child looks for it that has no use for the others.

    Args:
        module: of the process, where known; nothing else is imported then.

    Raises: whatever importing the module raises.
    """
    if module and process_id not in PROCESSES:
        importlib.import_module(module)
    return (PROCESSES if module else discover()).get(process_id)


def decimal_km2(square_metres: float) -> Decimal:
    """An area in km², to the square metre, so that hold and charge compute the same number."""
    exact = Decimal(repr(max(square_metres, 0.0))) / Decimal(1_000_000)
    return exact.quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)
