"""The account that owns the private cluster: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from db.binaries import EmbeddedError

ACCOUNT = "opstac"


@dataclass(frozen=True)
class Account:
    """A system account that root hands the cluster to."""

    uid: int
    gid: int
    name: str


def service_account() -> Account | None:
    """The account for the cluster: as root the system user `opstac`, made if need be; else None.

    Raises:
        EmbeddedError: root, and the account neither exists nor can be made.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        entry = make_account()
    if entry.pw_uid == 0:
        raise EmbeddedError(f"the account {ACCOUNT} is root; PostgreSQL needs another")
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def make_account() -> pwd.struct_passwd:
    """Add the system user; gives its entry."""
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    problem = "useradd is not installed"
    if useradd:
        made = subprocess.run(
            [
                *(useradd, "--system", "--user-group", "--no-create-home"),
                *("--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", ACCOUNT),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        problem = made.stderr.strip()
    try:
        # also when another process made it meanwhile
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise EmbeddedError(
            f"the system account {ACCOUNT} for the database cannot be made: {problem}. "
            "Add it by hand, or start as an ordinary user"
        ) from None


class ChildOptions(TypedDict, total=False):
    """Arguments of `subprocess` that make a child another account's."""

    cwd: str
    env: dict[str, str]
    umask: int
    user: int
    group: int
    extra_groups: list[int]


def as_account(account: Account | None) -> ChildOptions:
    """Arguments of `subprocess` that run a child as `account`, in a neutral place.

    The child gets no variable of ours: PGPORT and its like would change what the server does.
    """
    options: ChildOptions = {
        "cwd": "/",
        "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": "/nonexistent"},
        "umask": 0o077,
    }
    if account:
        options["user"], options["group"] = account.uid, account.gid
        options["extra_groups"] = []
    return options


def require_reachable(folder: Path, account: Account | None) -> None:
    """Check that `account` may enter `folder`.

    Raises:
        EmbeddedError: a parent is closed to it, as /root is.
    """
    if account is None:
        return
    for place in [*reversed(folder.parents), folder]:
        entered = subprocess.run(["test", "-x", str(place)], check=False, **as_account(account))
        if entered.returncode != 0:
            raise EmbeddedError(
                f"the account {account.name} cannot enter {place}, so the database cannot be kept "
                f"in {folder}. Set OPSTAC_HOME to a folder that it can reach, such as "
                "/var/lib/opstac"
            )
