"""Drawing in a process of its own: what parses files that strangers uploaded may crash, and takes
nothing with it but the pictures it was drawing.

    the server: DrawingPool ── socket ── the drawing process: TilePool, GDAL
                └ bytes of buckets and other hosts, on request

`wire` is what they say to each other, `caller` the server's side, `process` the other one.
"""

from tiler.drawing.caller import DrawingPool

__all__ = ["DrawingPool"]
