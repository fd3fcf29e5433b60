"""Constants below masks, put together from bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raster import fill

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "uint64", "float64")


@given(st.sampled_from(TYPES), st.integers(0, 5), st.integers(0, 2**32))
def test_it_is_what_where_gives_to_the_last_bit(dtype: str, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.frombuffer(rng.bytes(rows * 7 * 8), dtype).copy()  # NaN and infinities among them
    mask = rng.random(values.shape) < 0.3
    kind = np.dtype(dtype)
    constants = [np.nan, np.inf, -1.5, 0.0] if kind.kind == "f" else [0, 1, np.iinfo(kind).max]
    for constant in constants:
        made = fill.filled(values, mask, constant)
        wanted = np.where(mask, kind.type(constant), values)
        assert made.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("view", [lambda a: a[::2], lambda a: a.T, lambda a: a[:, 1:]])
def test_a_view_that_is_not_contiguous_is_filled_too(view) -> None:
    values = np.arange(40 * 40, dtype="float32").reshape(40, 40)
    part = view(values)
    mask = part % 3 == 0
    wanted = np.where(mask, np.float32("nan"), part)
    fill.put(part, mask, np.nan)
    np.testing.assert_array_equal(part, wanted)


def test_more_than_one_piece_is_filled() -> None:
    values = np.ones((3, fill.PIECE // 2 + 1), "uint16")
    mask = np.random.default_rng(3).random(values.shape) < 0.5
    made = fill.filled(values, mask, 7)
    assert made[mask].tolist() == [7] * int(mask.sum())
    assert (made[~mask] == 1).all()
