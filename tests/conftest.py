"""What all tests share: one thread, no network, and the two things they ask for."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import forked
import pytest

# Before anything imports torch; subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Where one of these is set pytest prints differences whole, and that of two files of weights takes it hours.
for name in ("CI", "BUILD_NUMBER"):
    os.environ.pop(name, None)

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets; a test that needs it is skipped where there is none."""
    folder = os.environ.get("TEXTADV_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real data: set TEXTADV_DATA to their folder")
    return Path(folder)


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_script("x.py", "--seed", "1", env={...})` as a user would, in an empty working folder."""
    return lambda name, *args, env=None: forked.run(name, *args, cwd=tmp_path, env=env)


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_script` in a new interpreter, where it matters what is imported."""

    def run(name: str, *args: str, env: dict[str, str] | None = None):
        return subprocess.run(
            [sys.executable, str(ROOT / "scripts" / name), *args],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | (env or {}),
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch, capsys) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_script` without a process of its own, which would take seconds to import everything."""
    from accelerate.state import AcceleratorState

    def run(name: str, *args: str, env: dict[str, str] | None = None):
        script = ROOT / "scripts" / name
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", [str(script), *args])
            for key, value in (env or {}).items():
                patch.setenv(key, value)
            AcceleratorState._reset_state(reset_partial_state=True)  # all Accelerators of a process share it
            capsys.readouterr()
            code = 0
            try:
                runpy.run_path(str(script), run_name="__main__")
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                AcceleratorState._reset_state(reset_partial_state=True)
        return subprocess.CompletedProcess([name, *args], code, *capsys.readouterr())

    return run
