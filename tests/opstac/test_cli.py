"""The command line, and the script in front of it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from opstac.cli import COMMANDS, CommandError, main

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "opstac"
HEAVY = {
    "fastapi",
    "httpx",
    "numpy",
    "obstore",
    "psycopg",
    "pydantic",
    "pygeoapi",
    "rasterio",
    "starlette",
    "titiler",
    "uvicorn",
}


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]):
    script = (
        "import json, sys\n"
        "from opstac.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "print(json.dumps([name.partition('.')[0] for name in sys.modules]), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    assert "usage: opstac" in done.stdout
    assert not HEAVY & set(json.loads(done.stderr.splitlines()[-1]))


def test_every_command_has_a_line_in_the_help():
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True)
    for name in COMMANDS:
        assert re.search(rf"^ +{name}\s+\w", done.stdout, re.MULTILINE), name
    # the script tells commands from mistakes, which install nothing, by these files
    files = {path.stem for path in (ROOT / "src/opstac/commands").glob("[a-z]*.py")}
    assert files == {name.replace("-", "_") for name in COMMANDS}


def bare(tmp_path: Path, *, python: bool = True) -> dict[str, str]:
    """An environment in which nothing that could install anything is to be found."""
    tools = tmp_path / "bin"
    tools.mkdir()
    names = [
        "sh",
        "readlink",
        "sed",
        "grep",
        "cksum",
        "cut",
        "sort",
        "tr",
        "head",
        "tail",
        "mktemp",
    ]
    names += ["id", "dirname", "rm", "mkdir", "cat"]
    for name in names:
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    if python:
        # by a script: a link would not find its own library
        (tools / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (tools / "python3").chmod(0o755)
    return {"PATH": str(tools), "HOME": str(tmp_path), "OPSTAC_VENV": str(tmp_path / "venv")}


def run(env: dict[str, str], *arguments: str, script: Path = SCRIPT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [script, *arguments],
        env=env,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_help_needs_no_environment_and_makes_none(tmp_path: Path):
    env = bare(tmp_path)
    link = tmp_path / "linked"
    link.symlink_to(SCRIPT)
    for script in (SCRIPT, link):
        done = run(env, "--help", script=script)
        assert done.returncode == 0 and "usage: opstac" in done.stdout
    assert run(env, "demo", "--help").returncode == 0
    for mistake in ("no-such-command", "-", "../cli", "__init__", "DEMO"):
        assert run(env, mistake).returncode == 2
    assert run(env).returncode == 2
    assert not (tmp_path / "venv").exists()


def test_without_a_python_it_says_so(tmp_path: Path):
    done = run(bare(tmp_path, python=False), "--help")
    assert done.returncode == 1
    assert "./opstac demo" in done.stdout and "Python 3.11 or newer is needed" in done.stderr


def test_without_rights_it_says_what_to_install_and_stops(tmp_path: Path):
    env = bare(tmp_path)
    fake = tmp_path / "bin" / "python3"
    # a distribution's Python without its venv package
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"\n'
    )
    version = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    done = run(env, "setup")
    assert done.returncode == 1 and not (tmp_path / "venv").exists()
    assert "Python's venv module" in done.stderr and version in done.stderr
    # with apt, as an account that is not root and has no sudo
    (tmp_path / "bin" / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "apt-get").chmod(0o755)
    (tmp_path / "bin" / "id").unlink()
    (tmp_path / "bin" / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "bin" / "id").chmod(0o755)
    done = run(env, "setup")
    assert done.returncode == 1 and not (tmp_path / "venv").exists()
    assert re.search(rf"As root: apt-get install .*{version}", done.stderr)


def test_what_the_user_can_mend_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.setenv("OPSTAC_HOME", str(tmp_path / "nothing"))
    assert main(["db", "url"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("opstac: there is no database in") and err.count("\n") == 1
    assert main(["test"]) == 1
    assert main(["db", "status"]) == 3
    with pytest.raises(SystemExit):
        main(["no-such-command"])
    assert issubclass(CommandError, Exception)


def test_the_packages_are_the_checkout_s_own():
    script = (
        "import db, opstac, ops_gateway, processes, raster, stac_api, tiler, wire\n"
        "every = (db, opstac, ops_gateway, processes, raster, stac_api, tiler, wire)\n"
        "for package in every: print(package.__path__[0])"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd="/",
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        assert Path(line).is_relative_to(ROOT)


@pytest.mark.slow  # several processes: the fault came in one of four
def test_a_command_that_used_the_object_store_ends_in_order(dsn: str, tmp_path: Path):
    env = {
        **os.environ,
        "DATABASE_URL": dsn,
        "OPSTAC_HOME": str(tmp_path),
        "OPSTAC_SECRET_KEY": "a master secret of the tests, 32+",
    }
    argv = [sys.executable, "-P", "-m", "opstac", "verify"]
    for _ in range(3):
        started = [
            subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) for _ in range(4)
        ]
        for process in started:
            said, _ = process.communicate(timeout=60)
            assert (process.returncode, said[:13]) == (0, "nothing found")
