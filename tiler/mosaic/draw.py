"""A tile of a mosaic: candidates in order, read side by side, until nothing shows through."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tiler.draw import Output
from tiler.errors import Busy, InvalidParameter, TileError
from tiler.mosaic import finish, sketch
from tiler.mosaic import layer as layers
from tiler.mosaic.composite import MAX_STACK_BYTES, Layered, Statistic
from tiler.mosaic.layer import Layer
from tiler.mosaic.source import FIRST_OF, Candidates, MosaicSource, Selection, Skipped
from tiler.pixels import Pixels
from tiler.pool import Pool
from tiler.source import AssetSource
from tiler.style import Look, Purpose
from tiler.target import Target

BESIDE = 2
"""Items of a tile that are read at a time; more would take every thread of the pool."""

FETCHED = 8
"""Items whose assets are looked up at a time."""

FOOTPRINTS = 2000
LAYER_SECONDS = 30.0
LAYERS_KEPT = 256
TILES_KNOWN = 20_000
TIMEOUT_SECONDS = 20.0


class Empty(TileError):
    """No item of the mosaic is left: its tiles are clear, and it has no TileJSON."""


@dataclass(slots=True)
class Drawn:
    """A tile, and what it was drawn from.

    Attributes:
        used: items that show.
        read: items that were looked at → versions of their assets.
    """

    body: bytes
    used: list[str] = field(default_factory=list)
    read: dict[str, str] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def may_change(self) -> bool:
        """The same request may give another picture though no asset changes."""
        return any(one.may_pass for one in self.skipped)


class Mosaics:
    """Draws mosaics in a pool, and remembers each layer's looks for half a minute.

    Which items lie under a tile is asked anew for each, so a new item shows at once; only the
    stretch follows later, and a TileJSON pins it in its URLs.
    """

    def __init__(self, pool: Pool) -> None:
        """Over the pool that tiles are drawn in."""
        self._pool = pool
        self._known: OrderedDict[tuple[object, ...], tuple[float, Layer]] = OrderedDict()
        self._making: dict[tuple[object, ...], asyncio.Lock] = {}
        self._tiles: OrderedDict[str, tuple[str, dict[str, str]]] = OrderedDict()

    async def layer(self, source: MosaicSource, output: Output, look: Look) -> Layer:
        """The looks of a mosaic, of which `output` is made.

        Raises: TileError 404: nothing to draw; InvalidParameter.
        """
        purpose, look = finish.wanted(output, look)
        key = (source.identity, purpose, *sorted(look.items()))
        lock = self._making.setdefault(key, asyncio.Lock())
        try:
            async with lock:  # a map asks for many tiles at once: one of them finds out
                found = self._known.get(key)
                if found is not None and time.monotonic() < found[0]:
                    return found[1]
                made = await self._make(source, purpose, look)
                self._known[key] = (time.monotonic() + LAYER_SECONDS, made)
                self._known.move_to_end(key)
                while len(self._known) > LAYERS_KEPT:
                    self._known.popitem(last=False)
                return made
        finally:
            if not lock.locked():
                self._making.pop(key, None)

    async def same_as(self, source: MosaicSource, tile: str) -> str | None:
        """The tag that `tile` had when it was drawn, where each file that it was drawn from is
        still the same; None where that is not so, or not known.

        Args:
            tile: what the catalogue and the request say of it, as `remember` was told.
        """
        known = self._tiles.get(tile)
        if known is None:
            return None
        self._tiles.move_to_end(tile)
        tag, read = known
        assets = await source.assets(list(read), opened=True)
        now = [None if isinstance(asset, Skipped) else asset.version for asset in assets]
        return tag if now == list(read.values()) else None

    def remember(self, tile: str, tag: str, read: dict[str, str]) -> None:
        """What a tile was drawn from: a catalogue does not learn of a file that is overwritten."""
        self._tiles[tile] = tag, read
        self._tiles.move_to_end(tile)
        while len(self._tiles) > TILES_KNOWN:
            self._tiles.popitem(last=False)

    async def _make(self, source: MosaicSource, purpose: Purpose, look: Look) -> Layer:
        found = await source.find(None, "newest", FOOTPRINTS, True)
        if not found.items:
            raise Empty(404, "Not Found", "there is no item in it")
        items = found.items[: layers.SAMPLE]
        sample = await source.assets(items, opened=False)
        far = layers.to_open(sample)
        if far:
            ids = [items[position] for position in far]
            for position, asset in zip(far, await source.assets(ids, opened=True), strict=True):
                sample[position] = asset
        matched = found.matched if found.matched is not None else len(found.items)
        return await self._pool.run(
            layers.build, sample, items, found.boxes, matched, purpose, **look
        )

    async def tile(
        self,
        source: MosaicSource,
        layer: Layer,
        found: Candidates,
        target: Target,
        output: Output,
        look: Look,
        selection: Selection,
        *,
        behind: Sequence[str] = (),
    ) -> Drawn:
        """One tile from these candidates. Raises: InvalidParameter, Busy.

        Args:
            behind: further items, which are sketched where the candidates leave it open.
        """
        layers.require_order(layer, selection)
        wide = finish.grid(target, output)
        composite = _composite(layer, found, selection, wide)
        drawn = Drawn(b"")
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._fill(composite, source, layer, found, wide, drawn)
                if behind and not composite.full:
                    await self._sketch(composite, source, layer, behind, wide)
                # arithmetic on what was read: no file's bytes, and too much to send elsewhere
                pixels = await asyncio.to_thread(composite.result)
                drawn.body = await self._pool.run(
                    finish.finished, pixels, selection, layer, target, output, look
                )
        except TimeoutError:
            raise Busy("the tile took too long to draw", retry_after_seconds=5) from None
        finally:
            if isinstance(composite, Statistic):
                composite.close()
        return drawn

    async def _fill(
        self,
        composite: Layered | Statistic,
        source: MosaicSource,
        layer: Layer,
        found: Candidates,
        target: Target,
        drawn: Drawn,
    ) -> None:
        read = layers.read_all if isinstance(composite, Statistic) else layers.read
        for start in range(0, len(found.items), FETCHED):
            items = found.items[start : start + FETCHED]
            assets = await source.assets(items, opened=True)
            place = 0
            while place < len(items):
                # the first alone where it may well fill the tile; then some at a time
                count = 1 if start + place == 0 and found.covers[0] else BESIDE
                batch = list(zip(items, assets, strict=True))[place : place + count]
                place += count
                parts = await asyncio.gather(
                    *(self._part(read, layer, asset, target) for _, asset in batch)
                )
                for (item, asset), part in zip(batch, parts, strict=True):
                    if not isinstance(asset, Skipped):
                        drawn.read[item] = asset.version
                    if isinstance(part, str):
                        drawn.skipped.append(Skipped(item, part))
                    elif isinstance(part, Skipped):
                        drawn.skipped.append(replace(part, item_id=item))
                    elif part is not None and composite.add(part):
                        drawn.used.append(item)
                if composite.full:
                    return

    async def _sketch(
        self,
        composite: Layered | Statistic,
        source: MosaicSource,
        layer: Layer,
        items: Sequence[str],
        target: Target,
    ) -> None:
        patches = await source.patches(items, sketch.tolerance(target))
        pixels = await self._pool.run(sketch.draw, patches, layer, target)
        if pixels is not None:
            composite.add(pixels)

    async def _part(
        self,
        read: Callable[[AssetSource, Layer, Target], Pixels | str | None],
        layer: Layer,
        asset: AssetSource | Skipped,
        target: Target,
    ) -> Pixels | Skipped | str | None:
        """An item's pixels; None where it has none there; or why it is left out."""
        if isinstance(asset, Skipped):
            return asset
        try:
            return await self._pool.run(read, asset, layer, target)
        except TileError as error:
            if isinstance(error, Busy) and not asset.is_far:
                raise  # one host that does not answer leaves the others' pixels
            return Skipped("", error.detail, may_pass=True)


def _composite(
    layer: Layer, found: Candidates, selection: Selection, target: Target
) -> Layered | Statistic:
    if selection in FIRST_OF:
        return Layered()
    if selection == "median" and found.items:
        formula = layer.style.formula
        bands = len(formula.blocks) if formula else len(layer.style.bidx)
        each = target.width * target.height * bands * 4
        if each * len(found.items) > MAX_STACK_BYTES:
            most = MAX_STACK_BYTES // each
            raise InvalidParameter.of("limit", f"a median of this size takes at most {most} items")
    return Statistic(selection)
