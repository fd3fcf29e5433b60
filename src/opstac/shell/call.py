"""One operation from the command line: flags in, answer out. And the help of a group of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from opstac.client import table
from opstac.shell import answers, flags, known, tree
from opstac.shell.known import Described
from opstac.shell.server import Server, no_platform
from opstac.shell.status import DONE, REFUSED, CommandError

if TYPE_CHECKING:
    import httpx

HELP = ("-h", "--help")


def run(words: Sequence[str], server: str | None = None) -> int:
    """Call the operation that the words name, or tell what is in the group.

    Args:
        words: the operation's name in one or several words, then its flags.
        server: the platform, where it was named before.
    """
    found = tree.follow(words)
    names = named(words)
    if found is None or (not found.is_operation and len(names) > len(words) - len(found.rest)):
        return of_server(words, server)
    if found.is_operation and not (found.rest and is_name(found.rest[0])):
        op = known.find(found.name)
        assert op is not None
        return call(op, found.rest, server)
    if found.is_operation:
        return of_server(words, server)
    if any(word in HELP for word in found.rest):
        print(group_help(found.name))
        return DONE
    print(group_help(found.name), file=sys.stderr)
    return REFUSED


def is_name(word: str) -> bool:
    """Whether a word may be a part of an operation's name."""
    return bool(word) and not word.startswith("-")


def named(words: Sequence[str]) -> list[str]:
    """The words before the first flag."""
    at = next((at for at, word in enumerate(words) if not is_name(word)), len(words))
    return list(words[:at])


def call(op: Described, line: Sequence[str], server: str | None = None) -> int:
    """Call an operation with the flags of `line`, and show what it answers."""
    given = flags.parse(op, line)
    platform = Server(given.server or server)
    if given.every or op.answer == "ndjson":
        return lines(op, given, platform)
    if op.answer == "bytes":
        return file(op, given, platform)
    answer = platform.calling(
        lambda client: client.op(op.id, given.body, idempotency_key=given.key)
    )
    if isinstance(answer, bytes) and answer:
        raise no_platform(platform.url)
    answers.show(answer, given.form, given.output)
    return DONE


def lines(op: Described, given: flags.Given, platform: Server) -> int:
    """Show the answer as lines of JSON, each as it comes."""
    with platform.failures(), platform.client() as client:
        found = client.entries if given.every else client.stream
        answers.save_or_write(map(answers.line_of, found(op.id, given.body)), given.output)
    return DONE


def file(op: Described, given: flags.Given, platform: Server) -> int:
    """Write the bytes of an answer as they come, or show it where it is JSON."""
    from opstac.client.connection import is_json, media_type

    with (
        platform.failures(),
        platform.client() as client,
        closing(client.open(op.id, given.body, idempotency_key=given.key)) as response,
    ):
        if media_type(response) == "text/html":  # a page, which no operation answers
            raise no_platform(platform.url)
        if is_json(response):
            response.read()
            answers.show(response.json(), given.form, given.output)
        elif given.form is not None:
            raise CommandError(f"the answer is not JSON; leave --{given.form} out")
        else:
            answers.save_or_write(watched(response, given.output), given.output)
    return DONE


def watched(response: httpx.Response, output: str | None) -> Iterator[bytes]:
    """The bytes of an answer as they come; with a bar where they go to a file and it is seen."""
    from opstac.client.progress import Bar, chosen

    length = response.headers.get("content-length", "")
    known = length.isdigit() and "content-encoding" not in response.headers
    bar = chosen(None if output and known else False, output or "")
    done = 0
    try:
        for piece in response.iter_bytes():
            yield piece
            done += len(piece)
            if bar is not None:
                bar(done, int(length))
    finally:
        if isinstance(bar, Bar):
            bar.close()


def of_server(words: Sequence[str], server: str | None) -> int:
    """An operation that the table does not have: a server of a newer version may."""
    names = named(words)
    try:
        platform = Server(server_of(words) or server)
        there = known.published(platform.calling(lambda client: client.get("/openapi.json")))
    except (CommandError, ImportError):
        return unknown(names, None)
    found = tree.follow(words, there)
    if found is not None and found.is_operation and not (found.rest and is_name(found.rest[0])):
        return call(there[found.name], found.rest, server)
    return unknown(names, there)


def server_of(words: Sequence[str]) -> str | None:
    """The platform that is named among flags of which no more is known yet."""
    asked = None
    for word, behind in zip(words, [*words[1:], None], strict=True):
        if word == "--server":
            asked = behind
        elif word.startswith("--server="):
            asked = word.partition("=")[2]
    return asked


def unknown(names: Sequence[str], there: Mapping[str, Described] | None) -> int:
    """Say that there is no such operation, and what comes near."""
    near = tree.near(names, there)
    hint = f"; is it {', '.join(near)}?" if near else "; `opstac op --list` shows all"
    name = ".".join(tree.dotted(word) for word in names)
    print(f"Error: there is no operation {name!r}{hint}", file=sys.stderr)
    return REFUSED


def group_help(name: str) -> str:
    """What there is in a group, a line for each operation."""
    chosen = [table.entries()[one] for one in tree.below(name)]
    spelled = [f"{tree.spelled(one.id)}" for one in chosen]
    width = max(map(len, spelled))
    lines = [f"  {text:{width}}  {one.summary}" for text, one in zip(spelled, chosen, strict=True)]
    return "\n".join(
        [
            f"usage: opstac {tree.spelled(name)} ... [flags]",
            "",
            f"{len(chosen)} operations; `--help` behind one lists its flags.",
            "",
            *lines,
        ]
    )


def listed(domain: str) -> int:
    """A line for each operation: id, effect, scope, what it does."""
    every = table.entries()
    name = tree.dotted(domain)
    chosen = [every[one] for one in tree.below(name)] + ([every[name]] if name in every else [])
    if not chosen:
        return unknown([domain], None)
    wide = max(len(one.id) for one in chosen)
    scope = max(len(one.scope) for one in chosen)
    for one in sorted(chosen, key=lambda one: one.id):
        print(f"{one.id:{wide}}  {one.effect:14}  {one.scope:{scope}}  {one.summary}")
    return DONE
