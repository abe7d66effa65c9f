"""The figures as files."""

import sys

import pytest

from llm_judge_remote.errors import ConfigError, DatasetError
from llm_judge_remote.report import ReportOptions, Wanted, make_report, save_png


@pytest.fixture
def report(write, row):
    rows = [
        row(number, data_source=f"_${number % 2}$ <x> ^", judge_outcome="fallback" if number == 7 else "judged")
        for number in range(40)
    ]
    return make_report(write(rows), ReportOptions(Wanted(label="is_right"), against=write(rows, "other.parquet")))


def test_every_figure_is_drawn_and_none_is_blank(report, tmp_path):
    imread = pytest.importorskip("matplotlib.image").imread
    paths = save_png(tuple(report.figures), tmp_path / "new" / "folder")
    assert [path.stem for path in paths] == [figure.key for figure in report.figures]
    for path in paths:
        picture = imread(path)
        assert picture.shape[0] > 300
        assert picture.std() > 0.02, path.name


def test_a_folder_that_cannot_be_made_is_said(report, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot be written"):
        save_png(tuple(report.figures), tmp_path / "file" / "folder")


def test_without_matplotlib_it_says_how_to_get_it(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'llm-judge-remote\[report\]'"):
        save_png(tuple(report.figures), tmp_path)
