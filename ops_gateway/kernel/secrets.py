"""Every key the platform signs or encrypts with, derived from one master secret.

A process gets only what its work needs: the tiler verifies tile tokens with a public key and can
sign nothing.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12  # bytes


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

    session: VerifyingKey
    worker: VerifyingKey
    tile: VerifyingKey

    def text(self) -> str:
        """As OPSTAC_VERIFY_KEYS holds them: `kid:hex`, comma-separated."""
        keys = (self.session, self.worker, self.tile)
        return ",".join(f"{key.kid}:{key.public_bytes().hex()}" for key in keys)

    @classmethod
    def parse(cls, text: str) -> PublicKeys:
        """The keys of a text; raises ValueError where one is missing or malformed."""
        found: dict[str, VerifyingKey] = {}
        for part in text.split(","):
            kid, _, number = part.strip().partition(":")
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(number))
            found[kid.rpartition("-")[0]] = VerifyingKey(kid, key)
        if not {"session", "worker", "tile"} <= found.keys():
            raise ValueError("the keys for sessions, workers and tiles are needed")
        return cls(found["session"], found["worker"], found["tile"])


class Keys:
    """Keys by purpose, all derived (HKDF-SHA256, RFC 5869) from the master secret."""

    def __init__(self, master: bytes) -> None:
        """`master`: at least 32 random bytes."""
        if len(master) < 32:
            raise ValueError("the master secret must have at least 32 bytes")
        self._master = master
        self.session = self._signing("session")
        self.worker = self._signing("worker")
        self.tile = self._signing("tile")
        self.chain = self._signing("chain")
        self.storage = self._derive("storage")
        self.paging = self._derive("paging")
        self._places = AESGCM(self._derive("places"))
        self._box = Fernet(base64.urlsafe_b64encode(self._derive("answers")))

    def public(self) -> PublicKeys:
        """The halves that verify, for a service that must not sign."""
        pairs = (self.session, self.worker, self.tile)
        return PublicKeys(*(VerifyingKey(pair.kid, pair.public) for pair in pairs))

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
