"""docker-compose.yml, as far as it can be checked without an engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from opstac.cli import make_parser
from opstac.commands.serve import SERVICES

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: s for name, s in COMPOSE["services"].items() if name != "postgres"}


def test_every_service_is_there():
    separate = {name for name in SERVICES if name != "all"}
    assert set(COMPOSE["services"]) == {"postgres", "migrate", "worker"} | separate


@pytest.mark.parametrize("name", OURS)
def test_its_command_is_one_of_the_command_line(name: str):
    args = make_parser().parse_args(OURS[name]["command"])
    if args.command == "serve":
        assert args.service == name
    else:
        assert args.command == name


@pytest.mark.parametrize("name", OURS)
def test_it_is_our_image_and_knows_the_database_the_secret_and_the_objects(name: str):
    service = OURS[name]
    assert service["image"] == "opstac" and service["build"] == "."
    secret = "OPSTAC_VERIFY_KEYS" if name == "tiler" else "OPSTAC_SECRET_KEY"
    assert {"DATABASE_URL", secret, "OPSTAC_STORAGE"} <= set(service["environment"])


def test_the_tiler_has_no_secret_to_sign_with_and_a_login_of_its_own():
    environment = OURS["tiler"]["environment"]
    assert "OPSTAC_SECRET_KEY" not in environment
    assert "//opstac_tile:" in environment["DATABASE_URL"]
    assert all(volume.endswith(":ro") for volume in OURS["tiler"]["volumes"])


def test_only_migrate_does_not_wait_for_migrate():
    for name, service in OURS.items():
        waits_for = "postgres" if name == "migrate" else "migrate"
        assert list(service["depends_on"]) == [waits_for]
    assert COMPOSE["services"]["postgres"]["healthcheck"]


def test_no_port_is_published_twice_or_to_the_world():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert len(ports) == len(set(ports)) and all(p.startswith("127.0.0.1:") for p in ports)


def test_what_it_mounts_and_asks_for_exists():
    text = (ROOT / "docker-compose.yml").read_text()
    for path in re.findall(r"- (\./[^:]+):", text):
        assert (ROOT / path).is_file()
    example = (ROOT / "docker" / "example.env").read_text()
    for variable in re.findall(r"\$\{([A-Z_]+):\?", text):
        assert f"{variable}=" in example
    volumes = {v.split(":")[0] for s in COMPOSE["services"].values() for v in s.get("volumes", [])}
    assert {v for v in volumes if not v.startswith(".")} == set(COMPOSE["volumes"])


def test_the_image_holds_every_package():
    ignored = (ROOT / ".dockerignore").read_text().split()
    image = (ROOT / "Dockerfile").read_text()
    assert "COPY . /srv/opstac" in image and "requirements.lock" in image
    packages = ["src", "db", "raster", "stac_api", "tiler", "processes", "ops_gateway", "wire"]
    assert not set(packages) & set(ignored)
    assert 'ENTRYPOINT ["python", "-P", "-m", "opstac"]' in image
