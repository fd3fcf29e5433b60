"""Declarations found by importing: ours, one module each, and other people's by entry points.

What a package of somebody else's does wrong costs the platform that package and a line in the log.
"""

import importlib
import importlib.metadata
import logging
import pkgutil
import threading
from dataclasses import replace
from typing import Any

logger = logging.getLogger(__name__)

_loading = threading.RLock()


def load_all(package: str, group: str, registry: dict[str, Any], seen: set[str]) -> None:
    """Import the modules of `package` and of the entry points of `group`; cheap to repeat.

    Each module adds to `registry` as it is imported; the `module` of what it added becomes its own
    name. A module of an entry point that cannot be imported, or that declares what is refused, is
    taken out again whole.

    Args:
        seen: what was imported before, whether it worked or not; added to.
    """
    with _loading:
        if package in seen:
            return
        seen.add(package)
        path = importlib.import_module(package).__path__
        for name in sorted(module.name for module in pkgutil.iter_modules(path)):
            _load(f"{package}.{name}", registry)
        points = importlib.metadata.entry_points(group=group)
        for point in sorted(points, key=lambda point: (point.name, point.value)):
            if point.value not in seen:
                seen.add(point.value)
                _load_foreign(point, registry)


def _load(module: str, registry: dict[str, Any]) -> None:
    before = set(registry)
    importlib.import_module(module)
    for new in set(registry) - before:
        registry[new] = replace(registry[new], module=module)


def _load_foreign(point: importlib.metadata.EntryPoint, registry: dict[str, Any]) -> None:
    before = dict(registry)
    try:
        _load(point.module, registry)
    except (Exception, SystemExit):
        registry.update(before)
        for new in set(registry) - set(before):
            del registry[new]
        logger.exception("a package is left out", extra={"entry_point": str(point)})
        return
    if not any(found.module == point.module for found in registry.values()):
        logger.error("a package declares nothing", extra={"entry_point": str(point)})
