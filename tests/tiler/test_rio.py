"""rio-tiler without xarray: nobody else misses it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
XARRAY = """
import threading
loaded.append(threading.current_thread().name)
class DataArray: pass
"""
# which rio-tiler imports, where there is one
RIOXARRAY = """
import threading

def elsewhere():
    import xarray
    from xarray import DataArray
    import xarray.more
    assert xarray.more.here and xarray.DataArray is DataArray
    seen.append(DataArray)

if meanwhile:
    thread = threading.Thread(target=elsewhere, name="elsewhere")
    thread.start()
    thread.join()
"""
LOOK = """
import builtins, sys
builtins.loaded = loaded = []
builtins.seen = seen = []
builtins.meanwhile = meanwhile = sys.argv[1] == "meanwhile"
import tiler.rio
assert loaded == (["elsewhere"] if meanwhile else []), loaded
from rio_tiler.io import xarray as reader
assert reader.xarray is not None
import xarray
assert type(xarray).__name__ == "module" and reader.xarray.DataArray is xarray.DataArray
assert len(loaded) == 1, loaded
assert all(one is xarray.DataArray for one in seen) and len(seen) == meanwhile
"""


def test_xarray_is_loaded_when_somebody_uses_it_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "xarray").mkdir()
    (tmp_path / "xarray/__init__.py").write_text(XARRAY)
    (tmp_path / "xarray/more.py").write_text("here = True\n")
    (tmp_path / "rioxarray.py").write_text(RIOXARRAY)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    for when in ("meanwhile", "later"):
        done = subprocess.run(
            [sys.executable, "-c", LOOK, when],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
