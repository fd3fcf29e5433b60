"""What it costs a request to say who asks, beside the same request without a credential.

    .venv/bin/python bench/auth.py [--requests 400] [--rounds 7]

One server, one connection, one public operation (`processing.catalog.list`); the ways to ask come
in turns within each round. Printed: the median over the rounds of each way's time against that
without a credential, and its spread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

OPERATION = "/v1/op/processing.catalog.list"
NOBODY = "no credential"


def started(folder: Path) -> tuple[subprocess.Popen[bytes], dict[str, dict[str, str]]]:
    """A disposable platform: its process, and what it says of itself."""
    out = folder / "platform.json"
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "opstac", "testbed", "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not out.exists() or not out.read_text():
        if process.poll() is not None:
            raise SystemExit("the platform did not start")
        time.sleep(0.2)
    return process, json.loads(out.read_text())


def seconds(http: httpx.Client, headers: dict[str, str], requests: int) -> float:
    begin = time.perf_counter()
    for _ in range(requests):
        answer = http.post(OPERATION, json={}, headers=headers)
        assert answer.status_code == 200, answer.text
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, platform = started(Path(folder))
        try:
            with httpx.Client(base_url=str(platform["url"])) as http:
                token = platform["principals"]["org_a"]
                made = http.post(
                    "/v1/op/api_keys.create",
                    json={"name": "bench", "scopes": ["processing:read"]},
                    headers={"Authorization": f"Bearer {token}"},
                )
                assert made.status_code < 300, made.text
                key = next(v for v in strings(made.json()) if v.startswith("gpra_"))
                ways = {
                    NOBODY: {},
                    "API key": {"Authorization": f"Bearer {key}"},
                    "session token": {"Authorization": f"Bearer {token}"},
                }
                for headers in ways.values():
                    seconds(http, headers, 50)
                rounds = [
                    {way: seconds(http, headers, asked.requests) for way, headers in ways.items()}
                    for _ in range(asked.rounds)
                ]
        finally:
            process.terminate()
            process.wait()
    print(f"{asked.rounds} rounds of {asked.requests} requests; without a credential = 1")
    for way in ways:
        ratios = sorted(taken[way] / taken[NOBODY] for taken in rounds)
        print(f"{way:16} {statistics.median(ratios):.2f}  ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def strings(value: object) -> list[str]:
    """Every text of a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


if __name__ == "__main__":
    main()
