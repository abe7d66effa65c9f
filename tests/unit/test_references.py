import pytest

from llm_judge_remote.references import containing_last_word

CASES = [
    ("Paint a red", ["A RED car", "bored", "blue"], ("A RED car",)),
    ("the party", ["art", "a party!"], ("a party!",)),
    ("what of art", ["party", "smart"], ("party", "smart")),  # not a whole token anywhere: all stay
    ("Solve for x?", ["x=3", "y=3"], ("x=3",)),
    ("Straße", ["die STRASSE", "der Weg"], ("die STRASSE",)),
    ("", ["a", "b"], ("a", "b")),
    ("...", ["a", "b"], ("a", "b")),
]


@pytest.mark.parametrize(("prompt", "references", "kept"), CASES)
def test_the_references_that_hold_the_last_word_are_kept_or_all(prompt, references, kept):
    assert containing_last_word(references, prompt) == kept
