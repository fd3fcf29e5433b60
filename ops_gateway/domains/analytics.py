"""Analytics: answers about data that is there, by methods found in `processes.method.METHODS`.

Nothing is written but renders: rasters that a method made, which can be fetched and drawn for a
day. They are neither items nor in the lineage.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from ops_gateway.domains import analytics_run
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Invalid, NotFound
from ops_gateway.kernel.failures import invalid
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, operation
from processes import method as methods
from raster import bands, indices
from raster.bands import BandMissing, Index
from raster.formula import FormulaError, parse
from raster.indices import Sensor


class ExecuteRequest(Input):
    """Input of analytics.execute."""

    operation: str = Field(description="Name of the registered operation")
    params: dict[str, Any] = Field(description="Operation-specific parameters")


class AnalyticsExecuteOutput(Output):
    """What the method answers, with the name of the method."""

    operation: str


class OperationsListInput(Input):
    """Input of analytics.operations.list."""

    data_type: str | None = None


class OperationGetInput(Input):
    """Input of analytics.operations.get."""

    operation_name: str


class MethodOutput(Output):
    """A method and the JSON Schemas of what it takes and gives."""

    name: str
    title: str
    description: str
    version: str
    data_types: list[str]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


class MethodDetail(MethodOutput):
    """The same with examples of its parameters."""

    examples: list[dict[str, Any]]


class OperationsListOutput(Output):
    """Every method."""

    operations: list[MethodOutput]
    count: int


class OperationGetOutput(Output):
    """One method."""

    operation: MethodDetail


class IndicesListInput(Input):
    """Input of analytics.indices.list."""

    category: str | None = None
    sensor: str | None = None


class IndexGetInput(Input):
    """Input of analytics.index.get."""

    index_name: str


class IndexOutput(Output):
    """A spectral index.

    `formula` can be used as an expression, but for constants that have no usual value; `original`
    is the published one.
    """

    name: str
    long_name: str
    formula: str
    original: str
    bands: list[str]
    constants: dict[str, float | None]
    category: str
    value_range: list[float] | None
    colormap: str
    reference: str
    compatible_sensors: list[str]


class IndicesListOutput(Output):
    """The indices that fit."""

    indices: list[IndexOutput]
    count: int


class IndexGetOutput(Output):
    """One index."""

    index: IndexOutput


class SensorBandOutput(Output):
    """A band of a sensor; `index` is its 1-based place among the sensor's bands."""

    index: int
    name: str
    title: str
    wavelength_nm: float


class SensorOutput(Output):
    """A sensor and its bands by role."""

    id: str
    name: str
    bands: dict[str, SensorBandOutput]


class SensorsListOutput(Output):
    """Every sensor."""

    sensors: list[SensorOutput]
    count: int


class ValidateFormulaInput(Input):
    """Input of analytics.validate_formula."""

    formula: str
    sensor: str


class ValidateFormulaOutput(Output):
    """Whether a formula can be used with a sensor's bands."""

    formula: str
    sensor: str
    valid: bool
    error: str | None = None
    position: int | None = None
    required_bands: list[str] = Field(default_factory=list)
    available_bands: list[str] = Field(default_factory=list)


# ---------------------------------------------------------------- methods


@operation("analytics.execute", scope="analytics:process", effect=Effect.READ)
async def execute(ctx: Context, body: ExecuteRequest) -> AnalyticsExecuteOutput:
    """Run a registered analytics method.

    The parameters are checked against the method's own schema; a 422 carries it as
    `expected_schema`. Where the method is unknown, `available_operations` names those there are.
    """
    known = methods.discover()
    found = known.get(body.operation)
    if found is None:
        names = sorted(known)
        error = {
            "loc": ["body", "operation"],
            "msg": f"unknown operation {body.operation[:100]!r}; known: {', '.join(names)}",
            "type": "value_error",
        }
        raise Invalid([error], extra={"available_operations": names})
    try:
        params = found.check(body.params)
    except ValidationError as error:
        raise _refused(found, error) from None
    answer = await analytics_run.run(ctx, found, params, body.params)
    return AnalyticsExecuteOutput.model_validate(answer)


def _refused(found: methods.Registered, error: ValidationError) -> Invalid:
    """pydantic's errors with their place in the body, and the schema they were checked against."""
    places = [(e.get("ctx") or {}).get("field") for e in error.errors(include_url=False)]
    errors = invalid(error).errors
    for one, name in zip(errors, places, strict=True):
        one["loc"] = ["body", "params", *one["loc"][1:], *([name] if name else [])]
    return Invalid(errors, extra=analytics_run.schema_of(found))


@operation("analytics.operations.list", scope="analytics:read", effect=Effect.READ)
async def list_operations(ctx: Context, body: OperationsListInput) -> OperationsListOutput:
    """List all registered analytics methods and the schemas of their parameters."""
    found = [
        MethodOutput.model_validate(_described(m))
        for m in sorted(methods.discover().values(), key=lambda m: m.name)
        if body.data_type is None or body.data_type in m.data_types
    ]
    return OperationsListOutput(operations=found, count=len(found))


