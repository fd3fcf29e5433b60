"""Whether the files of assets are still those that came in, byte by byte.

Damage in a file may change pixels and raise no error: most encodings of a raster hold no checksum.
The one that counts was taken when the file came in.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from db.objects import Objects
from db.paths import ObjectMissing
from db.pool import Pool
from db.queries import queries
from ops_gateway.kernel.chain_record import Finding

sql = queries(__file__)


async def check_files(pool: Pool, objects: Objects) -> tuple[int, list[Finding]]:
    """How many files there are, and what is wrong with some.

    Args:
        pool: of role opstac_system.
    """
    count, findings, after = 0, list[Finding](), ""
    while True:
        async with pool.connection() as connection:
            cursor = await connection.execute(sql.stored_files, {"after": after})
            rows = await cursor.fetchall()
        if not rows:
            return count, findings
        for row in rows:
            count, after = count + 1, row["object_path"]
            problem = await _problem(objects, row["object_path"], row["checksum"])
            if problem is not None:
                findings.append(Finding(row["organization_id"], f"asset {row['name']}", problem))


async def _problem(objects: Objects, path: str, checksum: str) -> str | None:
    try:
        found = await _sha256(objects.stream(path))
    except ObjectMissing:
        return "its file is gone"
    return None if found == checksum else "its file is not the one that came in"


async def _sha256(pieces: AsyncIterator[bytes]) -> str:
    digest = hashlib.sha256()
    async for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
