"""Check every hash chain of lineage, audit and ledger; also from an export, offline.

Without arguments: the whole database, the ledger's laws and the signed ends in object storage. With
--files also every file of an asset, by its SHA-256.
A line for each finding; status 1 where there is one.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from ops_gateway.kernel.chain_record import Finding
    from opstac.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--export", metavar="FILE", help="check this export, without any database")
    which.add_argument(
        "--since", metavar="FILE", help="also compare the database with the end of this export"
    )
    parser.add_argument(
        "--files",
        action="store_true",
        help="also read every asset's file and compare its SHA-256 with that of when it came in",
    )
    parser.add_argument(
        "--public-key",
        metavar="KEY",
        help="what signatures must hold for: base64 or a file; `opstac export` prints it",
    )


def run(args: argparse.Namespace) -> int:
    """Check, print, and give 1 where something was found."""
    findings = _offline(args) if args.export else _live(args)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def _offline(args: argparse.Namespace) -> list[Finding]:
    from ops_gateway.kernel.chain_record import NotARecord, check_record
    from opstac.cli import CommandError

    if args.public_key is None:
        raise CommandError("--export needs --public-key: a file cannot vouch for itself")
    try:
        record = check_record(_lines(args.export), _key(args.public_key))
    except NotARecord as error:
        raise CommandError(f"{args.export}: {error}") from None
    if not record.findings:
        rows = ", ".join(f"{count} {chain}" for chain, count in record.rows.items())
        print(f"whole and signed {record.head['at']}: {record.organization_id}, rows: {rows}")
    return record.findings


def _live(args: argparse.Namespace) -> list[Finding]:
    import asyncio

    from ops_gateway.kernel.chain_record import NotARecord, head_of
    from opstac import database, settings
    from opstac.cli import CommandError

    found = database.find(start=False)
    configuration = settings.read(dsn=found.dsn, home=found.home)
    head = None
    if args.since:
        try:
            head = head_of(_lines(args.since))
        except NotARecord as error:
            raise CommandError(f"{args.since}: {error}") from None
    key = _key(args.public_key) if args.public_key else None
    organizations, findings = asyncio.run(check_database(configuration, head=head, public=key))
    if args.files:
        count, damaged = asyncio.run(_check_files(configuration))
        findings += damaged
        print(f"{count} files were read")
    if not findings:
        print(f"nothing found: {organizations} organizations and the ledger are whole")
    return findings


async def _check_files(configuration: Settings) -> tuple[int, list[Finding]]:
    from db.objects import Objects
    from db.pool import make_pool
    from opstac.stored_files import check_files

    async with make_pool(configuration.dsn, "opstac_system", max_size=1) as pool:
        return await check_files(pool, Objects(configuration.storage))


async def check_database(
    configuration: Settings, *, head: dict[str, object] | None, public: Ed25519PublicKey | None
) -> tuple[int, list[Finding]]:
    """Every check of a database: the number of organizations, and what was found.

    Args:
        configuration: where the database and the objects are.
        head: a signed head to compare with besides those in object storage.
        public: the key `head` must be signed with; else the platform's own.
    """
    from db.objects import Objects
    from db.pool import make_pool
    from ops_gateway.kernel import chain
    from ops_gateway.kernel.secrets import Keys

    own = Keys(configuration.master_secret).chain.public
    objects = Objects(configuration.storage)
    findings: list[Finding] = []
    async with make_pool(
        configuration.dsn, "opstac_system", max_size=1, statement_timeout="0"
    ) as pool:
        async with pool.connection() as connection, connection.transaction():
            await chain.begin_snapshot(connection)
            organizations = await chain.organizations(connection)
            for organization_id in organizations:
                findings += await chain.check_chains(connection, organization_id)
            findings += await chain.check_ledger(connection)
        async with pool.connection() as connection:
            findings += await chain.check_stored_heads(connection, objects, own)
            if head is not None:
                findings += await chain.check_head(connection, head, public or own)
    return len(organizations), findings


def _lines(name: str) -> Iterable[bytes]:
    from pathlib import Path

    from opstac.cli import CommandError

    path = Path(name)
    if not path.is_file():
        raise CommandError(f"{name}: no such file")
    return _stripped(path)


def _stripped(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield line


def _key(text: str) -> Ed25519PublicKey:
    from pathlib import Path

    from ops_gateway.kernel.chain_record import BadKey, read_public_key
    from opstac.cli import CommandError

    try:
        return read_public_key(Path(text).read_text() if Path(text).is_file() else text)
    except BadKey as error:
        raise CommandError(str(error)) from None
