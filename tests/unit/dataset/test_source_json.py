import codecs
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_files import error, read

from llm_judge_remote.dataset.inputs import json_lines, json_reader
from llm_judge_remote.dataset.inputs.json_lines import JsonLines
from llm_judge_remote.dataset.source import Columns


def written(tmp_path, content, name="a.jsonl"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


GOOD = '{"problem": "p", "solution": "s"}'


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("tail", ["", "\n", "\n\n\n", "\r\n\r\n", " \n \n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_line_ends_byte_order_marks_and_empty_lines_are_no_part_of_the_rows(tmp_path, end, tail, mark):
    path = written(tmp_path, mark + (GOOD + end + GOOD + tail).encode())
    assert read(path) == ([(0, "p", ["s"]), (1, "p", ["s"])], [])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"problem": "p", "solution": ', "broken JSON at character 30: Expecting value"),
        (b'{"problem": "p" "solution": "s"}', "broken JSON at character 17: Expecting ',' delimiter"),
        (b'{"problem": "p", "solution": "s"} {}', "broken JSON at character 35: Extra data"),
        (b'{"problem": "p\xff", "solution": "s"}', "not UTF-8: byte 0xff at byte 15 of the line"),
        (b'{"problem": "\xc3\xa4\xc3", "solution": "s"}', "not UTF-8: byte 0xc3 at byte 16 of the line"),
        (b"null", "null, not an object"),
        (b"3", "a number, not an object"),
        (b'["p", "s"]', "a list, not an object"),
        (b'"p"', "text, not an object"),
        (b'{"problem": 5, "solution": "s"}', "column 'problem' holds a number, not text"),
        (b'{"problem": {"x": 1}, "solution": "s"}', "column 'problem' holds an object, not text"),
        (b'{"problem": true, "solution": "s"}', "column 'problem' holds true or false, not text"),
        (b'{"problem": "p", "solution": {"x": 1}}', "column 'solution' holds an object, not text"),
        (b'{"problem": "p", "solution": ["a", {"x": 1}]}', "column 'solution' holds an object, not text"),
        (b'{"solution": "s"}', "no problem: column 'problem' is missing, null or blank"),
        (b'{"problem": null, "solution": "s"}', "no problem: column 'problem' is missing, null or blank"),
        (b'{"problem": NaN, "solution": "s"}', "no problem: column 'problem' is missing, null or blank"),
        (b'{"problem": " \\n\\u2003", "solution": "s"}', "no problem: column 'problem' is missing, null or blank"),
        (b'{"problem": "p", "solution": NaN}', "no reference: column 'solution' is missing, null or blank"),
        (b'{"problem": "p", "solution": ["", null, []]}', "no reference: column 'solution' is missing, null or blank"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong_and_skipped_if_asked(tmp_path, line, why):
    path = written(tmp_path, b"\n".join([GOOD.encode(), b"", line, GOOD.encode()]))
    assert error(path) == f"{path}, line 3: {why} (--skip-bad leaves such rows out)"
    assert read(path, skip_bad=True) == ([(0, "p", ["s"]), (2, "p", ["s"])], [(3, why)])


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("42", ["42"]),
        ("-0.5", ["-0.5"]),
        ("18.0", ["18"]),
        ("123456789012345678901234567890", ["123456789012345678901234567890"]),
        ("true", ["True"]),
        ('["a", "b"]', ["a", "b"]),
        ('["a", null, " ", ["b", 3]]', ["a", "b", "3"]),
        ('"2024-01-01"', ["2024-01-01"]),
        (r'"\ud83d\ude00 \ud800"', ["😀 \ufffd"]),
        (r'"a\u0000b"', ["a\x00b"]),
        ('"a", "solution": "b"', ["b"]),
    ],
)
@pytest.mark.parametrize("rows", [1, 2])
def test_references_may_be_text_numbers_or_lists(tmp_path, value, texts, rows):
    line = f'{{"problem": "p", "solution": {value}}}\n'
    assert [found for _, _, found in read(written(tmp_path, line * rows))[0]] == [texts] * rows


def test_several_reference_columns_give_their_texts_in_that_order_without_blanks(tmp_path):
    lines = [
        {"problem": "p", "a": "1", "b": ["2", "", "3"], "c": 4},
        {"problem": "p", "a": "", "b": None, "c": 5},
        {"problem": "p", "b": []},
    ]
    path = written(tmp_path, "\n".join(map(json.dumps, lines)))
    rows, skipped = read(path, columns=Columns(references=("c", "b", "a")), skip_bad=True)
    assert [found for _, _, found in rows] == [["4", "2", "3", "1"], ["5"]]
    assert skipped == [(3, "no reference: columns 'c', 'b', 'a' are missing, null or blank")]


def test_a_name_may_lead_into_objects(tmp_path):
    lines = [{"x": {"q": "p"}, "y": {"z": {"a": "s"}}}, {"x": {"q": "p"}, "y.z.a": "t"}, {"x": {"q": "p"}, "y": 3}]
    path = written(tmp_path, "\n".join(map(json.dumps, lines)))
    rows, skipped = read(path, columns=Columns("x.q", ("y.z.a",)), skip_bad=True)
    assert [found for _, _, found in rows] == [["s"], ["t"]]
    assert skipped == [(3, "no reference: column 'y.z.a' is missing, null or blank")]


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("a.jsonl", '\n{"problem": "p\n{"problem": "q', "line 2: broken JSON at character 13: Unterminated string"),
        ("a.jsonl", "\xff\xfe", "line 1: broken JSON at character 1: Expecting value"),
        ("a.jsonl", '["p", "s"]\n["q", "t"]', "line 1: a list, not an object"),
        ("a.json", '[\n["p", "s"]]', "line 2 (element 1): a list, not an object"),
    ],
)
def test_a_file_whose_first_rows_are_all_bad_is_not_called_empty(tmp_path, name, content, where, skip_bad):
    path = written(tmp_path, content, name)
    said = error(path, skip_bad=skip_bad)
    assert said.startswith(f"{path}, {where}")
    assert said.endswith("; none of the first rows can be read")


