"""Print the script with which a shell completes commands, operations, flags and their values.

    source <(opstac completion bash)              # in ~/.bashrc
    source <(opstac completion zsh)               # in ~/.zshrc, behind compinit
    opstac completion fish | source               # in ~/.config/fish/config.fish

It completes the command `opstac`, which must be found in PATH.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="for which shell")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from opstac.shell import completion

    print(completion.script(args.shell), end="")
    return 0
