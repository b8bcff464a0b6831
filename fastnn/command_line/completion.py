"""``fastnn completion``: what a shell must know to complete words of the command; click does the work.

It must not know what the words mean.
"""

from __future__ import annotations

import os

import click
from click.shell_completion import ShellComplete, get_completion_class

from fastnn.command_line.arguments import Choice, Command

__all__ = ["asked_to_complete", "completion"]

SHELLS = {"bash": "~/.bashrc", "zsh": "~/.zshrc", "fish": "~/.config/fish/completions/fastnn.fish"}
_VARIABLE = "_fastnn_complete".upper()  # by which the shell's function asks


@click.command(cls=Command, short_help="print what makes a shell complete words")
@click.argument("shell", metavar="SHELL", type=Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print a function that makes a SHELL, bash, zsh or fish, complete commands, options, files and columns.

    Of bash, add to ~/.bashrc: eval "$(fastnn completion bash)". Of zsh, the same in ~/.zshrc. Of fish, once:
    fastnn completion fish > ~/.config/fish/completions/fastnn.fish
    """
    print(ShellComplete.source(_complete(context.find_root().command, shell)))
    return 0


def asked_to_complete(program: click.Command) -> bool:
    """Answer a shell that asks for completions, and return whether one did."""
    shell, _, wanted = os.environ.get(_VARIABLE, "").partition("_")
    if wanted != "complete" or shell not in SHELLS:
        return False
    print(_complete(program, shell).complete())
    return True


def _complete(program: click.Command, shell: str) -> ShellComplete:
    kind = get_completion_class(shell)
    assert kind is not None
    return kind(program, {}, "fastnn", _VARIABLE)
