"""The grammar of band formulas: from a text to a tree, by recursive descent.

Never by Python's own parser or `eval`; every limit is checked before anything is computed.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

MAX_CHARACTERS = 1024
MAX_NODES = 200
MAX_DEPTH = 32
MAX_BLOCKS = 8
MAX_NUMBER = 1e9
MAX_EXPONENT = 4.0
MAX_BAND = 200

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<op>\*\*|<=|>=|==|!=|[-+*/(),;<>])"
    r"|(?P<end>$))",
    re.ASCII,
)
COMPARISONS = frozenset(("<", "<=", ">", ">=", "==", "!="))
FUNCTIONS: dict[str, int] = dict.fromkeys(
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


def check_text(text: object) -> None:
    """Refuse what is no text, or too long. Raises: FormulaError."""
    if not isinstance(text, str):
        raise FormulaError("a formula is a text")
    if len(text) > MAX_CHARACTERS:
        raise FormulaError(f"longer than {MAX_CHARACTERS} characters", MAX_CHARACTERS)


class Parser:
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
        """One tree for each part between semicolons. Raises: FormulaError."""
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
        if not bands_of(tree):
            raise FormulaError("uses no band", start)
        return tree

    def _comparison(self) -> Node:
        left = self._sum()
        if self._value in COMPARISONS:
            op, position = self._take()
            left = self._apply(op, (left, self._sum()), position)
            if self._value in COMPARISONS:
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
        arity = FUNCTIONS.get(function)
        if arity is None:
            known = ", ".join(sorted(FUNCTIONS))
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


def bands_of(tree: Node) -> set[int]:
    """The 1-based bands in a tree."""
    if isinstance(tree, Band):
        return {tree.index}
    if isinstance(tree, Apply):
        return set().union(*(bands_of(argument) for argument in tree.arguments))
    return set()


def renumbered(tree: Node, numbers: Mapping[int, int]) -> Node:
    """The same tree with other numbers for its bands."""
    if isinstance(tree, Band):
        return replace(tree, index=numbers[tree.index])
    if isinstance(tree, Apply):
        return replace(tree, arguments=tuple(renumbered(a, numbers) for a in tree.arguments))
    return tree
