"""The flow of an upload: open a session, send each file from where it stands, complete it.

A lost connection is taken up at the byte that the server has, and so is the upload of a process
that was killed: what it began is found by `opstac.client.resume`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, TypedDict

import httpx

from opstac.client.calls import LATEST, SOONEST, operation, pause_until
from opstac.client.connection import Connection, Unreachable, log_retry, read, told
from opstac.client.errors import OperationError, UploadFailed
from opstac.client.progress import Bar, chosen
from opstac.client.resume import Memory, identity
from opstac.client.retry import BUSY, Policy, retry_after
from opstac.client.steps import Flow, Progress, Send, SendFile, Sleep

MEDIA_TYPE = "image/tiff"
STUBBORN = Policy(retries=9, first_wait=0.5, longest_wait=30)
"""Tries without a byte of progress; the server takes a minute to give up on a lost connection."""
RENEWALS = 3
"""Addresses that are asked for in a row where each is refused."""
COMPLETING_SECONDS = 900
ENDS_IT = (402, 410, 413, 415, 422)
"""Refusals of bytes that no other try would change; the session is of no use any more."""


class Options(TypedDict, total=False):
    """What may be said of an upload, all by name.

    Attributes:
        name: of the item; by default the first file's.
        description: of the item.
        datetime: when it was taken, or else:
        start_datetime: when that began, and
        end_datetime: when it ended.
        properties: more of the item, as STAC names it.
        stac_id: the item's id in its collection.
        collection_id: where the item goes.
        item_id: an item that is there, to which the files are added.
        asset_key: of the one file.
        files: `{file_name, asset_key, band_names}` for each file.
        is_categorical: its values are classes.
        progress: told (bytes sent, bytes in all); by default a bar where standard error is a
            terminal; False is nothing.
        resume: keep a note outside of this process to go on with; by default yes.
        timeout: seconds to wait for a large file's conversion; by default until its end; 0: do not
            wait, the answer has no items then.
    """

    name: str | None
    description: str | None
    datetime: str | date | None
    start_datetime: str | date | None
    end_datetime: str | date | None
    properties: Mapping[str, Any] | None
    stac_id: str | None
    collection_id: str | None
    item_id: str | None
    asset_key: str | None
    files: Sequence[Mapping[str, Any]] | None
    is_categorical: bool | None
    progress: Progress | bool | None
    resume: bool
    timeout: float | None


OF_SESSION = {
    "item_id": "target_item_id",
    "collection_id": "target_collection_id",
    "asset_key": "asset_key",
    "is_categorical": "is_categorical",
}
OF_US = ("progress", "resume", "timeout")
Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Plan:
    """What to send: the files, and the inputs of uploads.initiate and uploads.complete."""

    files: Sequence[Path]
    session: Mapping[str, Any]
    outcome: Mapping[str, Any]
    progress: Progress | None
    resume: bool
    timeout: float | None

    def close(self) -> None:
        """End the bar, where there is one."""
        if isinstance(self.progress, Bar):
            self.progress.close()


def planned(paths: Paths, project_id: str, options: Options) -> Plan:
    """A checked plan.

    Raises:
        OSError: a file cannot be read.
        TypeError: there is no option of that name.
        ValueError: there is no file, one is empty, or two have the same name.
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(one) for one in paths]
    if not files:
        raise ValueError("there is no file to upload")
    if len({file.name for file in files}) < len(files):
        raise ValueError("two files of one upload have the same name")
    total = 0
    for file in files:
        with file.open("rb"):
            size = file.stat().st_size
        if size == 0:
            raise ValueError(f"{file} is empty")
        total += size
    said: dict[str, Any] = {n: v for n, v in options.items() if v is not None and n not in OF_US}
    if unknown := said.keys() - Options.__annotations__.keys():
        raise TypeError(f"an upload has no option {', '.join(sorted(unknown))}")
    session = {
        "project_id": project_id,
        "transfer_method": "cli",
        "file_count": len(files),
        "total_bytes": total,
        **{OF_SESSION[name]: value for name, value in said.items() if name in OF_SESSION},
    }
    outcome = {name: value for name, value in said.items() if name not in OF_SESSION}
    label = files[0].name if len(files) == 1 else f"{len(files)} files"
    progress = chosen(options.get("progress"), label)
    return Plan(
        files, session, outcome, progress, options.get("resume", True), options.get("timeout")
    )


