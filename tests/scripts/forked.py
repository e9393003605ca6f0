"""Scripts in processes of their own, forked from one that has imported what takes seconds, torch before all.

    process = forked.start("train_lm.py", "--output_dir", folder, env={"HF_HUB_OFFLINE": "1"})
    done = forked.run("train_lm.py", "--output_dir", folder)

They are what `subprocess.Popen` and `subprocess.run` give for a new interpreter. Libraries of Hugging Face read the
environment when they are imported, and so each process still imports those itself. What a script imports can't be
tested so: torch is there already. The fixture `run_python` is for that.
"""

import atexit
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch._dynamo torch.export torch.distributed.fsdp torch.distributed.tensor torch.utils.tensorboard torchvision "
    "scipy.optimize scipy.stats sklearn.metrics pandas pyarrow.dataset pyarrow.parquet matplotlib.pyplot "
    "aiohttp httpx tokenizers safetensors.torch"
).split()
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(HEAVY)


class Forked:
    """A script at work: the part of `subprocess.Popen` that tests use."""

    def __init__(self, args: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        self.args = args
        self._told = Path(mkdtemp())
        weakref.finalize(self, shutil.rmtree, self._told, ignore_errors=True)
        self._process = SERVER.Process(target=_run, args=(args, cwd, dict(env), self._told))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            self._process.kill()
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """stdout and stderr, when it has ended."""
        self.wait(timeout)
        out, err = ((self._told / name).read_text(encoding="utf-8") for name in ("out", "err"))
        return out, err


def start(
    script: Path | str, *args: Path | str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Forked:
    """`script` is one of ours by name, any by path, or "-c", before the code."""
    command = script if script == "-c" else ROOT / "scripts" / script
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | dict(env or {})
    return Forked([str(one) for one in (command, *args)], cwd or Path.cwd(), environment)


def run(
    script: Path | str, *args: Path | str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    process = start(script, *args, cwd=cwd, env=env)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def together(
    count: int, script: Path | str, *args: Path | str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> list[subprocess.CompletedProcess[str]]:
    """`count` processes of one run, with what torchrun tells each in its environment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    one = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    ranks = [one | {"RANK": rank, "LOCAL_RANK": rank} for rank in range(count)]
    told = [dict(env or {}) | {name: str(value) for name, value in rank.items()} for rank in ranks]
    processes = [start(script, *args, cwd=cwd, env=one) for one in told]
    return [subprocess.CompletedProcess(one.args, one.wait(300), *one.communicate()) for one in processes]


def _run(args: Sequence[str], cwd: Path, env: Mapping[str, str], told: Path) -> None:
    """In the process: as `python *args` would, where `env` is the whole environment."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, name in enumerate(("out", "err"), start=1):
        os.dup2(os.open(told / name, os.O_WRONLY | os.O_CREAT), number)
    own = "" if args[0] == "-c" else str(Path(args[0]).parent)
    installed = [path for path in sys.path if path.startswith((sys.prefix, sys.base_prefix))]
    sys.path[:] = [own, *env.get("PYTHONPATH", "").split(os.pathsep), *installed]
    try:
        if args[0] == "-c":
            sys.argv = ["-c", *args[2:]]
            exec(args[1], {"__name__": "__main__"})
        else:
            sys.argv = [*args]
            runpy.run_path(args[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()
