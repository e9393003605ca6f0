"""What `reproduce_seq2sick.py` and `reproduce_advagent.py` do: the missing rows are run, kept and written as tables."""

import json
import subprocess
import time
from types import SimpleNamespace

import _reproduce
import _tables_images
import build_tables
import forked
import pytest
from _reproduce import reproduce
from _tables import Row, Table
from _tables_defenses import FIGURES, TABLES

TINY = "--max_samples 2 --steps 1 --refine_rounds 1 --candidates 4 --max_new_tokens 8 --num_beams 1"


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """One table of two rows on the embedded victim, in a repository of its own."""
    rows = (Row("one", "a", "--goal non_overlapping"), Row("two", "b", "--goal keywords"))
    found = (Table("package", "t", TINY, rows, ("success",)),)
    root = tmp_path / "root"
    (root / "package").mkdir(parents=True)
    (root / "scripts").symlink_to(build_tables.ROOT / "scripts")
    (root / "package" / "README.md").write_text("<!-- table: t -->\n<!-- end -->\n")
    monkeypatch.setattr(build_tables, "TABLES", found)
    monkeypatch.setattr(build_tables, "ROOT", root)
    return root


def run(monkeypatch, *options: str) -> int:
    monkeypatch.setattr("sys.argv", ["reproduce_seq2sick.py", *options])
    return reproduce(build_tables.TABLES, "")


