"""Where this machine keeps a PostgreSQL server that has PostGIS."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OLDEST_MAJOR = 15
# Debian and Ubuntu, Red Hat's and Homebrew's layouts; PATH is looked at after these
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
PROGRAMS = ("initdb", "postgres", "pg_ctl")


class EmbeddedError(Exception):
    """The private database cannot do what was asked; the message says why and the way out."""


class ServerMissing(EmbeddedError):
    """No server binaries with PostGIS were found."""


@dataclass(frozen=True, order=True)
class Binaries:
    """One installed server."""

    major: int
    version: str
    folder: Path

    def program(self, name: str) -> str:
        """The path of one of the server's programs."""
        return str(self.folder / name)

    def share_folders(self) -> list[Path]:
        """Where its extension control files may be."""
        prefix = self.folder.parent
        return [
            Path(f"/usr/share/postgresql/{self.major}"),
            prefix / "share",
            prefix / "share" / "postgresql",
            prefix / "share" / f"postgresql@{self.major}",
        ]

    def postgis_control(self) -> Path | None:
        """PostGIS's control file, or None where it is not installed for this server."""
        for folder in self.share_folders():
            control = folder / "extension" / "postgis.control"
            if control.is_file():
                return control
        return None


def installed() -> list[Binaries]:
    """Every server on this machine, newest first, whether or not it can be used."""
    found: dict[Path, Binaries] = {}
    for folder in candidate_folders():
        real = folder.resolve()
        if real not in found and all((real / name).is_file() for name in PROGRAMS):
            output = subprocess.run(
                [str(real / "postgres"), "--version"], capture_output=True, text=True, check=False
            ).stdout
            match = re.search(r"(\d+)(?:\.\d+)*\S*", output)
            if match:
                found[real] = Binaries(int(match.group(1)), match.group(0), real)
    return sorted(found.values(), reverse=True)


def candidate_folders() -> Iterator[Path]:
    """Folders that may hold server programs."""
    for pattern in PLACES:
        yield from sorted(Path("/").glob(pattern.lstrip("/")))
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def find_binaries(major: int | None = None) -> Binaries:
    """The newest usable server, or the one of `major`, which a data folder was made by.

    Raises:
        ServerMissing: none is there, it is older than 15, or PostGIS is not installed for it.
    """
    servers = installed()
    usable = [s for s in servers if s.major >= OLDEST_MAJOR and s.postgis_control()]
    if major is not None:
        usable = [s for s in usable if s.major == major]
    if usable:
        return usable[0]
    there = ", ".join(
        f"{s.version}{'' if s.postgis_control() else ' without PostGIS'}" for s in servers
    )
    wanted = f"PostgreSQL {major}" if major is not None else f"PostgreSQL {OLDEST_MAJOR} or newer"
    package = major if major is not None else "15"
    raise ServerMissing(
        f"{wanted} with PostGIS is needed; found: {there or 'no server'}. Debian, Ubuntu: "
        f"`apt-get install postgresql-{package} postgresql-{package}-postgis-3`. "
        "Or set DATABASE_URL to a server that has PostGIS"
    )
