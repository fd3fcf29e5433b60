"""A constant below a mask, without a branch for each pixel.

Where a mask is scattered, as that of clouds is, a processor guesses wrong at every other pixel:
choosing by `np.where` or a boolean index then takes several times as long as the arithmetic around
it. Here the bits are put together instead, which takes the same time whatever the mask.
"""

import numpy as np

_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
PIECE = 1 << 16
"""Numbers that are worked on at a time: they stay in a processor's cache, and what is allocated for
them is given out again at once, where larger pieces of memory are new pages each time."""


def put(values: np.ndarray, mask: np.ndarray, constant: float) -> None:
    """Write a constant into `values`, in place, wherever `mask` is True.

    Args:
        values: of a real type, contiguous.
        mask: bool, of the same shape.
        constant: a value of that type; its bits are what is written.
    """
    word = _WORDS.get(values.dtype.itemsize)
    if word is None or not values.flags.c_contiguous or mask.shape != values.shape:
        np.copyto(values, values.dtype.type(constant), where=mask)
        return
    bits, hidden = values.reshape(-1).view(word), mask.reshape(-1)
    wanted = np.array(constant, values.dtype).view(word)
    for start in range(0, bits.size, PIECE):
        part = bits[start : start + PIECE]
        over = np.negative(hidden[start : start + PIECE].astype(word))  # all bits where True
        if wanted:
            # bits ^ ((bits ^ wanted) & over) is `wanted` below the mask and the bits elsewhere
            over &= part ^ wanted
            part ^= over
        else:
            np.invert(over, out=over)
            part &= over


def filled(values: np.ndarray, mask: np.ndarray, constant: float) -> np.ndarray:
    """A copy of `values` with a constant wherever `mask` is True."""
    made = np.array(values, order="C")
    put(made, mask, constant)
    return made
