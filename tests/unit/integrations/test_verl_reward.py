"""The file that verl loads by its path."""

import importlib.util
import inspect
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import llm_judge_remote
from llm_judge_remote import verl_reward

NAMES = ("compute_score", "compute_score_async", "compute_score_batched")


def loaded(path):
    """As verl 0.7.0 and newer load it: outside `sys.modules`."""
    spec = importlib.util.spec_from_file_location(f"custom_module_{id(path)}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert spec.name not in sys.modules
    return module


@pytest.fixture
def copied(tmp_path):
    path = tmp_path / "my_reward.py"
    path.write_bytes(Path(verl_reward.__file__).read_bytes())
    return loaded(path)


@pytest.mark.parametrize("name", NAMES)
def test_the_functions_are_those_of_the_package_wherever_the_file_is_loaded_from(name, copied):
    there = loaded(Path(verl_reward.__file__))
    assert getattr(there, name) is getattr(copied, name) is getattr(llm_judge_remote, name)
    function = getattr(copied, name)
    assert function.__name__ == name
    assert inspect.iscoroutinefunction(function) is (name == "compute_score_async")
    assert pickle.loads(pickle.dumps(function)) is function


def test_it_needs_no_neighbours_and_loads_no_trainer():
    program = """
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location("custom_module", sys.argv[1])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        print(sorted({"torch", "ray", "verl", "pandas"} & set(sys.modules)), sorted(module.__all__))
    """
    command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-I", "-c", textwrap.dedent(program)]
    done = subprocess.run([*command, verl_reward.__file__], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"[] {sorted(NAMES)}\n"
