"""What server and drawing process say to each other: frames, and calls and values in them.

A frame is a kind, a number and a body. Calls are pickled by the server, which the drawing process
trusts. What comes back is bytes, or a pickle of which only values of known kinds are made: a file
that has taken the drawing process over gets no further.
"""

import asyncio
import builtins
import importlib
import io
import pickle
import struct
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

from raster.remote import PREFIX, file_at
from tiler.source import AssetSource
from tiler.work import LaneName, lane_of

MAX_BODY_BYTES = 1 << 30
_HEAD = struct.Struct(">BQI")
_PROTOCOL = 5


class Kind(IntEnum):
    """What a frame is.

    The number of a call's frames is the call's, of a fetch's the fetch's.
    """

    CALL = 1
    CANCEL = 2
    FETCHED = 3
    NOT_FETCHED = 4
    READY = 5
    BYTES = 6
    VALUE = 7
    ERROR = 8
    FETCH = 9


class BadFrame(Exception):
    """What came is no frame."""


def frame(kind: Kind, number: int, body: bytes = b"") -> bytes:
    """A frame as it is sent."""
    return _HEAD.pack(kind, number, len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> tuple[Kind, int, bytes]:
    """The next frame. Raises: asyncio.IncompleteReadError: the other one has gone; BadFrame."""
    kind, number, size = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    if size > MAX_BODY_BYTES:
        raise BadFrame("too large")
    body = await reader.readexactly(size) if size else b""
    try:
        return Kind(kind), number, body
    except ValueError:
        raise BadFrame(f"kind {kind}") from None


# ---------------------------------------------------------------- calls


class _CallPickler(pickle.Pickler):
    """Files that are mounted in this process are named, so that the other one can mount them."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, _PROTOCOL)
        self.versions: set[str] = set()
        self.files: set[str] = set()

    def persistent_id(self, obj: Any) -> Any:
        """None for all but the paths of mounted files."""
        if type(obj) is AssetSource:
            self.versions.add(obj.version or obj.path)
        elif type(obj) is str and obj.startswith(PREFIX):
            mounted = file_at(obj)
            self.files.add(obj)
            # not the whole path: the parts of what stands here are looked at in turn
            return obj.removeprefix(PREFIX), mounted.name, mounted.size
        return None


class _CallUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, mount: Callable[[str, str, int], str]) -> None:
        super().__init__(file)
        self._mount = mount

    def persistent_load(self, pid: Any) -> Any:
        path, name, size = pid
        return self._mount(PREFIX + path, name, size)


def pack_call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[bytes, frozenset[str], frozenset[str]]:
    """A call, the versions of the assets among its arguments, and the mounted files.

    `function` can be found by its module and name. Raises: RasterError: a file is not open now.
    """
    out = io.BytesIO()
    pickler = _CallPickler(out)
    pickler.dump((function, lane_of(function, args), tuple(args), dict(kwargs)))
    return out.getvalue(), frozenset(pickler.versions), frozenset(pickler.files)


def unpack_call(
    body: bytes, mount: Callable[[str, str, int], str]
) -> tuple[Callable[..., Any], LaneName, tuple[Any, ...], dict[str, Any]]:
    """The call and its lane. `mount`: (path at the server, name, size) → path here."""
    return _CallUnpickler(io.BytesIO(body), mount).load()


# ---------------------------------------------------------------- values

_PACKAGES = ("tiler", "raster", "processes")
_EXCEPTIONS = ("ValueError", "MemoryError", "RuntimeError", "TypeError", "KeyError", "OSError")
_PLAIN = ("set", "frozenset", "complex", "slice", "range", "bytearray")
_FUNCTIONS = {
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.ma.core", "_mareconstruct"),
    ("copyreg", "_reconstructor"),
}
_CLASSES = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.ma", "MaskedArray"),
    ("numpy.ma.core", "MaskedArray"),
    ("affine", "Affine"),
    ("rasterio.crs", "CRS"),
    ("pyproj.crs.crs", "CRS"),
    ("collections", "OrderedDict"),
    ("datetime", "datetime"),
    ("datetime", "timezone"),
    ("datetime", "timedelta"),
}


class _ValueUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "builtins" and name in (*_EXCEPTIONS, *_PLAIN, "object"):
            return getattr(builtins, name)
        if (module, name) in _FUNCTIONS | _CLASSES or module == "numpy.dtypes":
            return super().find_class(module, name)
        if module.partition(".")[0] in _PACKAGES and name.isidentifier():
            found = getattr(importlib.import_module(module), name, None)
            # classes that are made there, not what the module has imported
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no value")


def pack_value(value: Any) -> tuple[Kind, bytes]:
    """A result."""
    if type(value) is bytes:
        return Kind.BYTES, value
    return Kind.VALUE, pickle.dumps(value, _PROTOCOL)


def unpack_value(body: bytes) -> Any:
    """A result. Raises: pickle.UnpicklingError: it holds something that is no value."""
    return _ValueUnpickler(io.BytesIO(body)).load()


def pack_error(error: BaseException) -> bytes:
    """A failure; one whose class the server would not make becomes a RuntimeError of its text."""
    kind = type(error)
    known = kind.__module__.partition(".")[0] in _PACKAGES or (
        kind.__module__ == "builtins" and kind.__name__ in _EXCEPTIONS
    )
    if known:
        try:
            packed = pickle.dumps((kind, error.args, error.__dict__), _PROTOCOL)
            unpack_value(packed)
            return packed
        except Exception:  # an attribute that cannot be sent: its text can
            pass
    said = f"{kind.__name__}: {error}"[:2000]
    return pickle.dumps((RuntimeError, (said,), {}), _PROTOCOL)


def unpack_error(body: bytes) -> Exception:
    """The failure, of the class that it had, made without calling that."""
    kind, args, state = unpack_value(body)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise pickle.UnpicklingError("no failure")
    error = kind.__new__(kind, *args)
    error.args = tuple(args)
    error.__dict__.update(state)
    return error
