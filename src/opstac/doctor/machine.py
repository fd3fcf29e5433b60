"""The store, the disk, the data folder, the port."""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from opstac import variables as v
from opstac.doctor.findings import Finding

GIB = 1 << 30
LEAST_BYTES = GIB
FEW_BYTES = 10 * GIB
PROBE = "doctor"


def home(environ: Mapping[str, str]) -> Iterable[Finding]:
    """The data folder and the master secret in it."""
    from db.embedded import default_home

    folder = default_home(environ)
    if not folder.exists():
        yield Finding("note", "data folder", f"{folder} is not there yet; it is made at first use")
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            "bad", "data folder", f"{folder} cannot be written by this account",
            "set OPSTAC_HOME to a folder of yours, or use the account that it is of",
        )  # fmt: skip
        return
    secret = folder / "secret.key"
    if not environ.get("OPSTAC_SECRET_KEY") and secret.exists():
        mode = secret.stat().st_mode & 0o777
        if mode & 0o077:
            yield Finding(
                "bad", "master secret", f"{secret} can be read by others (mode {mode:o})",
                f"chmod 600 {secret}",
            )  # fmt: skip
            return
    yield Finding("ok", "data folder", str(folder))


def store(environ: Mapping[str, str]) -> Iterable[Finding]:
    """Whether objects can be written, read and removed; and how much room is left."""
    from db.embedded import default_home

    location = v.STORAGE.text(environ) or str(default_home(environ) / "objects")
    if not location.startswith("s3://"):
        folder = Path(location)
        if not folder.exists():
            yield Finding("note", "store", f"{folder} is not there yet; it is made at first use")
        else:
            try:
                probe = folder / f".{PROBE}-{uuid.uuid4().hex}"
                probe.write_bytes(b"x")
                probe.unlink()
                yield Finding("ok", "store", f"{folder} can be written")
            except OSError as error:
                yield Finding(
                    "bad", "store", f"{folder} cannot be written: {error.strerror}",
                    "give it to the account that serves, or set OPSTAC_STORAGE",
                )  # fmt: skip
        yield disk(folder)
        return
    said = bucket(location, environ)
    if said is not None:
        yield Finding(
            "bad", "store", f"{location}: {said}",
            "see AWS_ENDPOINT_URL, AWS_REGION and the credential, and the bucket's policy",
        )  # fmt: skip
    else:
        yield Finding("ok", "store", f"{location} can be written, read and removed from")
    yield disk(default_home(environ))


def bucket(location: str, environ: Mapping[str, str]) -> str | None:
    """What is wrong with a bucket; None for nothing."""
    import asyncio

    from db.objects import Objects

    async def probe() -> None:
        objects = Objects(location, environ=environ)
        name = f"{PROBE}-{uuid.uuid4().hex}"
        await objects.put(name, b"x")
        if await objects.get(name) != b"x":
            raise OSError("what was written is not what is read")
        await objects.delete(name)

    try:
        asyncio.run(asyncio.wait_for(probe(), 20))
    except TimeoutError:
        return "it does not answer within 20 s"
    except Exception as error:
        # obstore's errors have a long tail of its own words
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


def disk(folder: Path) -> Finding:
    """Room on the file system of a folder."""
    place = next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
    usage = shutil.disk_usage(place)
    said = f"{usage.free / GIB:.1f} GiB of {usage.total / GIB:.0f} GiB free at {place}"
    advice = "make room, or set OPSTAC_STORAGE or OPSTAC_HOME to another disk"
    if usage.free < LEAST_BYTES:
        return Finding("bad", "disk", said, advice)
    return Finding("warn", "disk", said, advice) if usage.free < FEW_BYTES else Finding(
        "ok", "disk", said
    )  # fmt: skip


def port(environ: Mapping[str, str]) -> Iterable[Finding]:
    """Whether the port that would be served on is free, or a platform's already."""
    try:
        number, host = v.PORT.number(environ), str(v.HOST.text(environ))
    except v.BadVariable:
        return  # told by the check of the environment
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OverflowError:
            yield Finding("bad", "port", f"there is no port {number}", "set OPSTAC_PORT right")
            return
        except PermissionError:
            yield Finding(
                "bad", "port", f"this account may not listen on {number}",
                "set OPSTAC_PORT to 1024 or more",
            )  # fmt: skip
            return
        except OSError as error:
            local = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # nosec B104
            if is_platform(f"http://{local}:{number}"):
                yield Finding("ok", "port", f"a platform answers on {host}:{number}")
            else:
                yield Finding(
                    "bad", "port", f"{host}:{number}: {error.strerror or error}",
                    "stop what listens there, or set OPSTAC_PORT",
                )  # fmt: skip
            return
    yield Finding("ok", "port", f"{host}:{number} is free")


def is_platform(url: str) -> bool:
    """Whether a platform answers there."""
    import httpx

    try:
        return httpx.get(f"{url}/livez", timeout=5).json() == {"status": "ok"}
    except (httpx.HTTPError, ValueError):
        return False
