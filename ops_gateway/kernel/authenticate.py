"""A credential → a principal. Keys, session tokens and job tokens; nothing else lets anybody in."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
import psycopg

from db.pool import Pool
from db.queries import queries
from ops_gateway.kernel.context import CRON, Principal
from ops_gateway.kernel.errors import Unauthenticated
from ops_gateway.kernel.failures import connection_lost
from ops_gateway.kernel.secrets import Keys, PublicKeys, SigningKey, VerifyingKey

sql = queries(__file__)

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY = re.compile(
    r"(?:gpra_|astra_sk_live_|astra_sk_test_)([0-9A-Za-z]{8})([0-9A-Za-z]{43})([0-9A-Za-z]{6})"
)
LEEWAY = 30
SESSION_SECONDS = 300
AUDIENCE = "opstac"

# everything a scope can be about, but `admin`: that is the platform's own
RESOURCES = [
    "alerts",
    "analytics",
    "api_keys",
    "band_formulas",
    "billing",
    "catalog",
    "clip",
    "collections",
    "eulas",
    "event_subscriptions",
    "items",
    "notifications",
    "orders",
    "organizations",
    "processing",
    "projects",
    "provenance",
    "reports",
    "shares",
    "tiles",
    "uploads",
    "usage",
]
ROLE_SCOPES: dict[str, frozenset[str]] = {
    "owner": frozenset(f"{r}:*" for r in RESOURCES),
    "admin": frozenset(f"{r}:*" for r in RESOURCES),
    "member": frozenset(
        ["*:read", "projects:write"]
        + [
            f"{r}:*"
            for r in [
                "items",
                "collections",
                "uploads",
                "processing",
                "analytics",
                "clip",
                "alerts",
                "band_formulas",
                "shares",
                "notifications",
                "event_subscriptions",
            ]
        ]
    ),
    "billing": frozenset(["*:read", "billing:*", "orders:*"]),
    "viewer": frozenset(f"{r}:read" for r in RESOURCES if r not in ("api_keys", "billing"))
    | {"notifications:write"},
}
OPERATOR_SCOPES = frozenset(["admin:*"])
NO_ORGANIZATION_SCOPES = frozenset(["organizations:write", "notifications:*", "*:read"])


@dataclass(frozen=True)
class NewKey:
    """A freshly minted API key: `token` is shown once, the rest is stored."""

    token: str
    lookup: str
    digest: bytes


def _base62(number: int, width: int) -> str:
    digits: list[str] = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def mint_key() -> NewKey:
    """`gpra_` + 8 characters to look it up by + 256 random bits + a checksum against typos."""
    lookup = "".join(secrets.choice(_BASE62) for _ in range(8))
    secret = _base62(int.from_bytes(secrets.token_bytes(32)), 43)
    check = _base62(zlib.crc32((lookup + secret).encode()), 6)
    # a fast hash is right for a 256-bit random secret
    return NewKey(f"gpra_{lookup}{secret}{check}", lookup, hashlib.sha256(secret.encode()).digest())


def key_parts(token: str) -> tuple[str, str] | None:
    """Lookup and secret of a text that is written as an API key is, or None."""
    match = _KEY.fullmatch(token)
    if match is None or match[3] != _base62(zlib.crc32((match[1] + match[2]).encode()), 6):
        return None
    return match[1], match[2]


def issue_session(
    keys: Keys,
    issuer: str,
    subject: str,
    *,
    seconds: int = SESSION_SECONDS,
    generation: int = 1,
    sign_in: str | None = None,
    **more: Any,
) -> str:
    """A token for a human user, or for a key that was exchanged for one.

    Args:
        subject: the user's id; for a key its own, with its lookup as the claim `key`.
        generation: of the key that signs.
        sign_in: the family it belongs to; with its end, the token ends.
        more: further claims.
    """
    claims = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": subject,
        "sid": sign_in or secrets.token_hex(8),
        **more,
    }
    return sign_claims(keys.session(generation), claims, seconds=seconds)


def issue_job_token(
    keys: Keys, issuer: str, *, job_id: str, organization_id: str, epoch: int, seconds: int
) -> str:
    """A token whose only authority is to hand in the outputs of one run of one job."""
    claims = {
        "iss": issuer,
        "aud": "worker",
        "sub": f"worker:{job_id}",
        "job_id": job_id,
        "org": organization_id,
        "epoch": epoch,
    }
    return sign_claims(keys.worker, claims, seconds=seconds)


def sign_claims(key: SigningKey, claims: Mapping[str, Any], *, seconds: int) -> str:
    """A JWT that holds from now for some seconds."""
    now = int(time.time())
    times = {"iat": now, "nbf": now, "exp": now + seconds}
    return jwt.encode({**claims, **times}, key.private, algorithm="EdDSA", headers={"kid": key.kid})


def expiry_of(token: str) -> float | None:
    """When a token that has been let in ends, in Unix time; None for a key."""
    if token.count(".") != 2:
        return None
    return float(jwt.decode(token, options={"verify_signature": False})["exp"])


class Authenticator:
    """Turns what a request presents into a principal, asking the database each time."""

    def __init__(
        self,
        pool: Pool,
        keys: Keys | PublicKeys,
        *,
        issuer: str,
        cron_token: str | None = None,
        notes_use: bool = True,
    ) -> None:
        """Nothing is asked before a credential comes.

        Args:
            keys: the public halves suffice.
            issuer: the `iss` of our own tokens.
            notes_use: write down when a key was last used; not for a role that may only read.
        """
        self._notes_use = notes_use
        self._pool = pool
        self._keys = keys
        self._issuer = issuer
        self._cron = cron_token
        self._touched: dict[str, float] = {}

    async def authenticate(self, token: str) -> Principal:
        """The principal of a presented token; raises Unauthenticated."""
        if len(token) > 4096:
            raise Unauthenticated("the credential is not valid")
        if match := _KEY.fullmatch(token):
            return await self._key(*match.groups())
        if self._cron and hmac.compare_digest(token.encode(), self._cron.encode()):
            return Principal(kind="service", id=CRON, scopes=OPERATOR_SCOPES)
        if token.count(".") == 2:
            return await self._jwt(token)
        raise Unauthenticated("the credential is not valid")

    async def _one(self, query: Any, **params: Any) -> dict[str, Any] | None:
        try:
            return await self._ask(query, params)
        except psycopg.OperationalError as error:
            if not connection_lost(error):
                raise
        return await self._ask(query, params)

    async def _ask(self, query: Any, params: dict[str, Any]) -> dict[str, Any] | None:
        async with self._pool.connection() as connection:
            return await (await connection.execute(query, params)).fetchone()

    async def _key(self, lookup: str, secret: str, check: str) -> Principal:
        if check != _base62(zlib.crc32((lookup + secret).encode()), 6):
            raise Unauthenticated("the API key is mistyped: its checksum does not match")
        row = await self._one(sql.key, lookup=lookup)
        digest = hashlib.sha256(secret.encode()).digest()
        # an unknown key compares too, so that time tells nothing
        known = bytes(row["secret_sha256"]) if row else bytes(32)
        if not hmac.compare_digest(digest, known) or row is None:
            raise Unauthenticated("the API key is not valid")
        return await self._holder(row)

    async def _exchanged_key(self, claims: dict[str, Any], kid: str) -> Principal:
        """Whom a token acts for that a key was exchanged for: the key's own principal."""
        row = await self._one(sql.exchanged_key, lookup=str(claims["key"]))
        if row is None or row["id"] != claims["sub"]:
            raise Unauthenticated("the API key is not valid")
        self._refuse_old(row, kid)
        return await self._holder(row)

    @staticmethod
    def _refuse_old(row: dict[str, Any], kid: str) -> None:
        """Raise Unauthenticated for a token signed before its key was rotated out."""
        generation = int(kid.rpartition("-")[2])
        if not row["floor"] <= generation <= row["generation"]:
            raise Unauthenticated("the token is not valid any more; sign in again")

    async def _holder(self, row: dict[str, Any]) -> Principal:
        """The principal of a key's row; raises Unauthenticated where the key has ended."""
        if row["revoked"]:
            raise Unauthenticated("the API key was revoked")
        if row["expired"]:
            raise Unauthenticated("the API key has expired")
        if self._notes_use:
            await self._touch(row["id"])
        scopes = frozenset(row["permissions"])
        return Principal(
            kind="api_key",
            id=row["id"],
            organization_id=row["organization_id"],
            scopes=scopes,
            projects=None,
            project_role="admin" if scopes & {"projects:*", "*"} else "editor",
            slot=row["slot"],
            rate_limit=row["rate_limit"],
        )

    async def _touch(self, key_id: str) -> None:
        """Note the use of a key, at most once a minute and without keeping the caller."""
        now = time.monotonic()
        if now - self._touched.get(key_id, -61) < 60:
            return
        self._touched[key_id] = now
        if len(self._touched) > 10_000:
            self._touched = {k: t for k, t in self._touched.items() if now - t < 60}
        await self._one(sql.touch, ids=[key_id])

    async def _jwt(self, token: str) -> Principal:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise Unauthenticated("the token is not valid") from None
        # the algorithm is ours and fixed; headers that name keys or extensions are refused
        if set(header) & {"crit", "jku", "jwk", "x5u", "x5c"} or header.get("alg") != "EdDSA":
            raise Unauthenticated("the token is not valid")
        kid = header.get("kid")
        if kid == self._keys.worker.kid:
            return await self._worker(self._verify(token, self._keys.worker, "worker"))
        if isinstance(kid, str) and (key := self._keys.session_of(kid)) is not None:
            claims = self._verify(token, key, AUDIENCE)
            if "key" in claims:
                return await self._exchanged_key(claims, kid)
            return await self._user(claims, kid)
        raise Unauthenticated("the token is not valid")

    def _verify(self, token: str, key: SigningKey | VerifyingKey, audience: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key.public,
                algorithms=["EdDSA"],
                audience=audience,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": ["iss", "aud", "exp", "nbf", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired") from None
        except jwt.InvalidTokenError:
            raise Unauthenticated("the token is not valid") from None

    async def _user(self, claims: dict[str, Any], kid: str) -> Principal:
        try:
            user = UUID(claims["sub"])
        except ValueError:
            raise Unauthenticated("the token is not valid") from None
        row = await self._one(sql.user, user=user, sign_in=str(claims.get("sid")))
        if row is None or row["disabled"]:
            raise Unauthenticated("the user is unknown or disabled")
        self._refuse_old(row, kid)
        if row["ended"]:
            raise Unauthenticated("you were signed out; sign in again")
        return self._person(row)

    async def user(self, user_id: str) -> Principal:
        """The principal of a person who was known by something else than a token."""
        row = await self._one(sql.user, user=UUID(user_id), sign_in=None)
        if row is None or row["disabled"]:
            raise Unauthenticated("the user is unknown or disabled")
        return self._person(row)

    @staticmethod
    def _person(row: dict[str, Any]) -> Principal:
        role = row["role"]
        scopes = ROLE_SCOPES[role] if role else NO_ORGANIZATION_SCOPES
        if row["operator"]:
            # what is about any organization's money asks for billing
            scopes |= OPERATOR_SCOPES if role else OPERATOR_SCOPES | {"billing:*"}
        return Principal(
            kind="user",
            id=str(row["id"]),
            user_id=str(row["id"]),
            role=role,
            organization_id=row["organization_id"],
            scopes=scopes,
            projects=row["projects"] if role else {},
            project_role="admin",
            slot=row["slot"],
            email=row["email"],
            name=row["name"],
        )

    async def _worker(self, claims: dict[str, Any]) -> Principal:
        row = await self._one(sql.job, job=claims.get("job_id"))
        if row is None or row["organization_id"] != claims.get("org"):
            raise Unauthenticated("the job of this token is gone")
        ended = row["status"] not in ("dispatched", "running")
        if ended and row["epoch"] != claims.get("epoch"):
            raise Unauthenticated("the job of this token has ended")
        return Principal(
            kind="worker",
            id=claims["sub"],
            organization_id=row["organization_id"],
            scopes=frozenset(["processing:process"]),
            projects={row["project_id"]: "editor"},
            slot=row["slot"],
            job_id=claims["job_id"],
            epoch=claims["epoch"],
        )
