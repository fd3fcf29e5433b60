"""A legend as a picture: laid out once, drawn as SVG or PNG."""

import io
from dataclasses import dataclass
from html import escape

from PIL import Image, ImageDraw, ImageFont

from tiler.legend import Legend

WIDTH = 260
PAD = 10
TITLE, TEXT = 13, 11
RAMP_HEIGHT = 14
ROW = 18
SWATCH = 12
MAX_ROWS = 64
SCALE = 2
"""Pixels of a PNG a unit of the layout, for screens of double density."""

_INK, _FAINT, _PAPER = "#1c2430", "#5b6675", "#ffffff"


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; `y` is its baseline, `anchor` start, middle or end."""

    x: float
    y: float
    text: str
    size: int
    color: str = _INK
    anchor: str = "start"


def layout(legend: Legend) -> tuple[float, list[Box | Text]]:
    """(height, what is drawn on a sheet `WIDTH` wide)."""
    title = f"{legend.title} [{legend.unit}]" if legend.unit else legend.title
    drawn: list[Box | Text] = [Text(PAD, PAD + TITLE - 2, _fitting(title, TITLE), TITLE)]
    top = PAD + TITLE + 8
    if legend.kind == "continuous":
        across = WIDTH - 2 * PAD
        step = across / max(1, len(legend.colors))
        for place, color in enumerate(legend.colors):
            # a little wider, so that no gap shows between two
            drawn.append(Box(PAD + place * step, top, step + 0.3, RAMP_HEIGHT, color))
        for tick in legend.ticks:
            x = PAD + tick.position * across
            anchor = (
                "start" if tick.position < 0.06 else "end" if tick.position > 0.94 else "middle"
            )
            drawn.append(Box(min(x, WIDTH - PAD - 1), top + RAMP_HEIGHT, 1, 4, _FAINT))
            drawn.append(Text(x, top + RAMP_HEIGHT + 5 + TEXT, tick.label, TEXT, _FAINT, anchor))
        return top + RAMP_HEIGHT + 6 + TEXT + PAD, drawn
    rows = legend.entries[:MAX_ROWS]
    for place, entry in enumerate(rows):
        y = top + place * ROW
        drawn.append(Box(PAD, y, SWATCH, SWATCH, entry.color))
        label = entry.label
        if entry.range is not None:
            label += f"  {entry.range[0]:.4g} to {entry.range[1]:.4g}"
        drawn.append(Text(PAD + SWATCH + 8, y + SWATCH - 2, _fitting(label, TEXT), TEXT))
    if len(rows) < len(legend.entries):
        more = f"and {len(legend.entries) - len(rows)} more"
        drawn.append(Text(PAD, top + len(rows) * ROW + TEXT, more, TEXT, _FAINT))
        return top + (len(rows) + 1) * ROW + PAD, drawn
    return top + len(rows) * ROW + PAD, drawn


def _fitting(text: str, size: int) -> str:
    """Printable, and cut to the sheet's width."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    most = int((WIDTH - 2 * PAD - SWATCH) / (size * 0.52))
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def svg(legend: Legend) -> bytes:
    """The legend as SVG 1.1."""
    height, drawn = layout(legend)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {WIDTH} {height:g}" font-family="system-ui, sans-serif">',
        f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
    ]
    for one in drawn:
        if isinstance(one, Box):
            parts.append(
                f'<rect x="{one.x:.2f}" y="{one.y:.2f}" width="{one.width:.2f}" '
                f'height="{one.height:.2f}" fill="{one.color}" shape-rendering="crispEdges"/>'
            )
        else:
            parts.append(
                f'<text x="{one.x:.2f}" y="{one.y:.2f}" font-size="{one.size}" '
                f'fill="{one.color}" text-anchor="{one.anchor}">{escape(one.text)}</text>'
            )
    return "".join([*parts, "</svg>"]).encode("utf-8", "replace")


def png(legend: Legend) -> bytes:
    """The legend as PNG, twice the size of the SVG."""
    height, drawn = layout(legend)
    sheet = Image.new("RGB", (WIDTH * SCALE, round(height * SCALE)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    anchors = {"start": "ls", "middle": "ms", "end": "rs"}
    for one in drawn:
        x, y = one.x * SCALE, one.y * SCALE
        if isinstance(one, Box):
            right, bottom = x + one.width * SCALE, y + one.height * SCALE
            draw.rectangle((round(x), round(y), round(right) - 1, round(bottom) - 1), one.color)
        else:
            font = ImageFont.load_default(one.size * SCALE)
            draw.text((x, y), one.text, one.color, font=font, anchor=anchors[one.anchor])
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()
