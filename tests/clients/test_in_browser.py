"""The TypeScript client in a browser, as the page's own modules load it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
SCRIPT = """async () => {
  const { Geopera, Problem } = await import("/dist/index.js");
  const client = new Geopera({ token: "gpra_secret" });
  const told = { base: client.baseUrl };
  told.answer = await client.items.get({ itemId: "it_1" });
  told.lines = [];
  for await (const line of client.stream("/lines")) told.lines.push(line);
  try { await client.op("projects.list"); } catch (error) {
    told.redirect = [error instanceof Problem, error.title];
  }
  const file = new File(["x".repeat(10)], "a.tif", { type: "image/tiff" });
  told.upload = await client.upload(file, { projectId: "proj_1", pieceBytes: 4 });
  return told;
}"""


class Platform(BaseHTTPRequestHandler):
    """Serves the client's files, answers some operations, and sends one elsewhere."""

    protocol_version = "HTTP/1.1"
    dist: Path
    elsewhere = ""

    def setup(self) -> None:
        super().setup()
        self.state: dict[str, Any] = self.server.__dict__.setdefault("state", {"seen": [], "at": 0})

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        token = self.headers.get("Authorization")
        self.state["seen"].append((self.command, self.path, token, body.decode()))
        path = self.path
        if path.startswith("/dist/"):
            file = (self.dist / path.removeprefix("/dist/")).read_bytes()
            self.answer(200, file, Content_Type="text/javascript")
        elif path == "/v1/op/projects.list":
            self.answer(307, Location=self.elsewhere)
        elif path == "/lines":
            self.answer(200, b'{"n":1}\n{"n":2}\n', Content_Type="application/x-ndjson")
        elif path.startswith("/storage"):
            self.state["at"] += size
            self.answer(200, Upload_Offset=str(self.state["at"]), Upload_Complete="?0")
        elif path.startswith("/v1/op/"):
            url = f"http://{self.headers['Host']}/storage/a"
            upload = {"id": "up_1", "status": "completed", "item_ids": ["it_1"]}
            answers = {
                "items.get": {"item": {"id": "it_1"}},
                "uploads.initiate": {"id": "up_1"},
                "uploads.signed_url": {"upload_url": url},
                "uploads.complete": {"upload": upload},
            }
            made = json.dumps(answers[path.removeprefix("/v1/op/")]).encode()
            self.answer(200, made, Content_Type="application/json")
        else:
            self.answer(200, b"<!doctype html>", Content_Type="text/html")

    do_GET = do_POST = do_PUT = do_HEAD = handle_any

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def serving(kind: type[Platform]) -> Iterator[tuple[str, ThreadingHTTPServer]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", server
        server.shutdown()
        thread.join()


@pytest.mark.browser
@pytest.mark.slow  # starts a browser
def test_operations_lines_redirects_and_uploads(typescript: Any):
    class Here(Platform):
        dist = typescript.FOLDER / "dist"

    flags = ["--no-sandbox", "--disable-dev-shm-usage"]
    with serving(Platform) as (elsewhere, thief), serving(Here) as (url, server):
        Here.elsewhere = elsewhere + "/take"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
            page = browser.new_page()
            page.goto(url)
            told = page.evaluate(SCRIPT)
            browser.close()
    assert told["base"] == url + "/"
    assert told["answer"] == {"item": {"id": "it_1"}}
    assert told["lines"] == [{"n": 1}, {"n": 2}]
    assert told["redirect"] == [True, "Redirect"]
    assert told["upload"]["item_ids"] == ["it_1"]
    assert "state" not in thief.__dict__, "the redirect was followed"
    seen = server.__dict__["state"]["seen"]
    assert "".join(body for method, *_, body in seen if method == "PUT") == "x" * 10
    [asked] = [call for call in seen if call[1] == "/v1/op/items.get"]
    assert asked[2:] == ("Bearer gpra_secret", '{"itemId":"it_1"}')
