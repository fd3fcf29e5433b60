"""What is kept of people, sign-ins and waiting devices. Secrets are kept as digests only.

The pool acts as role opstac_identity, which reaches these tables and no tenant's.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Any

from db.pool import Pool
from db.queries import queries
from ops_gateway.kernel.authenticate import key_parts
from ops_gateway.kernel.ids import new_id

sql = queries(__file__)
Row = dict[str, Any]

REFRESH_SECONDS = 1800
SIGN_IN_SECONDS = 30 * 86400  # a family of tokens ends by then, however often it was refreshed
SESSION_SECONDS = 12 * 3600
DEVICE_SECONDS = 600
CODE_SECONDS = 60
INTERVAL_SECONDS = 5
USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels: no words; nothing that looks alike


def digest(secret: str) -> bytes:
    """What is kept of a secret of 256 random bits: a fast hash is right for those."""
    return hashlib.sha256(secret.encode()).digest()


class Superseded(Exception):
    """The password was changed after somebody had shown the old one."""


class Store:
    """Every question and change, one statement or one transaction each."""

    def __init__(self, pool: Pool) -> None:
        """`pool`: of role opstac_identity."""
        self._pool = pool

    async def _row(self, query: Any, **params: Any) -> Row | None:
        async with self._pool.connection() as connection:
            return await (await connection.execute(query, params)).fetchone()

    async def _do(self, *statements: tuple[Any, Row]) -> None:
        async with self._pool.connection() as connection, connection.transaction():
            for query, params in statements:
                await connection.execute(query, params)

    # ---------------------------------------------------------------- people

    async def account(self, email: str) -> Row | None:
        """The person of an e-mail address with the kept hash, or None."""
        return await self._row(sql.account, email=email)

    async def person(self, user_id: str) -> Row | None:
        """A person by id."""
        return await self._row(sql.person, user=user_id)

    async def add_person(
        self, email: str, name: str | None, hashed: str | None, *, verified: bool
    ) -> str | None:
        """A new person's id; None where the address is taken.

        Args:
            verified: somebody whom we believe has said that the address is theirs.
        """
        who = {"email": email, "name": name, "verified": verified}
        async with self._pool.connection() as connection, connection.transaction():
            query = await connection.execute(sql.add_person, who)
            row = await query.fetchone()
            if row is None:
                return None
            if hashed is not None:
                await connection.execute(sql.set_password, {"user": row["id"], "hash": hashed})
            return row["id"]

    async def set_password(self, user_id: str, hashed: str) -> None:
        """A new password; whoever was signed in with the old one is signed out everywhere."""
        who = {"user": user_id}
        await self._do(
            (sql.set_password, {"user": user_id, "hash": hashed}),
            (sql.end_sign_ins, who),
            (sql.end_sessions, who),
        )

    async def rehash(self, user_id: str, hashed: str) -> None:
        """The same password in a stronger hash."""
        await self._do((sql.rehash, {"user": user_id, "hash": hashed}))

    async def person_elsewhere(self, issuer: str, subject: str) -> str | None:
        """Who somebody of another provider is here."""
        row = await self._row(sql.identity, issuer=issuer, subject=subject)
        return row["user_id"] if row else None

    async def add_identity(self, issuer: str, subject: str, user_id: str) -> str:
        """Remember who somebody of another provider is; the first who says so stays."""
        row = await self._row(sql.add_identity, issuer=issuer, subject=subject, user=user_id)
        assert row is not None
        return row["user_id"]

    # ---------------------------------------------------------------- mailed links

    async def add_mail_token(self, kind: str, user_id: str, email: str, seconds: int) -> str:
        """A token for a link to this address, for one use."""
        token = secrets.token_urlsafe(32)
        row = {"digest": digest(token), "kind": kind, "user": user_id, "email": email}
        await self._do((sql.add_mail_token, {**row, "seconds": seconds}))
        return token

    async def mail_token(self, kind: str, token: str) -> Row | None:
        """Whose a token is, while it holds."""
        return await self._row(sql.mail_token, kind=kind, digest=digest(token))

    async def confirm_address(self, token: str) -> bool:
        """Use a token up: the address is its person's. False where it does not hold."""
        return await self._by_mail("confirm", token, sql.verify_address)

    async def reset_password(self, token: str, hashed: str) -> bool:
        """Use a token up for a new password; who was signed in is signed out everywhere, and no
        other link to a new password holds. False where the token does not hold.
        """
        return await self._by_mail(
            "reset",
            token,
            sql.set_password,
            sql.end_sign_ins,
            sql.end_sessions,
            sql.void_resets,
            sql.verify_address,
            hash=hashed,
        )

    async def add_sign_up(self, email: str, name: str | None, seconds: int) -> str:
        """A token for a link to this address, by which an account is made."""
        token = secrets.token_urlsafe(32)
        row = {"digest": digest(token), "email": email, "name": name, "seconds": seconds}
        await self._do((sql.add_sign_up, row))
        return token

    async def sign_up(self, token: str) -> Row | None:
        """Whose a token of sign-up is, while it holds."""
        return await self._row(sql.sign_up, digest=digest(token))

    async def make_account(self, token: str, name: str | None, hashed: str) -> bool:
        """Use a token of sign-up for an account whose address is confirmed, with a password of who
        has the token: nobody who chose one before has a part in it. False where it does not hold.
        """
        async with self._pool.connection() as connection, connection.transaction():
            used = await connection.execute(sql.use_sign_up, {"digest": digest(token)})
            if (row := await used.fetchone()) is None:
                return False
            who = {"email": row["email"], "name": name}
            made = await (await connection.execute(sql.add_confirmed, who)).fetchone()
            if made is None:
                return False
            for statement in (
                sql.set_password,
                sql.end_sign_ins,
                sql.end_sessions,
                sql.void_resets,
            ):
                await connection.execute(statement, {"user": made["id"], "hash": hashed})
            return True

    async def verify_address(self, user_id: str) -> None:
        """The address is its person's: they came by a link that only its mailbox was sent."""
        await self._do((sql.verify_address, {"user": user_id}))

    async def _by_mail(self, kind: str, token: str, *statements: Any, **params: Any) -> bool:
        async with self._pool.connection() as connection, connection.transaction():
            used = {"kind": kind, "digest": digest(token)}
            row = await (await connection.execute(sql.use_mail_token, used)).fetchone()
            if row is None:
                return False
            for statement in statements:
                await connection.execute(statement, {"user": row["user_id"], **params})
            return True

    # ---------------------------------------------------------------- failures

    async def failures(self, kind: str, who: str, seconds: int) -> int:
        """How often it failed in the running window."""
        row = await self._row(sql.failures, kind=kind, who=who, seconds=seconds)
        return row["count"] if row else 0

    async def failed(self, kind: str, who: str, seconds: int) -> int:
        """Count one failure; how many there are."""
        row = await self._row(sql.failed, kind=kind, who=who, seconds=seconds)
        assert row is not None
        return row["count"]

    async def take_back(self, kind: str, who: str) -> None:
        """One failure that was counted was none."""
        await self._do((sql.take_back, {"kind": kind, "who": who}))

    async def forgive(self, kind: str, who: str) -> None:
        """Forget the failures."""
        await self._do((sql.forgive, {"kind": kind, "who": who}))

    # ---------------------------------------------------------------- families of tokens

    async def begin_sign_in(
        self, user_id: str, client_id: str, scope: str, authenticated_at: datetime
    ) -> str:
        """A new family's id. Raises Superseded."""
        row = await self._row(
            sql.begin_sign_in,
            id=new_id("si"),
            user=user_id,
            client=client_id,
            scope=scope,
            authenticated_at=authenticated_at,
            seconds=SIGN_IN_SECONDS,
        )
        if row is None:
            raise Superseded
        return row["id"]

    async def add_refresh_token(self, sign_in: str) -> str:
        """A new refresh token of a family."""
        token = secrets.token_urlsafe(32)
        row = {"digest": digest(token), "sign_in": sign_in, "seconds": REFRESH_SECONDS}
        await self._do((sql.add_refresh_token, row))
        return token

    async def refresh_token(self, token: str) -> Row | None:
        """A refresh token's family and state."""
        return await self._row(sql.refresh_token, digest=digest(token))

    async def use_refresh_token(self, token: str) -> bool:
        """Use it up; false where somebody else just did."""
        return await self._row(sql.use_refresh_token, digest=digest(token)) is not None

    async def end_sign_in(self, sign_in: str) -> None:
        """No token of the family holds any more."""
        await self._do((sql.end_sign_in, {"sign_in": sign_in}))

    # ---------------------------------------------------------------- devices

    async def add_device(
        self, client_id: str, scope: str, challenge: str, address: str
    ) -> tuple[str, str]:
        """A device that waits: (device code, user code)."""
        code = secrets.token_urlsafe(32)
        while True:
            letters = "".join(secrets.choice(USER_CODE_LETTERS) for _ in range(8))
            row = await self._row(
                sql.add_device,
                digest=digest(code),
                user_code=letters,
                client=client_id,
                scope=scope,
                challenge=challenge,
                address=address,
                interval=INTERVAL_SECONDS,
                seconds=DEVICE_SECONDS,
            )
            if row is not None:
                return code, f"{letters[:4]}-{letters[4:]}"

    async def device(self, code: str) -> Row | None:
        """A waiting device by its own code."""
        return await self._row(sql.device, digest=digest(code))

    async def poll_device(self, code: str) -> bool:
        """Note a poll; true where it came too soon."""
        row = await self._row(sql.poll_device, digest=digest(code))
        return bool(row and row["early"])

    async def exchange_device(self, code: str) -> bool:
        """Use the approval up; false where it was used already."""
        return await self._row(sql.exchange_device, digest=digest(code)) is not None

    async def device_by_code(self, user_code: str) -> Row | None:
        """A waiting device by the code its person reads."""
        return await self._row(sql.device_by_code, user_code=plain_code(user_code))

    async def decide_device(self, user_code: str, user_id: str, *, approve: bool) -> bool:
        """Approve or deny; false where it does not wait any more."""
        row = await self._row(
            sql.decide_device, user_code=plain_code(user_code), user=user_id, approve=approve
        )
        return row is not None

    # ---------------------------------------------------------------- authorization codes

    async def add_code(self, **fields: Any) -> str:
        """A code for a redirect.

        `fields`: client, redirect_uri, scope, nonce, challenge, user, authenticated_at.
        """
        code = secrets.token_urlsafe(32)
        await self._do((sql.add_code, {"digest": digest(code), "seconds": CODE_SECONDS, **fields}))
        return code

    async def code(self, code: str) -> Row | None:
        """What a code stands for."""
        return await self._row(sql.code, digest=digest(code))

    async def use_code(self, code: str) -> bool:
        """Use it up; false where it was used already."""
        return await self._row(sql.use_code, digest=digest(code)) is not None

    async def note_code_sign_in(self, code: str, sign_in: str) -> None:
        """Which family a code began."""
        await self._do((sql.note_code_sign_in, {"digest": digest(code), "sign_in": sign_in}))

    # ---------------------------------------------------------------- browsers

    async def open_session(self, user_id: str, since: datetime | None = None) -> str:
        """A browser's cookie for a person who has just signed in.

        Args:
            since: when their password was looked at. Raises Superseded where it has changed.
        """
        token = secrets.token_urlsafe(32)
        row = await self._row(
            sql.open_session,
            digest=digest(token),
            user=user_id,
            seconds=SESSION_SECONDS,
            since=since,
        )
        if row is None:
            raise Superseded
        return token

    async def session(self, token: str) -> Row | None:
        """Who a cookie belongs to, while it holds."""
        return await self._row(sql.session, digest=digest(token))

    async def close_session(self, token: str) -> None:
        """The cookie holds no more."""
        await self._do((sql.close_session, {"digest": digest(token)}))

    # ---------------------------------------------------------------- keys

    async def key_of(self, secret: str) -> Row | None:
        """`id` and `lookup` of the live API key a text is, or None."""
        if (parts := key_parts(secret)) is None:
            return None
        row = await self._row(sql.key, lookup=parts[0])
        known = bytes(row["secret_sha256"]) if row else bytes(32)
        if not hmac.compare_digest(digest(parts[1]), known) or row is None:
            return None
        if row["revoked"] or row["expired"]:
            return None
        return {"id": row["id"], "lookup": parts[0]}

    async def generation(self) -> int:
        """Which session key signs now."""
        row = await self._row(sql.generation)
        assert row is not None
        return row["generation"]


def plain_code(user_code: str) -> str:
    """A typed code without what people put between its letters."""
    return "".join(letter for letter in user_code.upper() if letter in USER_CODE_LETTERS)
