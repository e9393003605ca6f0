"""scripts/_run.py, driven by a toy attack whose records are known beforehand.

The toy draws its numbers from (seed, example_id) alone, so that any run must end with the same records
whatever became of it on the way. What a crash can leave in the file is made by hand, in this process;
real kills and real process groups are processes of their own.
"""

import json
import math
import os
import random
import re
import runpy
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import _run
import forked
import pytest
from _estimates import estimate

SCRIPTS = Path(_run.__file__).parent
EXAMPLES, BATCH = 42, 4  # the last batch is short
TOY = textwrap.dedent('''
    """Toy attack.

    python toy.py --output_dir runs/toy
    """

    import os, random, time
    from dataclasses import dataclass, field
    from _run import Run, RunArguments, launch

    class ToyMistake(Exception): ...

    @dataclass(frozen=True)
    class ToyConfig:
        steps: int = field(default=3, metadata={"help": "steps of the toy"})
        hub_token: str = field(default="hf_secret", metadata={"help": "never told"})

    @dataclass(frozen=True)
    class Example:
        example_id: int

    @dataclass(frozen=True)
    class Record:
        example_id: int
        seed: int
        success: bool
        distance: float
        seconds: float
        adversarial: str

    def attack(batch, arguments, config, run):
        start = time.perf_counter()
        rows = []
        for example in batch:
            draw = random.Random(f"{arguments.seed} {example.example_id}")
            time.sleep(float(os.environ.get("TOY_PAUSE", "0")))
            success, distance = draw.random() < 0.7, draw.gauss() * config.steps
            rows.append((example.example_id, arguments.seed, success, distance))
            run.advance()
        with open(os.environ["TOY_LOG"], "a") as log:
            log.write("".join(f"{run.accelerator.process_index} {row[0]}\\n" for row in rows))
        seconds = (time.perf_counter() - start) / len(batch)
        return [Record(*row, seconds, "zwölf\\u2028\\n \\"<b>" * row[0]) for row in rows]

    def main(arguments, config):
        if config.steps < 1:
            raise ToyMistake(f"--steps must be at least 1,\\n  not {config.steps}")
        examples = [Example(3 * i + 1) for i in range(int(os.environ.get("TOY_EXAMPLES", "42")))]
        with Run(arguments, [config], {"dataset": os.environ.get("TOY_DATA", "abc")}) as run:
            for batch in run.batches(examples):
                if run.accelerator.process_index == int(os.environ.get("TOY_FAILS", "-1")):
                    raise ToyMistake("no such batch")
                run.append(attack(batch, arguments, config, run))
            run.finish(
                lambda rows: {"success": [row["success"] for row in rows],
                              "distance": [row["distance"] for row in rows if row["success"]], "none": [],
                              "ready": {"value": 1.5, "low": None, "high": None, "n": 2}},
                lambda rows, results, made: f"<p>{len(rows)} ü {made['precision']}</p>",
            )

    if __name__ == "__main__":
        launch(main, RunArguments, ToyConfig, mistakes=(ToyMistake,), description=__doc__)
''')


class Toy:
    """The script, the ways to run it, and what it leaves behind."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.script, self.log, self.monkeypatch = folder / "toy.py", folder / "log.txt", monkeypatch
        self.script.write_text(TOY, encoding="utf-8")
        monkeypatch.chdir(folder)
        monkeypatch.setenv("TOY_LOG", str(self.log))
        monkeypatch.setenv("ACCELERATE_USE_CPU", "true")

    def here(self, *args: str, out: str = "out") -> int:
        """Run in this process; the exit code."""
        arguments = ["--output_dir", out, "--per_device_batch_size", str(BATCH), *args]
        self.monkeypatch.setattr(sys, "argv", [str(self.script), *arguments])
        try:
            runpy.run_path(str(self.script), run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    def start(self, pause: float) -> forked.Forked:
        options = ["--output_dir", "out", "--per_device_batch_size", str(BATCH)]
        return forked.start(self.script, *options, env={"PYTHONPATH": str(SCRIPTS), "TOY_PAUSE": str(pause)})

    def two(self, *args: str, out: str = "out", pause: float = 0) -> list[subprocess.CompletedProcess[str]]:
        """By two processes."""
        options = ["--output_dir", out, "--per_device_batch_size", str(BATCH), *args]
        env = {"PYTHONPATH": str(SCRIPTS), "TOY_PAUSE": str(pause)}
        return forked.together(2, self.script, *options, env=env)

    def attacked(self) -> list[int]:
        """The example ids that were attacked since the last question."""
        ids = [int(line.split()[1]) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return ids


def forget_accelerator() -> None:
    """The state that all Accelerators of a process share; the next one reads the environment again."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    forget_accelerator()
    yield Toy(tmp_path, monkeypatch)
    forget_accelerator()


