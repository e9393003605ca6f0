"""Figure 4.1: who keeps the points that are near the boundary."""

import json

from PIL import Image


def test_adversarial_training_gives_up_points_and_cat_does_not(tmp_path, run_here):
    done = run_here("toy_margin.py", "--output_dir", "toy")
    assert done.returncode == 0, done.stderr
    right = {name: one["value"] for name, one in json.loads((tmp_path / "toy" / "results.json").read_text()).items()}
    assert min(right["natural"], right["adversarial, eps = 1"]) == 1
    assert right["CAT, eps up to 4"] > 0.9 > right["adversarial, eps = 4"]
    with Image.open(tmp_path / "toy" / "toy_margin.png") as picture:
        assert picture.size[0] > 1000


def test_mistakes(run_here):
    done = run_here("toy_margin.py", "--points", "1")
    assert done.returncode == 2 and "--points must be at least 2" in done.stderr
