"""`compare_gradients.py` as users run it."""

import json

from visionadv.loading import EMBEDDED


def test_a_net_is_like_itself(tmp_path, run_here):
    options = f"--other_name_or_path {EMBEDDED} --max_samples 30 --output_dir out"
    done = run_here("compare_gradients.py", *options.split(), env={"ACCELERATE_USE_CPU": "true"})
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "results.json").read_text())["cosine"]
    assert found["n"] == 30 and abs(found["value"] - 1) < 1e-5


def test_mistakes(run_here):
    done = run_here("compare_gradients.py")
    assert done.returncode == 2 and "--other_name_or_path is missing" in done.stderr.splitlines()[-1]
