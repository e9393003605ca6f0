"""The tables of the READMEs are what the committed results say."""

import json
import runpy
import shlex
from dataclasses import replace

import _run
import build_tables
import pytest
from _tables import Row, Table
from transformers import HfArgumentParser


def test_the_readmes_are_up_to_date(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["build_tables.py", "--check"])
    assert build_tables.main() == 0, capsys.readouterr().err


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a README and the results of one of two rows."""
    rows = (Row("one", "a", "--x 1", "90 %"), Row("two", "b", "--x 2"))
    monkeypatch.setattr(build_tables, "ROOT", tmp_path)
    columns = ("success", "changed_words", "input_bleu", "minutes")
    monkeypatch.setattr(build_tables, "TABLES", (Table("package", "t", "--data d", rows, columns),))
    folder = tmp_path / "package" / "results" / "t" / "a"
    folder.mkdir(parents=True)
    rate, mean = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8}, {"value": 2.0, "low": 1.5, "high": 2.5, "n": 4}
    nothing = {"value": None, "low": None, "high": None, "n": 0}
    results = {"success": rate, "changed_words": mean, "input_bleu": nothing, "seconds": 150.0}
    (folder / "results.json").write_text(json.dumps(results))
    readme = tmp_path / "package" / "README.md"
    readme.write_text("before\n<!-- table: t -->\nold\n<!-- end -->\nafter\n")
    return readme


def test_a_table_holds_what_was_measured_beside_the_paper_and_its_command(package, monkeypatch):
    monkeypatch.setattr("sys.argv", ["build_tables.py"])
    assert build_tables.main() == 0
    text = package.read_text()
    assert "| one | 90 % | 50.0 % [25.0, 75.0] | 2.00 [1.50, 2.50] | - |" in text
    assert "| 2.5 | 8 |" in text and build_tables.minutes(754) == "13", "minutes and n"
    assert (
        'on="--data d"\naccelerate launch scripts/seq2sick.py $on --x 1 --output_dir runs/reproduce/t/a  # one\n'
        in text
    )
    assert "two" not in text and "old" not in text
    assert text.startswith("before\n") and text.endswith("after\n")


@pytest.mark.parametrize("table", build_tables.TABLES, ids=lambda table: f"{table.package}.{table.name}")
def test_every_row_is_a_command_that_its_script_takes(table, monkeypatch):
    """Its options are parsed by the script's own configs, and none of its measures lacks a column."""

    def parse(main, *configs, **_):
        HfArgumentParser(configs).parse_args_into_dataclasses([*options, "--output_dir", "x"], look_for_args_file=False)
        parsed.append(cell)

    parsed = []
    monkeypatch.setattr(_run, "launch", parse)
    for row in table.rows:
        cell, words = next(iter(row.runs.items()))
        options = shlex.split(f"{table.on} {words}")
        runpy.run_path(str(build_tables.Path(_run.__file__).parent / f"{row.script}.py"), run_name="__main__")
    assert parsed == [next(iter(row.runs)) for row in table.rows]
    every = [(row.of, cell) for row in table.rows for cell in row.runs]
    tables = {one.name: one for one in build_tables.TABLES}
    for row in table.rows:
        assert not row.of or row.runs in [one.runs for one in tables[row.of].rows]
    assert len({*every}) == len(every)
    assert all(build_tables.column(name)[0] for name in table.columns)


def test_check_tells_a_stale_readme_and_writes_nothing(package, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["build_tables.py", "--check"])
    before = package.read_text()
    assert build_tables.main() == 1
    assert "package/README.md: t" in capsys.readouterr().err
    assert package.read_text() == before


def test_a_readme_without_a_place_for_the_table_is_refused():
    with pytest.raises(ValueError, match="no place for table t"):
        build_tables.replaced("text", "t", "")


