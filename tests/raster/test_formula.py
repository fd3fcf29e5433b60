"""The formula grammar: what it computes, what it refuses."""

from concurrent.futures import ThreadPoolExecutor

import numexpr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raster import bands, indices
from raster.formula import Formula, FormulaError, parse

RGBN = ["red", "green", "blue", "nir"]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("b1*9**9**9**9", 6),
        ("-" * 1000 + "b1", 32),
        ("-" * 20_000 + "b1", 1024),
        ("(" * 500 + "b1", 32),
        (";".join(["b1"] * 5000), 1024),
        (";".join(["b1"] * 9), 24),
        ("+".join(["b1"] * 101), 299),
        ("b1**b2", 4),
        ("b1**5", 4),
        ("b1**2**2", 5),
        ("b1+2e9", 3),
        ("b1+1/0", 4),
        ("b1+(-8)**0.5", 7),
        ("b1<b2<b3", 5),
        ("1+1", 0),
        ("", 0),
        ("b1;;b2", 3),
        ("b9", 0),
        ("nope", 0),
        ("b1.real", 2),
        ("b1[0]", 2),
        ("__import__('os')", 0),
        ("sqrt(b1,b2)", 0),
        ("min(b1)", 0),
        ("where(b1,1)", 0),
        ("b1 b2", 3),
        ("b1 +", 4),
        ("'b1'", 0),
        ("b1 if b2 else b3", 3),
        ("\uff11+b1", 0),
    ],
)
def test_a_bad_formula_is_refused_at_its_place(text: str, position: int) -> None:
    with pytest.raises(FormulaError) as refused:
        parse(text, band_names=RGBN)
    assert refused.value.position == position


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("b1", (1,)),
        ("NIR - Red", (1, 4)),
        ("B04 + nir08", (1, 4)),
        ("b2;b1", (1, 2)),
        ("B2", (2,)),
        ("where(b1 > 0.5, 1, b4)", (1, 4)),
        ("b1 ** -2 + b1 ** (0.5)", (1,)),
    ],
)
def test_names_are_found(text: str, used: tuple[int, ...]) -> None:
    assert parse(text, band_names=RGBN).bands == used


def test_an_explicit_mapping_wins() -> None:
    formula = parse("(NIR - RED) / (NIR + RED)", band_names=RGBN, mapping={"RED": 2, "NIR": 3})
    assert formula.bands == (2, 3)


def test_a_band_called_b4_does_not_change_what_lower_case_b4_means() -> None:
    names = ["B2", "B3", "B4", "B8"]
    assert parse("b4", band_names=names).bands == (4,)
    assert parse("B4", band_names=names).bands == (3,)


def test_a_pixel_is_valid_only_where_every_used_band_is() -> None:
    first = np.ma.MaskedArray([[1.0, 2.0, 3.0]], mask=[[True, False, False]])
    second = np.array([[1, np.nan, 0]])
    both = parse("b1 / b2; b1; b2").evaluate({1: first, 2: second})
    assert both.dtype == np.float32
    assert both.mask.tolist() == [
        [[True, True, True]],
        [[True, False, False]],
        [[False, True, False]],
    ]


def test_comparisons_are_one_or_zero() -> None:
    values = parse("(b1 > 1) * 10 + (b1 == 1)").evaluate({1: np.array([[0, 1, 2]], "uint8")})
    assert values.tolist() == [[[0, 1, 10]]]


def test_unsigned_bands_do_not_wrap() -> None:
    pair = {1: np.array([[10]], "uint8"), 2: np.array([[20]], "uint8")}
    assert parse("b1 - b2").evaluate(pair).tolist() == [[[-10]]]


def test_every_catalogue_index_computes() -> None:
    pixels = {i: np.full((1, 1), 0.1 + i / 50) for i in range(1, len(bands.ROLES) + 1)}
    for name in bands.INDICES:
        value = indices.parse(bands.INDICES[name], bands.ROLES)[0].evaluate(pixels)
        assert value.count() == 1, name


def test_an_index_without_its_bands_says_which() -> None:
    with pytest.raises(bands.BandMissing, match="swir22"):
        indices.parse(indices.find("nbr"), RGBN)
    with pytest.raises(bands.BandMissing, match="unknown index"):
        indices.find("xyz")


def test_threads_do_not_disturb_each_other() -> None:
    formula = parse("(b1 - b2) / (b1 + b2)")

    def compute(seed: int) -> bool:
        made = np.random.default_rng(seed).random((2, 256, 256), dtype="float32") + 1
        expected = (made[0] - made[1]) / (made[0] + made[1])
        return np.allclose(formula.evaluate({1: made[0], 2: made[1]})[0], expected, atol=1e-6)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(compute, range(40)))


# A tree is a pair of a text and a function of the bands in plain numpy.

PIXELS = np.array([[0.25, 0.5, 1, 2, 3, 7, 100, 0.001], [3, 1, 1, 0.5, 8, 2, 9, 4]], np.float32)