@pytest.fixture
def whole(toy):
    """The records of an uninterrupted run, less their seconds."""
    assert toy.here(out="whole") == 0
    toy.attacked()
    return records("whole")


def records(out: str = "out") -> list[dict]:
    rows = [json.loads(line) for line in Path(out, "records.jsonl").read_bytes().splitlines()]
    assert all(row.pop("seconds") >= 0 for row in rows)
    return rows


def contents(out: str = "out") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(out).iterdir()}


def last_error(text: str) -> str:
    """The one line that a mistake gets, at the end of stderr and without a traceback."""
    assert "Traceback" not in text
    line = text.rstrip("\n").split("\n")[-1]
    assert line.startswith("toy.py: error: ")
    return line.removeprefix("toy.py: error: ")


def test_a_whole_run(toy, capsys):
    """Records in order, the summary, the report, the manifest without the token, the table, the bar."""
    assert toy.here("--seed", "5") == 0
    rows = records()
    assert [row["example_id"] for row in rows] == [3 * i + 1 for i in range(EXAMPLES)]
    draws = [random.Random(f"5 {row['example_id']}").random() < 0.7 for row in rows]
    assert [row["success"] for row in rows] == draws
    results = json.loads(Path("out/results.json").read_text())
    assert results["success"] == estimate(draws)
    assert results["distance"]["n"] == sum(draws)
    assert results["none"] == {"value": None, "low": None, "high": None, "n": 0}
    assert results["ready"] == {"value": 1.5, "low": None, "high": None, "n": 2}
    seconds = [json.loads(line)["seconds"] for line in Path("out/records.jsonl").read_bytes().splitlines()]
    assert results["seconds"] == pytest.approx(sum(seconds))
    assert results["examples_per_second"] == pytest.approx(EXAMPLES / sum(seconds))
    assert Path("out/report.html").read_text(encoding="utf-8") == f"<p>{EXAMPLES} ü fp32</p>"
    made = json.loads(Path("out/manifest.json").read_text())
    assert (made["seed"], made["precision"], made["device"], made["num_processes"]) == (5, "fp32", "cpu", 1)
    assert made["config"]["steps"] == 3 and made["config"]["max_samples"] is None
    assert made["fingerprint"] == {"dataset": "abc"}
    assert {"python", "torch", "transformers", "datasets", "accelerate"} <= set(made["versions"])
    assert made["git_hash"] is None or re.fullmatch("[0-9a-f]{40}", made["git_hash"])
    assert b"hf_secret" not in b"".join(contents().values())
    told = capsys.readouterr()
    value = f"{results['success']['value']:.4g}"
    assert re.search(rf"^success +{re.escape(value)} +0\.\d+ to 0\.\d+ +{EXAMPLES}$", told.out, re.MULTILINE)
    assert re.search(r"^none +- +- to - +0$", told.out, re.MULTILINE)
    assert f"{EXAMPLES}/{EXAMPLES}" in told.err and "100%" in told.err


