"""The receipt of a job that ended: what was charged, and for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import Field

from ops_gateway.domains.prices import Rate
from ops_gateway.kernel.operation import Output

NOT_PAID = ("failed", "cancelled")


class Receipt(Output):
    """What a job that ended was charged, and for what.

    `credits` is `quantity` times `credits_per_unit`, rounded up, or `minimum_credits` where that is
    more; never more than was reserved. A job that was answered from an earlier one, that failed or
    was cancelled costs nothing.
    """

    job_id: str
    process: str
    version: str
    unit: str | None = Field(description="SQ_KM or JOB")
    quantity: float | None = Field(description="units of the run")
    credits_per_unit: float | None
    minimum_credits: int | None
    minimum_applied: bool = Field(description="the least amount was charged, being more")
    credits: int = Field(description="charged")
    released: int = Field(description="reserved and not charged")
    samples_read: int | None = Field(
        default=None,
        description="of the sources, a pixel of a band each, as often as they were read; null for "
        "work done outside",
    )
    pixels: int = Field(description="of the rasters made: width times height times data bands")
    bytes_written: int = Field(description="of the files made")
    bytes_read: int | None = Field(
        description="by the run's process: from files, its scratch files among them, or of sources "
        "in a bucket what came over the network; null where that was not counted: work done "
        "outside, or on Dask workers"
    )
    seconds: float | None = Field(description="the run, by the clock; null for work done outside")
    processor_seconds: float | None = Field(description="of all its threads")
    cached_from: str | None = Field(description="the job whose outputs were given out again")
    output_item_ids: list[str]
    lineage: dict[str, str] = Field(description="the entity to ask provenance.get for")
    settled_at: datetime | None


def terms(rate: Rate, quantity: Decimal) -> dict[str, Any]:
    """What a hold was computed from, exact, for the job's row."""
    return {
        "unit": rate.unit,
        "quantity": str(rate.units(quantity)),
        "credits_per_unit": str(rate.credits_per_unit),
        "minimum_credits": rate.minimum_credits,
    }


def made(
    job: Mapping[str, Any],
    charged: int,
    *,
    files: Sequence[Mapping[str, Any]] = (),
    work: Mapping[str, Any] | None = None,
    items: Sequence[str] = (),
    cached_from: str | None = None,
) -> Receipt:
    """The receipt of a job that is being settled.

    Args:
        files: what `raster.inspect` says of each file the run made.
        work: the members of `processes.engine.Work`.
    """
    rate = agreed(job)
    minimum = rate.minimum_credits if rate else 0
    exact = rate.credits_per_unit * _quantity(job) if rate else Decimal(0)
    return Receipt(
        job_id=job["id"],
        process=job["job_type_id"],
        version=job["version"],
        unit=rate.unit if rate else None,
        quantity=float(_quantity(job)) if rate else None,
        credits_per_unit=float(rate.credits_per_unit) if rate else None,
        minimum_credits=minimum if rate else None,
        minimum_applied=charged > 0 and charged == minimum and exact < minimum,
        credits=charged,
        released=job["credits_reserved"] - charged,
        pixels=sum(pixels(file) for file in files),
        bytes_written=sum(int(file.get("size_bytes") or 0) for file in files),
        cached_from=cached_from,
        output_item_ids=list(items),
        lineage={"entity_type": "processing_job", "entity_id": job["id"]},
        settled_at=datetime.now(UTC),
        **{
            "bytes_read": 0 if cached_from else None,
            "samples_read": 0 if cached_from else None,
            "seconds": 0 if cached_from else None,
            "processor_seconds": 0 if cached_from else None,
            **(work or {}),
        },
    )


def agreed(job: Mapping[str, Any]) -> Rate | None:
    """The rate a job was made at; None for one of before rates were kept."""
    kept = job["terms"]
    if kept is None:
        return None
    return Rate(kept["unit"], Decimal(kept["credits_per_unit"]), kept["minimum_credits"])


def _quantity(job: Mapping[str, Any]) -> Decimal:
    return Decimal(job["terms"]["quantity"])


def pixels(info: Mapping[str, Any]) -> int:
    """Samples of a raster's data bands; none of what is no raster."""
    return int((info.get("width") or 0) * (info.get("height") or 0) * (info.get("band_count") or 0))


def of(job: Mapping[str, Any]) -> Receipt | None:
    """The receipt of a job's row; None where it has not ended, or ended before receipts."""
    if job["receipt"] is not None:
        return Receipt.model_validate(job["receipt"])
    if job["status"] not in NOT_PAID:
        return None
    return made(job, 0).model_copy(update={"settled_at": job["completed_at"]})
