"""AReaL's own modules, without what they do not need here.

`import areal` loads its trainers, and torch with them, which reward functions and name_resolve do not need: `areal` is
entered here as a package whose `__init__` is not run. Of what name_resolve imports, only `timeutil` wants torch, for
timers that several ranks share, which no call here uses. All else is the installed package as it is.
"""

import importlib
import importlib.util
import sys
import types
from pathlib import Path

__all__ = ["AsyncRewardWrapper", "client_source", "import_from_string", "name_resolve", "rlvr_source"]


def _stand_in(name, **contents):
    if name not in sys.modules:
        module = types.ModuleType(name)
        vars(module).update(contents)
        sys.modules[name] = module
    return sys.modules[name]


_SPEC = importlib.util.find_spec("areal")
if _SPEC is None:
    msg = "AReaL is not installed here: pip install --no-deps areal==1.0.4"
    raise ImportError(msg)
_FOLDER = Path(next(iter(_SPEC.submodule_search_locations)))
_stand_in("areal", __path__=[str(_FOLDER)])
_DISTRIBUTED = _stand_in("torch.distributed", ProcessGroup=object, is_initialized=lambda: False)
_stand_in("torch", distributed=_DISTRIBUTED)
_stand_in("areal.infra.platforms", current_platform=None)

AsyncRewardWrapper = importlib.import_module("areal.api.reward_api").AsyncRewardWrapper
name_resolve = importlib.import_module("areal.utils.name_resolve")
import_from_string = importlib.import_module("areal.utils.dynamic_import").import_from_string


def client_source():
    """The text of AReaL's OpenAI-shaped client, which cannot be imported without torch and transformers."""
    return (_FOLDER / "experimental" / "openai" / "client.py").read_text()


def rlvr_source():
    """The text of AReaL's single-turn workflow."""
    return (_FOLDER / "workflow" / "rlvr.py").read_text()
