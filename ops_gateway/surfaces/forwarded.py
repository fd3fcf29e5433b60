"""Where clients reach us by, as a proxy in front says it.

Read only where a setting says that nobody but such a proxy can send requests: whoever else can,
would decide where the links in answers lead.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?"
)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+){1,16}")
_PORTS = {"http": "80", "https": "443"}
# one parameter of RFC 7239, section 4, and what ends it
_PARAMETER = re.compile(
    r"\s*(?P<name>[A-Za-z]+)\s*=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<token>[^\s;,\"]+))"
    r"\s*(?P<end>[;,]|$)"
)


def forwarded_url(headers: Mapping[str, str], scheme: str, host: str) -> str:
    """Scheme, host and leading path that the client used, without a slash at the end.

    `Forwarded` (RFC 7239) counts where it names a protocol or a host, else `X-Forwarded-Proto`,
    `-Host` and `-Port`; of several values the first, which is the client's side. The path is
    `X-Forwarded-Prefix`, which `Forwarded` has no word for. What is malformed is not there.

    Args:
        headers: by small names.
        scheme, host: those of the request itself, for what the proxy does not say.
    """
    said = _first_element(headers.get("forwarded", ""))
    port = ""
    if not said.keys() & {"proto", "host"}:
        said = {name: _first(headers, name) for name in ("proto", "host")}
        port = _first(headers, "port")
    proto = said.get("proto", "").lower()
    scheme = proto if proto in _PORTS else scheme
    found = _HOST.fullmatch(said.get("host", ""))
    if found:
        host = found[0]
        port = port if not found["port"] else ""
    if port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 1 << 16:
        name = re.sub(r":\d+$", "", host)
        host = name if port == _PORTS[scheme] else f"{name}:{int(port)}"
    prefix = _first(headers, "prefix").rstrip("/")
    known = _PREFIX.fullmatch(prefix) and not {".", ".."} & set(prefix.split("/"))
    return f"{scheme}://{host}{prefix if known else ''}"


def forwarded_address(headers: Mapping[str, str]) -> str | None:
    """Where the proxy says a request comes from: the last of `X-Forwarded-For`.

    Proxies write theirs behind what is there, and what is there may be the client's own invention.
    """
    last = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(last))
    except ValueError:
        return None


def _first(headers: Mapping[str, str], name: str) -> str:
    return headers.get(f"x-forwarded-{name}", "").split(",")[0].strip()


def _first_element(text: str) -> dict[str, str]:
    """The parameters of the proxy nearest to the client; none if they cannot be read."""
    found: dict[str, str] = {}
    place = 0
    while parameter := _PARAMETER.match(text, place):
        value = parameter["token"] or re.sub(r"\\(.)", r"\1", parameter["quoted"] or "")
        found.setdefault(parameter["name"].lower(), value)
        if parameter["end"] != ";":
            return found
        place = parameter.end()
    return found if found and not text[place:].strip() else {}
