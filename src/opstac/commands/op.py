"""Run an operation of a platform.

    opstac op --list [DOMAIN]
    opstac op items.get --item-id it_...
    opstac op items get --json '{"item_id": "it_..."}'
    opstac op items.get --help

The flags are the fields of the operation's input; lists repeat theirs, objects are JSON or @FILE.
What operations and flags there are is asked of the server. The answer is printed, or goes to the
file of `--out`. Status 0 where it was done, 2 where it was refused, with the reason on standard
error. The credential is read from OPSTAC_TOKEN or GEOPERA_API_TOKEN.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opstac.client import OperationError
    from opstac.flags import Described

REFUSED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--list", action="store_true", help="list the operations, or a domain's")
    parser.add_argument("--server", metavar="URL", help="the platform (OPSTAC_URL)")
    parser.add_argument(
        "words",
        metavar="OPERATION",
        nargs=argparse.REMAINDER,
        help="its id, then its flags; `OPERATION --help` lists them",
    )


def run(args: argparse.Namespace) -> int:
    """Run the operation, or list what there is."""
    from opstac.cli import CommandError

    parts = args.words[: first_flag(args.words)]
    rest = args.words[len(parts) :]
    name = ".".join(parts).replace("-", "_")
    if not args.list and not name:
        raise CommandError("name an operation, as `opstac op items.get`, or ask for `--list`")
    import httpx

    from opstac import variables
    from opstac.client import Geopera, OperationError
    from opstac.flags import operations, parse

    url = args.server or variables.server_url()
    with Geopera(variables.server_token(), url, timeout_seconds=600) as client:
        try:
            known = operations(client.get("/openapi.json"))
            if args.list:
                return list_operations(known, name)
            if name not in known:
                return unknown(known, name)
            body, key, out = parse(known[name], rest)
            return answer(client.op(name, body, idempotency_key=key), out)
        except OperationError as error:
            print(refusal(error), file=sys.stderr)
            return REFUSED
        except httpx.HTTPError as error:
            raise CommandError(f"{url} does not answer: {error}; see OPSTAC_URL") from None


def first_flag(words: list[str]) -> int:
    """Where the operation's name ends."""
    return next((at for at, word in enumerate(words) if word.startswith("-")), len(words))


def list_operations(known: Mapping[str, Described], domain: str) -> int:
    """A line for each operation: id, effect, scope, what it does."""
    chosen = [
        op
        for name, op in sorted(known.items())
        if not domain or (name + ".").startswith(domain + ".")
    ]
    if not chosen:
        return unknown(known, domain)
    width = max(len(op.id) for op in chosen)
    scope = max(len(op.scope) for op in chosen)
    for op in chosen:
        print(f"{op.id:{width}}  {op.effect:14}  {op.scope:{scope}}  {op.summary}")
    return 0


def unknown(known: Mapping[str, Described], name: str) -> int:
    """Say that there is no such operation, and what comes near."""
    import difflib

    near = [op for op in sorted(known) if op.startswith(name + ".")]
    near = near or difflib.get_close_matches(name, known, n=3)
    hint = f"; is it {', '.join(near[:8])}?" if near else "; `opstac op --list` shows all"
    print(f"Error: there is no operation '{name}'{hint}", file=sys.stderr)
    return REFUSED


def answer(found: Any, out: str | None) -> int:
    """Print an answer, or write it to the file `out`."""
    from opstac.cli import CommandError

    if isinstance(found, bytes):
        if out is None and sys.stdout.isatty():
            raise CommandError("the answer is not text; add --out FILE")
        content = found
    else:
        content = (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()
    if out is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return 0
    try:
        Path(out).write_bytes(content)
    except OSError as error:
        raise CommandError(f"{out}: {error.strerror}") from None
    print(f"{out}: {len(content)} bytes", file=sys.stderr)
    return 0


def refusal(error: OperationError) -> str:
    """`Error: [404] item not found`; for a 422 a line for each place that is wrong."""
    detail = error.problem.get("detail")
    if not isinstance(detail, list):
        return f"Error: [{error.status}] {detail or error.problem.get('title')}"
    lines = [f"Error: [{error.status}] {error.problem.get('title')}"]
    for fault in detail:
        place = ".".join(str(part) for part in fault.get("loc", ()))
        lines.append(f"  {place}: {fault.get('msg')}")
    return "\n".join(lines)
