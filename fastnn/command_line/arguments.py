"""Click's commands, in the words of this command line: usage, errors, values of options.

Beyond what click has: an option may take several values, as ``--hidden 64 32``; the beginning of an option's
name is enough where no other begins so; errors name the argument, then what was expected and what was given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastnn.absent import near
from fastnn.checks import MAXIMUM_SIZE

__all__ = [
    "FILE",
    "LARGEST_SEED",
    "Choice",
    "Command",
    "Group",
    "NoCommand",
    "Rate",
    "Share",
    "WholeNumber",
    "Words",
    "given",
    "json_option",
    "message_of",
    "option",
    "refuse",
]

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
    _Choice = click.Choice[str]
else:  # before click 8.4 they take no types
    _ParamType = click.ParamType
    _Choice = click.Choice

_NUMBER = re.compile(r"[+-]?\d\S*")
_Function = TypeVar("_Function", bound=Callable[..., Any])

LARGEST_SEED = 2**32 - 1


class NoCommand(click.UsageError):
    """Nothing but the program's name was given: its message is the help."""


class _Formatter(click.HelpFormatter):
    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, "usage: ")


class _Context(click.Context):
    formatter_class = _Formatter


def _options(command: click.Command) -> dict[str, click.Option]:
    """Return options by their long and short names."""
    found = [param for param in command.params if isinstance(param, click.Option)]
    return {name: param for param in found for name in (*param.opts, *param.secondary_opts)}


class Command(click.Command):
    """A sub-command."""

    context_class = _Context

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        super().__init__(*args, **kwargs)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option that shows the help; Python's own standard output gets it."""
        return _help_option()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words of a call."""
        ctx.allow_extra_args = True  # to say it in our own words
        try:
            rest = super().parse_args(ctx, args if ctx.resilient_parsing else self._spelt_out(ctx, args))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise
        if rest and not ctx.resilient_parsing:
            raise click.UsageError(f"unrecognized arguments: {' '.join(rest)}", ctx)
        return rest

    def _spelt_out(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
        """Return words with whole names of options, and an option of several values once for each."""
        options, words, several = _options(self), list[str](), ""
        known = [*options, "--help"]
        for position, word in enumerate(args):
            if word == "--":
                return [*words, *args[position:]]
            if word.startswith("--"):
                name, mark, value = word.partition("=")
                if name not in known and len(found := [one for one in known if one.startswith(name)]) == 1:
                    name = found[0]
                several = name if getattr(options.get(name), "several", False) and not mark else ""
                if several and (position + 1 == len(args) or args[position + 1].startswith("--")):
                    raise click.UsageError(f"argument {name}: expected at least one argument", ctx)
                words.append(name + mark + value)
            elif several and words[-1] != several and _NUMBER.fullmatch(word):
                words += [several, word]
            else:
                several = several if words and words[-1] == several else ""
                words.append(word)
        return words


class Group(click.Group):
    """The whole command."""

    context_class = _Context
    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        super().__init__(*args, **kwargs)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option that shows the help."""
        return _help_option()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words of a call."""
        if not args and not ctx.resilient_parsing:
            raise NoCommand(ctx.get_help(), ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the sub-command that is asked for."""
        name = args[0]
        if name not in self.commands and not ctx.resilient_parsing:
            meant = near(name, self.commands)
            hint = f"did you mean {meant}?" if meant else f"choose from {', '.join(self.commands)}"
            raise click.UsageError(f"argument COMMAND: invalid choice: {name!r} ({hint})", ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the sub-commands, in the order in which one meets them."""
        return list(self.commands)


def _help_option() -> click.Option:
    def show(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            print(ctx.get_help())
            ctx.exit()

    return click.Option(
        ["-h", "--help"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="show this message and exit",
    )


class _Option(click.Option):
    """An option that may take several values behind its name."""

    def __init__(self, *args: Any, several: bool = False, **kwargs: Any) -> None:
        kwargs["multiple"] = several or kwargs.get("multiple", False)
        super().__init__(*args, **kwargs)
        self.several = several


def option(*names: str, several: bool = False, **kwargs: Any) -> Callable[[_Function], _Function]:
    """Return a decorator that adds an option; with `several` it takes one number or more."""
    return click.option(*names, cls=_Option, several=several, **kwargs)


# Whether there is a file, and what is wrong with it, whoever reads it says.
FILE = click.Path(readable=False)

json_option = option("--json", "as_json", is_flag=True, help="print one JSON object, and nothing else")


class WholeNumber(_ParamType):
    """A whole number of a range."""

    name = "N"

    def __init__(self, minimum: int = 1, maximum: int = MAXIMUM_SIZE) -> None:
        self.minimum, self.maximum = minimum, maximum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        try:
            number = int(value)
        except ValueError:
            number = self.minimum - 1
        if not self.minimum <= number <= self.maximum:
            self.fail(
                f"expected a whole number from {self.minimum} to {self.maximum}, got {value!r}", param, ctx
            )
        return number


class Rate(_ParamType):
    """A finite number above 0."""

    name = "RATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        rate = _number(value)
        if not (math.isfinite(rate) and rate > 0):
            self.fail(f"expected a finite number above 0, got {value!r}", param, ctx)
        return rate


class Share(_ParamType):
    """A number from 0 to less than 1."""

    name = "SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        share = _number(value)
        if not 0 <= share < 1:
            self.fail(f"expected a number from 0 to less than 1, such as 0.2, got {value!r}", param, ctx)
        return share


class Words(_ParamType):
    """Names with commas between them."""

    name = "NAME,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """Return the names."""
        if isinstance(value, list):
            return value
        words = [word.strip() for word in value.split(",")]
        if not all(words):
            self.fail(f"expected names with commas between them, got {value!r}", param, ctx)
        return words


class Choice(_Choice):
    """One of some words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the word."""
        if value not in self.choices:
            self.fail(f"invalid choice: {value!r} (choose from {', '.join(self.choices)})", param, ctx)
        return value


def refuse(message: str) -> click.UsageError:
    """Return the error of a wrong usage of the sub-command that runs."""
    return click.UsageError(message, click.get_current_context())


def given(names: Iterable[str]) -> list[str]:
    """Return those of some options that the user has given, as they are spelt."""
    context = click.get_current_context()
    params = {param.name: param for param in context.command.params}
    default = (None, click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP)
    return [params[name].opts[0] for name in names if context.get_parameter_source(name) not in default]


def message_of(error: click.ClickException) -> str:
    """Return what is said of a wrong usage, without the usage itself."""
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"the following arguments are required: {_spelling(error.param)}"
    if isinstance(error, click.BadParameter) and error.param is not None:
        return f"argument {_spelling(error.param)}: {error.message}"
    if isinstance(error, click.NoSuchOption):
        known = _options(error.ctx.command) if error.ctx is not None else {}
        meant = near(error.option_name, known)
        return f"unrecognized arguments: {error.option_name}" + f" (did you mean {meant}?)" * bool(meant)
    if isinstance(error, click.BadOptionUsage):
        known = _options(error.ctx.command) if error.ctx is not None else {}
        takes = not (error.option_name in known and known[error.option_name].is_flag)
        return f"argument {error.option_name}: expected {'one argument' if takes else 'no value'}"
    return error.format_message()


def _spelling(param: click.Parameter) -> str:
    return (
        param.opts[0]
        if isinstance(param, click.Option)
        else param.make_metavar(click.Context(click.Command("")))
    )


def _number(text: Any) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
