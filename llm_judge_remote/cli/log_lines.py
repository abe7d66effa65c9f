"""What this package logs, on the standard error of a command."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

__all__ = ["show_log", "without_warnings"]

_LOGGER = "llm_judge_remote"


class _Lines(logging.Handler):
    """Writes to what is the standard error at that moment: a progress bar stands in for it while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 (as logging wants it)
            self.handleError(record)


def show_log(level: str) -> None:
    """Show the package's log from this level on: `DEBUG`, `INFO`, `WARNING` or `ERROR`.

    Without this, warnings and errors are shown, as a program without any logging of its own shows them.
    """
    logger = logging.getLogger(_LOGGER)
    logger.setLevel(level)
    if not any(isinstance(handler, _Lines) for handler in logger.handlers):
        handler = _Lines()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Keep the package's warnings off the terminal, for a command whose findings say it all; `show_log` shows them."""
    logger, nowhere = logging.getLogger(_LOGGER), logging.NullHandler()
    logger.addHandler(nowhere)
    try:
        yield
    finally:
        logger.removeHandler(nowhere)
