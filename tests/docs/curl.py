"""As much of curl as the examples use, for systems that have none."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import httpx

parser = argparse.ArgumentParser(allow_abbrev=False)
for silent in ("-s", "-S"):
    parser.add_argument(silent, action="store_true")
parser.add_argument("-sS", action="store_true")
parser.add_argument("-f", action="store_true")
parser.add_argument("-I", action="store_true")
parser.add_argument("-X", default=None)
parser.add_argument("-H", action="append", default=[])
parser.add_argument("-d")
parser.add_argument("-T", type=Path)
parser.add_argument("-o", type=Path)
parser.add_argument("url")
args = parser.parse_args()

body = args.T.read_bytes() if args.T else args.d.encode() if args.d else None
method = args.X or ("HEAD" if args.I else "PUT" if args.T else "POST" if args.d else "GET")
headers = dict(header.split(": ", 1) for header in args.H)
answer = httpx.request(method, args.url, content=body, headers=headers, timeout=60)
if args.f and answer.is_error:
    sys.exit(22)
if args.I:
    sys.stdout.write("".join(f"{name}: {value}\n" for name, value in answer.headers.items()))
elif args.o:
    args.o.write_bytes(answer.content)
else:
    sys.stdout.buffer.write(answer.content)
