"""What `opstac login` keeps: for each platform its own credential, in a file of mode 0600.

The key of an entry is the platform's URL, and an entry is only ever read by that: a token cannot
reach another host than the one it was made for.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from opstac.shell.status import REFUSED, CommandError

# renewed that long before it ends, so that no call goes out with a token that ends on its way
LEEWAY_SECONDS = 30


@dataclass(frozen=True)
class Credential:
    """A token, and what a new one is got with.

    Attributes:
        token: an API key, or the access token of a session.
        refresh: of a session.
        ends: when the access token ends, in seconds since 1970; None for never.
        name: whose it is, for people.
    """

    token: str
    refresh: str | None = None
    ends: float | None = None
    name: str = ""

    def is_stale(self, now: float | None = None) -> bool:
        """Whether it has ended, or nearly so."""
        now = time.time() if now is None else now
        return self.ends is not None and now >= self.ends - LEEWAY_SECONDS


def platform(url: str) -> str:
    """A platform's URL as it is kept: lower case, without a usual port or a slash at the end.

    Raises CommandError: it is no address of a platform.
    """
    wrong = CommandError(
        f"{url!r} is no address of a platform: write it as https://maps.example.org", REFUSED
    )
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
        (host or "").encode()
    except (ValueError, UnicodeError):
        raise wrong from None
    if parts.scheme not in ("http", "https") or not host or any(c <= " " for c in url.strip()):
        raise wrong
    if parts.username is not None or parts.query or parts.fragment:
        raise wrong
    usual = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{host}]" if ":" in host else host
    place = host if port in (None, usual) else f"{host}:{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"


def path(environ: Mapping[str, str] = os.environ) -> Path:
    """The file."""
    folder = environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return Path(folder) / "opstac" / "credentials.json"


class Store:
    """The file, read anew at each question: several commands may run at a time."""

    def __init__(self, file: Path | None = None) -> None:
        """`file`: another than the usual one."""
        self.file = file or path()

    def get(self, server: str) -> Credential | None:
        """The credential for a platform."""
        entry = self._read()["servers"].get(platform(server))
        try:
            return Credential(**entry) if isinstance(entry, dict) else None
        except TypeError:
            raise self._broken() from None

    def current(self) -> str | None:
        """The platform of the last login."""
        found = self._read()
        server = found.get("current")
        return server if server in found["servers"] else None

    def servers(self) -> list[str]:
        """Every platform that there is a credential for."""
        return sorted(self._read()["servers"])

    def put(self, server: str, credential: Credential, *, current: bool = False) -> None:
        """Keep a credential, in place of the platform's one of before."""
        found = self._read()
        found["servers"][platform(server)] = asdict(credential)
        if current:
            found["current"] = platform(server)
        self._write(found)

    def remove(self, server: str) -> bool:
        """Forget a platform's credential; False where there was none."""
        found = self._read()
        was = found["servers"].pop(platform(server), None)
        if was is not None:
            self._write(found)
        return was is not None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process at a time: of two that renew with one refresh token, the server would take
        the second for a thief and end the session.
        """
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.file.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise CommandError(f"{error.filename or self.file}: {error.strerror}") from None

    def _read(self) -> dict:
        try:
            found = json.loads(self.file.read_bytes())
        except FileNotFoundError:
            return {"servers": {}}
        except OSError as error:
            raise CommandError(f"{self.file}: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise self._broken() from None
        if not isinstance(found, dict) or not isinstance(found.get("servers"), dict):
            raise self._broken()
        return found

    def _broken(self) -> CommandError:
        return CommandError(f"{self.file} is damaged: remove it, then `opstac login`")

    def _write(self, found: dict) -> None:
        part = self.file.with_name(f"{self.file.name}.{os.getpid()}.part")
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            # never readable by others, not even for a moment
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(found, file, indent=2)
            part.replace(self.file)
        except OSError as error:
            raise CommandError(f"{error.filename or self.file}: {error.strerror}") from None
        finally:
            part.unlink(missing_ok=True)