def put(at: Connection, url: str, path: Path, media_type: str) -> Flow[None]:
    """PUT a whole file to a signed address.

    Raises:
        OperationError: it was refused.
        httpx.TransportError: the connection broke.
    """
    headers = at.headers_without_credential(**{"Content-Type": media_type})
    size = path.stat().st_size
    sent = yield from _tried(SendFile(at.check_signed(url), path, 0, size, headers, _nobody))
    if isinstance(sent, Unreachable):
        raise sent
    read("PUT", sent)


def _nobody(sent: int) -> None:
    """Is told and does nothing."""


def uploaded(at: Connection, plan: Plan) -> Flow[dict[str, Any]]:
    """Bring the files in; the answer of uploads.complete: `upload`, `items` and `assets`.

    A refusal of what is said of the item leaves the session open: said rightly, the same files
    need not be sent again.

    Raises:
        OperationError: the server refused.
        UploadFailed: the session ended without an item, or a file changed while it was sent.
        WaitTimeout: a large file is still being converted after `timeout`.
    """
    same = identity(at.base_url, plan.files, [plan.session])
    memory = Memory(same if plan.resume else None)
    session = yield from _open(at, plan, memory)
    if session["status"] in ("pending", "uploading"):
        try:
            yield from _send_all(at, plan, session["id"])
        except UploadFailed as error:
            reason = str(error)
            memory.forget()
            yield from _give_up(at, session["id"], reason)
            raise
        except OperationError as error:
            if error.status in ENDS_IT:
                memory.forget()
                yield from _give_up(at, session["id"], error.reason)
            raise
    if session["status"] != "completed":
        session = yield from _complete(at, plan, session["id"], memory)
        if "items" in session:
            memory.forget()
            return session
        session = yield from _converted(at, session["upload"], plan.timeout)
    memory.forget()
    return (yield from _result(at, session))


def _open(at: Connection, plan: Plan, memory: Memory) -> Flow[dict[str, Any]]:
    """The session: a new one, or that of an earlier process where it is still of use."""
    if memory.resumed:
        try:
            begun = yield from _initiate(at, plan, memory)
            # that was the answer of then
            found = yield from operation(at, "uploads.get", {"upload_id": begun["id"]})
            if found["upload"]["status"] not in ("failed", "expired"):
                return found["upload"]
        except OperationError as error:
            if error.status not in (404, 409):
                raise
        memory.anew()
    return (yield from _initiate(at, plan, memory))


def _initiate(at: Connection, plan: Plan, memory: Memory) -> Flow[dict[str, Any]]:
    key = memory.key("initiate")
    return (yield from operation(at, "uploads.initiate", plan.session, key=key))


def _complete(at: Connection, plan: Plan, upload_id: str, memory: Memory) -> Flow[dict[str, Any]]:
    """The answer; only `upload` where the file is being converted."""
    answer: dict[str, Any] = yield from operation(
        at,
        "uploads.complete",
        {"upload_id": upload_id, **plan.outcome},
        key=memory.key("complete"),
        timeout=COMPLETING_SECONDS,
        policy=_stubborn(at),
        begun=memory.resumed,
    )
    if answer["upload"]["status"] == "processing" and plan.timeout != 0:
        return {"upload": answer["upload"]}
    return answer


def _converted(
    at: Connection, session: dict[str, Any], timeout: float | None
) -> Flow[dict[str, Any]]:
    """The session once its files are rewritten."""
    begin, pause = time.monotonic(), SOONEST
    while session["status"] == "processing":
        still = f"upload {session['id']} is still being converted"
        yield from pause_until(begin, timeout, pause, still)
        pause = min(pause * 1.5, LATEST)
        body = {"upload_id": session["id"]}
        session = (yield from operation(at, "uploads.get", body, policy=_stubborn(at)))["upload"]
    if session["status"] != "completed":
        raise UploadFailed(str(session.get("error_message") or session["status"]), session)
    return session


def _result(at: Connection, session: dict[str, Any]) -> Flow[dict[str, Any]]:
    """What uploads.complete would have answered."""
    items: list[Any] = []
    for item_id in session["item_ids"]:
        items.append((yield from operation(at, "items.get", {"item_id": item_id}))["item"])
    assets = [asset for item in items for asset in item.get("assets") or ()]
    return {"upload": session, "items": items, "assets": assets}


