"""A request's query, read by `parameters`: the style and the output that it asks for."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from tiler.algorithms import Relief
from tiler.draw import Output
from tiler.errors import InvalidParameter
from tiler.routes.parameters import ALIASES, PARAMETERS, STYLE
from tiler.style import Look


@dataclass(frozen=True, slots=True)
class Query:
    """A request's parameters, checked as far as that goes without the raster.

    Refusing comes after authentication: who may not see an item learns nothing of it.
    """

    values: dict[str, Any]
    errors: tuple[dict[str, Any], ...]

    @property
    def style(self) -> Look:
        """What of it says how the picture looks."""
        return {name: self.values[name] for name in STYLE if name in self.values}  # type: ignore[return-value]

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter's value."""
        return self.values.get(name, default)

    def output(self, image_format: str) -> Output:
        """What is made of the pixels."""
        return Output(
            format=image_format,
            quality=self.get("quality", 82),
            background=self.get("background"),
            mask=self.get("return_mask", True),
            unscale=self.get("unscale", False),
            every_band="profile" not in self.values,
            algorithm=self.get("algorithm"),
            relief=Relief(
                self.get("azimuth", 315.0), self.get("altitude", 45.0), self.get("z_factor", 1.0)
            ),
        )

    def pictured(self) -> Output:
        """What a document's tiles are: WebP, or PNG where only that keeps the colours.

        Raises: InvalidParameter: there is no such picture.
        """
        output = self.output("png")
        output.check()
        return output if output.is_coded else replace(output, format="webp")

    def refuse(self) -> None:
        """Raise InvalidParameter where something is wrong with it."""
        if self.errors:
            raise InvalidParameter(self.errors)


def read_query(request: Request, allowed: Iterable[str]) -> Query:
    """The parameters of a route that takes those `allowed`; any other is an error."""
    return read_pairs(request.query_params.multi_items(), allowed)


def read_pairs(pairs: Iterable[tuple[str, str]], allowed: Iterable[str]) -> Query:
    """The same of names and texts."""
    allowed = frozenset(allowed)
    texts: dict[str, str] = {}
    values: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []

    def wrong(name: str, message: str, kind: str = "value_error") -> None:
        errors.append({"loc": ["query", name[:64]], "msg": message, "type": kind})

    for given, text in pairs:
        name = ALIASES.get(given, given)
        known = PARAMETERS[name] if name in allowed else None
        if known is None:
            wrong(given, "unknown parameter", "extra_forbidden")
        elif name in texts and not known.repeated:
            wrong(given, "given twice")
        elif "\0" in text:
            wrong(given, "holds a zero byte")
        elif name in STYLE and not text.strip():
            wrong(given, "is empty")
        else:
            texts[name] = f"{texts[name]},{text}" if name in texts else text
    for name, text in texts.items():
        known = PARAMETERS[name]
        if len(text) > known.longest:
            wrong(name, f"longer than {known.longest} characters", "too_long")
            continue
        try:
            values[name] = known.read(text)
        except ValueError as error:
            wrong(name, str(error))
    return Query(values, tuple(errors))
