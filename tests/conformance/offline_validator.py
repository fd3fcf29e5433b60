"""stac-api-validator and stac-check without a network: their schemas are files of this project.

A program of its own, run by the tests: `python offline_validator.py ARGUMENTS` is the validator,
`python offline_validator.py --item FILE` tells as JSON what stac-check says of an item.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pystac.validation
import stac_validator.utilities
import stac_validator.validate
from stac_api_validator.__main__ import main
from stac_check.lint import Linter

DATA = Path(__file__).parents[1] / "data"
GEOJSON = Path(pystac.validation.__file__).parent / "jsonschemas/geojson"


def local(address: str) -> Path:
    """The file of a schema's address."""
    name = address.rpartition("/")[2]
    if address.startswith("https://schemas.stacspec.org/v1.0.0/"):
        return DATA / "stac-1.0.0" / name
    if address.startswith("https://stac-extensions.github.io/"):
        extension, version = address.split("/")[3:5]
        return DATA / "stac-extensions" / f"{extension}-{version}.json"
    return GEOJSON / name


def schema(address: str, *_: Any, **__: Any) -> dict[str, Any]:
    """The schema of an address, or of a file; ends the program where we have none."""
    address = str(address).split("#")[0]
    path = local(address) if address.startswith("http") else Path(address)
    if not path.exists():
        sys.exit(f"Failed.\n- there is no copy of {address}")
    return json.loads(path.read_text())


for module in (stac_validator.utilities, stac_validator.validate):
    for name in ("fetch_and_parse_schema", "fetch_schema_with_override"):
        if hasattr(module, name):
            setattr(module, name, schema)


def checked(path: str) -> dict[str, Any]:
    """What stac-check says of an item."""
    found = Linter(json.loads(Path(path).read_text()))
    return {
        "valid": found.valid_stac,
        "error": str(found.error_msg),
        "schemas": found.schema,
        "recommendations": [text for text in found.best_practices_msg[1:] if text],
    }


if __name__ == "__main__":
    if sys.argv[1] == "--item":
        print(json.dumps(checked(sys.argv[2])))
    else:
        main()
