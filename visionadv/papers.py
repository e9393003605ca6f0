"""Figures that papers print, to be drawn beside ours."""

from __future__ import annotations

# Median L2 against queries, untargeted (Cheng's dissertation, Table 2.2, whose "Avg" is a median, and Table 2.1 for
# trees). Distances of OPT and Sign-OPT are of the unclipped image there, and queries the authors' own count.
MEDIAN_L2 = {
    "mnist": {
        "boundary": ((4_000, 4.24), (8_000, 4.24), (14_000, 2.13)),
        "opt": ((4_000, 3.65), (8_000, 2.41), (14_000, 1.76)),
        "sign_opt": ((4_000, 1.54), (8_000, 1.18), (14_000, 1.09)),
    },
    "cifar10": {
        "boundary": ((4_000, 3.12), (8_000, 2.84), (12_000, 0.78)),
        "opt": ((4_000, 0.77), (8_000, 0.43), (12_000, 0.33)),
        "sign_opt": ((4_000, 0.26), (8_000, 0.16), (12_000, 0.13)),
    },
}
TREES_L2 = {
    "mnist": {"opt": ((5_125, 0.6113), (11_858, 0.5576), (32_230, 0.5505))},
    "higgs": {"opt": ((4_229, 0.3458), (11_139, 0.2179), (29_598, 0.1704))},
}


def printed_medians(dataset: str, model: str, attack: str, norm: str, goal: str) -> tuple[tuple[int, float], ...]:
    """(queries, median distance) that the paper has for such a run; none where it has nothing."""
    if norm != "l2" or goal != "untargeted":
        return ()
    printed = TREES_L2 if model.endswith(".txt") else MEDIAN_L2
    return printed.get(dataset.rstrip("/").rsplit("/", 1)[-1].lower(), {}).get(attack, ())
