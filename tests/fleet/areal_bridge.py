"""AReaL's own name_resolve, as a command that test_areal.py runs.

    python areal_bridge.py nfs FOLDER | etcd3 HOST:PORT

reads commands from standard input, one JSON list each (`["add_subentry", NAME, VALUE]`, `["get_subtree", NAME]`,
`["delete", NAME]`, ...), calls that function of `areal.utils.name_resolve`, and writes what it returns as JSON.

`import areal` loads its trainers, and torch with them, which name_resolve does not need: `areal` is entered here as a
package whose `__init__` is not run. Of what name_resolve imports, only `timeutil` wants torch, for timers that several
ranks share, which no call here uses. All else is the installed package as it is.
"""

import importlib
import importlib.util
import json
import os
import sys
import types
from dataclasses import dataclass


def _stand_in(name, **contents):
    module = types.ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module
    return module


def real_name_resolve():
    """The module `areal.utils.name_resolve` as it is installed."""
    spec = importlib.util.find_spec("areal")
    if spec is None:
        sys.exit("AReaL is not installed here: pip install --no-deps areal")
    _stand_in("areal", __path__=list(spec.submodule_search_locations))
    distributed = _stand_in("torch.distributed", ProcessGroup=object, is_initialized=lambda: False)
    _stand_in("torch", distributed=distributed)
    _stand_in("areal.infra.platforms", current_platform=None)

    return importlib.import_module("areal.utils.name_resolve")


@dataclass
class Config:
    """What AReaL's NameResolveConfig says; its own file imports the trainers."""

    type: str
    nfs_record_root: str = ""
    etcd3_addr: str = ""


def main():
    kind, where = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # AReaL logs to standard output
    name_resolve = real_name_resolve()
    if kind == "etcd3" and name_resolve.etcd3 is None:
        importlib.import_module("etcd3")  # it did not import there, and says here why
    name_resolve.reconfigure(Config(kind, nfs_record_root=where, etcd3_addr=where))
    print(json.dumps(name_resolve.__file__), file=answers, flush=True)
    for line in sys.stdin:
        function, *arguments = json.loads(line)
        print(json.dumps(getattr(name_resolve, function)(*arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main()
