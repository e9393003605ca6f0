"""Figures that papers print, to be drawn beside ours."""

from __future__ import annotations

# Median L2 against queries, untargeted (Cheng's dissertation, Table 2.2, whose "Avg" is a median). Distances of OPT and
# Sign-OPT are of the unclipped image there, and queries the authors' own count.
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


def printed_medians(dataset: str, attack: str, norm: str, goal: str) -> tuple[tuple[int, float], ...]:
    """(queries, median distance) that the paper has for such a run; none where it has nothing."""
    if norm != "l2" or goal != "untargeted":
        return ()
    return MEDIAN_L2.get(dataset.rstrip("/").rsplit("/", 1)[-1].lower(), {}).get(attack, ())
