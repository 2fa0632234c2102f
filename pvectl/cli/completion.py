"""What the shell asks for when somebody presses TAB, and the script that makes it ask.

Bash:  eval "$(_PVECTL_COMPLETE=source_bash pvectl)"        in ~/.bashrc
Zsh:   eval "$(_PVECTL_COMPLETE=source_zsh pvectl)"         in ~/.zshrc, after compinit
Fish:  _PVECTL_COMPLETE=source_fish pvectl | source         in ~/.config/fish/config.fish
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from typer._click.shell_completion import add_completion_class
from typer._completion_classes import BashComplete, FishComplete, ZshComplete, completion_init

if TYPE_CHECKING:
    import typer

VARIABLE = "_PVECTL_COMPLETE"

# zsh evaluates what it is given, and names come from outside: nothing but this alphabet reaches a shell
_INERT = re.compile(r"[A-Za-z0-9@_.,+/-]+")
_NOT_INERT_IN_HELP = re.compile(r"[^A-Za-z0-9@_.,+/() -]")

# readline splits words at @ : = as well and replaces only what follows the last of them, so the line is split as a shell would,
# and what stands before that last one is taken off the answers
_BASH = r"""%(complete_func)s() {
    local line="${COMP_LINE:0:COMP_POINT}" word
    mapfile -t COMPREPLY < <(_TYPER_COMPLETE_ARGS="$line" %(autocomplete_var)s=complete_bash "$1" 2>/dev/null)
    word="${line##*[[:space:]]}"
    word="${word%%"${word##*["$COMP_WORDBREAKS"]}"}"
    if [[ -n $word ]]; then
        COMPREPLY=("${COMPREPLY[@]#"$word"}")
    fi
}

complete -o default -o nosort -F %(complete_func)s %(prog_name)s
"""


def complete(app: typer.Typer) -> int:
    """Answer the shell: print the words, or the script; whatever goes wrong, say nothing."""
    completion_init()
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell, shell.name)
    try:
        app(args=[], prog_name="pvectl", complete_var=VARIABLE, standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except Exception:  # noqa: BLE001  (a traceback in the middle of somebody's command line helps nobody)
        return 1
    return 0


class _Bash(BashComplete):
    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        return ZshComplete.get_completion_args(self)  # type: ignore[arg-type]  # uses nothing of its own class

    def get_completions(self, args: list[str], incomplete: str) -> list[Any]:
        return _inert(super().get_completions(args, incomplete))

    @staticmethod
    def _check_version() -> None:
        """Typer starts a bash to look; the script needs 4.4, which is ten years old."""


class _Zsh(ZshComplete):
    def get_completions(self, args: list[str], incomplete: str) -> list[Any]:
        return _inert(super().get_completions(args, incomplete))

    def format_completion(self, item: Any) -> str:
        # not typer's: that one imports rich to render the help
        return f'"{item.value}":"{item.help}"' if item.help else f'"{item.value}"'


class _Fish(FishComplete):
    def get_completions(self, args: list[str], incomplete: str) -> list[Any]:
        return _inert(super().get_completions(args, incomplete))

    def format_completion(self, item: Any) -> str:
        return f"{item.value}\t{item.help}" if item.help else str(item.value)


def _inert(items: list[Any]) -> list[Any]:
    """Those that mean nothing to a shell, their help cut down to what means nothing either."""
    kept = [item for item in items if _INERT.fullmatch(str(item.value))]
    for item in kept:
        item.help = _NOT_INERT_IN_HELP.sub("", item.help or "").strip()
    return kept
