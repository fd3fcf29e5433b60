"""How a bucket is reached, by the store's client and by GDAL, and its errors as ours."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import S3Store

from db.paths import ObjectError, ObjectMissing, StorageUnavailable


def bucket_store(
    bucket: str, prefix: str, environ: Mapping[str, str], *, seconds: int = 60
) -> S3Store:
    """The bucket that the AWS_* variables lead to; `seconds` until one request is given up."""
    endpoint = _endpoint(environ)
    plain = endpoint is not None and endpoint.startswith("http://")
    return S3Store(
        bucket,
        prefix=prefix or None,
        client_options={"allow_http": plain, "timeout": f"{seconds}s", "connect_timeout": "5s"},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=seconds / 3)},
    )


def gdal_endpoint(environ: Mapping[str, str]) -> dict[str, str]:
    """GDAL's names for the endpoint that the AWS_* variables name; empty where they name none."""
    endpoint = _endpoint(environ)
    if endpoint is None:
        return {}
    parts = urlsplit(endpoint)
    return {
        "AWS_S3_ENDPOINT": parts.netloc + parts.path.rstrip("/"),
        "AWS_HTTPS": "YES" if parts.scheme == "https" else "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
    }


def _endpoint(environ: Mapping[str, str]) -> str | None:
    return (
        environ.get("AWS_ENDPOINT_URL_S3")
        or environ.get("AWS_ENDPOINT_URL")
        or environ.get("AWS_ENDPOINT")
    )


@contextmanager
def store_errors() -> Generator[None]:
    """The store's errors as ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissing("there is no such object") from error
    except ObjectError:
        raise
    except (BaseError, OSError) as error:
        raise StorageUnavailable("the object store does not answer") from error
