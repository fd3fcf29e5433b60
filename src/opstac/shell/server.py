"""The platform that a command calls and the credential for it; its failures in words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from opstac import variables
from opstac.client.errors import fault_line
from opstac.client.values import is_token
from opstac.shell.credentials import Credential, Store, platform
from opstac.shell.status import LATER, MEND, REFUSED, CommandError
from opstac.shell.tables import clean

if TYPE_CHECKING:
    import httpx

    from opstac.client import Geopera, OperationError

T = TypeVar("T")
TIMEOUT_SECONDS = 600
# somebody waits at the prompt, and nobody may be there
RETRIES = 2


class Refusal(CommandError):
    """The platform refused; shown as `Error: [404] item not found`."""

    prefix = "Error: "


class Server:
    """A platform and how to be known to it.

    The credential is OPSTAC_TOKEN (else GEOPERA_API_TOKEN), which is for the platform of
    OPSTAC_URL where that is set too; else what `opstac login` kept for this very platform.
    """

    def __init__(self, asked: str | None = None, environ: Mapping[str, str] = os.environ) -> None:
        """`asked`: the platform of `--server`; else that of the environment or the last login."""
        self.store = Store()
        named = variables.named_server_url(environ)
        self.url = platform(asked or named or self.store.current() or variables.SERVER.default)
        given = variables.server_token(environ)
        if given is not None and named is not None and platform(named) != self.url:
            given = None  # made for another one
        self.from_environment = given is not None
        if given is not None and not is_token(given):
            raise CommandError("OPSTAC_TOKEN holds what no token has: a blank, or no ASCII")
        self._given = given

    def owns(self, url: str) -> bool:
        """Whether an address is of this platform, so that its credential may be sent there."""
        return url == self.url or url.startswith((f"{self.url}/", f"{self.url}?"))

    @property
    def token(self) -> str | None:
        """The token to call with, renewed where it has ended; None for none."""
        if self._given is not None:
            return self._given
        kept = self.store.get(self.url)
        if kept is not None and kept.is_stale():
            kept = self.renew(kept)
        return kept.token if kept is not None else None

    def renew(self, old: Credential) -> Credential | None:
        """A new token in place of `old`; None where the session has ended."""
        from opstac.shell import sign_in

        with self.store.alone():
            kept = self.store.get(self.url)
            if kept is not None and kept.token != old.token:
                return kept  # another command was faster
            found = sign_in.renewed(self.url, old)
            if found is not None:
                self.store.put(self.url, found)
            return found

    def credential(self, refused: str | None = None) -> str | None:
        """The token to call with; where one was refused, another, if there is one."""
        from opstac.client.connection import checked_token

        kept = None
        if refused is not None and not self.from_environment:
            kept = self.store.get(self.url)
        if kept is None:
            token = self.token
        else:
            new = kept if kept.token != refused else self.renew(kept)
            token = new.token if new is not None else None
        try:
            return checked_token(token)
        except ValueError as error:
            raise CommandError(f"{self.url}: {error}; see OPSTAC_TOKEN") from None

    def client(self) -> Geopera:
        """A client with the credential, renewed at whichever request it has ended."""
        from opstac.client import Geopera

        try:
            return Geopera(
                self.credential, self.url, timeout_seconds=TIMEOUT_SECONDS, retries=RETRIES
            )
        except ValueError as error:
            raise CommandError(f"{self.url}: {error}; see OPSTAC_URL and OPSTAC_TOKEN") from None

    def calling(self, work: Callable[[Geopera], T]) -> T:
        """What `work` gives with a client.

        Raises:
            Refusal: the platform refused.
            CommandError: it does not answer, or not as a platform does.
        """
        with self.failures(), self.client() as client:
            return work(client)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turns what a client raises into a line and a status."""
        import httpx

        from opstac.client import OperationError

        try:
            yield
        except OperationError as error:
            raise self.refusal(error) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise no_answer(self.url, error) from None
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            if isinstance(error, ValueError) and not isinstance(
                error, json.JSONDecodeError | UnicodeDecodeError
            ):
                raise  # a word of the user's
            # an answer has not what every platform's has
            raise no_platform(self.url) from error

    def refusal(self, error: OperationError) -> CommandError:
        """A refusal in words: a line, and for a 422 one for each place that is wrong."""
        detail = error.problem.get("detail")
        if isinstance(detail, str) and detail.lstrip().startswith("<"):
            return no_platform(self.url)
        status = status_of(error.status)
        if error.status < 400:
            return no_platform(self.url)
        title = error.problem.get("title") or "refused"
        if not isinstance(detail, list):
            lines = [f"[{error.status}] {clean(str(detail or title))}"]
        else:
            lines = [f"[{error.status}] {clean(str(title))}"]
            lines += [f"  {clean(fault_line(fault))}" for fault in detail]
        if error.status == 401:
            lines.append(self.advice())
        return Refusal("\n".join(lines), status)

    def advice(self) -> str:
        """What helps where the platform does not know the caller."""
        if self.from_environment:
            return "  the token of OPSTAC_TOKEN (or GEOPERA_API_TOKEN) does not hold there"
        if self.store.get(self.url) is not None:
            return f"  the session has ended: `opstac login --server {self.url}`"
        return f"  sign in with `opstac login --server {self.url}`, or set OPSTAC_TOKEN"


def status_of(http_status: int) -> int:
    """The exit status for what HTTP says."""
    if http_status in (429, 503):
        return LATER
    return MEND if http_status >= 500 else REFUSED


def no_answer(url: str, error: Exception) -> CommandError:
    """Nobody is there, or the line broke."""
    said = clean(str(error)) or type(error).__name__
    return CommandError(f"{url} does not answer: {said}; see OPSTAC_URL")


def no_platform(url: str) -> CommandError:
    """Something answers, but not as a platform does."""
    return CommandError(f"{url} answers, but not as a platform does; see OPSTAC_URL")


def answered(url: str, answer: httpx.Response) -> dict[str, Any]:
    """The object of JSON that was answered. Raises CommandError for anything else."""
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        raise no_platform(url) from None
    if not isinstance(found, dict):
        raise no_platform(url)
    return found
