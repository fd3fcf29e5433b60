"""Drawing in a process of its own: the same pictures, and nothing else lost when it dies."""

import asyncio
import io
import os
import pickle
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from raster.errors import RasterError
from raster.remote import Mounted, RangeFile
from tiler import describe, render, work
from tiler.drawing import DrawingPool, wire
from tiler.errors import Busy, InvalidParameter, TileError, Unreadable
from tiler.source import AssetSource


async def begin(address: str) -> asyncio.subprocess.Process:
    """A drawing process as a supervisor starts it."""
    options = '{"memory_bytes": 67108864, "workers": 2}'
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "tiler.drawing", address, options
    )


async def there(pool: DrawingPool) -> None:
    """Wait until a process has connected."""
    async with asyncio.timeout(60):
        while pool.process_id is None:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def drawing_in(pool: DrawingPool):
    async with pool.listening() as address:
        process = await begin(address)
        try:
            yield address, process
        finally:
            pool.close()
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_it_gives_what_threads_give_and_refuses_as_they_do(photo, tile_at):
    source, pool = photo, DrawingPool()
    z, x, y = tile_at(photo)
    async with drawing_in(pool):
        for image_format in ("png", "webp", "npy", "tif"):
            output = render.Output(image_format)
            drawn = await pool.run(render.render_tile, source, z, x, y, output=output)
            assert drawn == render.render_tile(source, z, x, y, output=output)
        template = "http://testserver/{z}/{x}/{y}.png"
        described = await pool.run(render.tilejson, source, template)
        assert described == render.tilejson(source, template)
        with pytest.raises(InvalidParameter) as refused:
            await pool.run(describe.statistics, source, expression="b1 +")
        assert refused.value.status == 422 and refused.value.errors[0]["loc"]
        with pytest.raises(TileError) as missing:
            await pool.run(describe.info, AssetSource(path="/nowhere.tif", version="1"))
        assert missing.value.status in (404, 422)
        assert pool.pending == 0


async def test_a_crash_refuses_what_is_drawn_at_once_and_a_successor_goes_on(photo, tile_at):
    source, pool = photo, DrawingPool()
    z, x, y = tile_at(photo)
    async with drawing_in(pool) as (address, process):
        first = await pool.run(render.render_tile, source, z, x, y)
        process.send_signal(signal.SIGSTOP)
        drawn = [asyncio.create_task(pool.run(render.render_tile, source, z, x, y)) for _ in "1234"]
        while pool.pending < 4:
            await asyncio.sleep(0.001)
        process.send_signal(signal.SIGSEGV)
        process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(10):  # and not the fifteen seconds that a tile may take
            ended = await asyncio.gather(*drawn, return_exceptions=True)
        assert all(isinstance(e, Busy) and e.headers["Retry-After"] == "1" for e in ended), ended
        assert await process.wait() == -signal.SIGSEGV
        with pytest.raises(Busy) as away:
            await pool.run(render.render_tile, source, z, x, y)
        assert away.value.headers["Retry-After"]
        second = await begin(address)
        try:
            await there(pool)
            assert await pool.run(render.render_tile, source, z, x, y) == first
        finally:
            second.kill()
            await second.wait()


async def test_what_it_dies_of_twice_is_left_alone(photo, tile_at):
    deadly, pool = AssetSource(path=photo.path, version="deadly"), DrawingPool()
    z, x, y = tile_at(photo)
    async with pool.listening() as address:
        for _ in range(2):
            process = await begin(address)
            await there(pool)
            process.send_signal(signal.SIGSTOP)
            drawn = asyncio.create_task(pool.run(render.render_tile, deadly, z, x, y))
            while not pool.pending:
                await asyncio.sleep(0.001)
            process.kill()
            await process.wait()
            with pytest.raises(Busy):
                await drawn
        process = await begin(address)
        try:
            await there(pool)
            with pytest.raises(Unreadable):
                await pool.run(render.render_tile, deadly, z, x, y)
            await pool.run(render.render_tile, photo, z, x, y)
        finally:
            pool.close()
            process.kill()
            await process.wait()


async def test_bytes_of_files_that_are_elsewhere_come_through_the_server(photo, tile_at):
    content, reads, pool = Path(photo.path).read_bytes(), [], DrawingPool()

    def fetch(start: int, end: int) -> bytes:
        reads.append((start, end))
        doing = work.current()
        assert doing is not None
        if len(reads) > 1000:
            doing.failure = Busy("the host does not answer")
            raise OSError("no answer")
        return content[start:end]

    z, x, y = tile_at(photo)
    mounted = Mounted(RangeFile("a file", len(content), fetch))
    elsewhere = AssetSource(path=mounted.path, version="1")
    async with drawing_in(pool):
        drawn = await pool.run(render.render_tile, elsewhere, z, x, y)
        assert drawn == render.render_tile(photo, z, x, y) and reads
        reads += [(0, 0)] * 1000
        broken = Mounted(RangeFile("another", len(content), fetch))
        with pytest.raises(Busy, match="host does not answer"):
            await pool.run(render.render_tile, AssetSource(path=broken.path, version="2"), z, x, y)
        mounted.close()
        with pytest.raises(Busy):
            await pool.run(render.render_tile, elsewhere, z, x, y)
    broken.close()


def test_what_comes_back_is_a_value_and_runs_nothing():
    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    for hostile in (Evil(), os.system, render.render_tile, [io.open]):
        with pytest.raises(pickle.UnpicklingError):
            wire.unpack_value(pickle.dumps(hostile))
    values = np.ma.masked_array(np.arange(6.0).reshape(2, 3), mask=[[0, 1, 0], [0, 0, 0]])
    kind, body = wire.pack_value({"values": values, "of": (1, None, "x")})
    found = wire.unpack_value(body)
    assert kind is wire.Kind.VALUE and found["of"] == (1, None, "x")
    assert (found["values"] == values).all() and (found["values"].mask == values.mask).all()


@pytest.mark.parametrize(
    "error",
    [
        InvalidParameter.of("bands", "no such band"),
        Busy("later", retry_after_seconds=7),
        RasterError("not_found", "gone"),
        MemoryError("much"),
        ZeroDivisionError("a class of no package of ours"),
    ],
)
def test_failures_arrive_as_they_were(error):
    arrived = wire.unpack_error(wire.pack_error(error))
    if isinstance(error, ZeroDivisionError):
        assert type(arrived) is RuntimeError and "of no package" in str(arrived)
        return
    assert type(arrived) is type(error) and str(arrived) == str(error)
    assert arrived.__dict__ == error.__dict__
