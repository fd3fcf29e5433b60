"""Settings: the environment, read once, through the table in `variables.py`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ops_gateway.kernel.services import Limits
from ops_gateway.providers.mail import MailServer
from ops_gateway.providers.openid_settings import ProviderSettings
from opstac import variables as v


@dataclass(frozen=True)
class Settings:
    """What a process of the platform needs to know."""

    dsn: str
    home: Path
    storage: str
    master_secret: bytes
    verify_keys: str | None = None
    public_url: str | None = None
    issuer: str = v.ISSUER.default
    host: str = v.HOST.default
    port: int = v.PORT.default
    metrics_port: int | None = None
    pool_size: int = v.POOL_SIZE.default
    pool_idle: int = 2  # connections of a pool that are kept though nobody uses them
    org_running: int = v.ORG_RUNNING.default
    worker_concurrency: int = v.WORKER_CONCURRENCY.default
    signup_credits: int = v.SIGNUP_CREDITS.default
    storage_quota_bytes: int = v.STORAGE_QUOTA_BYTES.default
    upload_max_bytes: int = v.UPLOAD_MAX_BYTES.default
    convert_inline_bytes: int = v.CONVERT_INLINE_BYTES.default
    job_timeout_seconds: int = v.JOB_TIMEOUT_SECONDS.default
    invoice_seller: str = v.INVOICE_SELLER.default
    trusted_proxy: bool = v.TRUSTED_PROXY.default
    webhook_allow: str = v.WEBHOOK_ALLOW.default
    share_port: bool = v.SHARE_PORT.default
    tile_threads: int = v.TILE_THREADS.default
    tile_seconds: int = v.TILE_SECONDS.default
    tile_wait_seconds: int = v.TILE_WAIT_SECONDS.default
    tile_memory_mb: int = v.TILE_MEMORY_MB.default
    raster_hosts: str = v.RASTER_HOSTS.default
    raster_allow: str = v.RASTER_ALLOW.default
    cron_token: str | None = None
    smtp: MailServer | None = None
    stripe_key: str | None = field(default=None, repr=False)
    stripe_webhook_secret: str | None = field(default=None, repr=False)
    stripe_api_base: str | None = None
    sign_up: str = v.SIGN_UP.default
    oauth_clients: str = v.OAUTH_CLIENTS.default
    oidc: ProviderSettings | None = None
    max_requests: int = v.MAX_REQUESTS.default
    max_body_bytes: int = v.MAX_BODY_BYTES.default
    limits: Limits = field(default_factory=lambda: read_limits({}))


def read(
    environ: Mapping[str, str] = os.environ, *, dsn: str, home: Path, signs: bool = True
) -> Settings:
    """The settings of this process.

    Args:
        signs: the process has the master secret; without it, it can verify at most.
        environ: the environment.
        dsn: the database: DATABASE_URL, or the private cluster's.
        home: the data folder; holds the master secret and, by default, the objects.
    """
    return Settings(
        dsn=dsn,
        home=home,
        storage=v.STORAGE.text(environ) or str(home / "objects"),
        master_secret=master_secret(environ, home) if signs else b"",
        verify_keys=v.VERIFY_KEYS.text(environ),
        public_url=v.PUBLIC_URL.text(environ),
        issuer=issuer(environ),
        host=v.HOST.text(environ),
        port=v.PORT.number(environ),
        metrics_port=v.METRICS_PORT.number(environ) or None,
        pool_size=v.POOL_SIZE.number(environ),
        org_running=v.ORG_RUNNING.number(environ),
        worker_concurrency=v.WORKER_CONCURRENCY.number(environ),
        signup_credits=v.SIGNUP_CREDITS.number(environ),
        storage_quota_bytes=v.STORAGE_QUOTA_BYTES.number(environ),
        upload_max_bytes=v.UPLOAD_MAX_BYTES.number(environ),
        convert_inline_bytes=v.CONVERT_INLINE_BYTES.number(environ),
        job_timeout_seconds=v.JOB_TIMEOUT_SECONDS.number(environ),
        invoice_seller=v.INVOICE_SELLER.text(environ).replace("\\n", "\n"),
        trusted_proxy=v.TRUSTED_PROXY.on(environ),
        webhook_allow=v.WEBHOOK_ALLOW.text(environ),
        share_port=v.SHARE_PORT.on(environ),
        tile_threads=v.TILE_THREADS.number(environ),
        tile_seconds=v.TILE_SECONDS.number(environ),
        tile_wait_seconds=v.TILE_WAIT_SECONDS.number(environ),
        tile_memory_mb=v.TILE_MEMORY_MB.number(environ),
        raster_hosts=v.RASTER_HOSTS.text(environ),
        raster_allow=v.RASTER_ALLOW.text(environ),
        cron_token=v.CRON_TOKEN.text(environ),
        smtp=read_smtp(environ),
        stripe_key=v.STRIPE_KEY.text(environ),
        stripe_webhook_secret=v.STRIPE_WEBHOOK_SECRET.text(environ),
        stripe_api_base=v.STRIPE_API_BASE.text(environ),
        sign_up=v.SIGN_UP.text(environ),
        oauth_clients=v.OAUTH_CLIENTS.text(environ),
        oidc=read_provider(environ),
        max_requests=at_least(1, v.MAX_REQUESTS, environ),
        max_body_bytes=at_least(64 << 20, v.MAX_BODY_BYTES, environ),
        limits=read_limits(environ),
    )


def issuer(environ: Mapping[str, str]) -> str:
    """OPSTAC_ISSUER, else the realm as discovery names it where the public URL is known."""
    public_url = v.PUBLIC_URL.text(environ)
    realm = f"{public_url.rstrip('/')}/realms/public" if public_url else v.ISSUER.default
    return environ.get(v.ISSUER.name) or realm


def at_least(least: int, variable: v.Variable[int], environ: Mapping[str, str]) -> int:
    """A number of the environment. Raises BadVariable where it is less."""
    number = variable.number(environ)
    if number < least:
        raise v.BadVariable(f"{variable.name} must be at least {least}, not {number}")
    return number


def read_limits(environ: Mapping[str, str]) -> Limits:
    """The rate limits."""
    return Limits(
        organization=v.LIMIT_ORGANIZATION.number(environ),
        placement=v.LIMIT_PLACEMENT.number(environ),
        spend=v.LIMIT_SPEND.number(environ),
        public=v.LIMIT_PUBLIC.number(environ),
        reads=v.LIMIT_READS.number(environ),
        public_reads=v.LIMIT_PUBLIC_READS.number(environ),
    )


def read_provider(environ: Mapping[str, str]) -> ProviderSettings | None:
    """Another identity provider, or None. Raises BadVariable where what is set cannot be right."""
    issuer = v.OIDC_ISSUER.text(environ)
    if not issuer:
        return None
    provider = ProviderSettings(
        issuer,
        v.OIDC_CLIENT_ID.text(environ) or "",
        v.OIDC_CLIENT_SECRET.text(environ),
        v.OIDC_NAME.text(environ) or "",
    )
    try:
        provider.check()
    except ValueError as error:
        raise v.BadVariable(str(error)) from None
    return provider


def read_smtp(environ: Mapping[str, str]) -> MailServer | None:
    """The mail server, or None. Raises BadVariable where what is set cannot be right."""
    host = v.SMTP_HOST.text(environ)
    if not host:
        return None
    server = MailServer(
        host=host,
        port=v.SMTP_PORT.number(environ),
        tls=v.SMTP_TLS.text(environ),
        user=v.SMTP_USER.text(environ),
        password=v.SMTP_PASSWORD.text(environ),
        sender=v.SMTP_SENDER.text(environ) or "",
    )
    try:
        server.check()
    except ValueError as error:
        raise v.BadVariable(str(error)) from None
    return server


def smtp_environment(server: MailServer) -> dict[str, str]:
    """The variables that `read_smtp` reads it from."""
    given = {
        v.SMTP_HOST.name: server.host,
        v.SMTP_PORT.name: str(server.port),
        v.SMTP_TLS.name: server.tls,
        v.SMTP_SENDER.name: server.sender,
        v.SMTP_USER.name: server.user,
        v.SMTP_PASSWORD.name: server.password,
    }
    return {name: value for name, value in given.items() if value is not None}


def master_secret(environ: Mapping[str, str], home: Path) -> bytes:
    """OPSTAC_SECRET_KEY, else the file `secret.key` of the data folder, made at first use."""
    given = v.SECRET_KEY.text(environ)
    if given:
        return given.encode()
    path = home / "secret.key"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text().strip().encode()
