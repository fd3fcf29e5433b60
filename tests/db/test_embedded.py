"""The private cluster: made, started, stopped, killed, moved out of the way; as root or not."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from db.binaries import EmbeddedError, ServerMissing, find_binaries
from db.disposable import PREFIX, disposable_cluster, migrated_cluster, sweep
from db.embedded import Cluster, default_home
from db.locks import Busy, exclusive


@pytest.fixture
def folder() -> Iterator[Path]:
    # pytest's own temporary folders are closed to the account that root hands the cluster to
    made = Path(tempfile.mkdtemp(prefix="opstac-test-"))
    made.chmod(0o755)
    yield made
    with suppress(EmbeddedError, OSError):
        Cluster(made / "postgres").stop(at_once=True)
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Cluster]:
    """A cluster of the kind that `demo` has, running; a test leaves it running."""
    made = Path(tempfile.mkdtemp(prefix="opstac-test-"))
    made.chmod(0o755)
    cluster = Cluster(made / "postgres")
    assert cluster.start() is True
    yield cluster
    cluster.stop(at_once=True)
    shutil.rmtree(made)


def ask(dsn: str, query: str) -> list[tuple]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def test_its_login_owns_its_database_and_is_no_superuser(lasting: Cluster):
    rows = ask(
        lasting.dsn(),
        "select rolsuper, rolcreaterole, rolbypassrls, rolreplication,"
        " pg_get_userbyid(d.datdba)::text"
        " from pg_roles, pg_database d where rolname = current_user and datname = 'opstac'",
    )
    assert rows == [(False, True, False, False, "opstac")]
    names = {row[0] for row in ask(lasting.dsn(), "select extname::text from pg_extension")}
    assert names == {"plpgsql", "postgis", "btree_gist", "unaccent"}
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(lasting.dsn(), "create role x superuser")


def test_it_keeps_what_it_was_told(lasting: Cluster):
    shown = {
        name: ask(lasting.dsn(), f"show {name}")[0][0]
        for name in ("fsync", "full_page_writes", "listen_addresses", "password_encryption")
    }
    assert shown == {
        "fsync": "on",
        "full_page_writes": "on",
        "listen_addresses": "127.0.0.1",
        "password_encryption": "scram-sha-256",
    }


def test_no_password_no_entry(lasting: Cluster):
    for user in ("postgres", "opstac"):
        port = lasting.status().port
        for host in ("127.0.0.1", str(lasting.data)):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(host=host, port=port, user=user, dbname="postgres")


def test_it_is_not_root_s_and_closed_to_others(lasting: Cluster):
    assert lasting.data.stat().st_uid != 0
    assert lasting.data.stat().st_mode & 0o077 == 0
    assert (lasting.folder / "cluster.json").stat().st_mode & 0o077 == 0
    pid = lasting.status().pid
    assert Path(f"/proc/{pid}").stat().st_uid == lasting.data.stat().st_uid
    password = json.loads((lasting.folder / "cluster.json").read_text())["superuser_password"]
    command = Path(f"/proc/{pid}/cmdline").read_text()
    assert password not in command and password not in lasting.log.read_text()


def test_a_second_start_finds_it_running(lasting: Cluster):
    pid = lasting.status().pid
    again = Cluster(lasting.folder)
    assert again.start() is False
    assert again.status().pid == pid and again.dsn() == lasting.dsn()


def test_it_outlives_whoever_started_it_and_keeps_what_was_committed(lasting: Cluster):
    lasting.stop()
    script = (
        "import sys; from pathlib import Path; from db.embedded import Cluster;"
        "Cluster(Path(sys.argv[1])).start()"
    )
    subprocess.run([sys.executable, "-c", script, str(lasting.folder)], check=True)
    ask(lasting.dsn(), "create table kept as select 1 as x")
    port = lasting.status().port
    assert lasting.stop() is True and lasting.stop() is False
    assert lasting.status().running is False
    assert lasting.start() is True
    assert lasting.status().port == port
    assert ask(lasting.dsn(), "select x from kept") == [(1,)]


def test_it_recovers_from_a_kill(lasting: Cluster):
    ask(lasting.dsn(), "create table survivor as select 7 as x")
    pid = lasting.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while lasting.status().running:
        time.sleep(0.01)
    assert lasting.start() is True
    assert ask(lasting.dsn(), "select x from survivor") == [(7,)]


def test_a_lock_file_with_another_process_s_number_does_not_stop_it(lasting: Cluster):
    lasting.stop()
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        stale = lasting.data / "postmaster.pid"
        stale.write_text(f"{sleeper.pid}\n{lasting.data}\n0\n5432\n\n\n\nready   \n")
        assert lasting.status().running is False
        assert lasting.start() is True
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_taken_port_is_exchanged(lasting: Cluster):
    lasting.stop()
    port = lasting.status().port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        assert lasting.start() is True
        assert lasting.status().port not in (None, port)
        assert ask(lasting.dsn(), "select 1") == [(1,)]


def test_a_half_made_folder_is_made_anew(folder: Path):
    cluster = Cluster(folder / "postgres", disposable=True)
    nursery = cluster.folder / "new"
    nursery.mkdir(parents=True)
    (nursery / "rubbish").touch()
    cluster.data.mkdir()
    assert cluster.start() is True
    assert not nursery.exists()
    assert ask(cluster.dsn(), "select 1") == [(1,)]
    cluster.stop(at_once=True)


def test_a_path_too_long_for_a_socket_still_serves(folder: Path):
    deep = folder / ("long folder's name " * 4) / ("x" * 60)
    cluster = Cluster(deep / "postgres", disposable=True)
    cluster.start()
    assert ask(cluster.superuser_dsn(), "show unix_socket_directories") == [("",)]
    cluster.stop(at_once=True)


def test_data_of_another_version_is_not_touched(folder: Path):
    cluster = Cluster(folder / "postgres")
    cluster.data.mkdir(parents=True)
    (cluster.data / "PG_VERSION").write_text("9\n")
    (cluster.folder / "cluster.json").write_text(
        '{"port": 1, "superuser_password": "x", "password": "y"}'
    )
    with pytest.raises(ServerMissing, match="PostgreSQL 9 with PostGIS is needed"):
        cluster.start()


def test_a_start_that_fails_says_what_the_server_said(folder: Path):
    cluster = Cluster(folder / "postgres", disposable=True)
    cluster.start()
    cluster.stop()
    configuration = cluster.data / "postgresql.conf"
    configuration.write_text(configuration.read_text() + "\nno_such_setting = 1\n")
    with pytest.raises(EmbeddedError, match="no_such_setting"):
        cluster.start()


@pytest.mark.parametrize("action", ["dsn", "superuser_dsn"])
def test_before_the_first_start_there_is_nothing_to_connect_to(folder: Path, action: str):
    cluster = Cluster(folder / "postgres")
    assert cluster.status().exists is False and cluster.stop() is False
    with pytest.raises(EmbeddedError, match="opstac db start"):
        getattr(cluster, action)()
    assert not cluster.folder.exists()


def test_a_folder_that_the_server_s_account_cannot_enter(folder: Path):
    # root passes over permissions, the account that it hands the cluster to does not
    folder.chmod(0o700 if os.geteuid() == 0 else 0o500)
    with pytest.raises(EmbeddedError, match=r"cannot enter|another account"):
        Cluster(folder / "postgres").start()
    folder.chmod(0o700)


def test_a_file_in_the_way(folder: Path):
    (folder / "postgres").touch()
    with pytest.raises(EmbeddedError, match="File exists"):
        Cluster(folder / "postgres").start()


def test_one_at_a_time(folder: Path):
    script = (
        "import sys, time; from pathlib import Path; from db.locks import exclusive\n"
        "with exclusive(Path(sys.argv[1]), 'opstac demo'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    lock = folder / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(lock)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    message = rf"opstac demo is already running here \(process {holder.pid}"
    with pytest.raises(Busy, match=message), exclusive(lock, "opstac demo"):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with exclusive(lock, "opstac demo"):
        assert lock.read_text().strip() == str(os.getpid())


def test_a_migrated_copy_is_ready_at_once_and_its_databases_are_cloned():
    with migrated_cluster() as cluster:
        first = cluster.create_database("first", template="opstac")
        schemas = "select nspname::text from pg_namespace where nspname in ('pgstac', 'opstac')"
        assert len(ask(first, schemas)) == 2
        assert ask(first, "select current_user::text") == [("opstac",)]
        cluster.drop_database("first")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(first)
        folder = cluster.folder.parent
    assert not folder.exists()


def test_two_disposable_clusters_do_not_meet():
    with migrated_cluster() as one, migrated_cluster() as two:
        assert one.status().port != two.status().port
        assert ask(one.dsn(), "select 1") == ask(two.dsn(), "select 1") == [(1,)]


def test_what_a_killed_process_leaves_is_swept():
    script = (
        "import time; from db.disposable import disposable_cluster\n"
        "with disposable_cluster() as c:\n"
        "    print(c.folder, c.status().pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    path, _, pid = process.stdout.readline().strip().rpartition(" ")
    process.kill()
    process.wait()
    process.stdout.close()
    server = Path(f"/proc/{pid}")
    for _ in range(500):
        if not server.exists() or ") Z " in (server / "stat").read_text():
            break
        time.sleep(0.02)
    else:
        raise AssertionError("the server outlived its process")
    assert Path(path).parent.name.startswith(PREFIX)
    sweep()
    assert not Path(path).parent.exists()


def test_an_empty_disposable_cluster_has_the_extensions():
    with disposable_cluster() as cluster:
        assert ask(cluster.dsn(), "select st_srid('SRID=4326;POINT(1 2)'::geometry)") == [(4326,)]
        assert ask(cluster.dsn(), "show fsync") == [("off",)]


def test_where_state_is_kept(tmp_path: Path):
    assert default_home({"OPSTAC_HOME": str(tmp_path)}) == tmp_path
    default = default_home({"XDG_DATA_HOME": "/data"})
    assert default == (Path("/var/lib/opstac") if os.geteuid() == 0 else Path("/data/opstac"))


def test_a_server_that_is_not_installed_is_named():
    with pytest.raises(ServerMissing, match="apt-get install postgresql-8 postgresql-8-postgis-3"):
        find_binaries(8)