def test_a_row_is_measured_kept_and_written(tables, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(_reproduce.subprocess, "run", lambda command, env, timeout: forked.run(*command[1:], env=env))
    folder = tmp_path / "runs"
    assert run(monkeypatch, "--cells", "b", "--output_dir", str(folder)) == 0
    kept = tables / "package" / "results" / "t" / "b" / "results.json"
    assert kept.read_bytes() == (folder / "t" / "b" / "results.json").read_bytes()
    manifest = json.loads((folder / "t" / "b" / "manifest.json").read_text())
    assert manifest["config"]["goal"] == "keywords" and manifest["config"]["max_samples"] == 2
    text = (tables / "package" / "README.md").read_text()
    assert "| two |" in text and "| one |" not in text
    before = kept.stat().st_mtime_ns
    assert run(monkeypatch, "--cells", "b", "--output_dir", str(folder)) == 0
    assert kept.stat().st_mtime_ns == before
    assert "all 1 runs of these rows are measured already; --again" in capfd.readouterr().out
    (folder / "t" / "b" / "old").touch()
    again = ("--cells", "b", "--output_dir", str(folder), "--again", "--per_device_batch_size")
    assert run(monkeypatch, *again, "1") == 0 and run(monkeypatch, *again, "0") == 2
    assert kept.stat().st_mtime_ns > before and not (folder / "t" / "b" / "old").exists()
    manifest = json.loads((folder / "t" / "b" / "manifest.json").read_text())
    assert manifest["config"]["per_device_batch_size"] == 1


def test_a_command_is_measured_once(tables, tmp_path, monkeypatch):
    """A row of another table that has the same command takes the results."""
    row = Row("two", "b", "--goal keywords")
    twins = tuple(Table("package", name, TINY, (row,), ("success",)) for name in ("t", "u"))
    monkeypatch.setattr(build_tables, "TABLES", twins)
    text = "<!-- table: t -->\n<!-- end -->\n<!-- table: u -->\n<!-- end -->\n"
    (tables / "package" / "README.md").write_text(text)
    kept = tables / "package" / "results" / "t" / "b" / "results.json"
    kept.parent.mkdir(parents=True)
    kept.write_text('{"success": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 9}}')
    assert run(monkeypatch, "--tables", "u", "--output_dir", str(tmp_path / "runs")) == 0
    assert (kept.parents[2] / "u" / "b" / "results.json").read_bytes() == kept.read_bytes()
    assert not (tmp_path / "runs").exists()
    assert (tables / "package" / "README.md").read_text().count("50.0 %") == 2


def test_runs_at_the_same_time_wait_for_those_that_they_need(tables, tmp_path, monkeypatch, capsys):
    """Two at once, as many as there may be; a third takes what the first has made, from where it was made."""
    rows = (
        Row("one", "a", "--seed {seed}", seeds=(0, 1)),
        Row("two", "b", "--model_name_or_path runs/reproduce/t/a-0/net"),
        Row("three", "c", "", precision="bf16"),
    )
    monkeypatch.setattr(build_tables, "TABLES", (Table("package", "t", "", rows, ("success",)),))
    events, folder = [], tmp_path / "runs"

    def run_here(command, env, timeout):
        cell = command[-1].rsplit("/", 1)[1]
        events.append(("begin", cell))
        time.sleep(0.1)
        if cell == "b":
            assert str(folder / "t" / "a-0" / "net") in command and ("end", "a-0") in events
        assert env.get("ACCELERATE_MIXED_PRECISION", "") == ("bf16" if cell == "c" else "")
        _reproduce.Path(command[-1]).mkdir(parents=True)
        (_reproduce.Path(command[-1]) / "results.json").write_text(
            '{"success": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 9}}'
        )
        events.append(("end", cell))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(_reproduce.subprocess, "run", run_here)
    assert run(monkeypatch, "--cells", "b", "--output_dir", str(folder)) == 2
    assert "t/b needs" in (told := capsys.readouterr().err) and "--tables t --cells a-0 --again" in told
    assert run(monkeypatch, "--jobs", "2", "--output_dir", str(folder)) == 0
    assert events[:2] == [("begin", "a-0"), ("begin", "a-1")] and len(events) == 8
    begun = [sum(1 if what == "begin" else -1 for what, _ in events[: k + 1]) for k in range(8)]
    assert max(begun) == 2 and {cell for _, cell in events} == {"a-0", "a-1", "b", "c"}
    assert "--mixed_precision bf16 scripts" in (tables / "package" / "README.md").read_text()


def test_what_is_stopped_is_gone_on_with(tables, tmp_path, monkeypatch, capsys):
    """A run that is at work when the minutes are over is stopped, and none is begun behind it."""
    given = []

    def run_here(command, env, timeout):
        given.append((command[-1].rsplit("/", 1)[1], timeout))
        if timeout is not None:
            time.sleep(timeout)
            raise subprocess.TimeoutExpired(command, timeout)
        _reproduce.Path(command[-1]).mkdir(parents=True)
        (_reproduce.Path(command[-1]) / "results.json").write_text(
            '{"success": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 9}}'
        )
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(_reproduce.subprocess, "run", run_here)
    where = ("--output_dir", str(tmp_path / "runs"))
    assert run(monkeypatch, "--minutes", "0.02", *where) == 3
    assert [cell for cell, _ in given] == ["a"] and 0 < given[0][1] <= 1.2
    assert "stopped after 0.02 minutes; 2 runs are left, and the same call goes on" in capsys.readouterr().out
    assert not (tables / "package" / "results").exists()
    assert run(monkeypatch, *where) == 0 and given[1:] == [("a", None), ("b", None)]
    for options in (("--minutes", "0"), ("--minutes", "nan"), ("--minutes", "5", "--again")):
        assert run(monkeypatch, *options, *where) == 2 and "--minutes" in capsys.readouterr().err


def test_figures_of_what_is_there_are_drawn(tables, tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(
        _reproduce.subprocess, "run", lambda command: drawn.append(command) or SimpleNamespace(returncode=0)
    )
    monkeypatch.setattr("sys.argv", ["reproduce_defenses.py", "--figures", "--output_dir", str(tmp_path / "runs")])
    (tmp_path / "runs" / "t" / "a-0").mkdir(parents=True)
    (tmp_path / "runs" / "t" / "a-0" / "results.json").touch()
    figures = {
        "1": "--figure labels --nets x=runs/reproduce/t/a-0",
        "2": "--figure labels --nets x=runs/reproduce/t/b-0",
    }
    assert reproduce(build_tables.TABLES, "", figures=figures) == 0
    assert f"x={tmp_path}/runs/t/a-0" in drawn[0] and drawn[0][-4:-2] == ["--name", "1"] and len(drawn) == 1
    assert capsys.readouterr().out == f"figure 2: {tmp_path}/runs/t/b-0 isn't there yet\n"
    monkeypatch.delenv("TEXTADV_DATA", raising=False)
    assert reproduce(build_tables.TABLES, "", figures={"3": "$TEXTADV_DATA"}) == 2
    assert "TEXTADV_DATA is not set" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["reproduce_defenses.py", "--figures", "--tables", "t"])
    assert reproduce(build_tables.TABLES, "", figures=figures) == 2
    kept = tables / "visionadv" / "results" / "t" / "b-0"
    kept.mkdir(parents=True)
    (kept / "results.json").touch()
    monkeypatch.setattr("sys.argv", ["reproduce_hard_label.py", "--figures", "--output_dir", str(tmp_path / "runs")])
    assert reproduce(build_tables.TABLES, "", figures={"2": figures["2"]}, artist="draw_attacks") == 0
    assert f"x={kept}" in drawn[-1] and drawn[-1][1].endswith("draw_attacks.py"), "of results that are kept"
    capsys.readouterr()
    known = {f"{table.name}/{row.cell}-0" for table in TABLES for row in table.rows}
    named = {word.partition("=")[2] for options in FIGURES.values() for word in options.split() if "=runs/" in word}
    assert named <= {f"runs/reproduce/{one}" for one in known}, "of rows that there are"
    known = {f"{table.name}/{row.cell}" for table in _tables_images.TABLES for row in table.rows}
    named = {
        word.partition("=")[2] for one in _tables_images.FIGURES.values() for word in one.split() if "=runs/" in word
    }
    assert named <= {f"runs/reproduce/{one}" for one in known}


def test_the_list_says_what_is_measured(tables, monkeypatch, capsys):
    kept = tables / "package" / "results" / "t" / "a" / "results.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")
    assert run(monkeypatch, "--list") == 0
    assert capsys.readouterr().out.splitlines() == ["t a (measured): one", "t b: two"]
    kept.write_text('{"seconds": 90}')
    assert run(monkeypatch, "--list", "--cells", "a") == 0
    assert capsys.readouterr().out == "t a (measured in 1.5 minutes): one\n"


