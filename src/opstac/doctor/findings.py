"""A line of the doctor's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from opstac import variables
from opstac.shell.credentials import Store
from opstac.shell.status import CommandError
from opstac.shell.tables import clean

Level = Literal["ok", "note", "warn", "bad"]
SECRET_NAMES = ("TOKEN", "SECRET", "PASSWORD", "KEY")


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        level: `ok`; `note` where there is nothing to be done; `warn` where it works for now; `bad`
            where something does not work.
        what: what was looked at.
        said: what is the case.
        advice: what to do; nothing for `ok` and `note`.
    """

    level: Level
    what: str
    said: str
    advice: str = ""


Check = Callable[[Mapping[str, str]], Iterable[Finding]]


def run(checks: Mapping[str, Check], environ: Mapping[str, str]) -> Iterator[Finding]:
    """What the checks find, each as it comes."""
    hidden = secrets(environ)
    for name, check in checks.items():
        try:
            for finding in check(environ):
                yield without(finding, hidden)
        except Exception as error:
            said = f"this could not be looked at: {type(error).__name__}: {error}"
            yield without(Finding("bad", name, said, "see what it says"), hidden)


def secrets(environ: Mapping[str, str]) -> list[str]:
    """Values that are never shown, the longest first."""
    found = [
        value
        for name, value in environ.items()
        if any(word in name.upper() for word in SECRET_NAMES) and len(value) >= 4
    ]
    for value in environ.values():
        try:
            found.append(urlsplit(value).password or "")
        except ValueError:
            continue
    try:
        store = Store()
        for server in store.servers():
            kept = store.get(server)
            found += [kept.token, kept.refresh or ""] if kept else []
    except (CommandError, AttributeError):
        pass
    plain = {variable.default for group in variables.GROUPS.values() for variable in group}
    return sorted((one for one in found if one and one not in plain), key=len, reverse=True)


def without(finding: Finding, hidden: Iterable[str]) -> Finding:
    """The finding with nothing in it that is a secret, or that would steer a terminal."""
    said, advice = finding.said, finding.advice
    for secret in hidden:
        said, advice = said.replace(secret, "***"), advice.replace(secret, "***")
    return Finding(finding.level, finding.what, clean(said), clean(advice))
