"""The catalogue of processes: what can be run, with which inputs, at which price."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ops_gateway.domains import declared, job_orders, prices
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Unauthenticated
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, operation
from processes.process import Process, discover

NO_EULA = "none"
"""Our processes need no agreement; the provider's client asks for one by its id all the same."""


class ProcessGetInput(Input):
    """A process by id."""

    process_id: str


class ProcessRunInput(Input):
    """A process and the inputs of a run."""

    process_id: str
    inputs: dict[str, Any] = Field(default_factory=dict)


class ProcessSummary(Output):
    """A process in the list."""

    id: str
    title: str
    description: str
    version: str
    keywords: list[str]
    jobControlOptions: list[str]
    outputTransmission: list[str]
    links: list[dict[str, Any]]
    additionalParameters: dict[str, Any]


class ProcessList(Output):
    """Every process."""

    processes: list[ProcessSummary]
    links: list[dict[str, Any]]


class ProcessDescription(ProcessSummary):
    """A process with its inputs and outputs as JSON Schemas."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]


class EstimateOutput(Output):
    """What a run would cost."""

    pricingStrategy: str
    totalCredits: int
    totalSize: float
    unit: str


class ValidOutput(Output):
    """The inputs are valid; there is nothing more to say."""


def summary(process: Process, rate: prices.Rate, base_url: str) -> dict[str, Any]:
    """A process as the list shows it."""
    href = f"{base_url}/ogc/processes/{process.id}"
    cost = rate.in_words()
    return {
        "id": process.id,
        "title": process.title,
        "description": process.description,
        "version": process.version,
        "keywords": list(process.keywords),
        "jobControlOptions": process.job_control_options,
        "outputTransmission": ["value", "reference"],
        "links": [
            {"rel": "self", "type": "application/json", "href": href},
            {
                "rel": "http://www.opengis.net/def/rel/ogc/1.0/execute",
                "type": "application/json",
                "href": f"{href}/execution",
            },
        ],
        "additionalParameters": {
            "parameters": [
                {"name": "eula-id", "value": [NO_EULA]},
                {"name": "price", "value": [cost]},
            ]
        },
    }


@operation("processing.catalog.list", scope="processing:read", effect=Effect.READ, public=True)
async def list_processes(ctx: Context, body: Empty) -> ProcessList:
    """List available processes (OGC process catalog, public)."""
    rates = await prices.rates(ctx, discover())
    return ProcessList(
        processes=[
            ProcessSummary.model_validate(summary(p, rates[p.id], ctx.base_url))
            for p in discover().values()
        ],
        links=[
            {"rel": "self", "type": "application/json", "href": f"{ctx.base_url}/ogc/processes"}
        ],
    )


@operation("processing.catalog.get", scope="processing:read", effect=Effect.READ, public=True)
async def get_process(ctx: Context, body: ProcessGetInput) -> ProcessDescription:
    """Get one process description (public)."""
    process = job_orders.find_process(body.process_id)
    rate = await prices.rate(ctx, process)
    schema = process.input_schema()
    required = set(schema.get("required", ()))
    definitions = schema.get("$defs")
    inputs = {
        name: {
            "title": field.get("title", name),
            "description": field.get("description", ""),
            "minOccurs": 1 if name in required else 0,
            "maxOccurs": 1,
            "schema": {**field, **({"$defs": definitions} if definitions else {})},
        }
        for name, field in schema.get("properties", {}).items()
    }
    outputs = {
        name: {"title": spec.title, "description": spec.description, "schema": dict(spec.schema)}
        for name, spec in process.outputs.items()
    }
    return ProcessDescription.model_validate(
        {**summary(process, rate, ctx.base_url), "inputs": inputs, "outputs": outputs}
    )


@operation("processing.catalog.validate", scope="processing:read", effect=Effect.READ, public=True)
async def validate_run(ctx: Context, body: ProcessRunInput) -> ValidOutput:
    """Validate process inputs (an empty object means they are valid)."""
    process = job_orders.find_process(body.process_id)
    typed = declared.inputs(process, body.inputs, "inputs")
    if ctx.principal.organization_id is not None:
        sources = await job_orders.find_sources(ctx, process, typed, "inputs")
        declared.quantity(process, typed, [source.item for source in sources], "inputs")
    return ValidOutput()


@operation("processing.catalog.estimate", scope="processing:read", effect=Effect.READ, public=True)
async def estimate_run(ctx: Context, body: ProcessRunInput) -> EstimateOutput:
    """Estimate the cost of running a process with the given inputs."""
    process = job_orders.find_process(body.process_id)
    typed = declared.inputs(process, body.inputs, "inputs")
    if declared.sources(process, typed, "inputs") and ctx.principal.organization_id is None:
        raise Unauthenticated("an estimate over items needs a credential that can see them")
    sources = await job_orders.find_sources(ctx, process, typed, "inputs")
    quantity, rate = await job_orders.price_of(ctx, process, typed, sources, "inputs")
    return EstimateOutput(
        pricingStrategy=rate.strategy,
        totalCredits=rate.credits(quantity),
        totalSize=float(rate.units(quantity)),
        unit=rate.unit,
    )