def test_finished_folder_prints_again(toy, capsys):
    assert toy.here() == 0
    assert len(toy.attacked()) == EXAMPLES
    before, table = contents(), capsys.readouterr().out
    stamps = {name: os.stat(f"out/{name}").st_mtime_ns for name in ("records.jsonl", "manifest.json")}
    assert toy.here() == 0
    assert toy.attacked() == []
    assert contents() == before and capsys.readouterr().out == table
    assert stamps == {name: os.stat(f"out/{name}").st_mtime_ns for name in stamps}


def test_max_samples_and_default_folder(toy, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(toy.script), "--max_samples", "5"])
    runpy.run_path(str(toy.script), run_name="__main__")
    assert len(records("runs/toy")) == 5


def test_every_torn_file_is_repaired(toy, whole):
    """The file cut at any byte: only unfinished batches are attacked again, and the end is the same."""
    complete = Path("whole/records.jsonl").read_bytes()
    ids = [row["example_id"] for row in whole]
    ends = [index + 1 for index, byte in enumerate(complete) if byte == 10]  # where lines end
    draw = random.Random(0)
    for cut in [
        0,
        1,
        ends[BATCH - 1] - 1,
        ends[BATCH - 1],
        *(draw.randrange(len(complete)) for _ in range(12)),
    ]:
        Path("whole/records.jsonl").write_bytes(complete[:cut])
        batches_left = sum(end <= cut for end in ends) // BATCH
        assert toy.here(out="whole") == 0
        assert toy.attacked() == ids[batches_left * BATCH :]
        assert records("whole") == whole


def test_half_written_and_doubled_batches_are_redone(toy, whole):
    """Torn in the middle, as when another process went on writing; a lost line; a line twice; disorder."""
    path, ids = Path("whole/records.jsonl"), [row["example_id"] for row in whole]
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:30] + b"\0\0\0"  # batch 0: torn, and the next line runs on from it
    del lines[4 * BATCH + 2]  # batch 4
    lines.append(lines[6 * BATCH])  # batch 6, which is one further up now
    shuffled = lines[2 * BATCH :] + lines[: 2 * BATCH]
    path.write_bytes(b"".join(shuffled))
    assert toy.here(out="whole") == 0
    redone = [batch for batch in (0, 4, 6) for batch in ids[batch * BATCH : (batch + 1) * BATCH]]
    assert sorted(toy.attacked()) == redone
    assert records("whole") == whole


def test_kill_9_at_random_moments(toy, whole):
    """Three real kills, each at a random moment after the run has got further than the one before."""
    draw = random.Random(0)
    reached = 0
    for _ in range(3):
        process = toy.start(pause=0.02)
        goal = reached + draw.randrange(1, 12)
        deadline = time.monotonic() + 120
        while reached < goal and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
            path = Path("out/records.jsonl")
            reached = path.read_bytes().count(b"\n") if path.exists() else 0
        time.sleep(draw.random() * 0.02 * BATCH)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL  # it was at work
    assert 0 < len(records()) < EXAMPLES
    assert toy.here() == 0
    assert records() == whole


def test_two_processes_are_one(toy, whole):
    """Two gloo processes take over a folder that one has left torn; another config is refused by both."""
    left = Path("whole/records.jsonl").read_bytes()[:2500]
    Path("whole/records.jsonl").write_bytes(left)
    first, second = toy.two(out="whole", pause=0.01)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout.count("measure ") == 1 and not second.stdout
    assert "Traceback" not in first.stderr + second.stderr
    assert {line.split()[0] for line in toy.log.read_text().splitlines()} == {"0", "1"}
    attacked = toy.attacked()
    assert len(attacked) == len(set(attacked)) < EXAMPLES
    assert records("whole") == whole

    before = contents("whole")
    first, second = toy.two("--seed", "1", out="whole")
    assert first.returncode == second.returncode == 2
    assert "seed 0 there, 1 here" in last_error(first.stderr) and "toy.py: error: " not in second.stderr
    assert contents("whole") == before


def test_a_mistake_of_the_second_process_is_told(toy, monkeypatch):
    """Only the first process speaks of mistakes, except of one in a batch that it doesn't have."""
    monkeypatch.setenv("TOY_FAILS", "1")
    _, second = toy.two(pause=0.05)
    assert second.returncode == 2 and second.stderr == "process 1: no such batch\n"


