"""JSON logs: one object a line, known fields only, nothing that opens a door."""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import orjson

# what `extra=` may carry; anything else is dropped, so that no body or header gets in by accident
FIELDS = (
    "op",
    "organization",
    "principal",
    "request_id",
    "method",
    "path",
    "status",
    "outcome",
    "duration_ms",
    "job_id",
    "event_id",
    "worker",
    "slots",
    "queue",
    "chore",
    "finding",
    "detail",
    "exit_status",
    "allowances",
    "count",
    "attempt",
)
# ids and words of our own making, not looked through
PLAIN = frozenset(
    {"op", "organization", "principal", "method", "job_id", "event_id", "worker", "queue", "chore"}
)

# chatty libraries; httpx would log whole URLs with their signatures
QUIET = (
    "httpx",
    "httpcore",
    "psycopg",
    "psycopg.pool",
    "procrastinate",
    "rasterio",
    "asyncio",
    "botocore",
)

HIDDEN = "[redacted]"

_NAMES = (
    r"authorization|x-api-key|api[_-]?key|cookie|pass(?:word|wd|phrase)"
    r"|secret|token|credentials?|sig|signature"
)
# text with none of these, in lower case, needs no closer look; most has none
_SUSPECT = (
    "gpra_",
    "astra_sk_",
    "whsec_",
    "eyj",
    "://",
    "bearer",
    "basic",
    "authorization",
    "api",
    "cookie",
    "pass",
    "secret",
    "token",
    "credential",
    "sig",
)
_RULES = (
    # our own credentials, and anything shaped like a JSON web token
    (re.compile(r"\b(?:gpra_|astra_sk_(?:live|test)_|whsec_)[\w+/=.-]*"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{4,}(?:\.[\w-]*)*"), HIDDEN),
    (re.compile(r"\b(bearer|basic)\s+[^\s\"',}]+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # user:password@host
    (re.compile(r"://[^/@\s]*@"), f"://{HIDDEN}@"),
    # name=value, name: value, "name": "value", ('name', 'value'); also as a part of a longer name
    (
        re.compile(
            rf"""([\w-]*(?:{_NAMES})[\w-]*\\?["']?\s*[:=,]\s*b?)"""
            r"""(\\"(?:(?!\\").)*\\"|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:bearer|basic)\s+\S+|[^\s&,;"'})\]]+)""",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)


def redact(text: str) -> str:
    """`text` without keys, tokens, passwords and signatures."""
    lower = text.lower()
    if not any(word in lower for word in _SUSPECT):
        return text
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, the allowed fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()) if record.args else _constant(record.msg),
        }
        given = record.__dict__
        for name in FIELDS:
            if (value := given.get(name)) is not None:
                plain = name in PLAIN or not isinstance(value, str)
                line[name] = value if plain else redact(value)
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return orjson.dumps(line, default=_as_text).decode()


@lru_cache(256)
def _constant(message: object) -> str:
    return redact(str(message))


def _as_text(value: Any) -> str:
    return redact(str(value))


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> logging.Handler:
    """Send every record of this process to `stream` (stderr) as JSON; may be called again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.setLevel(level)  # also for the loggers that have a level of their own
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, JsonFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # GDAL says of each driver that we switch off and this build lacks that it is not there
    logging.getLogger("rasterio._env").setLevel(logging.ERROR)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # the edge writes one line a request, with its id
    logging.getLogger("uvicorn.access").disabled = True
    return handler
