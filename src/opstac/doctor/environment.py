"""Python, packages, and the variables of the environment."""

from __future__ import annotations

import difflib
import importlib.util
import platform as machine
import sys
from collections.abc import Iterable, Mapping

from opstac import variables
from opstac.client.values import is_token
from opstac.doctor.findings import Finding
from opstac.shell.credentials import platform
from opstac.shell.status import CommandError

OLDEST = (3, 11)
PACKAGES = ("httpx", "psycopg", "pydantic", "rasterio", "starlette", "uvicorn")
SHORTEST_SECRET = 32
OURS = ("OPSTAC_", "BILLING_")


def python(environ: Mapping[str, str]) -> Iterable[Finding]:
    """The interpreter, and the packages that it needs for everything but `--help`."""
    said = f"{machine.python_version()} in {sys.prefix}"
    if sys.version_info < OLDEST:
        yield Finding("bad", "Python", said, "install 3.11 or newer, or set OPSTAC_PYTHON to one")
    else:
        yield Finding("ok", "Python", said)
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        yield Finding("bad", "packages", f"missing: {', '.join(missing)}", "run `./opstac setup`")
    else:
        yield Finding("ok", "packages", "there")


def set_variables(environ: Mapping[str, str]) -> Iterable[Finding]:
    """What is set and cannot be right, or is no variable of ours."""
    known = {one.name: one for group in variables.GROUPS.values() for one in group}
    wrong = 0
    for name, value in sorted(environ.items()):
        if name in known:
            fault = wrong_value(known[name], value)
            if fault:
                wrong += 1
                yield Finding("bad", name, fault, "set it right, or unset it")
        elif (rest := name.removeprefix("OPSTAC_")) != name and not rest.startswith("TEST"):
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]}?" if near else "see the reference of settings"
            wrong += 1
            yield Finding("warn", name, "is no variable that anything here reads", advice)
    if fault := mail(environ):
        wrong += 1
        yield Finding("bad", "mail", fault, "set it right, or unset OPSTAC_SMTP_HOST")
    if not wrong:
        count = sum(1 for name in environ if name in known)
        yield Finding("ok", "environment", f"{count} variables are set, and may be what they are")


def wrong_value(variable: variables.Variable[object], value: str) -> str | None:
    """What is wrong with a variable's text, without showing it where it is a secret."""
    if not value:
        return None
    name, default = variable.name, variable.default
    if isinstance(default, bool) or name == "OPSTAC_YES":
        return None if value in ("0", "1") else "must be 1 or 0"
    if isinstance(default, int):
        try:
            return None if int(value) >= 0 else f"must not be below 0: {value}"
        except ValueError:
            return f"must be a whole number, not {value!r}"
    if name == "OPSTAC_SECRET_KEY" and len(value.encode()) < SHORTEST_SECRET:
        return f"is too short: {len(value.encode())} bytes, {SHORTEST_SECRET} are needed"
    if name in ("OPSTAC_URL", "GEOPERA_API_URL", "OPSTAC_PUBLIC_URL"):
        try:
            platform(value)
        except CommandError as error:
            return str(error)
    if name == "DATABASE_URL" and not value.startswith(("postgres://", "postgresql://")):
        return "must begin with postgresql://"
    if name == "OPSTAC_STORAGE" and "://" in value and not value.startswith("s3://"):
        return "is a folder or s3://bucket/prefix"
    if name in ("OPSTAC_TOKEN", "GEOPERA_API_TOKEN") and not is_token(value):
        return "holds what no token has: a blank, a line's end, or no ASCII"
    if name == "OPSTAC_LOG_LEVEL":
        levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        return None if value.upper() in levels else f"must be one of {', '.join(levels)}"
    return None


def mail(environ: Mapping[str, str]) -> str | None:
    """What is wrong with the mail server's variables together."""
    from opstac import settings

    try:
        settings.read_smtp(environ)
    except variables.BadVariable as error:
        return str(error)
    return None
