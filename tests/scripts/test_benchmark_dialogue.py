"""scripts/benchmark_dialogue.py: the figures that it prints, on settings that measure little."""

import re


def test_a_line_for_each_batch_size_and_attack(run_here, tmp_path):
    settings = (
        "--batch_sizes 4 16 --max_samples 16 --loop_samples 2 --attack_samples 4 --attack_loop_samples 1 --rounds 1"
    )
    done = run_here("benchmark_dialogue.py", *settings.split())
    assert done.returncode == 0, done.stderr
    first, *rows = done.stdout.splitlines()
    assert re.fullmatch(r"16 tables on cpu, \d+ threads", first)
    number = r" *([\d.]+)"
    form = rf"batch{number}:{number} dialogues/s,{number} a CPU-second,{number}x the loop,{number}% in decisions"
    sizes, rates, _, gains, shares = zip(
        *(map(float, found.groups()) for row in rows[:3] if (found := re.fullmatch(form, row))), strict=True
    )
    assert sizes == (1, 4, 16) and min(rates) > 0 and gains[0] == 1
    assert abs(gains[2] - rates[2] / rates[0]) < 0.02 * gains[2] + 0.06  # of rates printed with one decimal
    assert all(0 < share < 100 for share in shares)
    attacks = [
        re.fullmatch(rf"(\w+) (\w+):{number} dialogues/s,{number} a CPU-second(?:,{number}x the loop)?", row)
        for row in rows[3:]
    ]
    assert [found.groups()[:2] for found in attacks if found] == [
        (search, name)
        for search in ("pad_greedy", "coordinate")
        for name in ("loop", "reactive", "preemptive", "adaptive")
    ]
    assert [bool(found[5]) for found in attacks] == [False, True, False, False] * 2
    assert not list(tmp_path.iterdir())


def test_mistakes_get_one_line(run_here):
    done = run_here("benchmark_dialogue.py", "--rounds", "0")
    assert done.returncode == 2 and "and --rounds, must be at least 1" in done.stderr.splitlines()[-1]
