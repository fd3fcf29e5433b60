"""Every variable of the environment that means something here: its name, default and meaning.

`settings.py` and the commands read them through this table, and the reference page is made of it.
Light to import: the standard library alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", covariant=True)
Environ = Mapping[str, str]


class BadVariable(ValueError):
    """A variable's text is not what it must be; the message names it."""


@dataclass(frozen=True)
class Variable(Generic[T]):
    """One variable.

    Attributes:
        default: what an unset or empty one means.
        shown: the default in words, where it depends on something.
    """

    name: str
    default: T
    meaning: str
    shown: str | None = None

    def text(self, environ: Environ = os.environ) -> str | T:
        """Its text, or the default."""
        return environ.get(self.name) or self.default

    def number(self: Variable[int], environ: Environ = os.environ) -> int:
        """Its whole number, or the default; raises BadVariable."""
        text = environ.get(self.name)
        if not text:
            return self.default
        try:
            return int(text)
        except ValueError:
            raise BadVariable(f"{self.name} must be a whole number, not {text!r}") from None

    def on(self: Variable[bool], environ: Environ = os.environ) -> bool:
        """True where it is 1, false where it is anything else."""
        text = environ.get(self.name)
        return text == "1" if text else self.default

    @property
    def in_words(self) -> str:
        """The default as the reference shows it."""
        if self.shown is not None:
            return self.shown
        return "" if self.default in (None, "", False) else f"`{self.default}`"


DATABASE_URL = Variable(
    "DATABASE_URL",
    None,
    "The PostgreSQL database to use, as `postgresql://user:password@host:port/name`. "
    "Its user needs no superuser rights.",
    "the private cluster of `OPSTAC_HOME`",
)
HOME = Variable(
    "OPSTAC_HOME",
    None,
    "The data folder: private cluster, objects, master secret, notes of the demo.",
    "`/var/lib/opstac` for root, else `opstac` in the user's data folder",
)
STORAGE = Variable(
    "OPSTAC_STORAGE",
    None,
    "Where objects are kept: a folder, or `s3://bucket/prefix`. The usual `AWS_*` variables "
    "(`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`) give the "
    "credentials and the endpoint.",
    "`objects` in `OPSTAC_HOME`",
)
VERIFY_KEYS = Variable(
    "OPSTAC_VERIFY_KEYS",
    None,
    "What `opstac keys` prints: with it `opstac serve --service tiler` knows callers and tile "
    "tokens without the master secret, and can sign nothing.",
)
SECRET_KEY = Variable(
    "OPSTAC_SECRET_KEY",
    None,
    "The master secret that all keys are derived from. Every process of one platform needs the "
    "same.",
    "the file `secret.key` of `OPSTAC_HOME`, made at first use",
)