def test_rows_without_any_column_are_rows(tmp_path):
    assert error(written(tmp_path, "{}\n{}")).endswith("--problem names one; there are none")


def test_a_line_without_end_is_an_error_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("llm_judge_remote.dataset.inputs.blocks.LONGEST_ROW_BYTES", 4 << 20)
    path = written(tmp_path, GOOD + "\n" + "x" * (20 << 20))
    assert error(path) == f"{path}, line 2: longer than 4 MiB; is this JSON lines?"


def test_a_line_longer_than_a_block_is_read(tmp_path):
    path = written(tmp_path, "\n".join(json.dumps({"problem": "p", "solution": "s" * n}) for n in (1, 3 << 20, 1)))
    assert [len(found[0]) for _, _, found in read(path)[0]] == [1, 3 << 20, 1]


def chunks(path, block_bytes, *, at_once):
    """Columns, places and defects, by either way of parsing."""
    with pytest.MonkeyPatch.context() as patch:
        if not at_once:
            patch.setattr(json_lines, "_parsed_at_once", lambda *_: None)
        found = []
        for chunk in JsonLines(path, block_bytes).chunks(("p", "q"), 0):
            columns = [values if isinstance(values, list) else values.to_pylist() for values in chunk.columns.values()]
            for row, values in enumerate(zip(*columns, strict=True)):
                found.append((values, chunk.where(row), chunk.defects.get(row)))
        return found


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=6), st.just("2020-01-01")
)
VALUES = st.one_of(SCALARS, st.lists(st.text(max_size=3), max_size=3), st.lists(SCALARS, max_size=3))
OBJECTS = st.dictionaries(st.sampled_from(["p", "q", "z"]), VALUES, max_size=3)
SIMPLE = st.fixed_dictionaries({"p": st.text(max_size=8), "q": st.text(max_size=8)}, optional={"z": VALUES})
LISTS = st.fixed_dictionaries({"p": st.text(max_size=8), "q": st.lists(st.one_of(st.text(max_size=3), st.none()))})
NUMBERS = st.fixed_dictionaries({"p": st.text(max_size=8), "q": st.integers(-(2**63), 2**63 - 1)})
ODD = st.sampled_from(
    [b"", b" ", b"null", b"{}", b"{", b"}", b'{"p":"a"} {"p":"b"}', b'{"p":"a"} null', b'{"p":"a"}, ',
     b'{"p":"a","p":"b"}', b'{"p":"a","z":{}', b'{"x":1}}',
     b'{"p":"\xff"}', b'{"p":"\\ud800"}', b'{"p":"a\tb"}', b"\x00", b'{"p":NaN}',
     b'{"p":1e999}', b'{"p":-0,"q":-0}', b'{"p":"a"}\r', b'{"p":"a"} ', b'[{"p":"a"}]', b'{"p":01}', b'{"\\u0070":"k"}']
)  # fmt: skip


def lines_of(objects):
    return objects.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([SIMPLE, LISTS, NUMBERS, OBJECTS]).flatmap(
        lambda kind: st.lists(st.one_of(*[lines_of(kind)] * 4, ODD), max_size=12)
    ),
    st.sampled_from([b"\n", b"\r\n"]),
    st.sampled_from([64, 200, 1 << 16]),
)
def test_both_ways_of_parsing_give_the_same_rows_places_and_defects(tmp_path_factory, lines, end, block_bytes):
    path = written(tmp_path_factory.mktemp("lines"), end.join(lines))
    at_once, by_line = (chunks(path, block_bytes, at_once=at_once) for at_once in (True, False))
    assert repr(at_once) == repr(by_line)


def test_sound_lines_are_parsed_at_once(tmp_path, monkeypatch):
    path = written(tmp_path, "\n".join(json.dumps({"problem": "p", "solution": "s"}) for _ in range(500)))
    monkeypatch.setattr(json_lines, "_parsed_by_line", None)
    assert len(read(path)[0]) == 500


