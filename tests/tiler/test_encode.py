import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tiler import encode
from tiler.errors import InvalidParameter


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_png_is_lossless(rows, columns, bands, has_alpha):
    random = np.random.default_rng(rows * 100 + columns)
    colors = random.integers(0, 256, (rows, columns, bands), dtype=np.uint8)
    alpha = random.integers(0, 256, (rows, columns), dtype=np.uint8) if has_alpha else None
    picture = Image.open(io.BytesIO(encode.png(colors, alpha)))
    picture.verify()
    read = np.asarray(Image.open(io.BytesIO(encode.png(colors, alpha))))
    expected = colors if alpha is None else np.dstack([colors, alpha])
    assert np.array_equal(read.reshape(expected.shape), expected)
    assert picture.mode == {1: "L", 3: "RGB"}[bands] if alpha is None else picture.mode in "LARGBA"


@pytest.mark.parametrize("image_format", ["webp", "jpg"])
@pytest.mark.parametrize("bands", [1, 3])
def test_lossy_formats_are_close(image_format, bands):
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    colors = np.repeat(np.broadcast_to(ramp, (64, 64))[..., None], bands, axis=2).copy()
    body = encode.encode(colors, None, image_format, quality=90)
    read = np.asarray(Image.open(io.BytesIO(body)).convert("RGB")).astype(int)
    assert np.abs(read - colors.astype(int)).mean() < 3


def test_webp_keeps_alpha_and_jpeg_is_white_where_masked():
    colors = np.full((32, 32, 3), 40, np.uint8)
    alpha = np.full((32, 32), 255, np.uint8)
    alpha[:16] = 0
    webp = np.asarray(Image.open(io.BytesIO(encode.webp(colors, alpha))))
    assert np.array_equal(webp[..., 3], alpha)
    jpeg = np.asarray(Image.open(io.BytesIO(encode.jpeg(colors, alpha))))
    assert jpeg[2:10].min() > 240 and jpeg[24:].max() < 60


@pytest.mark.parametrize("size", [256, 512])
def test_the_empty_picture_is_transparent(size):
    for image_format in ("png", "webp"):
        picture = Image.open(io.BytesIO(encode.empty(image_format, size))).convert("RGBA")
        assert picture.size == (size, size)
        assert np.asarray(picture)[..., 3].max() == 0


def test_another_format_is_refused():
    with pytest.raises(InvalidParameter):
        encode.encode(np.zeros((2, 2, 3), np.uint8), None, "gif")