HOST = Variable("OPSTAC_HOST", "127.0.0.1", "The address the server listens on.")
PORT = Variable("OPSTAC_PORT", 8080, "The port the server listens on.")
PUBLIC_URL = Variable(
    "OPSTAC_PUBLIC_URL",
    None,
    "The URL that clients reach the platform by; links and signed URLs begin with it.",
    "what each request says",
)
TRUSTED_PROXY = Variable(
    "OPSTAC_TRUSTED_PROXY",
    False,
    "1: the proxy in front is believed about the client's address (`X-Forwarded-For`) and, where "
    "no public URL is set, about the URL (`Forwarded`, else `X-Forwarded-Proto`, `-Host` and "
    "`-Port`; `X-Forwarded-Prefix`). Only where nobody else can reach the server.",
)
METRICS_PORT = Variable(
    "OPSTAC_METRICS_PORT",
    0,
    "A loopback port for `GET /metrics` in Prometheus' text format.",
    "none",
)
POOL_SIZE = Variable(
    "OPSTAC_POOL_SIZE", 12, "Database connections of a server process for operations."
)
ISSUER = Variable(
    "OPSTAC_ISSUER",
    "opstac",
    "Issuer (`iss`) of session and job tokens.",
    "`/realms/public` of `OPSTAC_PUBLIC_URL`, else `opstac`",
)
SIGN_UP = Variable(
    "OPSTAC_SIGN_UP",
    "invited",
    "Who may make an account by the sign-up page: `open` for everybody, `invited` for people with "
    "an invitation to an organisation.",
)
OAUTH_CLIENTS = Variable(
    "OPSTAC_OAUTH_CLIENTS",
    "",
    "Web applications that people may sign in to with their account here, as "
    "`id=https://app.example/callback;…`; several addresses of one are separated by spaces.",
)
OIDC_ISSUER = Variable(
    "OPSTAC_OIDC_ISSUER",
    None,
    "Another OpenID Connect provider that people may sign in with, by its issuer URL. Register "
    "`/sign-in/external/callback` below the public URL there.",
)
OIDC_CLIENT_ID = Variable("OPSTAC_OIDC_CLIENT_ID", None, "As what that provider knows us.")
OIDC_CLIENT_SECRET = Variable(
    "OPSTAC_OIDC_CLIENT_SECRET", None, "Our secret there; without one we are a public client."
)
OIDC_NAME = Variable(
    "OPSTAC_OIDC_NAME", None, "What the sign-in page calls the provider.", "its host's name"
)
LOG_LEVEL = Variable(
    "OPSTAC_LOG_LEVEL", "INFO", "How much is logged; `opstac demo` logs ERROR where it is not set."
)

LIMIT_ORGANIZATION = Variable(
    "OPSTAC_LIMIT_ORGANIZATION", 600, "Calls a minute of one organisation."
)
LIMIT_SPEND = Variable("OPSTAC_LIMIT_SPEND", 30, "Calls a minute that spend credits.")
LIMIT_PLACEMENT = Variable("OPSTAC_LIMIT_PLACEMENT", 60, "Calls a minute that place an order.")
LIMIT_PUBLIC = Variable(
    "OPSTAC_LIMIT_PUBLIC", 60, "Calls a minute of one address without a credential."
)
LIMIT_READS = Variable(
    "OPSTAC_LIMIT_READS",
    0,
    "Searches, tiles and files a minute of one organisation's callers; 0: as many as they like.",
)
LIMIT_PUBLIC_READS = Variable(
    "OPSTAC_LIMIT_PUBLIC_READS",
    6000,
    "Searches, tiles and files a minute of one address without a credential in a header; 0: as "
    "many as it likes.",
)
MAX_REQUESTS = Variable(
    "OPSTAC_MAX_REQUESTS",
    1000,
    "Requests that a process has under way at once; more are answered with 503 and `Retry-After`.",
)
MAX_BODY_BYTES = Variable(
    "OPSTAC_MAX_BODY_BYTES",
    256 << 20,
    "Bytes of JSON and forms that a process holds at once for the requests under way; more are "
    "answered with 503. Read JSON takes several times as much memory. At least 64 MiB, the largest "
    "body there may be.",
)
UPLOAD_MAX_BYTES = Variable("OPSTAC_UPLOAD_MAX_BYTES", 10 << 30, "The largest file taken in.")
CONVERT_INLINE_BYTES = Variable(
    "OPSTAC_CONVERT_INLINE_BYTES",
    256 << 20,
    "Up to this size an upload is rewritten while the caller waits; beyond it by a worker.",
)
STORAGE_QUOTA_BYTES = Variable(
    "OPSTAC_STORAGE_QUOTA_BYTES", 1 << 40, "Storage of an organisation, set when it is made."
)
SIGNUP_CREDITS = Variable("OPSTAC_SIGNUP_CREDITS", 1000, "Credits a new organisation is given.")

