"""A private PostgreSQL cluster in a folder of ours: start, stop, status, connection strings.

Never a system cluster, never owned by root. The cluster's superuser only makes the login role, the
database and its extensions; all the rest is done as that login role, as it would be on a managed
server.

    <folder>/cluster.json   port and passwords, mode 0600
    <folder>/data/          PostgreSQL's own files, and its socket
    <folder>/server.log     what the server says
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from db.accounts import as_account, require_reachable, service_account
from db.binaries import Binaries, EmbeddedError, find_binaries
from db.locks import exclusive
from db.machine import alive, free_port, is_free, last_lines, locale
from db.server_settings import DISPOSABLE_SETTINGS, SETTINGS

LOGIN = "opstac"
SUPERUSER = "postgres"
EXTENSIONS = ("postgis", "btree_gist", "unaccent")
# sockaddr_un holds 107 bytes and a NUL
LONGEST_SOCKET_PATH = 107
READY_SECONDS = 300
STOP_SECONDS = 60
LOG_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Secrets:
    """What `cluster.json` keeps."""

    port: int
    superuser_password: str
    password: str


@dataclass(frozen=True)
class Status:
    """What a cluster is at the moment."""

    folder: Path
    exists: bool
    pid: int | None
    port: int | None
    version: str | None

    @property
    def running(self) -> bool:
        """Whether its server runs."""
        return self.pid is not None


def default_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the platform keeps its state.

    OPSTAC_HOME; else /var/lib/opstac for root, whose own folder no service account can enter, and
    `opstac` in the user's data folder for anybody else.
    """
    if environ.get("OPSTAC_HOME"):
        return Path(environ["OPSTAC_HOME"]).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/opstac")
    data = environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "opstac"


def default_cluster() -> Cluster:
    """The cluster of `default_home()`, started or not."""
    return Cluster(default_home() / "postgres")


