"""A command of many, each of which is imported when it is used, or when its help or completion is asked for."""

from __future__ import annotations

import difflib
import importlib
import signal
import sys
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

__all__ = ["Entry", "LazyGroup"]

_FAILED, _INTERRUPTED = 1, 128 + signal.SIGINT  # as in `terminal`, which would load rich for every help


class Entry(NamedTuple):
    """A command that is not imported yet.

    Attributes:
        place: `module:function`, or `module:app` for a group of commands.
        words: What it does, for the list of commands.
    """

    place: str
    words: str


class _Completion(NamedTuple):
    """A word that a shell may complete: like click's CompletionItem, which is not in the same place in each release."""

    value: str
    help: str
    type: str = "plain"


class LazyGroup(TyperGroup):
    """Takes its commands from `sections`.

    Attributes:
        sections: Titles, and below each the commands by name; in the order of `--help`.
        common: Options, by their names, that may stand behind each command too; they expose no value.
    """

    sections: dict[str, dict[str, Entry]] = {}  # noqa: RUF012 (a subclass has its own)
    common: tuple[str, ...] = ()

    # The contexts are those of click, or, by typer's release, of a copy of it inside of typer.

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run it; Ctrl-C before a command has begun, and an output that takes no more, end it without a traceback."""
        try:
            return super().main(*args, **kwargs)
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)
        except OSError as error:
            sys.stdout = None  # or Python would try once more at its end
            typer.echo(f"Error: {error}", err=True)
            sys.exit(_FAILED)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (as click wants it)
        """The names, in order."""
        return [name for commands in self.sections.values() for name in commands]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (as click wants it)
        """The command, imported now; None if there is none."""
        if cmd_name not in self.commands:
            entry = next((commands[cmd_name] for commands in self.sections.values() if cmd_name in commands), None)
            if entry is None:
                return None
            self.commands[cmd_name] = self._made(cmd_name, entry)
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that a line names; one that there is not is answered with those that it may have meant."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], names)
            hint = f" Did you mean {' or '.join(near)}?" if near else f" There are {', '.join(names)}."
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (as click wants it)
        """Write the list of commands, without importing any."""
        width = max(len(name) for commands in self.sections.values() for name in commands)
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.words) for name, entry in commands.items()])

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """What a word may become, without importing any command."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        named = [(name, entry) for commands in self.sections.values() for name, entry in commands.items()]
        return [_Completion(name, entry.words) for name, entry in named if name.startswith(incomplete)]

    def _made(self, name: str, entry: Entry) -> Any:
        module, _, attribute = entry.place.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(name)(found)
            found = app
        command = typer.main.get_command(found)
        command.name = name
        # What may stand before the command may stand behind it too.
        common = [param for param in self.params if param.name in self.common]
        for each in getattr(command, "commands", {"": command}).values():
            each.params += common
        return command