def _give_up(at: Connection, upload_id: str, why: str) -> Flow[None]:
    """Give back the room that the session holds; where that fails it expires."""
    body = {"upload_id": upload_id, "error_message": why or "refused", "error_step": "send"}
    with suppress(OperationError, httpx.TransportError):
        yield from operation(at, "uploads.fail", body)


def _send_all(at: Connection, plan: Plan, upload_id: str) -> Flow[None]:
    total: int = plan.session["total_bytes"]
    before = 0

    def tell(sent: int) -> None:
        if plan.progress is not None:
            plan.progress(min(before + sent, total), total)

    for file in plan.files:
        found = file.stat()
        yield from send_one(at, file, found.st_size, upload_id, tell)
        now = file.stat()
        if (now.st_size, now.st_mtime_ns) != (found.st_size, found.st_mtime_ns):
            raise UploadFailed(f"{file} changed while it was sent")
        tell(found.st_size)
        before += found.st_size


def send_one(
    at: Connection, file: Path, size: int, upload_id: str, tell: Callable[[int], None]
) -> Flow[None]:
    """Send a file from where it stands, until the server has it whole."""
    policy = _stubborn(at)
    body = {"upload_id": upload_id, "file_name": file.name, "content_type": MEDIA_TYPE}
    tries, reached = 0, 0
    while True:
        # each time anew: an address is good for some minutes
        place = yield from operation(at, "uploads.signed_url", body, policy=policy)
        url = at.check_signed(place["upload_url"])
        sent = yield from _tried(Send("HEAD", url, at.headers_without_credential()))
        if isinstance(sent, httpx.Response) and sent.is_success:
            offset = _offset(sent, file, size)
            if offset is None:
                return
            if offset > reached:
                tries, reached = 0, offset
            tell(offset)
            last = f"bytes {offset}-{size - 1}/{size}"
            headers = at.headers_without_credential(
                **{"Content-Type": MEDIA_TYPE, "Content-Range": last}
            )
            sent = yield from _tried(SendFile(url, file, offset, size, headers, tell))
            if isinstance(sent, httpx.Response) and sent.status_code == 201:
                return
        tries += 1
        wait, why = _pause(policy, tries, sent, file.name)
        log_retry(f"sending {file.name}", why, wait, tries, policy)
        yield Sleep(wait)


def _tried(step: Send | SendFile) -> Flow[httpx.Response | Unreachable]:
    """What came of a step; a lost connection is no end."""
    failure: httpx.TransportError | None = None
    response: httpx.Response | None = None
    try:
        response = yield step
    except httpx.TransportError as error:
        failure = error
    return response if response is not None else told(failure or httpx.TransportError(""))


def _offset(response: httpx.Response, file: Path, size: int) -> int | None:
    """From where on the file is to be sent; None where the server has it whole."""
    text = response.headers.get("upload-offset", "")
    offset = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0
    if response.headers.get("upload-complete") == "?1":
        if offset != size:
            raise UploadFailed(f"the server has {offset} bytes of {file.name}, which has {size}")
        return None
    # all bytes and not complete: it could not be taken at its end, and no piece is left to send
    return offset if offset < size else 0


def _pause(
    policy: Policy, tries: int, sent: httpx.Response | Unreachable, name: str
) -> tuple[float, str]:
    """(seconds until the next try, why there is one); raises where there is none."""
    if isinstance(sent, Unreachable):
        wait = policy.pause(tries)
        if wait is None:
            raise sent
        return wait, str(sent)
    asked = retry_after(sent.headers)
    again = (
        sent.status_code in (*BUSY, 408)
        # somebody else writes, or we are not where we thought
        or (sent.status_code == 409 and (asked is not None or "upload-offset" in sent.headers))
        # the address has run out while we sent
        or (sent.status_code == 403 and tries <= RENEWALS)
        # the connection broke in a way that looked like an end
        or sent.status_code in (200, 400)
    )
    wait = policy.pause(tries, asked) if again else None
    if wait is None:
        read(f"sending {name}", sent)  # says why
        raise UploadFailed(f"the server takes {name} no further: {sent.status_code}")
    return wait, str(sent.status_code)


def _stubborn(at: Connection) -> Policy:
    """How long an upload holds on; not at all for who wants no repetitions."""
    return replace(STUBBORN, retries=STUBBORN.retries if at.policy.retries else 0)
