"""Options as fields of dataclasses: one field = one flag = one default = one range = one help text.

A group is a frozen dataclass below Options whose fields are made by option(); several groups
together are one dataclass that inherits from them, and one section of flags for each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
import dataclasses
from dataclasses import dataclass
import math
import operator
from typing import Any, ClassVar

from .given import MOST
from .limits import shown as briefly

LARGEST_FLOAT = 3.4e38  # of float32, in which all numbers are computed

# What option() takes as a limit -> when a value keeps it, and what to say if it does not.
LIMITS = {
    "at_least": (operator.ge, "must be at least"),
    "above": (operator.gt, "must be above"),
    "at_most": (operator.le, "must be at most"),
    "below": (operator.lt, "must be below"),
}


def option(
    default: Any,
    help: str,
    *,
    choices: tuple = (),
    check: Callable[[Any], str | None] | None = None,
    of: str = "",
    **limits: float,
) -> Any:
    """Return a dataclass field that is also a flag.  help states the unit.

    choices: the only values allowed.  limits: at_least, above, at_most, below.  check(value)
    says what is wrong with a value that neither describes.  of: the option without which this
    one, given, is refused.
    """
    assert limits.keys() <= LIMITS.keys(), limits
    metadata = {"help": help, "choices": choices, "check": check, "limits": limits, "of": of}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Options:
    """A group of options.  Raises ValueError that lists every fault at once.

    section: what the group is called in --help.
    """

    section: ClassVar[str]

    def __post_init__(self) -> None:
        faults = [
            f"{flag_of(field.name)} {_given(getattr(self, field.name))}: {fault}"
            for field in dataclasses.fields(self)
            for fault in (*_faults(field, getattr(self, field.name)), *self._unused(field))
        ]
        if faults:
            raise ValueError("\n".join(faults))

    def _unused(self, field: dataclasses.Field) -> Iterable[str]:
        of = field.metadata["of"]
        if of and getattr(self, field.name) != field.default and not getattr(self, of):
            yield f"only {flag_of(of)} uses it; give that too, or leave this out"


def _given(value: Any) -> str:
    return shown(value) if isinstance(value, tuple) else briefly(value)


def _faults(field: dataclasses.Field, value: Any) -> Iterable[str]:
    """Yield what is wrong with the value of a field."""
    choices, check = field.metadata["choices"], field.metadata["check"]
    if choices and value not in choices:
        yield "allowed are " + ", ".join(map(str, choices))
    if field.type == "int" and abs(value) > MOST and "at_most" not in field.metadata["limits"]:
        yield f"must be at most {MOST}"
    if field.type == "float" and not math.isfinite(value):
        yield "must be a finite number"
    elif field.type == "float" and abs(value) > LARGEST_FLOAT:
        yield "is larger than float32 holds"
    for name, limit in field.metadata["limits"].items():
        keeps, words = LIMITS[name]
        if not keeps(value, limit) and not math.isnan(value):  # a NaN is named above
            yield f"{words} {limit}"
    if check and (fault := check(value)):
        yield fault


def flag_of(name: str) -> str:
    """Return the flag of a field: margin_m -> --margin-m."""
    return "--" + name.replace("_", "-")


def shown(value: Any) -> str:
    """Return a value as it is written on a command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _comma_list(of: type) -> Any:
    def parse(text: str) -> tuple:
        return tuple(of(part.strip()) for part in text.split(",") if part.strip())

    parse.__name__ = f"comma separated list of {of.__name__}"
    return parse


_PARSERS = {
    "int": int,
    "float": float,
    "str": str,
    "tuple[int, ...]": _comma_list(int),
    "tuple[float, ...]": _comma_list(float),
    "tuple[str, ...]": _comma_list(str),
}


def groups_of(whole: type[Options]) -> list[type[Options]]:
    """Return the groups that a dataclass inherits from, in the order of its fields."""
    return [group for group in reversed(whole.__mro__) if "section" in vars(group)]


def add_flags(parser: argparse.ArgumentParser, whole: type[Options]) -> None:
    """Add a section of flags for every group, with a flag for every field."""
    for group in groups_of(whole):
        section = parser.add_argument_group(group.section)
        for field in dataclasses.fields(group):
            _add_flag(section, whole.__dataclass_fields__[field.name])


def _add_flag(section: Any, field: dataclasses.Field) -> None:
    flag, text = flag_of(field.name), field.metadata["help"]
    if field.type == "bool":
        section.add_argument(flag, action="store_true", help=text)
        return
    choices = field.metadata["choices"] or None
    section.add_argument(
        flag,
        type=_PARSERS[field.type],
        default=field.default,
        choices=choices,
        metavar=None if choices else field.name.upper(),
        help=f"{text} (default: {shown(field.default) or 'empty'})".replace("%", "%%"),
    )


def ignored_options(config: Options, group: type[Options], used: Iterable[str], by: str) -> list:
    """Return a fault for each option of a group that was changed and is not among those used."""
    return [
        f"{flag_of(f.name)} {shown(getattr(config, f.name))}: {by} does not use it; leave it out"
        for f in dataclasses.fields(group)
        if f.name not in used and getattr(config, f.name) != f.default
    ]
