"""A how-to guide's package, built and installed as its reader would, without a network."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

GUIDES = Path(__file__).parents[1] / "docs/how-to"


def code_of(guide: str, decorator: str) -> str:
    """The Python block of a guide that declares something."""
    return next(block for block in _blocks(guide) if decorator in block)


def install(guide: str, decorator: str, group: str, folder: Path) -> tuple[Path, str]:
    """Install a guide's module and entry point; (the folder to import from, the module's name)."""
    project = next(block for block in _blocks(guide) if group in block)
    point = re.search(r'^(\w+) = "(\w+)"', project.split(group)[1], re.M)
    assert point is not None
    info = f"{point[2]}-1.0.dist-info"
    name = point[2].replace("_", "-")
    files = {
        f"{point[2]}.py": code_of(guide, decorator),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[{group}]\n{point[1]} = {point[2]}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    made = folder / f"{point[2]}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as out:
        for name, text in files.items():
            out.writestr(name, text)
    target = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    subprocess.run([*command, "--target", target, made], check=True, timeout=120)
    return target, point[2]


def put(site: Path, group: str, module: str, code: str) -> None:
    """A package as an installer leaves it, whatever its code does."""
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{module}.py").write_text(code)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{module} = {module}\n")


def _blocks(guide: str) -> list[str]:
    return re.findall(r"```(?:python|toml)\n(.*?)```", (GUIDES / guide).read_text(), re.S)