def test_a_row_of_several_seeds_is_told_by_their_mean(tmp_path, monkeypatch):
    """The interval's half is the root of the squares of Student's over seeds and of one seed's own."""
    row = Row("three", "a", "--x {seed} --y {next}", seeds=(0, 1, 4))
    assert row.runs == {"a-0": "--x 0 --y 1", "a-1": "--x 1 --y 4", "a-4": "--x 4 --y 0"}
    table = Table("package", "t", "--data d", (row,), ("pgd@0.1", "minutes"))
    monkeypatch.setattr(build_tables, "ROOT", tmp_path)
    for cell, value in zip(row.runs, (0.4, 0.5, 0.6), strict=True):
        folder = tmp_path / "package" / "results" / "t" / cell
        folder.mkdir(parents=True)
        rate = {"value": value, "low": value - 0.03, "high": value + 0.04, "n": 8}
        (folder / "results.json").write_text(json.dumps({"pgd@0.1": rate, "seconds": 60.0}))
    found = build_tables.results_of(table, row)["pgd@0.1"]
    student = 4.302652729911275 * 0.1 / 3**0.5
    assert found["value"] == pytest.approx(0.5) and found["n"] == "3 x 8"
    assert found["low"] == pytest.approx(0.5 - (student**2 + 0.03**2) ** 0.5)
    assert found["high"] == pytest.approx(0.5 + (student**2 + 0.04**2) ** 0.5)
    text = build_tables.markdown(table)
    assert "PGD within 0.1" in text and "| three | 50.0 %" in text and "| 1 | 3 x 8 |" in text
    assert "$on --x 0 --y 1 --output_dir runs/reproduce/t/a-0  # three, and seeds 1, 4 alike" in text


def keep(root, table, cell, **values):
    folder = root / "package" / "results" / table / cell
    folder.mkdir(parents=True)
    told = {
        name: {"value": one, "low": one and one - 0.01, "high": one and one + 0.01, "n": 8}
        for name, one in values.items()
    }
    (folder / "results.json").write_text(json.dumps(told))


def test_differences_are_those_of_the_same_seeds(tmp_path, monkeypatch):
    """Gains of 10, 12 and 14 points, with Student's interval; of two seeds none is told, and of one no gain."""
    monkeypatch.setattr(build_tables, "ROOT", tmp_path)
    rows = tuple(Row(name, name, "--seed {seed}", seeds=(0, 1, 2)) for name in ("one", "two", "three", "four"))
    table = Table("package", "t", "", rows, ("clean",), against="one")
    for seed, (first, second, fourth) in enumerate([(0.5, 0.6, 0.49), (0.7, 0.82, 0.69), (0.1, 0.24, None)]):
        keep(tmp_path, "t", f"one-{seed}", clean=first)
        keep(tmp_path, "t", f"two-{seed}", clean=second)
        if fourth:
            keep(tmp_path, "t", f"four-{seed}", clean=fourth)
    keep(tmp_path, "t", "three-0", clean=0.4)
    half = 4.302652729911275 * 2 / 3**0.5  # Student's of two degrees of freedom; a deviation of 2 points
    text = build_tables.markdown(table)
    assert "| points more than one | clean |" in text
    assert f"| two | +12.0 [{12 - half:+.1f}, {12 + half:+.1f}] |" in text
    assert "| four | -1.0 (2 seeds) |" in text
    assert text.count("| three |") == 1, "one seed tells no spread"
    assert "| three | 40.0 % [-, -] | 1 x 8 |" in text


def test_a_measure_that_some_seeds_lack(tmp_path, monkeypatch):
    monkeypatch.setattr(build_tables, "ROOT", tmp_path)
    table = Table("package", "t", "", (Row("one", "a", "", seeds=(0, 1, 2)),), ("masked_losses@0.1",))
    for seed, value in enumerate([0.2, None, 0.2]):
        keep(tmp_path, "t", f"a-{seed}", **{"masked_losses@0.1": value})
    assert "| one | **20.0 % [19.0, 21.0] (2 of 3 seeds)**, n = 3 x 8 | 3 x 8 |" in build_tables.markdown(table)


def test_a_row_of_another_table(tmp_path, monkeypatch):
    monkeypatch.setattr(build_tables, "ROOT", tmp_path)
    row = Row("one", "a", "--x 1")
    table = Table("package", "u", "", (replace(row, label="the same", of="t"), Row("two", "b", "--x 2")), ("clean",))
    keep(tmp_path, "t", "a", clean=0.5)
    text = build_tables.markdown(table)
    assert "| the same | 50.0 % [49.0, 51.0] | 8 |" in text and "# the same: as in table t\n" in text
    assert "--x 1" not in text


def test_a_page_of_its_own_tells_the_commands_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(build_tables, "ROOT", tmp_path)
    table = Table("package", "t", "--data d", (Row("one", "a", "--x 1"),), ("success",), page="results/far.md")
    assert build_tables.markdown(table).startswith("Not measured yet.\n\n```bash\non=")
