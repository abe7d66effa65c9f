"""A report about a scored file: `make_report` reads and counts, `write_page` and `save_png` show it."""

from llm_judge_remote.report.build import Report, ReportOptions, make_report
from llm_judge_remote.report.columns import Wanted
from llm_judge_remote.report.page import page, write_page
from llm_judge_remote.report.plots.png import save_png

__all__ = ["Report", "ReportOptions", "Wanted", "make_report", "page", "save_png", "write_page"]
