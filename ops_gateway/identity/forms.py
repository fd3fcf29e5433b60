"""Forms that only our own pages can send: a token that belongs to the browser's cookie.

The token is HMAC-SHA256 of the cookie's value, so nothing is kept for it, and who cannot read the
cookie cannot make one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

LARGEST = 16 << 10
MOST_FIELDS = 40


class BadForm(Exception):
    """The body is no form, or holds a field twice; the message says which."""


def parse(body: bytes, content_type: str) -> dict[str, str]:
    """The fields of an `application/x-www-form-urlencoded` body. Raises BadForm."""
    kind = content_type.partition(";")[0].strip().lower()
    if body and kind != "application/x-www-form-urlencoded":
        raise BadForm("the body must be application/x-www-form-urlencoded")
    return parse_query(body)


def parse_query(query: bytes) -> dict[str, str]:
    """The fields of a query. Raises BadForm."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise BadForm("the fields are not UTF-8, percent-encoded, or there are too many") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise BadForm("a field stands twice")
        fields[name] = value
    return fields


class Forms:
    """Makes and knows the tokens."""

    def __init__(self, key: bytes) -> None:
        """`key`: 32 secret bytes."""
        self._key = key

    def token(self, cookie: str) -> str:
        """What a form carries for a browser with this cookie."""
        mac = hmac.new(self._key, cookie.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    def holds(self, cookie: str, token: str) -> bool:
        """Whether a form came from a page that was made for this browser."""
        return bool(cookie) and hmac.compare_digest(
            self.token(cookie).encode(), token.encode("utf-8", "replace")
        )


def own_page(headers: Mapping[str, str], base_url: str) -> bool:
    """Whether the browser says that a form was sent by our own page, or says nothing of it."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin in (None, "null") or _origin(origin) == _origin(base_url)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def local_path(text: str | None, default: str) -> str:
    """A path of this server to go on to; `default` for anything that could lead elsewhere."""
    if not text or len(text) > 2000 or not text.startswith("/") or text.startswith("//"):
        return default
    if "\\" in text or any(ord(letter) < 0x21 or ord(letter) > 0x7E for letter in text):
        return default
    return text
