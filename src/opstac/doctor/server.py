"""The platform that commands call, and the credential for it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from opstac import variables
from opstac.doctor.findings import Check, Finding
from opstac.shell import sign_in
from opstac.shell.server import Server
from opstac.shell.status import CommandError

if TYPE_CHECKING:
    import httpx

CLOCK_SECONDS = 60


def check_of(asked: str | None) -> Check:
    """The check of the platform of `--server`, else of the one that commands call."""

    def platform(environ: Mapping[str, str]) -> Iterable[Finding]:
        try:
            server = Server(asked, environ)
            named = bool(asked or variables.named_server_url(environ) or server.store.current())
        except CommandError as error:
            yield Finding("bad", "platform", str(error), "set OPSTAC_URL or --server right")
            return
        yield from files(server)
        answers = False
        for finding in reached(server, named=named):
            answers = answers or finding.level == "ok"
            yield finding
        if answers:
            yield from credential(server)

    return platform


def files(server: Server) -> Iterable[Finding]:
    """The file of `opstac login`."""
    file = server.store.file
    if not file.exists():
        return
    mode = file.stat().st_mode & 0o777
    if mode & 0o077:
        yield Finding(
            "bad", "credentials", f"{file} can be read by others (mode {mode:o})",
            f"chmod 600 {file}, then `opstac logout` and `opstac login`",
        )  # fmt: skip


def reached(server: Server, *, named: bool) -> Iterable[Finding]:
    """Whether it answers, is ready, and has the same time."""
    import httpx

    try:
        answer = httpx.get(f"{server.url}/readyz", timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        said = f"{server.url} does not answer: {str(error) or type(error).__name__}"
        if named:
            yield Finding("bad", "platform", said, "see OPSTAC_URL, and that the platform runs")
        else:
            yield Finding("note", "platform", f"{said}; no other was named")
        return
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or "status" not in body:
        yield Finding(
            "bad", "platform", f"{server.url} answers, but not as a platform does",
            "see OPSTAC_URL: a proxy or another program may be there",
        )  # fmt: skip
        return
    if answer.status_code != 200:
        yield Finding(
            "bad", "platform", f"{server.url}: {body.get('detail') or answer.status_code}",
            "look at what its log says of that",
        )  # fmt: skip
    else:
        yield Finding("ok", "platform", f"{server.url} is ready")
    yield from clock(answer)


def clock(answer: httpx.Response) -> Iterable[Finding]:
    """Whether the platform's clock is ours: tokens and signatures live by it."""
    try:
        there = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (TypeError, ValueError):
        return
    drift = abs(time.time() - there)
    if drift > CLOCK_SECONDS:
        yield Finding(
            "bad", "clock", f"this machine and the platform differ by {drift:.0f} s",
            "let this machine keep time by NTP: tokens end early or are not valid yet",
        )  # fmt: skip


def credential(server: Server) -> Iterable[Finding]:
    """Whether the credential holds, whose it is, and what it may."""
    kept = None if server.from_environment else server.store.get(server.url)
    try:
        token = server.token
    except CommandError as error:
        yield Finding("bad", "credential", str(error), "`opstac login` again")
        return
    if token is None:
        if kept is not None:
            yield Finding("bad", "credential", "the session has ended", "`opstac login` again")
        else:
            said = "nobody is signed in; what is public can be called"
            yield Finding("note", "credential", said)
        return
    where = "of OPSTAC_TOKEN or GEOPERA_API_TOKEN" if server.from_environment else "of the login"
    status, said = sign_in.who(server.url, token)
    if status != 200:
        advice = "set a valid one" if server.from_environment else "`opstac login` again"
        yield Finding("bad", "credential", f"the one {where} does not hold: {status}", advice)
        return
    name = said.get("email") or said.get("name") or said.get("sub")
    organization = said.get("geopera_org_id") or "no organization"
    scopes = said.get("scope") or "none"
    yield Finding("ok", "credential", f"{where}: {name}, {organization}")
    yield Finding("ok", "scopes", str(scopes))