def test_a_row_of_several_seeds_is_several_runs(tables, monkeypatch, capsys):
    """And a table that is left out is measured where it is asked for only."""
    rows = (Row("one", "a", "--seed {seed}", seeds=(0, 1)), Row("two", "b", ""), Row("of another", "c", "", of="s"))
    some = (Table("package", "t", "", rows, ("success",)), Table("package", "full_t", "", rows[1:2], ("success",)))

    def listed(*options):
        monkeypatch.setattr("sys.argv", ["reproduce_defenses.py", "--list", *options])
        assert reproduce(some, "", left_out="full_") == 0
        return capsys.readouterr().out.splitlines()

    assert listed() == ["t a-0: one", "t a-1: one", "t b: two"]
    assert listed("--cells", "a-1") == ["t a-1: one"] and len(listed("--cells", "a")) == 2
    assert listed("--tables", "full_t") == ["full_t b: two"]


def test_a_row_that_fails_leaves_everything_as_it_was(tables, tmp_path, monkeypatch):
    failing = Table("package", "t", "--max_samples 0", (Row("one", "a", ""),), ("success",))
    monkeypatch.setattr(build_tables, "TABLES", (failing,))
    assert run(monkeypatch, "--output_dir", str(tmp_path / "runs")) == 2
    assert not (tables / "package" / "results").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cells", "z"], "no row is named z"),
        ([], "TEXTADV_DATA is not set"),
    ],
)
def test_mistakes(tables, monkeypatch, capsys, options, said):
    monkeypatch.delenv("TEXTADV_DATA", raising=False)
    needs = Table("package", "t", "--dataset_name $TEXTADV_DATA/x", (Row("", "a", ""),), ("success",))
    monkeypatch.setattr(build_tables, "TABLES", (needs,))
    assert run(monkeypatch, *options) == 2
    assert said in capsys.readouterr().err
