"""How long a command takes to begin, beside an import of httpx and beside geopera-cli.

    .venv/bin/python bench/cli_start.py [--runs 15]

Each is a process of its own, in turns, so that whatever else the machine does meets all of them.
The numbers are ratios of medians against `python -c "import httpx"` of the same run. The call goes
to a server of this process, which answers at once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = [sys.executable, "-P", "-m", "opstac"]
THEIRS = [sys.executable, "-m", "geopera_cli"]
FIRST = "python -c 'import httpx'"


class Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b'{"job_types": [], "count": 0}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def seconds(command: list[str], env: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    commands = {
        FIRST: [sys.executable, "-c", "import httpx"],
        "python -c pass": [sys.executable, "-c", "pass"],
        "opstac --help": [*OURS, "--help"],
        "opstac processing job-types list --help": [
            *OURS, "processing", "job-types", "list", "--help",
        ],
        "opstac __complete items search --": [*OURS, "__complete", "items", "search", "--"],
        "opstac processing job-types list, a call": [*OURS, "processing", "job-types", "list"],
        "geopera --help": [*THEIRS, "--help"],
        "geopera processing job-types list, a call": [*THEIRS, "processing", "job-types", "list"],
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="opstac-bench-") as home:
        env = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "GEOPERA_API_URL": url,
            "GEOPERA_API_TOKEN": "gpra_bench",
        }
        for name in ("OPSTAC_URL", "OPSTAC_TOKEN"):
            env.pop(name, None)
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(runs + 1):
            for name, command in commands.items():
                taken[name].append(seconds(command, env))
    server.shutdown()
    # the first turn compiles what was not compiled yet
    medians = {name: statistics.median(all_of[1:]) for name, all_of in taken.items()}
    for name, median in medians.items():
        print(f"{name:<42} {median / medians[FIRST]:6.2f}  (median of {runs})")


if __name__ == "__main__":
    main()
