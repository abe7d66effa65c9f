"""What rows hold is shown, whatever it is, and never more than a bounded part of it."""

import pytest

from llm_judge_remote.report.texts import bounded, one_line, readable


def test_what_cannot_be_seen_is_written_out():
    assert readable("a\x00b\x1b[31m\u202ec\u2066\x85") == "a⟨U+0000⟩b⟨U+001B⟩[31m⟨U+202E⟩c⟨U+2066⟩⟨U+0085⟩"
    assert readable("\ud800") == "⟨U+D800⟩"
    assert readable("lines\r\nand\ttabs\rstay, äöü 漢字 😀 too") == "lines\nand\ttabs\nstay, äöü 漢字 😀 too"


@pytest.mark.parametrize("value", [None, 3, 0.5, ["a", "b"], {"content": "x"}, b"bytes"])
def test_whatever_a_row_holds_becomes_text(value):
    assert isinstance(readable(value), str)


def test_a_long_text_has_its_middle_left_out_and_says_so():
    text = "s" * 3_000 + "m" * 10_000 + "e" * 1_000
    shown = bounded(text, 4_000)
    assert shown == "s" * 3_000 + "\n[… 10,000 characters left out …]\n" + "e" * 1_000
    assert bounded(text, len(text)) == text


def test_one_line_is_one_line_of_bounded_length():
    assert one_line(" a\n\nb\tc ") == "a b c"
    assert one_line("x" * 500, 20) == "x" * 19 + "…"
    assert len(one_line("\n" * 10_000 + "x", 20)) <= 20
    assert one_line(None) == ""
