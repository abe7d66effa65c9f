"""`llm-judge-remote serve` in a process of its own; what it prints is read while it runs."""

import subprocess
import sys
import threading
from pathlib import Path

COMMAND = [str(Path(sys.executable).with_name("llm-judge-remote")), "serve"]


class Serving:
    """Killed at the end of the `with` block if it is still there.

    Args:
        *words: Of the command line.
        patience: Seconds to wait for a line.
    """

    def __init__(self, *words, patience=60):
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines = []
        self._patience = patience
        self._told = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._told:
                self.lines.append(line.rstrip())
                self._told.notify_all()
        with self._told:
            self.lines.append("(the end)")
            self._told.notify_all()

    def wait_until_said(self, words):
        with self._told:
            said = self._told.wait_for(
                lambda: any(words in line or line == "(the end)" for line in self.lines), timeout=self._patience
            )
            assert said, self.lines
        assert any(words in line for line in self.lines), self.lines

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self._reader.join(30)
        self.process.stdout.close()
