"""The one grammar of band formulas: tiles, saved formulas, alerts, analytics and processes.

    b1 / b2 · (nir - red) / (nir + red) · where(b1 > 0.5, 1, 0) · b3; b2; b1

A text is parsed by the recursive descent below, never by Python's own parser or `eval`, and every
limit is checked before anything is computed. What is left is turned into one numexpr program a
block. All arithmetic is float32; comparisons give 1 or 0.
"""

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numexpr
import numpy as np

from raster import bands as band_names_module
from raster import indices

MAX_CHARACTERS = 1024
MAX_NODES = 200
MAX_DEPTH = 32
MAX_BLOCKS = 8
MAX_NUMBER = 1e9
MAX_EXPONENT = 4.0
MAX_INPUTS = 60  # numexpr takes at most 64 arrays and numbers
MAX_BAND = 200

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<op>\*\*|<=|>=|==|!=|[-+*/(),;<>])"
    r"|(?P<end>$))",
    re.ASCII,
)
_COMPARISONS = frozenset(("<", "<=", ">", ">=", "==", "!="))
_FUNCTIONS: dict[str, int] = dict.fromkeys(
    ("abs", "sqrt", "log", "log10", "exp", "sin", "cos", "tan", "arctan"), 1
) | {"arctan2": 2, "where": 3, "min": -2, "max": -2, "minimum": -2, "maximum": -2}
"""Function → number of arguments; -2 means two or more."""


class FormulaError(ValueError):
    """A formula that cannot be used; `position` is the 0-based character the message is about."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.message = message
        self.position = position


@dataclass(frozen=True)
class Number:
    """A literal or folded constant."""

    value: float
    position: int


@dataclass(frozen=True)
class Band:
    """A band by its 1-based index."""

    index: int
    position: int


@dataclass(frozen=True)
class Apply:
    """An operator or function on its arguments; `op` is `neg`, `+` … `**`, a comparison, a name."""

    op: str
    arguments: "tuple[Node, ...]"
    position: int


Node = Number | Band | Apply


@dataclass(frozen=True)
class Block:
    """One output band of a formula.

    Attributes:
        tree: what was parsed, constants folded.
        bands: the 1-based bands it uses, ascending.
        program: the same for numexpr, over variables `x<band>` and `k<n>`.
        constants: the values of `k0`, `k1` …
    """

    tree: Node
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

    def evaluate(self, bands: Mapping[int, np.ndarray]) -> np.ma.MaskedArray:
        """Compute the formula.

        Args:
            bands: 1-based index → array of shape (rows, columns), masked where invalid. Any real
                dtype; must hold at least `self.bands`, all of one shape.

        Returns:
            float32, shape (blocks, rows, columns). A pixel is masked where a band used by the
            block is masked or not finite, or the result is not finite; it holds 0 there.
        """
        inputs: dict[int, np.ndarray] = {}
        invalid: dict[int, np.ndarray] = {}
        for index in self.bands:
            array = bands[index]
            values = np.ma.getdata(array).astype(np.float32, copy=False)
            inputs[index] = values
            invalid[index] = ~np.isfinite(values)
            mask = np.ma.getmask(array)
            if mask is not np.ma.nomask:
                invalid[index] |= mask
        shape = inputs[self.bands[0]].shape
        data = np.empty((len(self.blocks), *shape), dtype=np.float32)
        masks = np.empty(data.shape, dtype=bool)
        for number, block in enumerate(self.blocks):
            values = _run(block, inputs)
            mask = ~np.isfinite(values)
            for index in block.bands:
                mask |= invalid[index]
            data[number] = np.where(mask, np.float32(0), values)
            masks[number] = mask
        return np.ma.MaskedArray(data, mask=masks)


def parse(
    text: str,
    *,
    band_names: Sequence[str | None] | None = None,
    mapping: Mapping[str, int] | None = None,
    band_count: int | None = None,
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

    Raises: FormulaError.
    """
    _check_text(text)
    names = list(band_names or ())
    count = band_count or len(names) or max((mapping or {}).values(), default=0) or MAX_BAND
    if band_names is None and mapping:
        count = band_count or MAX_BAND

    def find(name: str, position: int) -> int:
        plain = re.fullmatch(r"b([1-9][0-9]{0,3})", name)
        index = None if plain else band_names_module.resolve(name, names, mapping)
        if index is None and (plain := plain or re.fullmatch(r"B([1-9][0-9]{0,3})", name)):
            index = int(plain[1])
        if index is None or not 1 <= index <= count:
            known = [n for n in names if n] or list(mapping or ()) or [f"b1 to b{count}"]
            raise FormulaError(
                f"unknown band {name[:40]!r}; known: {', '.join(known[:20])}", position
            )
        return index

    trees = _Parser(text, find).blocks()
    blocks = tuple(_compile(tree) for tree in trees)
    used = sorted({index for block in blocks for index in block.bands})
    return Formula(text=text, blocks=blocks, bands=tuple(used))


