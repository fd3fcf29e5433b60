"""The port: one server's alone, or shared by several tile processes."""

from __future__ import annotations

from contextlib import closing

import pytest

from opstac.cli import CommandError
from opstac.server import listen


def test_a_port_is_one_servers_unless_all_share_it() -> None:
    with closing(listen("127.0.0.1", 0)) as alone:
        alone.listen()
        port = alone.getsockname()[1]
        for shared in (False, True):
            with pytest.raises(CommandError, match="another program has the port"):
                listen("127.0.0.1", port, shared=shared)
    with closing(listen("127.0.0.1", 0, shared=True)) as first:
        first.listen()
        port = first.getsockname()[1]
        with closing(listen("127.0.0.1", port, shared=True)) as second:
            second.listen()
        with pytest.raises(CommandError):
            listen("127.0.0.1", port)
