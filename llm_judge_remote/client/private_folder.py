"""A folder for what the processes of one user tell each other on one machine."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

__all__ = ["private_folder"]


def private_folder() -> Path:
    """A folder of this user's, in the system's for temporary files, that nobody else can have laid there or write to.

    Raises:
        OSError: There is no such folder, and none can be made.
    """
    folder = Path(tempfile.gettempdir()) / f"llm-judge-remote-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
        msg = f"{folder} is not this user's own folder, or others may use it"
        raise PermissionError(msg)
    return folder