def _leaf(number: int) -> tuple:
    return f"b{number + 1}", lambda b: b[number]


def _number(value: float) -> tuple:
    return repr(value), lambda b: np.float32(value)


def _binary(left: tuple, right: tuple, op: str) -> tuple:
    apply = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}[op]
    return f"({left[0]} {op} {right[0]})", lambda b: apply(left[1](b), right[1](b))


def _call(inner: tuple, name: str) -> tuple:
    apply = {"abs": np.abs, "sqrt": np.sqrt, "log": np.log, "sin": np.sin, "arctan": np.arctan}
    return f"{name}({inner[0]})", lambda b: apply[name](inner[1](b))


def _power(inner: tuple, exponent: int) -> tuple:
    return f"({inner[0]}) ** {exponent}", lambda b: np.power(inner[1](b), np.float32(exponent))


def _minimum(left: tuple, right: tuple) -> tuple:
    return f"min({left[0]}, {right[0]})", lambda b: np.minimum(left[1](b), right[1](b))


def _choice(left: tuple, right: tuple, limit: float) -> tuple:
    # compares a bare band, so that rounding cannot decide it
    return (
        f"where(b1 > {limit!r}, {left[0]}, {right[0]})",
        lambda b: np.where(b[0] > np.float32(limit), left[1](b), right[1](b)),
    )


LEAVES = st.one_of(
    st.integers(0, 1).map(_leaf), st.sampled_from([0.5, 1.0, 2.0, 10.0, 0.125]).map(_number)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(_binary, inner, inner, st.sampled_from("+-*/")),
        st.builds(_call, inner, st.sampled_from(["abs", "sqrt", "log", "sin", "arctan"])),
        st.builds(_power, inner, st.integers(-4, 4)),
        st.builds(_minimum, inner, inner),
        st.builds(_choice, inner, inner, st.sampled_from([0.4, 1.5, 50.0])),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_a_formula_equals_plain_numpy(tree: tuple) -> None:
    text, reference = tree
    try:
        formula = parse(f"b1 * 0 + {text}", band_count=2)
    except FormulaError as refused:
        # constant parts without a value, and trees over the limits, are rightly refused
        assert "no finite value" in refused.message or "more than" in refused.message
        return
    with np.errstate(all="ignore"):
        single = np.broadcast_to(reference(PIXELS), PIXELS[0].shape)
        double = np.broadcast_to(reference(PIXELS.astype("float64")), PIXELS[0].shape)
    got = formula.evaluate({1: PIXELS[:1], 2: PIXELS[1:]})[0, 0]
    # where single and double precision differ, rounding decides and nothing is to be learned
    with np.errstate(all="ignore"):
        steady = np.isfinite(single) & np.isclose(single, double, rtol=1e-4) & (abs(single) < 1e30)
    assert np.allclose(
        got.filled(np.nan)[steady], single[steady], rtol=1e-2, atol=1e-3, equal_nan=True
    ) or (not steady.any())


PLAIN_TREES = st.recursive(
    st.sampled_from(["b1", "b2", "0.1", "3", "1e-7"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda part: f"-({part})"),
        st.tuples(st.sampled_from(["abs", "sqrt"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
    ),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(PLAIN_TREES)
def test_plain_arithmetic_has_the_bits_of_numexpr(text: str) -> None:
    try:
        formula = parse(f"b1 * {text} - b2", band_count=2)
    except FormulaError:
        return  # a constant part without a value
    made = np.random.default_rng(1).normal(0, 1000, (2, 3, 70_000)).astype("float32")
    made[:, :, ::7] = 0
    (block,) = formula.blocks
    variables = {f"x{i}": made[i - 1] for i in block.bands}
    variables |= {f"k{n}": np.asarray(v, np.float32) for n, v in enumerate(block.constants)}
    expected = numexpr.evaluate(block.program, local_dict=variables, global_dict={})
    got = formula.evaluate({1: made[0], 2: made[1]})
    assert np.array_equal(~np.ma.getmaskarray(got)[0], np.isfinite(expected))
    expected[~np.isfinite(expected)] = 0
    assert np.array_equal(got.data[0].view("uint32"), expected.view("uint32"))


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(max_size=1100),
        st.text(alphabet="b12nird()+-*/<>=!;,. 9eE**where", max_size=400),
        st.lists(
            st.sampled_from(["b1", "**", "(", ")", "-", "9", ";", "where", ",", "min", "1e9", "/"]),
            max_size=300,
        ).map(" ".join),
    )
)
def test_any_text_is_a_formula_or_an_error(text: str) -> None:
    try:
        formula = parse(text, band_names=RGBN)
    except FormulaError as refused:
        assert 0 <= refused.position <= 1024
    else:
        assert isinstance(formula, Formula)
        formula.evaluate({i: np.ones((4, 4), np.float32) for i in formula.bands})
