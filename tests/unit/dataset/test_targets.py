import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from item_source import plain, spilled
from rapidfuzz.distance import Indel

from llm_judge_remote.dataset import embedding_nearest, lexical_nearest, targets
from llm_judge_remote.dataset.embedding_nearest import EmbeddingNearest
from llm_judge_remote.dataset.lexical_nearest import LexicalNearest
from llm_judge_remote.dataset.targets import AddedTargets, Augmentation, HeldOut
from llm_judge_remote.dataset.texts import hashes
from llm_judge_remote.errors import ConfigError, DatasetError

GSM8K = Path(__file__).parents[4] / "shared" / "data" / "gsm8k_test.jsonl"
PAIR = [("p", ["a"]), ("q", ["b"])]
WAYS = ("random:{}", "lexical:{}", "embedding:{}")
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["p", " p", "q", "r", "s", "t"]),
        st.lists(
            st.sampled_from(["a b c", "a b  c", "a b d", "x y", "é!", "", "数学 题", "1 2"]), min_size=1, max_size=2
        ),
    ),
    min_size=1,
    max_size=14,
)


class LetterCounts:
    """A stand-in for a model: texts are near if they have the same letters."""

    def __init__(self):
        self.seen = []

    def encode(self, texts, **_):
        self.seen += texts
        return np.array([np.bincount(np.frombuffer(f"{text} ".encode(), np.uint8), minlength=256) for text in texts])


def lists(added, rows, **options):
    wanted = np.arange(len(rows)) if options.get("at") is None else options.pop("at")
    own = pa.array([rows[place][1] for place in wanted.tolist()], pa.large_list(pa.large_string()))
    return added.lists(wanted, own, **options).to_pylist()


@settings(deadline=None, max_examples=40)
@given(rows=ROWS, way=st.sampled_from(WAYS), count=st.integers(1, 2), seed=st.integers(0, 3))
@pytest.mark.parametrize("few", [0, 2048])
def test_a_row_keeps_its_own_first_and_gets_so_many_that_are_not_its_problems(few, rows, way, count, seed):
    own = {}
    for problem, references in rows:
        own.setdefault(plain(problem), set()).update(map(plain, references))
    there = {plain(references[0]) for _, references in rows}
    enough = all(len(there - mine) >= count for mine in own.values())
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as place,
        spilled(rows, Path(place) / "a") as spill,
    ):
        patch.setattr(lexical_nearest, "_FEW", few)  # texts of which all are compared
        added = AddedTargets(spill, way.format(count), seed=seed, encoder=LetterCounts())
        if not enough:
            with pytest.raises(DatasetError, match=rf"of those not {count} can be added"):
                lists(added, rows)
            return
        found = lists(added, rows)
        backwards = np.arange(len(rows))[::-1]
        again = [lists(added, rows, at=backwards[place : place + 2]) for place in range(0, len(rows), 2)]
    for (problem, references), texts in zip(rows, found, strict=True):
        assert texts[: len(references)] == references
        others = [plain(text) for text in texts[len(references) :]]
        assert len(others) == len(set(others)) == count
        assert set(others) <= there - own[plain(problem)]
    assert [each for part in again for each in part] == found[::-1]


def test_random_ones_depend_on_the_seed_and_each_text_is_as_likely_as_another(tmp_path):
    rows = [(f"p{number}", ["often"] if number < 50 else [f"s{number}"]) for number in range(60)]
    with spilled(rows, tmp_path / "a", batch_rows=60) as spill:
        found = [lists(AddedTargets(spill, "random:1", seed=seed), rows) for seed in range(20)]
    assert found[0] != found[1]
    # 200 times one of ten others; 18 of 20 if each row were as likely.
    assert 5 < sum(texts[1] == "often" for each in found for texts in each[50:]) < 45


def test_the_problem_of_a_pair_counts_and_so_does_what_its_solution_was_changed_into(tmp_path):
    rows = [(f"p{number}", [f"s{number}"]) for number in range(4)]
    own = pa.array([["s2"]], pa.large_list(pa.large_string()))
    with spilled(rows, tmp_path / "a") as spill:
        for seed in range(9):
            added = AddedTargets(spill, "random:1", seed=seed)
            # The solution of row 1, changed into that of row 2, for the problem of row 0: row 3 is left.
            assert added.lists(np.array([1]), own, problems=np.array([0])).to_pylist() == [["s2", "s3"]]


@pytest.mark.parametrize("way", WAYS)
def test_neither_a_held_out_pair_nor_a_held_out_solution_is_added(tmp_path, way):
    rows = [(f"p{number}", [f"s{number}"]) for number in range(6)]
    # Trained on are p0 and p1; s5 is in nothing else, and s1 is held out with p0 alone.
    held_out = HeldOut(hashes(["p0", "p1"]), hashes(["s1", "s 5"]), hashes(["s0", "s1"]))
    at = np.arange(2)
    with spilled(rows, tmp_path / "a") as spill:
        plain_rows = AddedTargets(spill, way.format(5), encoder=LetterCounts())
        assert [len(set(texts)) for texts in lists(plain_rows, rows)] == [6] * 6
        added = AddedTargets(spill, way.format(3), encoder=LetterCounts(), held_out=held_out)
        first, second = lists(added, rows, at=at)
        assert (sorted(first[1:]), first[0]) == (["s2", "s3", "s4"], "s0")
        assert set(second[1:]) < {"s0", "s2", "s3", "s4"}
        for count in (4, 6, 10**15):
            more = AddedTargets(spill, way.format(count), encoder=LetterCounts(), held_out=held_out)
            with pytest.raises(DatasetError, match="nor do those held out"):
                lists(more, rows, at=at)


