"""Running a process: checked inputs in, files out, in a bounded child beside the caller.

    outputs = await run("clip", inputs, sources, out_dir, on_progress=report)

`run` is for a worker, `execute` is what the child calls. Both speak JSON only, so that the same
call can later travel to a scheduler.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from processes.links import by_link, opened
from processes.process import JobError, Output, RunContext, Source, discover, find
from raster.child import ChildFailed, Log, run_child
from raster.env import keep_memory

Progress = Callable[[float, str], None]


@dataclasses.dataclass(frozen=True)
class Work:
    """What a run took, as its own process counted it.

    Attributes:
        seconds: by the clock, from the first source opened to the last output inspected.
        processor_seconds: of all threads.
        bytes_read: from files, its own scratch files among them; of sources in a bucket what came
            over the network. None where Dask workers read, each for itself.
        samples_read: of the sources, a pixel of a band each, as often as they were read.
    """

    seconds: float
    processor_seconds: float
    bytes_read: int | None
    samples_read: int | None = None


# what is wrong with a source file, in the words of the job's error codes
_CODES = {
    "not_found": "scene_unreadable",
    "not_a_geotiff": "scene_unreadable",
    "truncated": "scene_unreadable",
    "too_large": "scene_unreadable",
    "too_many_pixels": "scene_unreadable",
    "too_many_bands": "scene_unreadable",
    "block_too_large": "scene_unreadable",
    "tags_too_large": "scene_unreadable",
    "unsupported": "scene_unreadable",
    "unreadable": "scene_unreadable",
    "not_georeferenced": "scene_unreadable",
    "crashed": "scene_unreadable",
    "too_complex": "invalid_inputs",
}


async def run(
    process_id: str,
    inputs: Mapping[str, Any],
    sources: Sequence[Source],
    out_dir: Path,
    *,
    on_progress: Progress | None = None,
    on_log: Log | None = None,
    seconds: float | None = None,
    memory_bytes: int | None = None,
    env: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    on_work: Callable[[Work], None] | None = None,
) -> list[Output]:
    """Run a process in a bounded child; cancelling the awaiting task kills it.

    Args:
        sources: every asset that the process's `sources` asked for.
        out_dir: an existing folder for this attempt only.
        on_log: given the end of what the child printed, also where it failed.
        seconds, memory_bytes: default to what the process declares.
        env: for the child: settings, never a key or a secret.
        links: path of a source in a bucket → a signed link that the child reads it by.
        on_work: told at the end what the run took.

    Raises: JobError: `code` one of `processes.process.ERROR_CODES`, or one that passes:
        `disk_full`, `storage_unavailable`, and `unavailable` where no child could be had.
    """
    process = discover().get(process_id)
    if process is None or process.run is None:
        raise JobError("internal", f"nothing here runs process {process_id!r}")
    try:
        made = await run_child(
            "processes.engine:measured",
            {
                "process_id": process_id,
                "module": process.module,
                "inputs": dict(inputs),
                "sources": [dataclasses.asdict(source) for source in sources],
                "out_dir": str(out_dir),
                "links": dict(links or {}),
            },
            seconds=seconds or process.max_seconds,
            memory_bytes=memory_bytes or process.max_memory_bytes,
            on_progress=on_progress,
            on_log=on_log,
            env=env,
        )
    except ChildFailed as failure:
        raise JobError(_CODES.get(failure.code, failure.code), failure.message) from None
    if on_work is not None:
        on_work(Work(**made["work"]))
    return [_output(fields) for fields in made["outputs"]]


def measured(
    process_id: str,
    inputs: dict[str, Any],
    sources: list[dict[str, Any]],
    out_dir: str,
    progress: Progress,
    module: str = "",
    links: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """`execute`, and what it took: `{"outputs": …, "work": members of Work}`."""
    from processes.on_dask import SCHEDULER
    from raster import counting

    begun, processor = time.monotonic(), time.process_time()
    files, fetched, samples = _bytes_read(), counting.fetched(), counting.samples()
    made = _run(process_id, inputs, sources, out_dir, progress, module, links)
    samples = counting.samples() - samples
    outputs = [_json(_inspected(output)) for output in made]
    read: int | None = None
    if os.environ.get(SCHEDULER):
        pass
    elif links:
        read = counting.fetched() - fetched
    elif files is not None and not any(s["path"].startswith("/vsi") for s in sources):
        read = (_bytes_read() or 0) - files
    return {
        "outputs": outputs,
        "work": {
            "seconds": round(time.monotonic() - begun, 3),
            "processor_seconds": round(time.process_time() - processor, 3),
            "bytes_read": read,
            "samples_read": samples,
        },
    }


def _bytes_read() -> int | None:
    """What this process has read from files so far; None where the system does not say."""
    try:
        text = Path("/proc/self/io").read_text()
    except OSError:
        return None
    return int(dict(line.split(": ") for line in text.splitlines())["rchar"])


def execute(
    process_id: str,
    inputs: dict[str, Any],
    sources: list[dict[str, Any]],
    out_dir: str,
    progress: Progress,
    module: str = "",
    links: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Run a process here and now; JSON in, JSON out.

    Given its `module`, no other process is imported: a child is bounded in time and memory, and
    what is wrong with another one is not its business.

    Files are inspected before they are reported, so every output that is a file carries its `info`.
    """
    made = _run(process_id, inputs, sources, out_dir, progress, module, links)
    return [_json(_inspected(output)) for output in made]


def _run(
    process_id: str,
    inputs: dict[str, Any],
    sources: list[dict[str, Any]],
    out_dir: str,
    progress: Progress,
    module: str,
    links: Mapping[str, str] | None,
) -> list[Output]:
    process = find(process_id, module)
    if process is None or process.run is None:
        raise JobError("internal", f"nothing here runs process {process_id!r}")
    try:
        typed = process.check(inputs)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise JobError("invalid_inputs", f"{place}: {first['msg']}") from None
    given = [Source(**fields) for fields in sources]
    keep_memory()
    with opened(links or {}) as paths:
        given = [by_link(source, paths) for source in given]
        several = len({source.item_id for source in given}) > 1
        named = {f"{s.item_id}/{s.asset_key}" if several else s.asset_key: s for s in given}
        return process.run(RunContext(typed, named, Path(out_dir), progress))


def _inspected(output: Output) -> Output:
    if output.path is None or output.info is not None:
        return output
    from raster.inspect import inspect, plain_file

    if "geotiff" not in output.media_type:
        place = {"footprint": output.geometry, "bbox": output.bbox}
        found = plain_file(output.path, output.media_type) | place
        return dataclasses.replace(output, info=found)
    info = inspect(output.path)
    return dataclasses.replace(
        output,
        info=info,
        geometry=output.geometry or info["footprint"],
        bbox=output.bbox or tuple(info["bbox"]),
    )


def _json(output: Output) -> dict[str, Any]:
    fields = dataclasses.asdict(output)
    fields["path"] = None if output.path is None else str(output.path)
    return fields


def _output(fields: dict[str, Any]) -> Output:
    path, bbox = fields["path"], fields["bbox"]
    return Output(
        **fields
        | {
            "path": None if path is None else Path(path),
            "bbox": None if bbox is None else tuple(bbox),
            "band_names": tuple(fields["band_names"]),
            "classes": tuple(fields["classes"]),
            "roles": tuple(fields["roles"]),
        }
    )