ORG_RUNNING = Variable(
    "OPSTAC_ORG_RUNNING", 2, "Jobs of one organisation that run at the same time."
)
WORKER_CONCURRENCY = Variable(
    "OPSTAC_WORKER_CONCURRENCY",
    max(1, os.cpu_count() or 1),
    "Jobs that one worker process runs at the same time.",
    "one a processor",
)
JOB_TIMEOUT_SECONDS = Variable(
    "OPSTAC_JOB_TIMEOUT_SECONDS", 3600, "How long a job may run, and its token lives."
)
WORKER_NAME = Variable(
    "OPSTAC_WORKER_NAME", None, "The name of a worker process.", "host name and process id"
)
BLOCK_THREADS = Variable(
    "OPSTAC_BLOCK_THREADS", 2, "Threads that one job computes with, at most a processor each."
)
DASK_SCHEDULER = Variable(
    "OPSTAC_DASK_SCHEDULER",
    None,
    "The Dask scheduler, as `tcp://host:8786`, whose workers compute the rasters of jobs. What "
    "Dask itself reads, such as `DASK_DISTRIBUTED__COMM__TLS__*`, is passed on.",
    "this machine computes them",
)
SHARE_PORT = Variable(
    "OPSTAC_SHARE_PORT",
    False,
    "1: several processes may listen on the same port; each connection goes to one of them.",
)
TILE_THREADS = Variable(
    "OPSTAC_TILE_THREADS",
    0,
    "Threads of a process that draw tiles; more than processors make everything else wait.",
    "one a processor",
)
TILE_SECONDS = Variable(
    "OPSTAC_TILE_SECONDS",
    15,
    "How long a tile may take, waiting included; then the answer is 503 with Retry-After.",
)
TILE_WAIT_SECONDS = Variable(
    "OPSTAC_TILE_WAIT_SECONDS",
    5,
    "A tile that would wait for longer than this is refused at once, with 503 and Retry-After.",
)
TILE_MEMORY_MB = Variable(
    "OPSTAC_TILE_MEMORY_MB",
    128,
    "Mebibytes of a process for open rasters, their headers and statistics. GDAL's cache of "
    "pixels comes on top: `GDAL_CACHEMAX`, 256.",
)
RASTER_HOSTS = Variable(
    "OPSTAC_RASTER_HOSTS",
    "",
    "Hosts whose rasters may be drawn where they lie, separated by commas; `*.example.org` means "
    "every name below. Only https to public addresses, without redirects.",
)
RASTER_ALLOW = Variable(
    "OPSTAC_RASTER_ALLOW",
    "",
    "Private networks that such a host may be in, as `10.1.0.0/16:443`, separated by commas; there "
    "also plain http. The host must be in `OPSTAC_RASTER_HOSTS` all the same.",
)
WEBHOOK_ALLOW = Variable(
    "OPSTAC_WEBHOOK_ALLOW",
    "",
    "Private networks that messages about jobs may be sent to, as `127.0.0.1/32:8000-8999`, "
    "separated by commas; there also by plain http.",
)
SMTP_HOST = Variable(
    "OPSTAC_SMTP_HOST", None, "The SMTP server that mail is sent by.", "no mail is sent"
)
SMTP_PORT = Variable("OPSTAC_SMTP_PORT", 587, "Its port.")
SMTP_TLS = Variable(
    "OPSTAC_SMTP_TLS",
    "starttls",
    "`starttls`, `tls` (encrypted from the first byte on, mostly port 465), or `none`.",
)
SMTP_USER = Variable("OPSTAC_SMTP_USER", None, "The user it knows the platform by.")
SMTP_PASSWORD = Variable("OPSTAC_SMTP_PASSWORD", None, "That user's password.")
SMTP_SENDER = Variable(
    "OPSTAC_SMTP_SENDER", None, "What mails are from, as `Maps <maps@example.org>`."
)
INVOICE_SELLER = Variable(
    "OPSTAC_INVOICE_SELLER",
    "opstac",
    "Whom invoices are from: name, address and tax number, `\\n` between their lines.",
)
STRIPE_KEY = Variable(
    "OPSTAC_STRIPE_KEY",
    None,
    "The secret key of the Stripe account that cards are charged through.",
    "no cards are taken",
)
STRIPE_WEBHOOK_SECRET = Variable(
    "OPSTAC_STRIPE_WEBHOOK_SECRET",
    None,
    "What Stripe signs its messages to `/v1/payments/stripe/webhook` with.",
    "no message is believed",
)
STRIPE_API_BASE = Variable(
    "OPSTAC_STRIPE_API_BASE",
    None,
    "Another endpoint that speaks Stripe's API, as `http://127.0.0.1:8420`.",
    "Stripe's own",
)
CRON_TOKEN = Variable(
    "BILLING_CRON_TOKEN", None, "The token that a scheduler of yours calls the platform with."
)

