"""JSON logs."""

from __future__ import annotations

import logging


def configure_logging(level: str = "INFO") -> None:
    """One line of JSON a record."""
    logging.basicConfig(level=level)
