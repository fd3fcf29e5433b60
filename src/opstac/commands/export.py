"""Write an organisation's signed record to a file.

The record holds every row of its lineage, audit and ledger chains and a signed end; anybody can
check it with `opstac verify --export FILE --public-key KEY`, without the platform.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from opstac.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("organization", metavar="ORG", help="id of the organisation: org_...")
    parser.add_argument("--out", metavar="FILE", required=True, help="file to write")


def run(args: argparse.Namespace) -> int:
    """Write the record; says how many rows, and the key its signature holds for."""
    import asyncio
    from pathlib import Path

    from ops_gateway.kernel.chain_record import public_key_text
    from ops_gateway.kernel.secrets import Keys
    from opstac import database, settings
    from opstac.cli import CommandError

    found = database.find(start=False)
    configuration = settings.read(dsn=found.dsn, home=found.home)
    target = Path(args.out)
    if not target.absolute().parent.is_dir():
        raise CommandError(f"{target.parent}: no such folder")
    rows = asyncio.run(write_record(configuration, args.organization, target))
    print(f"{target}: {rows} rows of {args.organization} and their signed end")
    print(f"public key: {public_key_text(Keys(configuration.master_secret).chain)}")
    return 0


async def write_record(configuration: Settings, organization_id: str, target: Path) -> int:
    """Write the record whole or not at all; the number of rows.

    Raises CommandError: there is no such organization, or the file cannot be written.
    """
    from db.pool import make_pool
    from ops_gateway.kernel import chain
    from ops_gateway.kernel.secrets import Keys
    from opstac.cli import CommandError

    key = Keys(configuration.master_secret).chain
    growing = target.with_name(target.name + ".part")
    rows = -1
    try:
        async with (
            make_pool(
                configuration.dsn, "opstac_system", max_size=1, statement_timeout="0"
            ) as pool,
            pool.connection() as connection,
            connection.transaction(),
        ):
            await chain.begin_snapshot(connection)
            with growing.open("wb") as file:
                async for line in chain.export_record(connection, organization_id, key):
                    file.write(line)
                    rows += 1
        if rows < 0:
            raise CommandError(f"there is no organization {organization_id}")
        growing.replace(target)
    except OSError as error:
        raise CommandError(f"{target}: {error.strerror}") from None
    finally:
        growing.unlink(missing_ok=True)
    return rows
