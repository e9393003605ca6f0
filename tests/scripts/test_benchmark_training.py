"""The benchmark of training tells every method's cost in steps of natural training."""


def test_methods_are_measured_in_turns(run_here):
    options = "--benchmark_model resnet --image_shape 1 8 8 --batch 4 --rounds 1 --steps 1 --methods sprout robmask"
    done = run_here("benchmark_training.py", *options.split(), env={"ACCELERATE_USE_CPU": "true"})
    assert done.returncode == 0, done.stderr
    natural, sprout, robmask = done.stdout.splitlines()
    assert "of a bare loop" in natural and sprout.startswith("sprout: ") and "9 passes" in robmask
    assert float(robmask.split()[1]) > 2, "seven steps of an inner attack are more than nothing"


def test_mistakes_are_one_line(run_here):
    done = run_here("benchmark_training.py", "--methods", "magic")
    assert done.returncode == 2 and "there is no method magic" in done.stderr.splitlines()[-1]
    done = run_here("benchmark_training.py", "--benchmark_model", "small_cnn", "--methods", "robmask", "--rounds", "1")
    assert done.returncode == 2 and "has no batch normalisation" in done.stderr.splitlines()[-1]
