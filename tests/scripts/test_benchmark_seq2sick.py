"""scripts/benchmark_seq2sick.py: the figures that it prints, on settings that measure little."""

import re


def test_the_three_kinds_of_figures(run_script, tmp_path):
    settings = "--batch_sizes 1 3 --max_samples 3 --repeats 2 --steps 1 --refine false"
    done = run_script("benchmark_seq2sick.py", *settings.split(), env={"ACCELERATE_USE_CPU": "true"})
    assert done.returncode == 0, done.stderr
    number = r" *([\d.]+)"
    first, *rows = done.stdout.splitlines()
    assert first == "MarianMTModel on cpu, 1 threads, 3 sentences, non_overlapping"

    speeds = [
        re.fullmatch(rf"batch +(\d+):{number} sentences/s,{number}x batch 1,{number}% of the time in decoding", row)
        for row in rows[:2]
    ]
    sizes, rates, gains, shares = zip(*([float(x) for x in found.groups()] for found in speeds if found), strict=True)
    assert sizes == (1, 3) and min(rates) > 0 and gains[0] == 1
    assert abs(gains[1] - rates[1] / rates[0]) < 0.02  # printed with two decimals
    assert all(0 < share < 100 for share in shares)

    times = re.fullmatch(
        rf"at batch (\d+), milliseconds: step{number}, of which decoding{number}; "
        rf"forward and backward of the victim alone{number}",
        rows[2],
    )
    assert times
    batch, step, decoding, reference = map(float, times.groups())
    assert batch == sizes[rates.index(max(rates))] and 0 < decoding < step and reference > 0
    ratio = re.fullmatch(rf"step without decoding / forward and backward:{number}", rows[3])
    assert ratio and abs(float(ratio[1]) - (step - decoding) / reference) < 0.2  # of times printed to 0.1 ms
    assert len(rows) == 4 and not list(tmp_path.iterdir())


def test_mistakes_get_one_line(run_here):
    done = run_here("benchmark_seq2sick.py", "--repeats", "0")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    told = done.stderr.splitlines()[-1]
    assert told == "benchmark_seq2sick.py: error: --batch_sizes, --max_samples and --repeats must be at least 1"
