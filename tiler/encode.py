"""Pictures to bytes: PNG, JPEG and WebP, each with the fastest encoder that is lossless enough.

Values go to bytes in `tiler.values`.
"""

import io
import struct
import zlib
from functools import lru_cache

import deflate
import numpy as np
import simplejpeg
from PIL import Image

from tiler.errors import InvalidParameter

MEDIA_TYPES = {
    "png": "image/png",
    "webp": "image/webp",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "npy": "application/x-npy",
    "tif": "image/tiff; application=geotiff",
}

Color = tuple[int, int, int]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_COLOR = {1: 0, 2: 4, 3: 2, 4: 6}  # bands → colour type (PNG specification, 11.2.2)
_UP = 2  # filter type (PNG specification, 9.2)
WHITE: Color = (255, 255, 255)


def encode(
    colors: np.ndarray,
    alpha: np.ndarray | None,
    image_format: str,
    *,
    quality: int = 82,
    background: Color | None = None,
) -> bytes:
    """A picture as bytes.

    Args:
        colors: uint8, shape (rows, columns, 1 or 3).
        alpha: uint8, shape (rows, columns), or None for an opaque picture, which is then written
            without an alpha band.
        image_format: `png`, `webp`, `jpg` or `jpeg`.
        quality: 1 to 100; JPEG and WebP.
        background: behind what is masked, which is then opaque; JPEG, which has no alpha, is
            always opaque, by default on white.

    Raises: InvalidParameter: another format.
    """
    if background is not None:
        colors, alpha = flattened(colors, alpha, background), None
    if image_format == "png":
        return png(colors, alpha)
    if image_format == "webp":
        return webp(colors, alpha, quality)
    if image_format in ("jpg", "jpeg"):
        return jpeg(colors, alpha, quality)
    raise InvalidParameter.of("format", f"must be png, webp or jpg, not {image_format!r}")


def flattened(colors: np.ndarray, alpha: np.ndarray | None, background: Color) -> np.ndarray:
    """The picture on a background: uint8, shape (rows, columns, 1 or 3)."""
    if alpha is None:
        return colors
    if colors.shape[2] == 1 and len(set(background)) > 1:
        colors = np.repeat(colors, 3, axis=2)
    behind = np.array(background[: colors.shape[2]], np.uint16)
    share = alpha[..., None].astype(np.uint16)
    return ((colors * share + behind * (255 - share) + 127) // 255).astype(np.uint8)


def png(colors: np.ndarray, alpha: np.ndarray | None = None, *, level: int = 1) -> bytes:
    """PNG with the Up filter on every row and libdeflate: lossless, 8 bits a band."""
    rows, columns, bands = colors.shape
    if alpha is not None:
        colors = np.concatenate((colors, alpha[..., None]), axis=2)
        bands += 1
    width = columns * bands
    flat = colors.reshape(rows, width)
    filtered = np.empty((rows, width + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=filtered[1:, 1:])
    size = struct.pack(">IIBBBBB", columns, rows, 8, _PNG_COLOR[bands], 0, 0, 0)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", size),
            _chunk(b"IDAT", bytes(deflate.zlib_compress(filtered, level))),
            _END,
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return b"".join(
        (
            struct.pack(">I", len(body)),
            kind,
            body,
            struct.pack(">I", deflate.crc32(body, deflate.crc32(kind))),
        )
    )


_END = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))


def jpeg(colors: np.ndarray, alpha: np.ndarray | None = None, quality: int = 82) -> bytes:
    """JPEG through libjpeg-turbo; masked pixels are white."""
    colors = flattened(colors, alpha, WHITE)
    space = "GRAY" if colors.shape[2] == 1 else "RGB"
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(colors), quality=quality, colorspace=space, colorsubsampling="420"
    )


def webp(colors: np.ndarray, alpha: np.ndarray | None = None, quality: int = 82) -> bytes:
    """WebP, lossy, fastest method; an alpha band is kept exactly."""
    if colors.shape[2] == 1:
        colors = np.repeat(colors, 3, axis=2)
    if alpha is not None:
        colors = np.concatenate((colors, alpha[..., None]), axis=2)
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(colors)).save(out, "WEBP", quality=quality, method=0)
    return out.getvalue()


@lru_cache(16)
def empty(image_format: str, size: int) -> bytes:
    """The picture of nothing: fully transparent; JPEG, which cannot be, white."""
    clear = np.zeros((size, size), np.uint8)
    if image_format == "png":
        return png(clear[..., None], clear, level=9)
    return encode(clear[..., None], clear, image_format)
