"""A report as one HTML page that asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timezone
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from llm_judge_remote import __version__
from llm_judge_remote.errors import DatasetError
from llm_judge_remote.report.build import Report
from llm_judge_remote.report.plots.svg import drawing

__all__ = ["page", "write_page"]

_TEMPLATES = "llm_judge_remote.report"


def page(report: Report, written: datetime) -> str:
    """The page.

    Its policy lets only its own style and its own script through, each by the hash of its text: whatever a row's text
    holds, nothing is run and nobody is asked.

    Args:
        report: What it shows.
        written: When the file that it is about was written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_TEMPLATES, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["drawing_of"] = drawing
    style, script = _own("style.css"), _own("script.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    told = written.astimezone(timezone.utc).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    return environment.get_template("page.html.jinja").render(
        report=report, style=style, script=script, policy=policy, written=told, version=__version__
    )


def write_page(report: Report, source: Path, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        report: What it shows.
        source: The file that it is about.
        path: Where to; over what is there.

    Raises:
        DatasetError: It cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        written = datetime.fromtimestamp(source.stat().st_mtime, timezone.utc)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_text(page(report, written), encoding="utf-8", errors="replace")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}"
        raise DatasetError(msg) from None


def _own(name: str) -> Markup:
    """A file of the package's own, which needs no escaping."""
    return Markup(files(_TEMPLATES).joinpath("templates").joinpath(name).read_text(encoding="utf-8"))  # noqa: S704


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