def test_a_null_in_front_does_not_crash_the_parser(tmp_path):
    path = written(tmp_path, f"null\n{GOOD}")
    assert read(path, skip_bad=True) == ([(1, "p", ["s"])], [(1, "null, not an object")])


DOCUMENTS = [
    '[{"problem": "p", "solution": "s"}, {"problem": "q", "solution": "t"}]',
    '{"data": [{"problem": "p", "solution": "s"},\r\n {"problem": "q", "solution": "t"}]}',
    '{"z": [], "rows": [{"problem": "p", "solution": "s"}, {"problem": "q", "solution": "t"}], "w": [{}]}\n\n',
    '{"test": [{"problem": "z"}], "train": [{"problem": "p", "solution": "s"}, {"problem": "q", "solution": "t"}]}',
    '{"problem": "p", "solution": "s"}\n{"problem": "q", "solution": "t"}\n',
    '[\n  {\n    "problem": "p",\n    "solution": "s"\n  },\n  {\n    "problem": "q",\n    "solution": ["t"]\n  }\n]\n',
]


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("read_bytes", [1, 3, 1 << 20])
def test_a_json_file_is_an_array_or_an_object_with_one_or_lines(tmp_path, monkeypatch, document, mark, read_bytes):
    monkeypatch.setattr(json_reader, "_READ_BYTES", read_bytes)
    path = written(tmp_path, mark + document, "a.json")
    assert read(path) == ([(0, "p", ["s"]), (1, "q", ["t"])], [])


def test_a_document_on_one_long_line_is_read_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("llm_judge_remote.dataset.inputs.blocks.LONGEST_ROW_BYTES", 1 << 20)
    rows = [{"problem": f"p{n}", "solution": "s" * 1000} for n in range(5000)]
    path = written(tmp_path, json.dumps({"data": rows}), "a.json")
    assert [index for index, _, _ in read(path, batch_rows=100)[0]] == list(range(5000))


def test_an_object_without_an_array_of_objects_is_one_row(tmp_path):
    path = written(tmp_path, '{\n"problem": "p",\n"answer": ["s", "t"]}', "a.json")
    assert read(path) == ([(0, "p", ["s", "t"])], [])


def test_the_split_says_which_array_of_an_object_is_meant(tmp_path):
    document = {"train": [{"problem": "p", "solution": "s"}], "test": [{"problem": "q", "solution": "t"}]}
    path = written(tmp_path, json.dumps(document), "a.json")
    assert read(path, split="test") == ([(0, "q", ["t"])], [])


def test_a_bad_element_is_named_by_line_and_number(tmp_path):
    path = written(tmp_path, '[{"problem": "p", "solution": "s"},\n 3,\n\n {"problem": "", "solution": "s"}]', "a.json")
    assert error(path) == f"{path}, line 2 (element 2): a number, not an object (--skip-bad leaves such rows out)"
    assert read(path, skip_bad=True)[1] == [
        (2, "a number, not an object"),
        (4, "no problem: column 'problem' is missing, null or blank"),
    ]


@pytest.mark.parametrize(
    ("document", "line", "why"),
    [
        ('[{"problem": "p", "solution": "s"},\n {"problem" 3}]', 2, "broken JSON: Expecting ':' delimiter"),
        ('[{"problem": "p", "solution": "s"}\n {"problem": 3}]', 2, "broken JSON: ',' or ']' is expected"),
        (
            '[{"problem": "p", "solution": "s"}\n',
            2,
            "broken JSON: ',' or ']' is expected, and the file ends",
        ),
        ('[{"problem": "p", "solution": "s"},\n', 2, "broken JSON: Expecting value"),
        ('[{"problem": "p", "solution": "s"}]\n\n]', 3, "text after the end of the JSON value"),
        ('\n"text"', 2, "a JSON file is an array of objects, or an object with one"),
        ('{"data": [{"problem": "p", "solution": "s"}],\n x: 3}', 2, 'broken JSON: "name": value is expected'),
    ],
)
@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_broken_document_is_an_error_with_its_line_even_where_bad_rows_are_skipped(
    tmp_path, document, line, why, skip_bad
):
    path = written(tmp_path, document, "a.json")
    assert error(path, skip_bad=skip_bad) == f"{path}, line {line}: {why}"


def test_a_document_that_is_not_utf8_is_an_error_with_line_and_byte(tmp_path):
    path = written(tmp_path, b'[{"problem": "p", "solution": "s"},\n{"problem": "\xe4"}]', "a.json")
    assert error(path) == f"{path}, line 2: not UTF-8: byte 0xe4 at byte 14 of the line"


def test_a_broken_document_is_found_broken_without_reading_it_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(json_reader, "LONGEST_ROW_BYTES", 3 << 20)
    path = written(tmp_path, '[{"problem": "p", "solution": "s"}, {"x": "' + "y" * (12 << 20), "a.json")
    assert error(path) == f"{path}, line 1: a value of more than 3 MiB"
