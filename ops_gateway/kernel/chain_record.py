"""The signed record of an organization's chains outside the database: its format and its check.

A record is NDJSON: one line a chained row, as `{"chain", "seq", "prev", "hash", "text"}`, where
hash is SHA-256 over prev and text; the last line is a head: where each chain ends, signed with
Ed25519. A head alone is what the platform keeps in object storage. Nothing here needs a database.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ops_gateway.kernel.secrets import SigningKey

CHAINS = ("lineage", "audit", "ledger")
START = "00"  # what the first row of a chain follows, in hexadecimal

_SIGNED = b"opstac chain head 1\n"


@dataclass(frozen=True)
class Finding:
    """Something that is not as the platform wrote it."""

    organization_id: str
    place: str
    problem: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.organization_id}  {self.place}: {self.problem}"


class NotARecord(ValueError):
    """The file is no record of a chain; the message says where it stops being one."""


class BadKey(ValueError):
    """The text or file is no Ed25519 public key."""


# ---------------------------------------------------------------- heads


def sign_head(head: Mapping[str, Any], key: SigningKey) -> dict[str, Any]:
    """The head with the key's id and a signature over everything in it."""
    signed = {**head, "kid": key.kid}
    signature = key.private.sign(_signed_bytes(signed))
    return {**signed, "signature": base64.b64encode(signature).decode()}


def is_signed(head: Mapping[str, Any], public: Ed25519PublicKey) -> bool:
    """Whether the head's signature is of that key and over what the head says."""
    try:
        signature = base64.b64decode(str(head.get("signature")), validate=True)
        public.verify(signature, _signed_bytes(head))
    except (InvalidSignature, binascii.Error):
        return False
    return True


def _signed_bytes(head: Mapping[str, Any]) -> bytes:
    unsigned = {name: value for name, value in head.items() if name != "signature"}
    return _SIGNED + orjson.dumps(unsigned, option=orjson.OPT_SORT_KEYS)


def public_key_text(key: SigningKey) -> str:
    """The half that verifies, in base64, as `read_public_key` takes it."""
    return base64.b64encode(key.public_bytes()).decode()


def read_public_key(text: str) -> Ed25519PublicKey:
    """A key from base64 of its 32 bytes, or from PEM; raises BadKey."""
    try:
        if text.lstrip().startswith("-----BEGIN"):
            key = load_pem_public_key(text.encode())
            if isinstance(key, Ed25519PublicKey):
                return key
            raise BadKey("the key is not an Ed25519 key")
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text.strip(), validate=True))
    except BadKey:
        raise
    except ValueError:
        raise BadKey("the public key must be base64 of 32 bytes, or PEM") from None


# ---------------------------------------------------------------- whole records


@dataclass
class Record:
    """What the check of a record found out."""

    organization_id: str = ""
    head: dict[str, Any] = field(default_factory=dict[str, Any])
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHAINS, 0))
    findings: list[Finding] = field(default_factory=list[Finding])


@dataclass
class _End:
    """Where the check of one chain stands."""

    seq: int
    hash: str


def check_record(lines: Iterable[bytes], public: Ed25519PublicKey) -> Record:
    """Check a record offline: each row by its hash, each link, each end by the signed head.

    Raises:
        NotARecord: a line is not of the format.
    """
    record = Record()
    ends: dict[str, _End] = {}
    starts: dict[str, tuple[int, str]] = {}
    owners: set[str] = set()
    problems: list[tuple[str, str]] = []
    for number, line in enumerate(lines, 1):
        entry = _parse(line, number)
        if record.head:
            raise NotARecord(f"line {number}: something follows the head")
        if entry.get("type") == "head":
            record.head = entry
            continue
        try:
            chain, seq = str(entry["chain"]), int(entry["seq"])
            prev, said, text = str(entry["prev"]), str(entry["hash"]), str(entry["text"])
            computed = hashlib.sha256(bytes.fromhex(prev) + text.encode()).hexdigest()
            owner, within = orjson.loads(text)[:2]
        except (KeyError, ValueError, TypeError):
            raise NotARecord(f"line {number}: not a row of a chain") from None
        if chain not in CHAINS:
            raise NotARecord(f"line {number}: there is no chain {chain[:40]!r}")
        place = f"{chain} {seq}"
        end = ends.get(chain)
        if end is None:
            starts[chain] = seq, prev
        elif seq != end.seq + 1:
            problems.append((place, "rows are missing before this one, or it stands out of order"))
        elif prev != end.hash:
            problems.append((place, "the link to the row before is broken"))
        if computed != said or within != seq:
            problems.append((place, "the row was altered: its content does not match its hash"))
        owners.add(owner)
        ends[chain] = _End(seq, said)
        record.rows[chain] += 1
    if not record.head:
        problems.append(("head", "the record has no head: its end was cut"))
    else:
        problems += _check_ends(record.head, public, starts, ends, owners)
    record.organization_id = str(record.head.get("organization_id") or next(iter(owners), "?"))
    record.findings = [Finding(record.organization_id, *problem) for problem in problems]
    return record


def _parse(line: bytes, number: int) -> dict[str, Any]:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise NotARecord(f"line {number}: not JSON") from None
    if not isinstance(entry, dict):
        raise NotARecord(f"line {number}: not an object")
    return cast(dict[str, Any], entry)


def _check_ends(
    head: dict[str, Any],
    public: Ed25519PublicKey,
    starts: Mapping[str, tuple[int, str]],
    ends: Mapping[str, _End],
    owners: set[str],
) -> list[tuple[str, str]]:
    """What the signed head says against the rows that came."""
    if not is_signed(head, public):
        return [("head", "the signature does not hold for this key")]
    problems: list[tuple[str, str]] = []
    if owners - {head["organization_id"]}:
        problems.append(("head", "rows of another organization are among these"))
    for chain in CHAINS:
        said = head["chains"][chain]
        base = int(said["base_seq"]), str(said["base_hash"])
        end = ends.get(chain, _End(*base))
        first, prev = starts.get(chain, (base[0] + 1, base[1]))
        if (first, prev) != (base[0] + 1, base[1]):
            problems.append((f"{chain} {first}", "rows are missing before this one"))
        if (end.seq, end.hash) != (said["seq"], said["hash"]):
            problems.append(
                (f"{chain} {said['seq']}", "the end of the chain is missing or altered")
            )
    return problems


def head_of(lines: Iterable[bytes]) -> dict[str, Any]:
    """The head of a record, or a head alone, unchecked; raises NotARecord."""
    last: dict[str, Any] = {}
    for number, line in enumerate(lines, 1):
        last = _parse(line, number)
    if last.get("type") != "head":
        raise NotARecord("the file does not end with a head")
    return last