def names_in(text: str) -> tuple[str, ...]:
    """The bands a formula needs, as it writes them, each once; checked as by `parse`.

    For a formula that is kept before anybody knows the raster it will be used on.

    Raises: FormulaError.
    """
    _check_text(text)
    words: dict[str, int] = {}

    def find(name: str, position: int) -> int:
        number = re.fullmatch(r"[bB]([0-9]+)", name)
        if number and not (number[1][0] != "0" or band_names_module.role(name)):
            raise FormulaError(f"there is no band {name[:40]!r}: bands count from b1", position)
        if number and int(number[1]) > MAX_BAND:
            raise FormulaError(f"there is no band {name[:40]!r}: at most b{MAX_BAND}", position)
        return words.setdefault(name, len(words) + 1)

    for tree in _Parser(text, find).blocks():
        _compile(tree)
    return tuple(words)


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise FormulaError("a formula is a text")
    if len(text) > MAX_CHARACTERS:
        raise FormulaError(f"longer than {MAX_CHARACTERS} characters", MAX_CHARACTERS)


def parse_index(
    name: str,
    *,
    band_names: Sequence[str | None],
    mapping: Mapping[str, int] | None = None,
) -> Formula:
    """The formula of a catalogue index for a raster with these bands.

    Raises: `raster.bands.BandMissing`, also for an index that is not in the catalogue.
    """
    index = indices.find(name)
    found = {role: band_names_module.require(role, band_names, mapping) for role in index.roles}
    return parse(
        indices.formula_of(index), mapping=found, band_count=max(len(band_names), *found.values())
    )


