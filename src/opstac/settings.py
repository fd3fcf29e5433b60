"""Settings: the environment, read once. Every variable begins with OPSTAC_ but DATABASE_URL."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ops_gateway.kernel.services import Limits


@dataclass(frozen=True)
class Settings:
    """What a process of the platform needs to know."""

    dsn: str
    home: Path
    storage: str
    master_secret: bytes
    public_url: str | None = None
    issuer: str = "opstac"
    host: str = "127.0.0.1"
    port: int = 8080
    metrics_port: int | None = None
    pool_size: int = 12
    org_running: int = 2
    worker_concurrency: int = 2
    signup_credits: int = 1000
    storage_quota_bytes: int = 1 << 40
    upload_max_bytes: int = 10 << 30
    job_timeout_seconds: int = 3600
    trusted_proxy: bool = False
    webhook_allow: str = ""
    cron_token: str | None = None
    limits: Limits = field(default_factory=Limits)


def read(environ: Mapping[str, str] = os.environ, *, dsn: str, home: Path) -> Settings:
    """The settings of this process.

    Args:
        environ: the environment.
        dsn: the database: DATABASE_URL, or the private cluster's.
        home: the data folder; holds the master secret and, by default, the objects.
    """
    number = _Numbers(environ)
    return Settings(
        dsn=dsn,
        home=home,
        storage=environ.get("OPSTAC_STORAGE", str(home / "objects")),
        master_secret=master_secret(environ, home),
        public_url=environ.get("OPSTAC_PUBLIC_URL") or None,
        issuer=environ.get("OPSTAC_ISSUER", "opstac"),
        host=environ.get("OPSTAC_HOST", "127.0.0.1"),
        port=number("OPSTAC_PORT", 8080),
        metrics_port=number("OPSTAC_METRICS_PORT", 0) or None,
        pool_size=number("OPSTAC_POOL_SIZE", 12),
        org_running=number("OPSTAC_ORG_RUNNING", 2),
        worker_concurrency=number("OPSTAC_WORKER_CONCURRENCY", max(1, os.cpu_count() or 1)),
        signup_credits=number("OPSTAC_SIGNUP_CREDITS", 1000),
        storage_quota_bytes=number("OPSTAC_STORAGE_QUOTA_BYTES", 1 << 40),
        upload_max_bytes=number("OPSTAC_UPLOAD_MAX_BYTES", 10 << 30),
        job_timeout_seconds=number("OPSTAC_JOB_TIMEOUT_SECONDS", 3600),
        trusted_proxy=environ.get("OPSTAC_TRUSTED_PROXY") == "1",
        webhook_allow=environ.get("OPSTAC_WEBHOOK_ALLOW", ""),
        cron_token=environ.get("BILLING_CRON_TOKEN") or None,
        limits=Limits(
            organization=number("OPSTAC_LIMIT_ORGANIZATION", 600),
            placement=number("OPSTAC_LIMIT_PLACEMENT", 60),
            spend=number("OPSTAC_LIMIT_SPEND", 30),
            public=number("OPSTAC_LIMIT_PUBLIC", 60),
        ),
    )


def master_secret(environ: Mapping[str, str], home: Path) -> bytes:
    """OPSTAC_SECRET_KEY, else the file `secret.key` of the data folder, made at first use."""
    given = environ.get("OPSTAC_SECRET_KEY")
    if given:
        return given.encode()
    path = home / "secret.key"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text().strip().encode()


class _Numbers:
    """Whole numbers from the environment, with an error that names the variable."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, name: str, default: int) -> int:
        text = self._environ.get(name)
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{name} must be a whole number, not {text!r}") from None
