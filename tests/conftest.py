"""What all tests share: one thread, no network, and the two things they ask for."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Before anything imports torch; subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

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

    def run(name: str, *args: str, env: dict[str, str] | None = None, timeout: float = 300):
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return subprocess.run(
            [sys.executable, str(ROOT / "scripts" / name), *args],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path} | (env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run
