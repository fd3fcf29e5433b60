"""What is checked of every request, whatever it means: that it is JSON, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

import orjson

from stac_api import geometry
from stac_api.errors import BadRequest

MAX_TEXT = 65_536
MAX_DEPTH = 64


def read_json(raw: bytes) -> Any:
    """A request body; empty is an empty object.

    Raises:
        BadRequest: not JSON; NaN, Infinity and numbers beyond a double are not JSON here.
    """
    if not raw.strip():
        return {}
    try:
        return orjson.loads(raw)
    except (orjson.JSONDecodeError, RecursionError):
        raise BadRequest("the body is not JSON") from None


def clean(value: Any, depth: int = 0) -> None:
    """Refuse what the database cannot hold or nobody means: NUL, lone surrogates, deep nesting.

    Raises:
        BadRequest: saying which.
    """
    if depth > MAX_DEPTH:
        raise BadRequest(f"the request is nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise BadRequest("the request has a text that is too long")
        if "\0" in value or not _whole_characters(value):
            raise BadRequest("the request has a text with NUL or half a character")
    elif isinstance(value, Mapping):
        for key, part in value.items():
            clean(key, depth + 1)
            clean(part, depth + 1)
    elif isinstance(value, (list, tuple)):
        for part in value:
            # long lists of coordinates: numbers need no call each
            if type(part) is not int:
                clean(part, depth + 1)
    elif isinstance(value, float) and not geometry.is_number(value):
        raise BadRequest("the request has a number that is not finite")


def _whole_characters(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def json_text(text: str, name: str) -> Any:
    """JSON in a query string, also where a client has quoted it twice. Raises: BadRequest."""
    for spelled in (text, unquote_plus(text)):
        try:
            return orjson.loads(spelled)
        except (orjson.JSONDecodeError, RecursionError, UnicodeEncodeError):
            continue
    raise BadRequest(f"{name} is not JSON")
