"""An invoice as a PDF: the same bytes for the same invoice."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

WIDTHS = (86, 18, 26, 40)  # millimetres
LABEL = 200  # characters of a name or a note that are printed


def amount(cents: int) -> str:
    """Minor units as people write them."""
    sign, cents = ("-", -cents) if cents < 0 else ("", cents)
    return f"{sign}{cents // 100:,}.{cents % 100:02d}"


@cache
def _fonts() -> frozenset[int]:
    """The fonts, registered once; the characters that both can draw."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    plain, bold = TTFont("Vera", "Vera.ttf"), TTFont("VeraBd", "VeraBd.ttf")
    pdfmetrics.registerFont(plain)
    pdfmetrics.registerFont(bold)
    drawn = set(plain.face.charToGlyph) & set(bold.face.charToGlyph)
    return frozenset(drawn - set(range(32)))


def _text(value: str) -> str:
    """What the fonts can draw of a text, as markup that draws nothing but itself."""
    from xml.sax.saxutils import escape

    known = _fonts()
    shown = "".join(c if ord(c) in known else "?" for c in value[:LABEL])
    return escape(shown + ("…" if len(value) > LABEL else ""))


def draw(
    invoice: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], *, seller: str, payer: str
) -> bytes:
    """The document; A4, as many pages as its lines need.

    Args:
        invoice: a row of the table, `month` as YYYY-MM.
        lines: its rows, in order.
        seller: who it is from; lines end with a line feed.
        payer: whom it is for, likewise.
    """
    from reportlab.lib import colors
    from reportlab.lib.enums import TA_RIGHT
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.lib.units import mm
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

    _fonts()
    plain = ParagraphStyle("plain", fontName="Vera", fontSize=9, leading=12)
    right = ParagraphStyle("right", parent=plain, alignment=TA_RIGHT)
    bold = ParagraphStyle("bold", parent=plain, fontName="VeraBd")
    bold_right = ParagraphStyle("bold right", parent=bold, alignment=TA_RIGHT)
    title = ParagraphStyle("title", parent=bold, fontSize=16, leading=22)

    def block(text: str) -> Paragraph:
        return Paragraph("<br/>".join(_text(line) for line in text.splitlines()[:12]), plain)

    currency = _text(invoice["currency"])
    facts = [
        f"Invoice {invoice['number']}",
        f"Month {invoice['month']}",
        f"Issued {invoice['issued_at']:%Y-%m-%d}",
        f"Status {invoice['status']}",
    ]
    facts += [f"Reference {invoice['reference']}"] if invoice["reference"] else []
    heads = [
        Paragraph("Description", bold),
        Paragraph("Quantity", bold_right),
        Paragraph("Credits", bold_right),
        Paragraph(f"Amount {currency}", bold_right),
    ]
    rows: list[list[Any]] = [heads]
    for line in lines:
        rows.append(
            [
                Paragraph(_text(line["description"]), plain),
                Paragraph(str(line["quantity"]), right),
                Paragraph(str(line["credits"]), right),
                Paragraph(amount(line["amount_cents"]), right),
            ]
        )
    percent = f"{invoice['tax_basis_points'] / 100:g}"
    for label, cents in (
        ("Subtotal", invoice["subtotal_cents"]),
        (f"GST {percent} %", invoice["tax_cents"]),
        ("Total", invoice["total_cents"]),
    ):
        rows.append([Paragraph(label, bold), "", "", Paragraph(amount(cents), bold_right)])
    table = Table(rows, colWidths=[width * mm for width in WIDTHS], repeatRows=1)
    table.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.black),
                ("LINEABOVE", (0, -3), (-1, -3), 0.8, colors.black),
                ("LINEABOVE", (0, -1), (-1, -1), 0.8, colors.black),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ]
        )
    )
    story = [
        Paragraph("Invoice", title),
        block(seller),
        Spacer(1, 6 * mm),
        block(payer),
        Spacer(1, 6 * mm),
        block("\n".join(facts)),
        Spacer(1, 8 * mm),
        table,
    ]
    if invoice["note"]:
        story += [Spacer(1, 8 * mm), block(invoice["note"])]
    made = io.BytesIO()
    # `invariant`: no time of drawing in the file
    document = SimpleDocTemplate(
        made, pagesize=A4, invariant=1, title=f"Invoice {invoice['number']}", author="opstac"
    )
    document.build(story)
    return made.getvalue()
