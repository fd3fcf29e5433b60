"""The door of agents, put together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from ops_gateway.domains.api_keys import spends_unasked
from ops_gateway.surfaces.mcp import door
from ops_gateway.surfaces.mcp.calls import Tools
from opstac import __version__

if TYPE_CHECKING:
    from opstac.compose import Platform


async def agents_door(
    platform: Platform, draining: Callable[[], bool], stack: AsyncExitStack
) -> door.Door:
    """The operations as tools, for as long as `stack` is open."""
    may_spend = partial(spends_unasked, platform.pipeline)
    tools = Tools(platform.pipeline, platform.limiter, may_spend, draining)
    return await stack.enter_async_context(
        door.opened(tools, public_url=platform.settings.public_url, version=__version__)
    )
