"""What an operator says of another OpenID Connect provider; light to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class ProviderSettings:
    """What the operator says of the provider.

    Attributes:
        issuer: its `iss`; discovery is below it.
        client_secret: None for a public client, which proves itself by PKCE alone.
        name: what the sign-in page calls it.
    """

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    name: str = ""

    def check(self) -> None:
        """Raise ValueError, whose text is for the operator."""
        check_url(self.issuer, "OPSTAC_OIDC_ISSUER")
        if urlsplit(self.issuer).query:
            raise ValueError("OPSTAC_OIDC_ISSUER must be a URL without query")
        if not self.client_id:
            raise ValueError("OPSTAC_OIDC_CLIENT_ID is missing: as what the provider knows us")

    @property
    def shown(self) -> str:
        """What people call it."""
        return self.name or urlsplit(self.issuer).hostname or self.issuer


def check_url(url: str, what: str) -> None:
    """Raise ValueError unless it is https, or http on this machine."""
    parts = urlsplit(url)
    here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or parts.fragment:
        raise ValueError(f"{what} must be a URL without fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise ValueError(f"{what} must be https, or http on this machine")