@operation("analytics.operations.get", scope="analytics:read", effect=Effect.READ)
async def get_operation(ctx: Context, body: OperationGetInput) -> OperationGetOutput:
    """One analytics method, with examples of its parameters."""
    found = methods.discover().get(body.operation_name)
    if found is None:
        raise NotFound.of("operation")
    detail = {**_described(found), "examples": [dict(e) for e in found.examples]}
    return OperationGetOutput(operation=MethodDetail.model_validate(detail))


def _described(found: methods.Registered) -> dict[str, Any]:
    return {
        "name": found.name,
        "title": found.title,
        "description": found.description,
        "version": found.version,
        "data_types": list(found.data_types),
        "input_schema": found.input_schema(),
        "output_schema": dict(found.output_schema),
    }


# ---------------------------------------------------------------- indices and sensors


@operation("analytics.indices.list", scope="analytics:read", effect=Effect.READ)
async def list_indices(ctx: Context, body: IndicesListInput) -> IndicesListOutput:
    """List spectral indices, all or those of a category or that a sensor has the bands for."""
    sensor = None
    if body.sensor is not None:
        sensor = _sensor(body.sensor)
    found = [
        _index(index)
        for index in sorted(indices.catalogue().values(), key=lambda i: i.name.upper())
        if (body.category is None or index.category == body.category.strip().lower())
        and (sensor is None or _fits(index, sensor))
    ]
    return IndicesListOutput(indices=found, count=len(found))


@operation("analytics.index.get", scope="analytics:read", effect=Effect.READ)
async def get_index(ctx: Context, body: IndexGetInput) -> IndexGetOutput:
    """One spectral index, with the sensors that have its bands."""
    try:
        return IndexGetOutput(index=_index(indices.find(body.index_name)))
    except BandMissing:
        raise NotFound.of("index") from None


@operation("analytics.sensors.list", scope="analytics:read", effect=Effect.READ)
async def list_sensors(ctx: Context, body: Empty) -> SensorsListOutput:
    """List known sensors and their bands."""
    found = [
        SensorOutput(
            id=sensor.id,
            name=sensor.name,
            bands={
                band.role.upper(): SensorBandOutput(
                    index=band.index,
                    name=band.name,
                    title=band.title,
                    wavelength_nm=band.wavelength_nm,
                )
                for band in sensor.bands
            },
        )
        for sensor in indices.sensors().values()
    ]
    return SensorsListOutput(sensors=found, count=len(found))


@operation("analytics.validate_formula", scope="analytics:read", effect=Effect.READ)
async def validate_formula(ctx: Context, body: ValidateFormulaInput) -> ValidateFormulaOutput:
    """Check a formula against a sensor's bands without running it."""
    answer = ValidateFormulaOutput(formula=body.formula, sensor=body.sensor, valid=False)
    sensor = indices.sensor(body.sensor)
    if sensor is None:
        answer.error = f"unknown sensor; known: {', '.join(indices.sensors())}"
        return answer
    answer.available_bands = [band.role.upper() for band in sensor.bands]
    try:
        formula = parse(body.formula, mapping=names_of(sensor), band_count=len(sensor.bands))
    except FormulaError as error:
        answer.error, answer.position = str(error), error.position
        return answer
    roles = {place: role.upper() for role, place in sensor.roles.items()}
    answer.valid = True
    answer.required_bands = [roles[number] for number in formula.bands]
    return answer


def names_of(sensor: Sensor) -> dict[str, int]:
    """Everything a band of the sensor may be called → its place: role and the sensor's own name.

    The sensor's own names come first: `B4` is what that sensor calls so.
    """
    own = {band.name: band.index for band in sensor.bands}
    return own | sensor.roles


def _sensor(name: str) -> Sensor:
    found = indices.sensor(name)
    if found is None:
        raise Invalid.at("sensor", f"unknown sensor; known: {', '.join(indices.sensors())}")
    return found


def _fits(index: Index, sensor: Sensor) -> bool:
    names = [band.role for band in sensor.bands]
    return all(bands.resolve(role, names) is not None for role in index.roles)


def _index(index: Index) -> IndexOutput:
    given = {k: 0.0 for k, v in index.constants.items() if v is None}
    formula = index.formula if given else indices.formula_of(index)
    return IndexOutput(
        name=index.name,
        long_name=index.long_name,
        formula=formula,
        original=index.original or index.formula,
        bands=[role.upper() for role in index.roles],
        constants=dict(index.constants),
        category=index.category,
        value_range=list(index.value_range) if index.known_range else None,
        colormap=index.colormap,
        reference=index.source,
        compatible_sensors=[s.id for s in indices.sensors().values() if _fits(index, s)],
    )
