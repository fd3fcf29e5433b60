"""A bucket in memory, for tests of what is kept in one."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import uvicorn
from starlette.requests import Request
from starlette.responses import Response

TOLD_GDAL = ("AWS_S3_ENDPOINT", "AWS_HTTPS", "AWS_VIRTUAL_HOSTING", "CPL_VSIL_CURL_NON_CACHED")


class Bucket:
    """A bucket in memory that speaks the part of S3 that we use; signatures are not checked."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.modified: dict[str, datetime] = {}
        self.heads = 0
        self.down = False
        self.broken_reads = False
        self.read: list[Request] = []

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            response = self.answer(request, await request.body())
            await response(scope, receive, send)

    def answer(self, request: Request, body: bytes) -> Response:
        if self.down:
            return Response("<Error><Code>AccessDenied</Code></Error>", 403)
        _, _, key = unquote(request.url.path).lstrip("/").partition("/")
        query = request.query_params
        if request.method == "GET" and "list-type" in query:
            return self.listing(query.get("prefix", ""))
        if request.method == "POST":
            return self.post(key, query, body)
        if request.method == "PUT":
            if "partNumber" in query:
                self.uploads[query["uploadId"]][int(query["partNumber"])] = body
            elif source := request.headers.get("x-amz-copy-source"):
                found = self.objects.get(unquote(source).lstrip("/").partition("/")[2])
                if found is None:
                    return Response("<Error><Code>NoSuchKey</Code></Error>", 404)
                self.objects[key] = found
                return Response("<CopyObjectResult><ETag>e</ETag></CopyObjectResult>")
            else:
                self.objects[key] = body
            return Response(headers={"ETag": f'"{md5(body).hexdigest()}"'})
        if key not in self.objects:
            return Response("<Error><Code>NoSuchKey</Code></Error>", 404)
        if request.method == "DELETE":
            del self.objects[key]
            return Response(status_code=204)
        data, status, headers = self.objects[key], 200, self.headers(key)
        if request.headers.get("if-match", headers["ETag"]) != headers["ETag"]:
            return Response("<Error><Code>PreconditionFailed</Code></Error>", 412)
        self.heads += request.method == "HEAD"
        if match := re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", "")):
            start, end = int(match[1]), min(int(match[2]) + 1, len(data))
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            data, status = data[start:end], 206
            self.read.append(request)
            if self.broken_reads and start > 0:
                return Response(status_code=503)
        headers["Content-Length"] = str(len(data))
        return Response(None if request.method == "HEAD" else data, status, headers)

    def post(self, key: str, query, body: bytes) -> Response:
        if "uploads" in query:
            self.uploads["u1"] = {}
            return Response(
                "<InitiateMultipartUploadResult><UploadId>u1</UploadId>"
                "</InitiateMultipartUploadResult>"
            )
        if "uploadId" in query:
            parts = self.uploads.pop(query["uploadId"])
            self.objects[key] = b"".join(parts[n] for n in sorted(parts))
            return Response(
                "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
            )
        keys = [e.text or "" for e in ElementTree.fromstring(body).iter() if e.tag.endswith("Key")]
        for name in keys:
            self.objects.pop(name, None)
        deleted = "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in keys)
        return Response(f"<DeleteResult>{deleted}</DeleteResult>")

    def listing(self, prefix: str) -> Response:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{stamp}</LastModified>"
            f"<ETag>e</ETag><Size>{len(data)}</Size></Contents>"
            for key, data in self.objects.items()
            if key.startswith(prefix)
        )
        return Response(
            f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
        )

    def headers(self, key: str) -> dict[str, str]:
        modified = self.modified.setdefault(key, datetime.now(UTC))
        return {
            "ETag": f'"{md5(self.objects[key]).hexdigest()}"',
            "Last-Modified": format_datetime(modified, usegmt=True),
        }


@contextmanager
def serving(bucket: Bucket) -> Iterator[str]:
    """The URL of a server that is the bucket's."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(bucket, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()
