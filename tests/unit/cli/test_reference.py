"""README's reference of the commands is that of the code, and every option is used by a test."""

import re
from pathlib import Path

import pytest
from command_reference import BEGIN, END, commands, everywhere, exit_codes, options, reference, usage, written

from llm_judge_remote.serving.spec import ServerSpec

ROOT = Path(__file__).parents[3]
COMMANDS = commands()

FILES = {"inspect": ["inspect_file"], "sleep": ["sleep_wake_commands"], "wake": ["sleep_wake_commands"]}
"""Where a command is tested, if not in files of its own name."""


def sources(name):
    names = [name, *FILES.get(name, ())]
    found = [path for each in names for path in sorted((ROOT / "tests").rglob(f"test_{each}*.py"))]
    return "".join(path.read_text(encoding="utf-8") for path in found)


def is_used(option, text):
    """Whether a word of a command line is that option: in quotes by itself, after a space, or before `=`."""
    return re.search(rf"""["' ]{re.escape(option)}(?=["' =])""", text) is not None


def test_the_reference_of_the_readme_is_that_of_the_code():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert written(readme) == readme, "run `python tests/command_reference.py README.md`"


def test_a_readme_without_a_place_for_the_reference_is_refused():
    with pytest.raises(ValueError, match="no section"):
        written("# A readme\n")


def test_the_reference_stands_in_its_place_and_nothing_else_changes():
    text = written(f"before\n{BEGIN}old{END}\nafter\n")
    assert text == f"before\n{BEGIN}{reference()}{END}\nafter\n"
    assert written(text) == text


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_in_the_reference_with_its_options_and_exit_codes(words):
    title = f"<code>{usage(words, COMMANDS[words])}</code>"
    (section,) = (each for each in reference().split("<details>") if title in each)
    for option in options(COMMANDS[words]):
        assert f"`{option.opts[0]}" in section


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_tells_its_exit_codes(words):
    assert "0" in exit_codes(COMMANDS[words])


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_of_a_command_is_used_by_a_test_of_the_command(words):
    text = sources(words.split()[0])
    assert text
    unused = [
        "/".join(option.opts)
        for option in options(COMMANDS[words])
        if not any(is_used(name, text) for name in (*option.opts, *option.secondary_opts))
        # Those of `serve` are made from the fields of its settings, all alike.
        and not (words == "serve" and option.name in ServerSpec.model_fields)
    ]
    assert not unused


def test_every_option_of_the_program_is_used_by_a_test():
    text = sources("main")
    assert not [option.opts for option in everywhere() if not any(is_used(name, text) for name in option.opts)]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ('run("--watch")', True),
        ("run('--watch=1')", True),
        ('split("status --watch on")', True),
        ('run("--watchful")', False),
        ("# --watch.", False),
        ('run("--no--watch")', False),
    ],
)
def test_an_option_counts_as_used_only_as_a_word_of_its_own(text, is_one):
    assert is_used("--watch", text) is is_one
