"""Text and JSON of a command line, checked before anything is called."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

Fault = argparse.ArgumentTypeError


def text(word: str) -> str:
    """The word, if it is text. Raises ArgumentTypeError for bytes that are not UTF-8."""
    if not is_text(word):
        raise Fault("not UTF-8")
    return word


def is_text(word: str) -> bool:
    """False where bytes of the command line were no UTF-8, or JSON had half a character."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def whole(word: str) -> int:
    """A whole number."""
    try:
        return int(word)
    except ValueError:
        raise Fault(f"not a whole number: {short(word)}") from None


def number(word: str) -> float:
    """A number; neither infinite nor NaN, which JSON does not have."""
    try:
        found = float(word)
    except ValueError:
        raise Fault(f"not a number: {short(word)}") from None
    if not math.isfinite(found):
        raise Fault(f"not a number that JSON has: {short(word)}")
    return found


def json_text(word: str) -> Any:
    """JSON given as text, as @FILE, or as - for standard input. Raises ArgumentTypeError."""
    where = ""
    try:
        if word == "-":
            where = "standard input: "
            content = sys.stdin.buffer.read() if sys.stdin else b""
        elif word.startswith("@"):
            where = f"{word[1:]}: "
            content = Path(word[1:]).read_bytes()
        else:
            content = word.encode()
        found = json.loads(content, parse_constant=_constant)
        # what cannot be sent is a mistake here, and not a failure there
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except OSError as error:
        raise Fault(f"{where}{error.strerror}") from None
    except RecursionError:
        raise Fault(f"{where}nested too deeply") from None
    except UnicodeError:
        raise Fault(f"{where}not UTF-8") from None
    except ValueError as error:
        raise Fault(f"{where}not JSON: {error}") from None
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def short(word: str, length: int = 60) -> str:
    """The word quoted, cut where it is long."""
    return repr(word if len(word) <= length else word[:length] + "…")
