"""Every key the platform signs or encrypts with, derived from one master secret.

A process gets only what its work needs: the tiler verifies tile tokens with a public key and can
sign nothing.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12  # bytes
_SESSION_KID = re.compile(r"session-([1-9][0-9]{0,5})")
_KEPT_GENERATIONS = 8


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 pair with the id its signatures name."""

    kid: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> Ed25519PublicKey:
        """The half that verifies."""
        return self.private.public_key()

    def private_bytes(self) -> bytes:
        """The half that signs, 32 raw bytes."""
        return self.private.private_bytes_raw()

    def public_bytes(self) -> bytes:
        """The public half, 32 raw bytes."""
        return self.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


@dataclass(frozen=True)
class VerifyingKey:
    """The half of a pair that can sign nothing."""

    kid: str
    public: Ed25519PublicKey

    def public_bytes(self) -> bytes:
        """32 raw bytes."""
        return self.public.public_bytes_raw()


@dataclass(frozen=True)
class PublicKeys:
    """What a service needs to know callers and tile tokens by, and no more."""

    sessions: tuple[VerifyingKey, ...]
    worker: VerifyingKey
    tile: VerifyingKey

    def session_of(self, kid: str) -> VerifyingKey | None:
        """The key that a session token names, where it is one of ours."""
        return next((key for key in self.sessions if key.kid == kid), None)

    def text(self) -> str:
        """As OPSTAC_VERIFY_KEYS holds them: `kid:hex`, comma-separated."""
        keys = (*self.sessions, self.worker, self.tile)
        return ",".join(f"{key.kid}:{key.public_bytes().hex()}" for key in keys)

    @classmethod
    def parse(cls, text: str) -> PublicKeys:
        """The keys of a text; raises ValueError where one is missing or malformed."""
        found: dict[str, list[VerifyingKey]] = {"session": [], "worker": [], "tile": []}
        for part in text.split(","):
            kid, _, number = part.strip().partition(":")
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(number))
            found.setdefault(kid.rpartition("-")[0], []).append(VerifyingKey(kid, key))
        if not (found["session"] and found["worker"] and found["tile"]):
            raise ValueError("the keys for sessions, workers and tiles are needed")
        return cls(tuple(found["session"]), found["worker"][0], found["tile"][0])


class Keys:
    """Keys by purpose, all derived (HKDF-SHA256, RFC 5869) from the master secret."""

    def __init__(self, master: bytes) -> None:
        """`master`: at least 32 random bytes."""
        if len(master) < 32:
            raise ValueError("the master secret must have at least 32 bytes")
        self._master = master
        self._sessions: dict[int, SigningKey] = {}
        self.worker = self._signing("worker")
        self.tile = self._signing("tile")
        self.chain = self._signing("chain")
        self.storage = self._derive("storage")
        self.paging = self._derive("paging")
        self.forms = self._derive("forms")
        self.share = self._derive("share")
        self.confirmations = self._derive("confirmations")
        self._places = AESGCM(self._derive("places"))
        self._box = Fernet(base64.urlsafe_b64encode(self._derive("answers")))

    def session(self, generation: int = 1) -> SigningKey:
        """The key of session tokens of a generation, 1 to 999,999."""
        if (key := self._sessions.get(generation)) is None:
            if len(self._sessions) >= _KEPT_GENERATIONS:
                self._sessions.clear()
            # the first has the purpose's name alone, as all keys that never change
            purpose = "session" if generation == 1 else f"session-{generation}"
            private = Ed25519PrivateKey.from_private_bytes(self._derive(purpose))
            key = self._sessions[generation] = SigningKey(f"session-{generation}", private)
        return key

    def session_of(self, kid: str) -> SigningKey | None:
        """The key that a session token names; whether its generation still holds is not asked."""
        found = _SESSION_KID.fullmatch(kid)
        return self.session(int(found[1])) if found else None

    def public(self, generation: int = 1) -> PublicKeys:
        """The halves that verify, for a service that must not sign.

        Those of sessions are three: a service goes on with them over the next rotation.
        """
        pairs = [self.session(g) for g in range(max(1, generation - 1), generation + 2)]
        return PublicKeys(
            tuple(VerifyingKey(pair.kid, pair.public) for pair in pairs),
            VerifyingKey(self.worker.kid, self.worker.public),
            VerifyingKey(self.tile.kid, self.tile.public),
        )

    def _derive(self, purpose: str) -> bytes:
        return HKDF(
            algorithm=hashes.SHA256(), length=32, salt=None, info=f"opstac:{purpose}".encode()
        ).derive(self._master)

    def _signing(self, purpose: str) -> SigningKey:
        private = Ed25519PrivateKey.from_private_bytes(self._derive(purpose))
        return SigningKey(f"{purpose}-1", private)

    def seal(self, secret: bytes) -> bytes:
        """Encrypt an answer that holds a secret, for its replay."""
        return self._box.encrypt(secret)

    def unseal(self, token: bytes) -> bytes:
        """The answer back; raises cryptography.fernet.InvalidToken where it was altered."""
        return self._box.decrypt(token)

    def seal_place(self, log: str, number: int) -> str:
        """A place in a log for whoever may read some of it: nobody can count by it.

        Encrypted (AES-256-GCM) with a nonce of its own, so that two of one place are not alike.
        """
        nonce = os.urandom(_NONCE)
        sealed = self._places.encrypt(nonce, number.to_bytes(8, "big"), log.encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def open_place(self, log: str, text: str) -> int:
        """The number behind a place of the same log; raises ValueError for any other text."""
        try:
            raw = base64.b64decode(text, altchars=b"-_", validate=True)
            number = self._places.decrypt(raw[:_NONCE], raw[_NONCE:], log.encode())
        except (InvalidTag, binascii.Error, UnicodeEncodeError):
            raise ValueError("not a place of this log") from None
        return int.from_bytes(number, "big")
