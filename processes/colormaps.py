"""Colour ramps for rendered products: a few anchors each, 256 colours between them.

Anchors of RdYlGn and Greens: ColorBrewer 2.0, Cynthia Brewer, Pennsylvania State University
(Apache-2.0). Anchors of viridis: Nathaniel Smith and Stéfan van der Walt (CC0).
"""

import numpy as np

_ANCHORS: dict[str, str] = {
    "rdylgn": "a50026 d73027 f46d43 fdae61 fee08b ffffbf d9ef8b a6d96a 66bd63 1a9850 006837",
    "greens": "f7fcf5 e5f5e0 c7e9c0 a1d99b 74c476 41ab5d 238b45 006d2c 00441b",
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
}
NAMES = tuple(_ANCHORS)


def ramp(name: str) -> np.ndarray:
    """256 colours, uint8, shape (256, 3). Raises: KeyError."""
    anchors = np.array([list(bytes.fromhex(color)) for color in _ANCHORS[name].split()])
    places = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), places, anchors[:, c]) for c in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)