SERVER = Variable(
    "OPSTAC_URL", "http://127.0.0.1:8080", "The platform that the command line calls."
)
SERVER_SDK = Variable("GEOPERA_API_URL", None, "The same, where `OPSTAC_URL` is not set.")
TOKEN = Variable("OPSTAC_TOKEN", None, "The API key or session token that the command line uses.")
TOKEN_SDK = Variable("GEOPERA_API_TOKEN", None, "The same, where `OPSTAC_TOKEN` is not set.")

PYTHON = Variable("OPSTAC_PYTHON", None, "The Python that `./opstac` uses.", "the first one found")
VENV = Variable(
    "OPSTAC_VENV",
    None,
    "The virtual environment that `./opstac` makes.",
    "`.venv` beside it, or in `OPSTAC_HOME` where that cannot be written",
)
YES = Variable("OPSTAC_YES", None, "1: `./opstac` installs system packages without asking.")

GROUPS: dict[str, tuple[Variable[object], ...]] = {
    "Where things are": (DATABASE_URL, HOME, STORAGE, SECRET_KEY, VERIFY_KEYS),
    "Serving": (
        HOST, PORT, SHARE_PORT, PUBLIC_URL, TRUSTED_PROXY, METRICS_PORT, POOL_SIZE, ISSUER,
        LOG_LEVEL,
    ),
    "Signing in": (
        SIGN_UP, OAUTH_CLIENTS, OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, OIDC_NAME,
    ),
    "Tiles": (
        TILE_THREADS, TILE_SECONDS, TILE_WAIT_SECONDS, TILE_MEMORY_MB, RASTER_HOSTS, RASTER_ALLOW,
    ),
    "Limits": (
        LIMIT_ORGANIZATION, LIMIT_SPEND, LIMIT_PLACEMENT, LIMIT_PUBLIC, LIMIT_READS,
        LIMIT_PUBLIC_READS, MAX_REQUESTS, MAX_BODY_BYTES, UPLOAD_MAX_BYTES, CONVERT_INLINE_BYTES,
        STORAGE_QUOTA_BYTES, SIGNUP_CREDITS,
    ),
    "Work": (
        ORG_RUNNING, WORKER_CONCURRENCY, JOB_TIMEOUT_SECONDS, WORKER_NAME, BLOCK_THREADS,
        DASK_SCHEDULER, WEBHOOK_ALLOW, CRON_TOKEN, INVOICE_SELLER,
    ),
    "Mail": (SMTP_HOST, SMTP_PORT, SMTP_TLS, SMTP_USER, SMTP_PASSWORD, SMTP_SENDER),
    "Cards": (STRIPE_KEY, STRIPE_WEBHOOK_SECRET, STRIPE_API_BASE),
    "The command line": (SERVER, SERVER_SDK, TOKEN, TOKEN_SDK),
    "Installing": (PYTHON, VENV, YES),
}  # fmt: skip


def named_server_url(environ: Environ = os.environ) -> str | None:
    """The platform that the environment names; None where it names none."""
    return environ.get(SERVER.name) or SERVER_SDK.text(environ)


def server_url(environ: Environ = os.environ) -> str:
    """The platform that the command line calls."""
    return named_server_url(environ) or SERVER.default


def server_token(environ: Environ = os.environ) -> str | None:
    """The credential that the command line calls with; None for none."""
    return TOKEN.text(environ) or TOKEN_SDK.text(environ)
