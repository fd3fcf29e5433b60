"""Print the public keys that a tile server of its own knows callers by.

They go into OPSTAC_VERIFY_KEYS of `opstac serve --service tiler`, in place of the master secret.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""


def run(args: argparse.Namespace) -> int:
    """Print them."""
    import os

    from db.embedded import default_home
    from ops_gateway.kernel.secrets import Keys
    from opstac.settings import master_secret

    print(Keys(master_secret(os.environ, default_home())).public().text())
    return 0
