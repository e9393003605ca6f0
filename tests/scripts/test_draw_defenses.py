"""Every figure of the defenses once, of tiny nets."""

import json

import pytest
from draw_defenses import FigureArguments, properties_of
from PIL import Image


def test_every_figure_is_drawn(tmp_path, run_here):
    environment = {"ACCELERATE_USE_CPU": "true"}

    def run(script, *options):
        done = run_here(f"{script}.py", *map(str, options), env=environment)
        assert done.returncode == 0, done.stderr

    tiny = "--max_samples 40 --max_steps 2 --per_device_train_batch_size 8".split()
    for method in ("sprout", "cat"):
        run("train_classifier", *tiny, "--method", method, "--output_dir", method)
    run("train_classifier", *tiny, "--model", "resnet", "--output_dir", "net")
    bn = ["--method", "bn_finetune", "--model_name_or_path", tmp_path / "net"]
    run("train_classifier", *tiny, "--model", "resnet", *bn, "--output_dir", "bn")
    judges = "--judges clean pgd rotation contrast --test_eps 0.05 0.1 --pgd_steps 2 --max_samples 8".split()
    for name in ("sprout", "cat"):
        run("evaluate_robustness", "--model_name_or_path", tmp_path / name, *judges, "--output_dir", f"{name}-judged")
    figures = {
        "landscape": ["sprout", "cat", "--count", 3, "--points", 3],
        "curves": ["sprout-judged", "cat-judged", "--curve_judges", "pgd"],
        "radar": ["sprout", "cat", "sprout-judged", "cat-judged", "--curve_judges", "pgd@0.1", "rotation"],
        "labels": ["sprout"],
        "distances": ["cat"],
        "norms": ["net", "bn"],
        "maps": ["net", "bn"],
    }
    for figure, (*names,) in figures.items():
        nets = [
            f"{name.partition('-')[0]}={tmp_path / name}"
            for name in names
            if isinstance(name, str) and (tmp_path / name).is_dir()
        ]
        rest = [name for name in names if not (isinstance(name, str) and (tmp_path / name).is_dir())]
        run("draw_defenses", "--figure", figure, "--nets", *nets, *rest, "--output_dir", "drawn")
        with Image.open(tmp_path / "drawn" / f"{figure}.png") as picture:
            assert min(picture.size) > 100 and len(picture.convert("L").getcolors() or range(99)) > 3
    folders = [f"{name}={tmp_path / name}{more}" for name in ("sprout", "cat") for more in ("", "-judged")]
    told = properties_of(FigureArguments(nets=folders, curve_judges=["pgd@0.1", "rotation"]))
    cost = {name: json.loads((tmp_path / name / "results.json").read_text())["ten_epochs"] for name in told}
    speeds = {name: one["speed of training"] for name, one in told.items()}
    assert max(speeds.values()) == 1 and speeds["cat"] * cost["cat"] == pytest.approx(speeds["sprout"] * cost["sprout"])
    pairs = [f"0.01,0.2={tmp_path / 'sprout-judged'}", f"0.1,0.2={tmp_path / 'cat-judged'}"]
    run("draw_defenses", "--figure", "sensitivity", "--curve_judges", "pgd", "--nets", *pairs, "--output_dir", "drawn")
    assert (tmp_path / "drawn" / "sensitivity.png").exists()
    for figure in ("curves", "radar", "sensitivity"):
        wrong = ["--figure", figure, "--curve_judges", "pgd", "pdg", "--nets", *pairs]
        done = run_here("draw_defenses.py", *wrong, env=environment)
        assert done.returncode == 2 and "judged by pdg; give other --curve_judges" in done.stderr.splitlines()[-1]
    done = run_here("draw_defenses.py", "--figure", "labels", "--nets", f"cat={tmp_path / 'cat'}", env=environment)
    assert done.returncode == 2 and "has no beta of a method" in done.stderr.splitlines()[-1]
    results = json.loads((tmp_path / "cat-judged" / "results.json").read_text())
    assert {"clean", "rotation", "contrast", "pgd@0.05", "pgd@0.1"} <= set(results)
    nearer = {name: one for name, one in results.items() if name != "pgd@0.1"}
    nothing = results | {"clean": {"value": None, "low": None, "high": None, "n": 0}}
    for text, told in (
        (json.dumps(nearer), "was judged within 0.05, others within 0.1"),
        ('{"clean"', "is no JSON"),
        (json.dumps(nothing), "is of no images"),
    ):
        (tmp_path / "cat-judged" / "results.json").write_text(text)
        done = run_here("draw_defenses.py", *wrong[:4], "--nets", *pairs, env=environment)
        assert done.returncode == 2 and told in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "--nets are missing"),
        (["--nets", "x"], "--nets are name=folder"),
        (["--nets", "x=nowhere", "--figure", "curves"], "is no run folder of evaluate_robustness.py"),
        (["--nets", "x=nowhere", "x=y", "--figure", "curves"], "names a net twice; only radar"),
        (["--nets", "x=nowhere", "--figure", "sensitivity"], "of sensitivity are alpha,a=folder"),
        (["--nets", "x=nowhere", "--figure", "maps"], "of two nets, before and after"),
        (["--nets", "x=nowhere", "y=nowhere", "--figure", "labels"], "of one net, and --nets names 2"),
        (["--nets", "x=y", "--points", "0"], "must be at least 1"),
        (["--nets", "x=y", "--figure", "maps", "--image", "-1"], "--image at least 0"),
        (["--nets", "x=y", "--extent", "inf"], "--extent must be finite"),
    ],
)
def test_mistakes_are_one_line(options, told, run_here):
    done = run_here("draw_defenses.py", *options)
    assert done.returncode == 2 and told in done.stderr.strip().splitlines()[-1], done.stderr
