"""The reference of the commands in README.md, made from the commands themselves.

`python tests/command_reference.py README.md` writes it anew, between two comments that are there already.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import typer

from llm_judge_remote.cli.main import app

BEGIN = "<!-- commands: made by tests/command_reference.py -->\n"
END = "\n<!-- end of commands -->"

_SHARED_BY = 3  # an option that so many commands have alike is told once
_EVERYWHERE = {"verbose", "quiet", "help"}


def commands():
    """The commands by their words, such as `registry list`, in the order of the help."""
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="llm-judge-remote")
    found = {}
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        below = getattr(command, "commands", None)
        if below:
            found.update({f"{name} {word}": each for word, each in below.items()})
        else:
            found[name] = command
    return found


def options(command):
    """The options that are a command's own."""
    params = [each for each in command.params if each.param_type_name == "option" and each.name not in _EVERYWHERE]
    return [each for each in params if not each.hidden]


def everywhere():
    """The options of all commands, and of the program."""
    return [each for each in typer.main.get_command(app).params if each.param_type_name == "option"]


def exit_codes(command):
    """What a command's help says of them: `0` or `130, 143` -> words."""
    text = command.help or ""
    codes = {}
    for line in re.split(r"Exit codes?:\s*\n", text)[1:]:
        for each in line.split("\n\n")[0].splitlines():
            if numbered := re.match(r"\s+(\d+(?:, \d+)*)\s+(.*)", each):
                codes[numbered[1]] = numbered[2]
            elif codes:
                codes[list(codes)[-1]] += f" {each.strip()}"
    if inline := re.search(r"Exit codes: (0 .*)", text.replace("\n", " ")):  # as one sentence
        codes.update(each.rstrip(".").split(" ", 1) for each in inline[1].split("; "))
    return codes


def usage(words, command):
    """The command with its arguments, as HTML."""
    arguments = [_metavar(each) for each in command.params if each.param_type_name == "argument"]
    return _cell(" ".join([words, *arguments]))


def reference():
    """The section's text."""
    all_commands = commands()
    counted = Counter(_row(each) for command in all_commands.values() for each in options(command))
    shared = [row for row, times in counted.items() if times >= _SHARED_BY]
    parts = [
        "`llm-judge-remote COMMAND --help` tells more, with examples.",
        _table([_row(each) for each in everywhere()]),
        f"What several commands have alike:\n\n{_table(shared)}",
        *(_section(words, command, set(shared)) for words, command in all_commands.items()),
    ]
    return "\n\n".join(parts)


def _section(words, command, shared):
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    rows = [_row(each) for each in options(command)]
    alike = [row[0].split("`")[1].split()[0] for row in rows if row in shared]
    own = [(f"`{_metavar(each)}`", _sentence(each.help)) for each in arguments if getattr(each, "help", None)]
    own += [row for row in rows if row not in shared]
    codes = "; ".join(f"{code} {said}" for code, said in exit_codes(command).items())
    told = [f"Takes {', '.join(f'`{name}`' for name in alike)}, as above."] if alike else []
    told += [f"Exit codes: {_cell(codes)}."] if codes else []
    parts = [
        f"<details><summary><code>{usage(words, command)}</code>: {_cell(_first_paragraph(command.help))}</summary>"
    ]
    parts += [" ".join(told)] if told else []
    parts += [_table(own)] if own else []
    return "\n\n".join([*parts, "</details>"])


def _row(option):
    names = ", ".join([*option.opts, *option.secondary_opts])
    is_flag = getattr(option, "is_flag", False) or getattr(option, "count", False)
    shown = f"`{names}`" if is_flag else f"`{names} {_metavar(option)}`"
    default = getattr(option.default, "value", option.default)  # of an enumeration
    is_told = not (is_flag or default in (None, "", (), []) or callable(default)) and getattr(
        option, "show_default", True
    )
    return shown, _sentence(option.help) + (f" Default: {default}." if is_told else "")


def _metavar(param):
    """What stands for the value; what typer makes of its type differs from release to release."""
    return param.metavar or (param.name.upper() if param.param_type_name == "argument" else "VALUE")


def _first_paragraph(text):
    return " ".join((text or "").split("\n\n")[0].split())


def _sentence(text):
    words = _cell(" ".join((text or "").split()))
    return words if not words or words[-1] in ".?!]:" else f"{words}."


def _cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def _table(rows):
    return "\n".join(
        ["| | |", "| --- | --- |", *(f"| {shown.replace('|', chr(92) + '|')} | {said} |" for shown, said in rows)]
    )


def written(readme):
    """README's text, with the section as it is to be.

    Raises:
        ValueError: The two comments are not there.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        msg = f"no section between {BEGIN.strip()!r} and {END.strip()!r}"
        raise ValueError(msg)
    return f"{before}{begin}{reference()}{end}{after}"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(written(file.read_text(encoding="utf-8")), encoding="utf-8")