@pytest.mark.parametrize(
    ("args", "env", "named"),
    [
        (["--seed", "1"], {}, ["seed 0 there, 1 here"]),
        (
            ["--steps", "4", "--max_samples", "8"],
            {},
            ["steps 3 there, 4 here", "max_samples null there, 8 here"],
        ),
        (["--per_device_batch_size", "5"], {}, ["per_device_batch_size 4 there, 5 here"]),
        ([], {"TOY_DATA": "äbc"}, ['dataset fingerprint "abc" there, "äbc" here']),
        ([], {"ACCELERATE_MIXED_PRECISION": "bf16"}, ['precision "fp32" there, "bf16" here']),
    ],
)
def test_another_config_is_refused(toy, whole, capsys, monkeypatch, args, env, named):
    before = contents("whole")
    capsys.readouterr()
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    forget_accelerator()
    assert toy.here(*args, out="whole") == 2
    told = last_error(capsys.readouterr().err)
    assert all(words in told for words in named) and told.count(" there, ") == len(named)
    assert contents("whole") == before and toy.attacked() == []


def test_what_changes_no_record_is_accepted(toy, whole, tmp_path, capsys):
    pytest.importorskip("tensorboard")
    moved = tmp_path / "moved"
    Path("whole").rename(moved)
    assert toy.here("--report_to", "tensorboard", out=str(moved)) == 0
    assert list((moved / "tensorboard").glob("events.*"))
    options = json.loads((moved / "manifest.json").read_text())["config"]
    assert (options["output_dir"], options["report_to"]) == (str(moved), "tensorboard")
    assert toy.attacked() == []


def test_foreign_folders_are_refused(toy, whole, capsys):
    """Records without a manifest, and a manifest that is none."""
    Path("whole/manifest.json").unlink()
    for text in (None, "{", "[]", "{}"):
        if text is not None:
            Path("whole/manifest.json").write_text(text)
        before = contents("whole")
        assert toy.here(out="whole") == 2
        assert "no readable manifest.json" in last_error(capsys.readouterr().err)
        assert contents("whole") == before


def test_a_run_that_ended_before_its_first_record_leaves_the_folder_free(toy, whole):
    """Out of memory at once, say: the same folder takes a smaller batch then."""
    Path("whole/records.jsonl").write_bytes(b"")
    assert toy.here("--per_device_batch_size", "2", out="whole") == 0
    assert json.loads(Path("whole/manifest.json").read_text())["config"]["per_device_batch_size"] == 2
    assert Path("whole/records.jsonl").stat().st_size


@pytest.mark.parametrize("value", ["0", "-3"])
def test_zero_samples(toy, capsys, value):
    assert toy.here("--max_samples", value) == 2
    assert "zero samples" in last_error(capsys.readouterr().err)
    assert not Path("out").exists()


def test_no_examples(toy, capsys, monkeypatch):
    monkeypatch.setenv("TOY_EXAMPLES", "0")
    assert toy.here() == 2
    assert "zero samples" in last_error(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--per_device_batch_size", "0"], "--per_device_batch_size must be at least 1, not 0"),
        (["--seed", "-1"], "--seed must be at least 0"),
        (["--steps", "0"], "--steps must be at least 1, not 0"),  # the package's own, on one line
    ],
)
def test_mistakes_are_one_line(toy, capsys, args, words):
    assert toy.here(*args) == 2
    told = capsys.readouterr().err
    assert words in last_error(told) and told.count("\n") == 1


def test_a_mistake_in_a_batch_ends_the_bar_first(toy, capsys, monkeypatch):
    monkeypatch.setenv("TOY_FAILS", "0")
    assert toy.here() == 2
    assert last_error(capsys.readouterr().err) == "no such batch"


def test_unknown_options_are_argparse_s(toy, capsys):
    assert toy.here("--step", "4") == 2
    assert last_error(capsys.readouterr().err) == "unrecognized arguments: --step 4"


