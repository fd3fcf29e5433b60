"""`echo`: gives back what it is given, after a pause if wanted; for trying out a client."""

import time
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from processes.process import Output, OutputSpec, RunContext, process


class EchoInputs(BaseModel):
    """Any JSON value."""

    model_config = ConfigDict(extra="forbid")

    message: Any = Field(
        default="hello",
        title="Message",
        description="Any JSON value; it comes back as it was sent.",
    )
    pause: float = Field(
        default=0,
        ge=0,
        le=600,
        title="Pause",
        description="Seconds to wait before answering.",
        allow_inf_nan=False,
    )


@process(
    id="echo",
    title="Echo",
    keywords=("echo", "test"),
    category="utility",
    inputs=EchoInputs,
    outputs={"echo": OutputSpec("Echo", "What was sent as `message`.", {})},
    sync_allowed=True,
    max_seconds=660,
    max_memory_bytes=512 * 1024**2,
)
def run(ctx: RunContext[EchoInputs]) -> list[Output]:
    """Gives back the message it is given, after an optional pause. Free of charge."""
    start, pause = time.monotonic(), ctx.inputs.pause
    while (passed := time.monotonic() - start) < pause:
        ctx.progress(passed / pause, "waiting")
        time.sleep(min(0.2, pause - passed))
    ctx.progress(1.0, "done")
    return [Output(asset_key="echo", value=ctx.inputs.message, media_type="application/json")]
