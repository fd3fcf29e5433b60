"""How fast the Python client sends a file, beside curl to the same server.

    .venv/bin/python bench/upload_client.py [MEGABYTES] [ROUNDS]

Both PUT the same bytes to signed addresses of one running platform, in turns, into sessions that
are never completed, so that only the sending is compared. The client's time has its calls for the
address and for where the upload stands in it; curl is given its address, and starts as a process.

Goal: at least 0.8 of curl's throughput for 200 MB.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from opstac import Client
from opstac.client import uploads

ROOT = Path(__file__).resolve().parents[1]


def main(megabytes: int = 200, rounds: int = 5) -> None:
    if shutil.which("curl") is None:
        sys.exit("curl is needed")
    with tempfile.TemporaryDirectory(prefix="opstac-bench-") as name:
        folder = Path(name)
        file = folder / "random.tif"
        file.write_bytes(os.urandom(megabytes * 1_000_000))
        told = folder / "testbed.json"
        testbed = subprocess.Popen(
            [sys.executable, "-P", "-m", "opstac", "testbed", "--out", str(told)], cwd=ROOT
        )
        try:
            compare(told, file, rounds, testbed)
        finally:
            testbed.terminate()
            testbed.wait()


def compare(told: Path, file: Path, rounds: int, testbed: subprocess.Popen[bytes]) -> None:
    while not told.exists():
        if testbed.poll() is not None:
            sys.exit("the testbed ended")
        time.sleep(0.1)
    found = json.loads(told.read_text())
    principal = found["principals"]["org_a"]
    token = principal if isinstance(principal, str) else principal["token"]
    size = file.stat().st_size
    seconds: dict[str, list[float]] = {"client": [], "curl": []}
    with Client(token, found["url"]) as client:
        project = client.projects.create(name="Throughput")["id"]
        for _ in range(rounds):
            session = begin(client, project, size)
            start = time.perf_counter()
            client._run(uploads.send_one(client._at, file, size, session, lambda sent: None))
            seconds["client"].append(time.perf_counter() - start)
            client.uploads.fail(upload_id=session, error_message="measured")

            session = begin(client, project, size)
            place = client.uploads.signed_url(upload_id=session, file_name=file.name)
            start = time.perf_counter()
            subprocess.run(
                ["curl", "-sS", "-f", "-T", str(file), place["upload_url"]],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            seconds["curl"].append(time.perf_counter() - start)
            client.uploads.fail(upload_id=session, error_message="measured")
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"{name:8} {size / middle / 1e6:8.1f} MB/s  (median of {len(times)})")
    ratios = [b / a for a, b in zip(seconds["client"], seconds["curl"], strict=True)]
    print(f"client / curl: {statistics.median(ratios):.2f} of its throughput, same run, in turns")


def begin(client: Client, project: str, size: int) -> str:
    return client.uploads.initiate(project_id=project, total_bytes=size)["id"]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
