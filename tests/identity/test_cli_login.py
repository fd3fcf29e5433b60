"""The unmodified geopera-cli signs in, works, and signs out."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

from tests.conftest import Api


async def test_geopera_cli_signs_in_as_a_device(live: Api, tmp_path: Path) -> None:
    owner = await live.organization()
    url = str(live.client.base_url).rstrip("/")
    env = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    env = {name: value for name, value in env.items() if not name.startswith("GEOPERA_")}

    async def start(*arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-u", "-m", "geopera_cli", *arguments,
            env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def run(*arguments: str) -> str:
        process = await start(*arguments)
        text = (await process.communicate())[0].decode()
        assert process.returncode == 0, text
        return text

    login = await start("login", "--api-url", url, "--no-browser")
    assert login.stdout is not None
    shown = ""
    while not (code := re.search(r"user_code=([A-Z-]+)", shown)):
        line = await asyncio.wait_for(login.stdout.readline(), 60)
        assert line, shown
        shown += line.decode()
    answer = await live.client.post(
        "/device/approve",
        data={"user_code": code[1], "action": "approve"},
        headers={"Authorization": f"Bearer {owner.token}"},
    )
    assert answer.json() == {"status": "approved"}
    rest = (await asyncio.wait_for(login.stdout.read(), 60)).decode()
    assert await login.wait() == 0 and "Logged in as" in rest, rest

    who = json.loads(await run("whoami", "--json"))
    assert who["sub"] == owner.user_id and who["geopera_org_id"] == owner.organization_id
    balance = json.loads(await run("op", "billing.credits.balance"))
    assert balance["organization_id"] == owner.organization_id
    # any operation by its id with a body, and as words of the tree with flags
    made = json.loads(await run("op", "projects.create", '{"name": "Harbour"}'))
    named = json.loads(
        await run("projects", "update", "--project-id", made["id"], "--name", "Quay")
    )
    assert named["name"] == "Quay"
    kinds = json.loads(await run("processing", "job-types", "list", "--category", "index"))
    asked = await live.ok("processing.job_types.list", {"category": "index"}, as_=owner)
    assert kinds == asked
    refused = await start("projects", "archive", "--project-id", "prj_no")
    said = (await refused.communicate())[0].decode()
    assert refused.returncode == 2 and "project not found" in said
    assert "Logged out" in await run("logout")
    assert live.sql(
        "select id from sign_in where user_id = %s and ended_at is not null", owner.user_id
    )