class _Parser:
    """Recursive descent over the tokens of one text; precedence as in Python."""

    def __init__(self, text: str, find: Callable[[str, int], int]) -> None:
        self._text = text
        self._find = find
        self._at = 0
        self._nodes = 0
        self._depth = 0
        self._kind, self._value, self._position = "", "", 0
        self._advance()

    def blocks(self) -> list[Node]:
        found = [self._block()]
        while self._value == ";":
            self._advance()
            if self._kind == "end":  # a trailing semicolon ends the last block
                break
            if len(found) == MAX_BLOCKS:
                raise FormulaError(f"more than {MAX_BLOCKS} blocks", self._position)
            found.append(self._block())
        if self._kind != "end":
            raise self._unexpected()
        return found

    def _block(self) -> Node:
        start = self._position
        if self._kind == "end" or self._value == ";":
            raise FormulaError("empty formula", start)
        tree = self._comparison()
        if not _bands(tree):
            raise FormulaError("uses no band", start)
        return tree

    def _comparison(self) -> Node:
        left = self._sum()
        if self._value in _COMPARISONS:
            op, position = self._take()
            left = self._apply(op, (left, self._sum()), position)
            if self._value in _COMPARISONS:
                raise FormulaError("comparisons cannot be chained; use brackets", self._position)
        return left

    def _sum(self) -> Node:
        left = self._product()
        while self._value in ("+", "-"):
            op, position = self._take()
            left = self._apply(op, (left, self._product()), position)
        return left

    def _product(self) -> Node:
        left = self._unary()
        while self._value in ("*", "/"):
            op, position = self._take()
            left = self._apply(op, (left, self._unary()), position)
        return left

    def _unary(self) -> Node:
        if self._value in ("-", "+"):
            op, position = self._take()
            self._enter(position)
            operand = self._unary()
            self._depth -= 1
            return self._apply("neg", (operand,), position) if op == "-" else operand
        return self._power()

    def _power(self) -> Node:
        base = self._atom()
        if self._value != "**":
            return base
        _, position = self._take()
        power = self._apply("**", (base, self._exponent()), position)
        if self._value == "**":
            raise FormulaError("powers cannot be chained; use brackets", self._position)
        return power

    def _exponent(self) -> Number:
        """A number, with a sign if wanted, or a part in brackets that holds no band."""
        start = self._position
        sign = 1.0
        if self._value in ("-", "+"):
            sign = -1.0 if self._take()[0] == "-" else 1.0
        if self._kind != "number" and self._value != "(":
            raise FormulaError("the exponent of ** must be a number", self._position)
        found = self._atom()
        if not isinstance(found, Number):
            raise FormulaError("the exponent of ** must be a number", found.position)
        if not abs(found.value) <= MAX_EXPONENT:
            raise FormulaError("the exponent of ** must lie in [-4, 4]", start)
        return Number(sign * found.value, found.position)

    def _atom(self) -> Node:
        if self._kind == "number":
            text, position = self._take()
            value = float(text)
            if not abs(value) <= MAX_NUMBER:
                raise FormulaError("numbers must lie in [-1e9, 1e9]", position)
            self._count(position)
            return Number(value, position)
        if self._value == "(":
            _, position = self._take()
            self._enter(position)
            inner = self._comparison()
            self._depth -= 1
            self._expect(")")
            return inner
        if self._kind == "name":
            name, position = self._take()
            if self._value == "(":
                return self._call(name, position)
            self._count(position)
            return Band(self._find(name, position), position)
        raise self._unexpected()

    def _call(self, name: str, position: int) -> Node:
        function = name.lower()
        arity = _FUNCTIONS.get(function)
        if arity is None:
            known = ", ".join(sorted(_FUNCTIONS))
            raise FormulaError(f"unknown function {name[:40]!r}; known: {known}", position)
        self._take()
        self._enter(position)
        arguments = [self._comparison()]
        while self._value == ",":
            self._advance()
            arguments.append(self._comparison())
        self._depth -= 1
        self._expect(")")
        if len(arguments) != arity and not (arity < 0 and len(arguments) >= 2):
            wanted = "two or more" if arity < 0 else str(arity)
            raise FormulaError(f"{function} takes {wanted} arguments", position)
        function = {"minimum": "min", "maximum": "max"}.get(function, function)
        return self._apply(function, tuple(arguments), position)

    def _apply(self, op: str, arguments: tuple[Node, ...], position: int) -> Node:
        self._count(position)
        if all(isinstance(argument, Number) for argument in arguments):
            return _fold(op, [a.value for a in arguments if isinstance(a, Number)], position)
        return Apply(op, arguments, position)

    def _count(self, position: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise FormulaError(f"more than {MAX_NODES} numbers, bands and operators", position)

    def _enter(self, position: int) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FormulaError(f"nested deeper than {MAX_DEPTH} levels", position)

    def _expect(self, value: str) -> None:
        if self._value != value:
            raise FormulaError(f"expected {value!r}", self._position)
        self._advance()

    def _take(self) -> tuple[str, int]:
        taken = self._value, self._position
        self._advance()
        return taken

    def _advance(self) -> None:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            rest = self._text[self._at :]
            position = self._at + len(rest) - len(rest.lstrip())
            raise FormulaError(f"unexpected {self._text[position : position + 1]!r}", position)
        self._kind = match.lastgroup or "end"
        self._value = match[self._kind]
        self._position = match.start(self._kind)
        self._at = match.end()

    def _unexpected(self) -> FormulaError:
        if self._kind == "end":
            return FormulaError("unexpected end", self._position)
        return FormulaError(f"unexpected {self._value[:40]!r}", self._position)


_REDUCE: dict[str, Callable[..., Any]] = {
    "neg": lambda a: -a,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "<": lambda a, b: float(a < b),
    "<=": lambda a, b: float(a <= b),
    ">": lambda a, b: float(a > b),
    ">=": lambda a, b: float(a >= b),
    "==": lambda a, b: float(a == b),
    "!=": lambda a, b: float(a != b),
    "abs": abs,
    "sqrt": math.sqrt,
    "log": math.log,
    "log10": math.log10,
    "exp": math.exp,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "arctan": math.atan,
    "arctan2": math.atan2,
    "where": lambda condition, a, b: a if condition else b,
    "min": min,
    "max": max,
}


def _fold(op: str, values: Sequence[float], position: int) -> Number:
    """The value of a part that holds no band, in float64."""
    try:
        value = _REDUCE[op](*values)
    except (ArithmeticError, ValueError):
        value = math.nan
    # a negative base with a broken exponent is complex in Python
    if isinstance(value, complex) or not abs(value) <= 1e30:
        raise FormulaError("this part has no finite value", position)
    return Number(float(value), position)


def _bands(tree: Node) -> set[int]:
    if isinstance(tree, Band):
        return {tree.index}
    if isinstance(tree, Apply):
        return set().union(*(_bands(argument) for argument in tree.arguments))
    return set()


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
        if node.op in _COMPARISONS:
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
        if isinstance(node, Apply) and node.op in _COMPARISONS:
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
        if op in _FUNCTIONS:
            return f"{op}({', '.join(parts)})"
        return f"({parts[0]} {op} {parts[1]})"


def _compile(tree: Node) -> Block:
    writer = _Writer()
    program = writer.number(tree)
    used = tuple(sorted(_bands(tree)))
    if len(used) + len(writer.constants) > MAX_INPUTS:
        raise FormulaError(f"more than {MAX_INPUTS} different bands and numbers in one block")
    return Block(tree=tree, bands=used, program=program, constants=tuple(writer.constants))


def _run(block: Block, inputs: Mapping[int, np.ndarray]) -> np.ndarray:
    variables: dict[str, np.ndarray] = {f"x{i}": inputs[i] for i in block.bands}
    variables |= {f"k{n}": np.asarray(v, np.float32) for n, v in enumerate(block.constants)}
    # sanitize searches for attribute access; the program is built above from our own parts only
    values = numexpr.evaluate(
        block.program, local_dict=variables, global_dict={}, casting="same_kind", sanitize=False
    )
    return np.asarray(values, dtype=np.float32)
