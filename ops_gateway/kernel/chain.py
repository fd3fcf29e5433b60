"""Checking the database: the hash chains, the ledger's laws, and the signed ends kept outside it.

Whoever can write to the tables past the platform can also forge a whole chain with its end, so the
ends are signed and kept in object storage now and then: what was there at that time cannot be cut
or rewritten unseen.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from db.objects import Objects
from db.pool import Connection, Pool
from db.queries import queries
from ops_gateway.kernel.chain_record import CHAINS, Finding, is_signed, sign_head
from ops_gateway.kernel.secrets import SigningKey

logger = logging.getLogger(__name__)
sql = queries(__file__)

HEADS = "heads"  # the folder in object storage
AUDIT_KEPT = timedelta(days=24 * 30)  # months of audit younger than this are never dropped

_SAFE_ID = re.compile(r"[A-Za-z0-9_]{1,100}")


async def begin_snapshot(connection: Connection) -> None:
    """Make the open transaction see one moment, so that writers going on look like no finding."""
    await connection.execute(sql.snapshot)


async def organizations(connection: Connection) -> list[str]:
    """Every organization that any recorded row names, known or not."""
    rows = await (await connection.execute(sql.organizations)).fetchall()
    return [row["organization_id"] for row in rows]


async def check_chains(connection: Connection, organization_id: str) -> list[Finding]:
    """What is wrong with an organization's three chains.

    Args:
        connection: acts as opstac_system.
    """
    rows = await (await connection.execute(sql.chains, {"org": organization_id})).fetchall()
    return [
        Finding(organization_id, f"{row['chain']} {row['seq']}", row["problem"]) for row in rows
    ]


async def check_ledger(connection: Connection) -> list[Finding]:
    """Which laws of the ledger are broken, over all organizations.

    Sum of everything zero, journals balanced and not empty, wallets not negative and equal to what
    their entries say, credits held equal to the open reservations, each reservation opened once and
    ended once, and none open whose job ended ten minutes ago.
    """
    rows = await (await connection.execute(sql.ledger)).fetchall()
    return [Finding(row["organization_id"], row["place"], row["problem"]) for row in rows]


# ---------------------------------------------------------------- ends


async def signed_head(
    connection: Connection, organization_id: str, key: SigningKey
) -> dict[str, Any] | None:
    """Where an organization's chains end now, signed; None where it has none."""
    cursor = await connection.execute(sql.head, {"org": organization_id})
    row = await cursor.fetchone()
    if row is None:
        return None
    head = {
        "type": "head",
        "version": 1,
        "organization_id": organization_id,
        "at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "chains": row["chains"],
    }
    return sign_head(head, key)


async def check_head(
    connection: Connection, head: Mapping[str, Any], public: Ed25519PublicKey
) -> list[Finding]:
    """Whether the database still holds what a signed head says it held."""
    organization_id = str(head.get("organization_id"))
    if not is_signed(head, public):
        return [Finding(organization_id, "head", "the signature does not hold for this key")]
    now = await (await connection.execute(sql.head, {"org": organization_id})).fetchone()
    aged = datetime.now(UTC) - datetime.fromisoformat(head["at"]) > AUDIT_KEPT
    findings: list[Finding] = []
    for chain in CHAINS:
        said = head["chains"][chain]
        if said["seq"] <= said["base_seq"]:
            continue
        place = f"{chain} {said['seq']}"
        cursor = await connection.execute(
            sql.link, {"org": organization_id, "chain": chain, "seq": said["seq"]}
        )
        hashes = [row["hash"] for row in await cursor.fetchall()]
        if not hashes:
            base = now["chains"][chain]["base_seq"] if now else 0
            if not (aged and base >= said["seq"]):
                problem = f"the signed end of {head['at']} is gone: the chain was cut"
                findings.append(Finding(organization_id, place, problem))
        elif hashes != [said["hash"]]:
            problem = f"is not what was signed {head['at']}: the chain was rewritten"
            findings.append(Finding(organization_id, place, problem))
    return findings


async def stored_heads(objects: Objects, organization_id: str | None = None) -> dict[str, str]:
    """Path of the newest stored head of each organization, or of one."""
    newest: dict[str, str] = {}
    folder = HEADS if organization_id is None else f"{HEADS}/{organization_id}"
    async for meta in objects.list(folder):
        _, owner, _ = meta.path.split("/", 2)
        newest[owner] = max(meta.path, newest.get(owner, ""))
    return newest


async def check_stored_heads(
    connection: Connection, objects: Objects, public: Ed25519PublicKey
) -> list[Finding]:
    """Compare the newest stored head of every organization with the database.

    The newest is enough: `export_heads` writes none that contradicts the one before.
    """
    findings: list[Finding] = []
    for path in (await stored_heads(objects)).values():
        findings += await check_head(connection, orjson.loads(await objects.get(path)), public)
    return findings


@dataclass
class HeadsExported:
    """What a run of `export_heads` did."""

    written: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])


async def export_heads(
    pool: Pool, objects: Objects, key: SigningKey, *, since: datetime | None = None
) -> HeadsExported:
    """Store the signed ends of all chains that went on; for the maintenance loop, safe to repeat.

    Where the newest stored head no longer fits the database none is added, so that it stays the
    witness; the finding is logged as an error each time.

    Args:
        pool: acts as opstac_system.
        since: only organizations with something recorded after it; none for all.
    """
    done = HeadsExported()
    async with pool.connection() as connection:
        cursor = await connection.execute(sql.changed, {"since": since})
        changed = [row["organization_id"] for row in await cursor.fetchall()]
    for organization_id in changed:
        if not _SAFE_ID.fullmatch(organization_id):
            continue
        known = (await stored_heads(objects, organization_id)).get(organization_id)
        last = orjson.loads(await objects.get(known)) if known else None
        async with pool.connection() as connection, connection.transaction():
            await begin_snapshot(connection)
            findings = await check_head(connection, last, key.public) if last else []
            head = await signed_head(connection, organization_id, key)
        if findings:
            done.findings += findings
            for finding in findings:
                logger.error("a chain was altered", extra={"finding": str(finding)})
            continue
        if head is None or (last is not None and last["chains"] == head["chains"]):
            continue
        moment = datetime.fromisoformat(head["at"]).strftime("%Y%m%dT%H%M%S.%fZ")
        await objects.put(f"{HEADS}/{organization_id}/{moment}.json", orjson.dumps(head))
        done.written += 1
    return done


# ---------------------------------------------------------------- whole records


async def export_record(
    connection: Connection, organization_id: str, key: SigningKey
) -> AsyncIterator[bytes]:
    """An organization's chained rows and signed head, a line each; see `chain_record`.

    Args:
        connection: acts as opstac_system, in a transaction with a snapshot.
    """
    for chain, query in zip(
        CHAINS, (sql.lineage_rows, sql.audit_rows, sql.ledger_rows), strict=True
    ):
        async with connection.cursor(name=f"export_{chain}") as cursor:
            cursor.itersize = 5000
            await cursor.execute(query, {"org": organization_id})
            async for row in cursor:
                yield orjson.dumps({"chain": chain, **row}) + b"\n"
    head = await signed_head(connection, organization_id, key)
    if head is not None:
        yield orjson.dumps(head) + b"\n"
