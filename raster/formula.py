"""The one grammar of band formulas: tiles, saved formulas, alerts, analytics and processes.

    b1 / b2 · (nir - red) / (nir + red) · where(b1 > 0.5, 1, 0) · b3; b2; b1

A text becomes a tree (`raster.formula_tree`), and each block of it a numexpr program.
All arithmetic is float32; comparisons give 1 or 0.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numexpr
import numpy as np

from raster import bands as band_names_module
from raster import fill, formula_arithmetic
from raster.formula_tree import (
    COMPARISONS,
    FUNCTIONS,
    MAX_BAND,
    MAX_CHARACTERS,
    Apply,
    Band,
    FormulaError,
    Node,
    Number,
    Parser,
    bands_of,
    check_text,
)

__all__ = [
    "MAX_BAND",
    "MAX_CHARACTERS",
    "MAX_INPUTS",
    "Block",
    "Formula",
    "FormulaError",
    "names_in",
    "parse",
]

MAX_INPUTS = 60  # numexpr takes at most 64 arrays and numbers


@dataclass(frozen=True)
class Block:
    """One output band of a formula.

    Attributes:
        tree: what was parsed, constants folded; the program is equal where it may differ.
        bands: the 1-based bands it uses, ascending.
        program: the same for numexpr, over variables `x<band>` and `k<n>`.
        constants: the values of `k0`, `k1` …
    """

    tree: Node = field(compare=False)
    bands: tuple[int, ...]
    program: str
    constants: tuple[float, ...]


@dataclass(frozen=True)
class Formula:
    """A checked formula.

    Attributes:
        text: as given.
        blocks: one for each part between semicolons.
        bands: the 1-based bands used by any block, ascending.
    """

    text: str
    blocks: tuple[Block, ...]
    bands: tuple[int, ...]

    def evaluate(
        self, bands: Mapping[int, np.ndarray], *, zeroed: bool = True
    ) -> np.ma.MaskedArray:
        """Compute the formula.

        Args:
            bands: 1-based index → array of shape (rows, columns), masked where invalid. Any real
                dtype; must hold at least `self.bands`, all of one shape.
            zeroed: put 0 below the mask; else anything may be left there.

        Returns:
            float32, shape (blocks, rows, columns). A pixel is masked where a band used by the
            block is masked or not finite, or the result is not finite.
        """
        inputs: dict[int, np.ndarray] = {}
        invalid: dict[int, np.ndarray] = {}  # only bands with something invalid
        for index in self.bands:
            array, stored = bands[index], np.ma.getdata(bands[index])
            inputs[index] = values = stored.astype(np.float32, copy=False)
            mask = np.ma.getmask(array)
            finite = np.isfinite(values) if stored.dtype.kind == "f" else None
            if finite is not None and not finite.all():
                invalid[index] = ~finite if mask is np.ma.nomask else ~finite | mask
            elif isinstance(mask, np.ndarray) and mask.any():
                invalid[index] = mask
        shape = inputs[self.bands[0]].shape
        data = np.empty((len(self.blocks), *shape), dtype=np.float32)
        masks = np.empty(data.shape, dtype=bool)
        for number, block in enumerate(self.blocks):
            mask, values = masks[number], data[number]
            _run(block, inputs, values)
            np.logical_not(np.isfinite(values, out=mask), out=mask)
            for index in block.bands:
                if index in invalid:
                    mask |= invalid[index]
            if zeroed and mask.any():
                fill.put(values, mask, 0)
        return np.ma.MaskedArray(data, mask=masks)


def parse(
    text: str,
    *,
    band_names: Sequence[str | None] | None = None,
    mapping: Mapping[str, int] | None = None,
    band_count: int | None = None,
    exact: bool = False,
) -> Formula:
    """Check a formula and resolve its names.

    A lower-case `b<n>` is always the n-th band. Any other name is looked up with
    `raster.bands.resolve`, without case; an upper-case `B<n>` that is no name is the n-th band.

    Args:
        text: at most 1,024 characters, 200 numbers, names and operators, 32 levels of brackets,
            8 blocks separated by `;`. `**` takes an exponent in [-4, 4] that holds no band:
            `** 2`, `** (1/3)`.
        band_names: of the raster, in band order. Also bounds `b<n>`.
        mapping: own names, e.g. `{"RED": 1, "NIR": 4}`.
        band_count: bounds `b<n>` where the raster's bands have no names.
        exact: take `b<n>` and the keys of `mapping` alone, so that the formula means the same bands
            of every raster.

    Raises: FormulaError.
    """
    check_text(text)
    names = list(band_names or ())
    keys = {band_names_module.fold(key): place for key, place in (mapping or {}).items()}
    count = band_count or len(names) or max((mapping or {}).values(), default=0) or MAX_BAND
    if band_names is None and mapping:
        count = band_count or MAX_BAND

    def find(name: str, position: int) -> int:
        plain = re.fullmatch(r"b([1-9][0-9]{0,3})", name)
        if plain is None and exact:
            index = keys.get(band_names_module.fold(name))
        else:
            index = None if plain else band_names_module.resolve(name, names, mapping)
            if index is None and (plain := plain or re.fullmatch(r"B([1-9][0-9]{0,3})", name)):
                index = int(plain[1])
        if index is None or not 1 <= index <= count:
            known = [n for n in names if n] or list(mapping or ()) or [f"b1 to b{count}"]
            raise FormulaError(
                f"unknown band {name[:40]!r}; known: {', '.join(known[:20])}", position
            )
        return index

    trees = Parser(text, find).blocks()
    blocks = tuple(_compile(tree) for tree in trees)
    used = sorted({index for block in blocks for index in block.bands})
    return Formula(text=text, blocks=blocks, bands=tuple(used))


def names_in(text: str) -> tuple[str, ...]:
    """The bands a formula needs, as it writes them, each once; checked as by `parse`.

    For a formula that is kept before anybody knows the raster it will be used on.

    Raises: FormulaError.
    """
    check_text(text)
    words: dict[str, int] = {}

    def find(name: str, position: int) -> int:
        number = re.fullmatch(r"[bB]([0-9]+)", name)
        if number and not (number[1][0] != "0" or band_names_module.role(name)):
            raise FormulaError(f"there is no band {name[:40]!r}: bands count from b1", position)
        if number and int(number[1]) > MAX_BAND:
            raise FormulaError(f"there is no band {name[:40]!r}: at most b{MAX_BAND}", position)
        return words.setdefault(name, len(words) + 1)

    for tree in Parser(text, find).blocks():
        _compile(tree)
    return tuple(words)


class _Writer:
    """Writes one tree as a numexpr program."""

    def __init__(self) -> None:
        self.constants: dict[float, int] = {}

    def number(self, node: Node) -> str:
        """An expression of kind float32."""
        if isinstance(node, Band):
            return f"x{node.index}"
        if isinstance(node, Number):
            return self._constant(node.value)
        if node.op in COMPARISONS:
            yes, no = self._constant(1.0), self._constant(0.0)
            return f"where({self._condition(node)}, {yes}, {no})"
        if node.op == "where":
            test, yes, no = node.arguments
            return f"where({self._condition(test)}, {self.number(yes)}, {self.number(no)})"
        if node.op == "**":
            return self._power(*node.arguments)
        return self._operation(node.op, [self.number(argument) for argument in node.arguments])

    def _constant(self, value: float) -> str:
        # as a variable of type float32: a literal would make the whole program float64
        return f"k{self.constants.setdefault(value, len(self.constants))}"

    def _condition(self, node: Node) -> str:
        if isinstance(node, Apply) and node.op in COMPARISONS:
            left, right = map(self.number, node.arguments)
            return f"({left} {node.op} {right})"
        return f"({self.number(node)} != {self._constant(0.0)})"

    def _power(self, base: Node, exponent: Node) -> str:
        assert isinstance(exponent, Number)
        whole = exponent.value.is_integer()  # numexpr multiplies out whole powers
        power = str(int(exponent.value)) if whole else self._constant(exponent.value)
        return f"({self.number(base)} ** {power})"

    def _operation(self, op: str, parts: list[str]) -> str:
        if op == "neg":
            return f"(-{parts[0]})"
        if op in ("min", "max"):
            function = "minimum" if op == "min" else "maximum"
            return functools.reduce(lambda a, b: f"{function}({a}, {b})", parts)
        if op in FUNCTIONS:
            return f"{op}({', '.join(parts)})"
        return f"({parts[0]} {op} {parts[1]})"


def _compile(tree: Node) -> Block:
    writer = _Writer()
    program = writer.number(tree)
    used = tuple(sorted(bands_of(tree)))
    if len(used) + len(writer.constants) > MAX_INPUTS:
        raise FormulaError(f"more than {MAX_INPUTS} different bands and numbers in one block")
    return Block(tree=tree, bands=used, program=program, constants=tuple(writer.constants))


def _run(block: Block, inputs: Mapping[int, np.ndarray], out: np.ndarray) -> None:
    if formula_arithmetic.plain(block.tree):
        formula_arithmetic.compute(block.tree, inputs, out)
        return
    variables: dict[str, np.ndarray] = {f"x{i}": inputs[i] for i in block.bands}
    variables |= {f"k{n}": np.asarray(v, np.float32) for n, v in enumerate(block.constants)}
    # sanitize searches for attribute access; the program is built above from our own parts only
    out[...] = numexpr.evaluate(
        block.program, local_dict=variables, global_dict={}, casting="same_kind", sanitize=False
    )