class Cluster:
    """One private cluster. `start()` makes it at first use.

    Args:
        folder: everything of it; its parents must let the service account through when root.
        disposable: faster and not safe against a stop of the machine; its server ends with the
            thread that started it.
        binaries: the server to use; else found.
    """

    def __init__(
        self, folder: Path, *, disposable: bool = False, binaries: Binaries | None = None
    ) -> None:
        """Nothing is touched before `start()`."""
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.disposable = disposable
        self._binaries = binaries
        self._secrets_path = self.folder / "cluster.json"
        self._process: subprocess.Popen[bytes] | None = None

    # -- what it is -----------------------------------------------------------------------------

    def status(self) -> Status:
        """What it is now; starts and changes nothing."""
        exists = (self.data / "PG_VERSION").is_file()
        version = (self.data / "PG_VERSION").read_text().strip() if exists else None
        port = self._secrets().port if self._secrets_path.is_file() else None
        return Status(self.folder, exists, self._pid() if exists else None, port, version)

    def dsn(self, database: str = LOGIN) -> str:
        """The platform's connection string: a login that owns its database and is no superuser."""
        known = self._secrets()
        return f"postgresql://{LOGIN}:{known.password}@127.0.0.1:{known.port}/{database}"

    def superuser_dsn(self, database: str = "postgres") -> str:
        """For making databases, and for tests that act behind the platform's back."""
        known = self._secrets()
        return (
            f"postgresql://{SUPERUSER}:{known.superuser_password}@127.0.0.1:{known.port}/{database}"
        )

    # -- start and stop -------------------------------------------------------------------------

    def start(self) -> bool:
        """Make it where it is not, start it where it does not run, prepare its database.

        Returns: whether this call started the server.

        Raises:
            EmbeddedError: no server installed, the folder is closed to us, the server does not
                come up; `Busy` where another process is at it for more than a minute.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with exclusive(self.folder / "start.lock", "a start of the database", wait_seconds=60):
                started = False
                if self._pid() is None:
                    if not (self.data / "PG_VERSION").is_file():
                        self._create()
                    self._launch()
                    started = True
                self._prepare()
                return started
        except PermissionError as error:
            raise EmbeddedError(
                f"{error.filename or self.folder} belongs to another account. Start as the account "
                "that made it, or set OPSTAC_HOME to another folder"
            ) from None
        except OSError as error:
            raise EmbeddedError(f"the database in {self.folder}: {error}") from error

    def stop(self, *, at_once: bool = False) -> bool:
        """Stop the server: open transactions are rolled back, nothing committed is lost.

        Args:
            at_once: no checkpoint; the next start recovers, or the folder is removed.

        Returns: whether one was running.
        """
        pid = self._pid()
        if pid is None:
            self._reap()
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT if at_once else signal.SIGINT)
        deadline = time.monotonic() + STOP_SECONDS
        while alive(pid):
            self._reap()
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the database does not stop; see {self.log}")
            time.sleep(0.02)
        self._reap()
        return True

    # -- databases ------------------------------------------------------------------------------

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Make database `name`, owned by the login role; gives its connection string.

        Args:
            template: a database without connections to copy; else an empty one with the
                extensions is made.
        """
        with self._superuser() as connection:
            statement = sql.SQL("create database {} owner {} template {} strategy {}").format(
                sql.Identifier(name),
                sql.Identifier(LOGIN),
                sql.Identifier(template or "template0"),
                # a third of the time where nothing is forced to disk
                sql.SQL("file_copy" if self.disposable else "wal_log"),
            )
            connection.execute(statement)
        if template is None:
            self._add_extensions(name)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Remove database `name` and whoever is connected to it."""
        with self._superuser() as connection:
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            )

    def _superuser(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.superuser_dsn(database), autocommit=True, connect_timeout=10)

    def _prepare(self) -> None:
        """The login role, its database and the extensions, where they are not there yet."""
        with self._superuser() as connection:
            if not connection.execute(
                "select 1 from pg_roles where rolname = %s", [LOGIN]
            ).fetchone():
                # the server sees a verifier, never the password
                verifier = connection.pgconn.encrypt_password(
                    self._secrets().password.encode(), LOGIN.encode(), b"scram-sha-256"
                )
                connection.execute(
                    sql.SQL(
                        "create role {} login nosuperuser createrole nobypassrls password {}"
                    ).format(sql.Identifier(LOGIN), sql.Literal(verifier.decode()))
                )
            there = connection.execute(
                "select 1 from pg_database where datname = %s", [LOGIN]
            ).fetchone()
        if there:
            self._add_extensions(LOGIN)
        else:
            self.create_database(LOGIN)

    def _add_extensions(self, database: str) -> None:
        with self._superuser(database) as connection:
            rows = connection.execute("select extname::text from pg_extension").fetchall()
            there = {str(row[0]) for row in rows}
            for name in EXTENSIONS:
                if name not in there:
                    connection.execute(
                        sql.SQL("create extension {} schema public").format(sql.Identifier(name))
                    )

    # -- making and launching -------------------------------------------------------------------

    def _create(self) -> None:
        """Run initdb beside the place and move the result there, so that half of one never is."""
        account = service_account()
        require_reachable(self.folder, account)
        program = self._server().program("initdb")
        # initdb writes the data folder as the account; only this folder within ours is its own
        nursery = self.folder / "new"
        shutil.rmtree(nursery, ignore_errors=True)
        nursery.mkdir(mode=0o700)
        known = Secrets(free_port(), secrets.token_hex(24), secrets.token_hex(24))
        password_file = nursery / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(known.superuser_password)
        if account:
            os.chown(password_file, account.uid, account.gid)
            os.chown(nursery, account.uid, account.gid)
        made = subprocess.run(
            [
                *(program, "--pgdata", str(nursery / "data"), "--username", SUPERUSER),
                *("--pwfile", str(password_file), "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale", locale()),
                # small log files make a small folder, which is copied in no time
                *(["--no-sync", "--wal-segsize=1"] if self.disposable else []),
            ],
            capture_output=True,
            text=True,
            check=False,
            **as_account(account),
        )
        if made.returncode != 0:
            shutil.rmtree(nursery, ignore_errors=True)
            raise EmbeddedError(f"initdb failed: {last_lines(made.stderr or made.stdout)}")
        self._remember(known)
        shutil.rmtree(self.data, ignore_errors=True)
        os.rename(nursery / "data", self.data)
        shutil.rmtree(nursery, ignore_errors=True)

    def _launch(self) -> None:
        """Start the server, on another port where the remembered one has been taken."""
        require_reachable(self.folder, service_account())
        deadline = time.monotonic() + 20
        while True:
            self._clear_stale_lock()
            known = self._secrets()
            if not is_free(known.port):
                known = replace(known, port=free_port())
                self._remember(known)
            said = self._attempt(known.port)
            if said is None:
                return
            taken = "could not bind" in said or "Address already in use" in said
            # backends of a killed server may take a moment to notice
            lingering = "shared memory block" in said and "still in use" in said
            if not (taken or lingering) or time.monotonic() > deadline:
                raise EmbeddedError(f"the database did not start: {last_lines(said)}")
            time.sleep(0.2)

    def _attempt(self, port: int) -> str | None:
        """Launch once and wait until it answers; where it ends instead, what it said."""
        if self.log.is_file() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640), "ab") as log:
            begin = log.tell()
            pid = self._spawn(self._command(port), log.fileno())
        deadline = time.monotonic() + READY_SECONDS
        while self._pid_file()[-1:] != ["ready"]:
            self._reap()
            if not alive(pid):
                return self.log.read_bytes()[begin:].decode(errors="replace") or "no message"
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the database is not up after {READY_SECONDS} s: {self.log}")
            time.sleep(0.02)
        return None

    def _spawn(self, command: list[str], log: int) -> int:
        """Start `command` in a session of its own, away from the terminal's Ctrl-C; gives its pid.

        A disposable server is our child and ends with us; a lasting one must outlive us, so a shell
        starts it in the background and leaves.
        """
        options = as_account(service_account())
        if not self.disposable:
            started = subprocess.run(
                ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                check=True,
                **options,
            )
            return int(started.stdout)
        tie = shutil.which("setpriv")
        process = subprocess.Popen(
            [tie, "--pdeathsig", "INT", "--", *command] if tie else command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **options,
        )
        self._process = process
        return process.pid

    def _command(self, port: int) -> list[str]:
        """The server with all our settings on its command line: the code is their only source."""
        socket_path = f"{self.data}/.s.PGSQL.{port}"
        fits = len(os.fsencode(socket_path)) <= LONGEST_SOCKET_PATH
        settings = {
            **SETTINGS,
            **(DISPOSABLE_SETTINGS if self.disposable else {}),
            "port": str(port),
            # beyond the limit there is only TCP, which is all that our connection strings use
            "unix_socket_directories": str(self.data) if fits else "",
        }
        pairs = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self._server().program("postgres"), "-D", str(self.data), *pairs]

    def _server(self) -> Binaries:
        """The server of the data folder's version, or the newest where there is none yet."""
        if self._binaries is None:
            marker = self.data / "PG_VERSION"
            major = int(marker.read_text()) if marker.is_file() else None
            self._binaries = find_binaries(major)
        return self._binaries

    # -- what is known of it --------------------------------------------------------------------

    def _secrets(self) -> Secrets:
        try:
            return Secrets(**json.loads(self._secrets_path.read_text()))
        except FileNotFoundError:
            raise EmbeddedError(
                f"there is no database in {self.folder}; `opstac db start` makes one"
            ) from None
        except PermissionError:
            raise EmbeddedError(f"{self._secrets_path} belongs to another account") from None

    def _remember(self, known: Secrets) -> None:
        """Write `cluster.json`, whole or not at all."""
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=".cluster")
        with open(descriptor, "w", encoding="utf-8") as handle:
            json.dump(asdict(known), handle)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(name, self._secrets_path)

    def _pid_file(self) -> list[str]:
        """The lines of `postmaster.pid`: pid, folder, start time, port, …, state."""
        try:
            text = (self.data / "postmaster.pid").read_text()
        except FileNotFoundError:
            return []
        return [line.strip() for line in text.splitlines()]

    def _pid(self) -> int | None:
        """The running server's process, or None; a stale file, or a pid since reused, is None."""
        lines = self._pid_file()
        if not lines or not lines[0].lstrip("-").isdigit():
            return None
        pid = abs(int(lines[0]))
        if not alive(pid):
            return None
        try:
            # a server's working folder is its data folder
            return pid if os.path.samefile(f"/proc/{pid}/cwd", self.data) else None
        except FileNotFoundError:
            return pid if not Path("/proc/self").exists() else None
        except PermissionError:
            return None

    def _clear_stale_lock(self) -> None:
        """Remove the lock files of a server that is gone.

        The server does so itself unless the pid is another process's by now, as after the restart
        of a container; then it would refuse to start.
        """
        if self._pid_file() and self._pid() is None:
            for path in [self.data / "postmaster.pid", *self.data.glob(".s.PGSQL.*")]:
                path.unlink(missing_ok=True)

    def _reap(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._process = None