def test_the_lexically_nearest_have_the_most_words_in_common_in_order(tmp_path):
    texts = [
        "Sam buys 3 apples and 4 pears, 7 fruits.",
        "Ann sells her old bicycle for forty dollars",
        "SAM buys 3 apples, and 5 pears: 8 fruits!",
        "pears apples fruits buys Sam and and 3 4 7",
        "The train leaves at noon.",
    ]
    rows = [(f"p{number}", [text]) for number, text in enumerate(texts)]
    with spilled(rows, tmp_path / "a") as spill:
        found = lists(AddedTargets(spill, "lexical:4"), rows)
    assert found[0][1] == texts[2]
    assert found[2][1] == texts[0]
    assert {text for row in found for text in row} == set(texts)


def test_of_very_long_texts_the_beginnings_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(lexical_nearest, "_MOST_WORDS", 3)
    texts = ["a b c d e f", "a b c x y z", "u b c d e f"]
    with spilled([(f"p{text}", [text]) for text in texts], tmp_path / "a") as spill:
        index = LexicalNearest(spill, np.arange(3))
        assert index.nearest(np.arange(1), 1, lambda asked, text: text == asked).tolist() == [[1]]


@pytest.mark.parametrize(("few", "share"), [(2048, 0.9999), (0, 0.9)])
def test_the_index_finds_nearly_all_that_a_search_of_all_pairs_finds(tmp_path, monkeypatch, few, share):
    monkeypatch.setattr(lexical_nearest, "_FEW", few)
    if not GSM8K.exists():
        pytest.skip(f"the real solutions are not here: {GSM8K}")
    with GSM8K.open(encoding="utf-8") as lines:
        made = [json.loads(line) for line in lines][:600]
    rows = [(row["question"], [row["answer"]]) for row in made]
    with spilled(rows, tmp_path / "a", batch_rows=500) as spill:
        index = LexicalNearest(spill, np.arange(len(rows)))
        asked = np.arange(60)
        found = index.nearest(asked, 1, lambda places, numbers: asked[places] == numbers)[:, 0]
        data = index._words.read(np.arange(len(rows))).cast(pa.large_binary()).to_pylist()
    words = [each.decode("utf-32-le") for each in data]
    shares = []
    for place in asked.tolist():
        best = max(Indel.normalized_similarity(words[place], each) for n, each in enumerate(words) if n != place)
        shares.append(Indel.normalized_similarity(words[place], words[found[place]]) / best)
    assert np.mean(shares) > share


def test_the_nearest_embeddings_are_found_in_any_number_of_blocks(tmp_path, monkeypatch):
    rng = np.random.Generator(np.random.PCG64(0))
    texts = ["".join(rng.choice(list("abcdefgh"), 12)) for _ in range(50)]
    rows = [(f"p{number}", [text]) for number, text in enumerate(dict.fromkeys(texts))]
    vectors = LetterCounts().encode([row[1][0] for row in rows]).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near = vectors @ vectors.T - 9 * np.eye(len(rows))
    for block in (4096, 7):
        monkeypatch.setattr(embedding_nearest, "_BLOCK", block)
        monkeypatch.setattr(embedding_nearest, "_QUERIES", block)
        with spilled(rows, tmp_path / f"{block}", batch_rows=9) as spill:
            index = EmbeddingNearest(spill, np.arange(len(rows)), "stand-in", LetterCounts())
            asked = np.arange(len(rows))
            found = index.nearest(asked, 3, lambda places, numbers, asked=asked: asked[places] == numbers)
        values = np.take_along_axis(near, found, axis=1)
        assert np.allclose(values, -np.sort(-near, axis=1)[:, :3], atol=1e-6)


def test_vectors_are_made_once_and_found_by_a_later_run(tmp_path):
    rows = [(f"p{number}", [f"s{number}"]) for number in range(5)]
    model = LetterCounts()
    for _ in range(2):
        with spilled(rows, tmp_path / "a") as spill:
            first = lists(AddedTargets(spill, "embedding:2:m", encoder=model), rows)
    assert model.seen == [f"s{number}" for number in range(5)]
    assert all(len(set(texts)) == 3 for texts in first)


@pytest.mark.parametrize("vectors", [np.zeros(3), np.full((2, 2), np.nan), np.zeros((3, 2))])
def test_a_model_that_gives_no_vectors_is_an_error(tmp_path, vectors):
    class Broken:
        def encode(self, texts, **_):
            return vectors

    with spilled(PAIR, tmp_path / "a") as spill, pytest.raises(DatasetError, match="2 texts"):
        AddedTargets(spill, "embedding:1", encoder=Broken())


def test_a_model_that_cannot_be_loaded_is_an_error_that_names_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with (
        spilled(PAIR, tmp_path / "a") as spill,
        pytest.raises(DatasetError, match=r"pip install 'llm-judge-remote\[embeddings\]'"),
    ):
        AddedTargets(spill, "embedding:1")


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(targets, "LexicalNearest", full)
    with (
        spilled(PAIR, tmp_path / "a") as spill,
        pytest.raises(DatasetError, match="a cannot be written: No space left"),
    ):
        AddedTargets(spill, "lexical:1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("random:3", Augmentation("random", 3)),
        ("lexical:10", Augmentation("lexical", 10)),
        ("embedding:2", Augmentation("embedding", 2)),
        ("embedding:2:C:/models/mini", Augmentation("embedding", 2, "C:/models/mini")),
    ],
)
def test_the_option_says_which_and_how_many(text, expected):
    assert Augmentation.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "random", "random:0", "random:-1", "random:x", "nearest:2", "lexical:2:model", "random:²"]
)
def test_an_option_that_cannot_be_read_is_a_config_error(text):
    with pytest.raises(ConfigError):
        Augmentation.parse(text)
