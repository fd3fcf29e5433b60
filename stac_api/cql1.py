"""The filter language of before CQL2, which older clients still speak, put into CQL2.

`{"gt": [a, b]}` is `{"op": ">", "args": [a, b]}`, and operators may have names for signs.
"""

from __future__ import annotations

from typing import Any

SIGNS = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_NAMES = frozenset(
    (
        *("and", "or", "not", "like", "between", "in", "isNull", "intersects", "s_intersects"),
        *SIGNS,
    )
)


def modern(node: Any) -> Any:
    """A filter as CQL2 JSON; what is CQL2 already stays as it is. Depth is checked before."""
    if isinstance(node, list):
        return [modern(part) for part in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("op"), str) and "args" in node:
        return {**node, "op": SIGNS.get(node["op"], node["op"]), "args": modern(node["args"])}
    if len(node) == 1:
        [(name, args)] = node.items()
        if name in _NAMES:
            name = "s_intersects" if name == "intersects" else SIGNS.get(name, name)
            return {"op": name, "args": modern(args if isinstance(args, list) else [args])}
    return node
