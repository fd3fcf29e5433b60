"""`external`: the work is done by somebody's own worker, which registers the result."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from processes.process import (
    RASTER_OUTPUT,
    JobError,
    Output,
    OutputSpec,
    Price,
    RunContext,
    SourceRef,
    process,
)


class ExternalInputs(BaseModel):
    """Whatever the worker outside needs."""

    model_config = ConfigDict(extra="allow")

    source_item_id: str | None = Field(
        default=None, max_length=200, description="The item the work starts from."
    )
    source_item_ids: list[str] = Field(
        default_factory=list, max_length=100, description="Several such items."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Passed to the worker as they are."
    )


def sources(inputs: ExternalInputs) -> tuple[SourceRef, ...]:
    """The items named, each once."""
    single = [inputs.source_item_id] if inputs.source_item_id else []
    return tuple(SourceRef(item_id) for item_id in dict.fromkeys(single + inputs.source_item_ids))


@process(
    id="external",
    title="External work",
    keywords=("external", "worker"),
    category="utility",
    inputs=ExternalInputs,
    outputs={"data": OutputSpec("Result", "What the worker registers.", RASTER_OUTPUT)},
    sources=sources,
    unit="JOB",
    price=Price(5, 5),
    max_seconds=24 * 3600,
    external=True,
)
def run(ctx: RunContext[ExternalInputs]) -> list[Output]:
    """Work done outside the platform: a job that a worker of yours fetches, computes and registers
    with the token that belongs to the job."""
    raise JobError("internal", "an external job is not run by the platform")
