"""In Ray's workers, from their start: what they connect to is written down."""

import os
import sys
from pathlib import Path


def note_connections():
    path = Path(os.environ["CONTACTED"]) / str(os.getpid())

    def note(event, arguments):
        # What Ray itself does before it runs anything of ours is not ours.
        if event == "socket.connect" and isinstance(arguments[1], tuple) and "llm_judge_remote" in sys.modules:
            with path.open("a") as file:
                print(arguments[1][0], file=file)

    sys.addaudithook(note)
