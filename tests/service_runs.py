"""`Service` in a thread, with a `JudgeServer` in a process as its engine."""

import sys
import threading
import time
from contextlib import contextmanager

from llm_judge_remote.serving.engines import Command
from llm_judge_remote.serving.launch import free_port
from llm_judge_remote.serving.service import Service
from llm_judge_remote.serving.spec import ServerSpec

MODEL = "Qwen/Qwen3-32B"


class Run:
    """A service in a thread, with a `JudgeServer` in a process as its engine, and what it said."""

    def __init__(self, *options, program=None, **values):
        self.said, self.shown = [], []
        self.error = None
        self.groups = []

        def command(spec, python, folder):
            words = [*(program or ["-m", "llm_judge_remote.testing"]), "--port", str(spec.port), *options]
            return Command([sys.executable, *words], {})

        spec = ServerSpec.make({"model": MODEL, "port": free_port(), "drain_timeout": 20, **values})
        self.service = Service(spec, say=self.said.append, show=self.shown.append, command=command)
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            self.service.run()
        except Exception as error:
            self.error = error

    @property
    def url(self):
        return f"http://127.0.0.1:{self.service.spec.port}"

    def wait_until_said(self, words, count=1):
        until = time.monotonic() + 60
        while sum(words in line for line in self.said) < count:
            assert time.monotonic() < until, self.said
            assert self.thread.is_alive() or any(words in line for line in self.said), (self.said, self.error)
            time.sleep(0.02)

    def end(self):
        self.service.stop()
        self.thread.join(60)
        assert not self.thread.is_alive()


@contextmanager
def running(*options, **values):
    run = Run(*options, **values)
    run.thread.start()
    try:
        yield run
    finally:
        run.service.stop()
        run.service._hurry.set()
        run.thread.join(60)
