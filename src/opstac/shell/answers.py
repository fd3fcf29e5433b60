"""How an answer is shown: a table on a terminal, JSON in a pipe, lines of JSON, or a file."""

from __future__ import annotations

import codecs
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from opstac.client.files import replaced
from opstac.shell import tables
from opstac.shell.status import CommandError

INDENT = 2


def show(found: Any, form: str | None, output: str | None) -> None:
    """Print an answer, or write it to the file `output`.

    Args:
        found: what was answered: of JSON, or bytes.
        form: `json`, `table`, `ndjson`, or None for what suits where it goes.

    Raises:
        CommandError: bytes for a terminal, or a file that cannot be written.
    """
    if isinstance(found, bytes):
        if form is not None and found:
            raise CommandError(f"the answer is not JSON; leave --{form} out")
        save_or_write([found], output)
    elif form == "ndjson":
        save_or_write((line_of(one) for one in members(found)), output)
    elif output is None and (form == "table" or (form is None and is_terminal())):
        table = tables.render(found, shutil.get_terminal_size().columns)
        print(table if table is not None else terminal_json(found))
    elif output is None and is_terminal():
        print(terminal_json(found))
    else:
        text = json.dumps(found, indent=INDENT, ensure_ascii=False, default=str)
        save_or_write([text.encode(errors="backslashreplace") + b"\n"], output, plain=True)


def is_terminal() -> bool:
    """Whether standard output is one."""
    return sys.stdout is not None and sys.stdout.isatty()


def terminal_json(found: Any) -> str:
    """JSON that nothing in it can steer a terminal with, in letters that it can show."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(found, indent=INDENT, ensure_ascii=ascii_only, default=str)
    return "".join(
        letter
        if letter == "\n" or tables.unicodedata.category(letter) not in tables.STEERING
        else f"\\u{ord(letter):04x}"
        for letter in text
    )


def members(found: Any) -> Iterable[Any]:
    """What of an answer is a line each: its one list, or itself."""
    if isinstance(found, list):
        return found
    name = tables.list_of(found) if isinstance(found, Mapping) else None
    return found[name] if name is not None else [found]


def line_of(found: Any) -> bytes:
    """One line of JSON."""
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.encode(errors="backslashreplace") + b"\n"


def save_or_write(parts: Iterable[bytes], output: str | None, *, plain: bool = False) -> None:
    """Bytes to a file or standard output, as they come.

    Args:
        plain: it is text, which a terminal may show.
    """
    if output is not None:
        save(parts, output)
        return
    if not plain and is_terminal():
        parts = text_only(parts)
    stream = raw_output()
    for part in parts:
        stream.write(part)
        stream.flush()


def text_only(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts, as long as a terminal can show them."""
    decoder = codecs.getincrementaldecoder("utf-8")()  # a letter may be cut in two
    for part in parts:
        try:
            steering = any(
                tables.unicodedata.category(c) in tables.STEERING and c not in "\n\r\t"
                for c in decoder.decode(part)
            )
        except UnicodeDecodeError:
            steering = True
        if steering:
            raise CommandError("the answer is not text; add --output FILE")
        yield part


def raw_output() -> BinaryIO:
    """Standard output for bytes. Raises CommandError where it is closed."""
    if sys.stdout is None:
        raise CommandError("standard output is closed: there is nowhere to write to")
    sys.stdout.flush()
    return sys.stdout.buffer


def save(parts: Iterable[bytes], output: str) -> None:
    """Write a file: whole under its name, or not at all."""
    size = 0
    try:
        with replaced(output) as file:
            for part in parts:
                file.write(part)
                size += len(part)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise CommandError(f"{tables.clean(output)}: {said}") from None
    print(f"{tables.clean(output)}: {size} bytes", file=sys.stderr)