@pytest.mark.parametrize("name", ["file", "file/below", "/proc/below"])
def test_unwritable_folder(toy, capsys, name):
    Path("file").write_text("here already")
    assert toy.here(out=name) == 2
    told = last_error(capsys.readouterr().err)
    assert f"cannot write to {name}" in told and "--output_dir" in told
    assert Path("file").read_text() == "here already"


def test_other_exceptions_keep_their_traceback(toy, monkeypatch):
    monkeypatch.setenv("TOY_EXAMPLES", "many")
    with pytest.raises(ValueError, match="many"):
        toy.here()


def test_an_older_run_is_shut_out(toy, whole):
    """A run that is still alive, as a launcher's child is when only the launcher was killed, can't write
    into the folder once another has started there."""
    script = runpy.run_path(str(toy.script))
    arguments = _run.RunArguments(output_dir="out", per_device_batch_size=BATCH)
    config, examples = script["ToyConfig"](), [script["Example"](row["example_id"]) for row in whole]
    with _run.Run(arguments, [config], {"dataset": "abc"}) as old:
        batch = next(batches := old.batches(examples))
        done = script["attack"](batch, arguments, config, old)
        old.append(done)
        batch = next(batches)
        assert toy.here() == 0
        with pytest.raises(_run.RunError, match="another run has taken over"):
            old.append(script["attack"](batch, arguments, config, old))
        batches.close()
    assert records() == whole


def test_records_must_be_the_batch_s(toy):
    """An attack that loses, repeats or reorders examples is an error of ours, and nothing is written."""
    script = runpy.run_path(str(toy.script))
    arguments, config = _run.RunArguments(output_dir="out", per_device_batch_size=2), script["ToyConfig"]()
    with _run.Run(arguments, [config], {}) as run:
        examples = [script["Example"](0), script["Example"](1)]
        batch = next(batches := run.batches(examples))
        one, two = script["attack"](batch, arguments, config, run)
        for wrong in ([one], [one, one], [two, one], []):
            with pytest.raises(ValueError, match="not the records of the batch"):
                run.append(wrong)
        with pytest.raises(ValueError, match="before all batches"):
            run.finish(lambda rows: {}, lambda *_: None)
        batches.close()
    assert Path("out/records.jsonl").read_bytes() == b""


def test_fp16_on_a_cpu_warns_and_counts_as_fp32(toy, capsys, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    assert toy.here() == 0
    assert "fp16 on a CPU does nothing" in capsys.readouterr().err
    assert json.loads(Path("out/manifest.json").read_text())["precision"] == "fp32"


def test_help_is_quick_and_imports_no_torch(toy):
    code = (
        "import runpy, sys, time; sys.argv = ['toy.py', '--help']\n"
        "try: runpy.run_path('toy.py', run_name='__main__')\n"
        "finally: print('heavy:', {'torch', 'datasets', 'scipy'} & set(sys.modules), time.process_time())"
    )
    env = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    answer = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    heavy = re.search(r"heavy: (.+) ([\d.]+)$", answer.stdout)
    assert heavy and heavy[1] == "set()" and float(heavy[2]) < 2
    assert "\npython toy.py --output_dir runs/toy\n" in answer.stdout  # the docstring as it stands
    assert re.search(r"--steps STEPS\s+steps of the toy \(default: 3\)", answer.stdout)


def test_missing_tensorboard_is_told(monkeypatch):
    monkeypatch.setattr(_run.util, "find_spec", lambda name: None)
    with pytest.raises(_run.RunError, match="pip install tensorboard"):
        _run.RunArguments(report_to="tensorboard")


def test_json_is_strict_and_whole(tmp_path):
    path = tmp_path / "results.json"
    _run.write_json(path, {"wörd": 1.5})
    with pytest.raises(ValueError):
        _run.write_json(path, {"word": math.nan})
    assert json.loads(path.read_text(encoding="utf-8")) == {"wörd": 1.5}
    assert [one.name for one in tmp_path.iterdir()] == ["results.json"]
