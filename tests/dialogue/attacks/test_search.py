"""The searches against exhaustive ones, on small vocabularies and losses of any shape."""

import pytest
import torch

from dialogue.attacks.search import HINGE_WEIGHT, _whole_rows, search

PAD, WORDS = 0, torch.tensor([1, 2, 3, 4])
LENGTH = 3
IDS = torch.tensor([[1, 2, 3], [4, 4, 1], [2, 1, 1], [3, 3, 3]])


def landscape(seed: int, infeasible: float = 0.3):
    """A loss and a hinge for every sentence of every row, drawn by chance, and a function that looks them up."""
    generator = torch.Generator().manual_seed(seed)
    size = (len(IDS), *[5] * LENGTH)
    losses = torch.randn(size, generator=generator, dtype=torch.float64)
    hinges = torch.rand(size, generator=generator, dtype=torch.float64)
    hinges[torch.rand(size, generator=generator) > infeasible] = 0
    seen = []

    def score(owner, ids, alike, everything):
        seen.append(len(ids))
        place = (owner, *ids.T)
        hinge = hinges[place]
        return losses[place].where((hinge == 0) | torch.tensor(everything), torch.inf), hinge

    return losses, hinges, score, seen


def value(losses, hinges, row, sentence):
    place = (row, *sentence)
    return losses[place].item() if hinges[place] == 0 else 1e6 + hinges[place].item()


@pytest.mark.parametrize("seed", range(5))
def test_coordinate_takes_the_best_single_change_each_time(seed):
    losses, hinges, score, seen = landscape(seed)
    free = torch.ones_like(IDS, dtype=torch.bool)
    found = search(IDS, free, WORDS, score, method="coordinate", changes=2, enough=-1e9, pad=PAD)
    for row in range(len(IDS)):
        current, taken = tuple(IDS[row].tolist()), set()
        best = value(losses, hinges, row, current)
        for _ in range(2):
            options = [
                (*current[:place], word, *current[place + 1 :])
                for place in range(LENGTH)
                if place not in taken
                for word in WORDS.tolist()
                if word != current[place]
            ]
            after = min(options, key=lambda one: value(losses, hinges, row, one))
            taken |= {place for place in range(LENGTH) if after[place] != current[place]}
            current = after
            best = min(best, value(losses, hinges, row, current))
        if best < 1e6:
            assert found.loss[row].item() == best == losses[(row, *found.ids[row])].item()
            assert hinges[(row, *found.ids[row])] == 0, "the constraint holds"
        else:
            assert found.loss[row] == torch.inf
        assert (found.ids[row] != IDS[row]).sum() <= 2
    assert (found.candidates == 1 + 3 * 4 + 2 * 4).all() and found.candidates.sum() == sum(seen)


def test_one_change_of_two_words_is_the_exhaustive_optimum():
    """A sentence of one free place: both searches see every sentence that there is."""
    losses, hinges, score, _ = landscape(9)
    free = torch.zeros_like(IDS, dtype=torch.bool)
    free[:, 1] = True
    for method in ("coordinate", "pad_greedy"):
        found = search(IDS, free, WORDS, score, method=method, changes=1, enough=-1e9, pad=PAD)
        for row, (first, _, last) in enumerate(IDS.tolist()):
            best = min(value(losses, hinges, row, (first, word, last)) for word in WORDS.tolist())
            assert found.loss[row].item() == (best if best < 1e6 else torch.inf)


def test_pad_greedy_replaces_the_word_whose_loss_is_cheapest():
    losses, hinges, score, seen = landscape(3)
    free = torch.ones_like(IDS, dtype=torch.bool)
    found = search(IDS, free, WORDS, score, method="pad_greedy", changes=1, enough=-1e9, pad=PAD)
    for row in range(len(IDS)):
        original = tuple(IDS[row].tolist())
        padded = [(*original[:place], PAD, *original[place + 1 :]) for place in range(LENGTH)]
        costs = [losses[(row, *one)].item() + HINGE_WEIGHT * hinges[(row, *one)].item() for one in padded]
        place = costs.index(min(costs))
        options = [(*original[:place], word, *original[place + 1 :]) for word in WORDS.tolist()]
        best = min(value(losses, hinges, row, one) for one in options)
        assert found.loss[row].item() == (best if best < 1e6 else torch.inf)
    assert (found.candidates == 1 + 3 + 4).all() and found.candidates.sum() == sum(seen)


@pytest.mark.parametrize("method", ["coordinate", "pad_greedy"])
def test_a_row_is_searched_as_if_alone(method):
    _losses, _, score, _ = landscape(4)
    free = torch.tensor([[True, True, False], [False, False, False], [True, True, True], [False, True, True]])
    options = {"method": method, "changes": 2, "enough": -0.5, "pad": PAD}
    together = search(IDS, free, WORDS, score, **options)
    assert torch.equal(together.ids[~free], IDS[~free]), "what isn't free stays"
    for row in range(len(IDS)):
        alone = search(
            IDS[row : row + 1],
            free[row : row + 1],
            WORDS,
            lambda owner, ids, alike, everything, row=row: score(owner + row, ids, alike, everything),
            **options,
        )
        for name in ("ids", "loss", "candidates"):
            assert torch.equal(getattr(alone, name)[0], getattr(together, name)[row]), name


def test_what_is_good_enough_is_left_alone():
    losses, hinges, score, seen = landscape(5, infeasible=0)
    free = torch.ones_like(IDS, dtype=torch.bool)
    found = search(IDS, free, WORDS, score, method="coordinate", changes=2, enough=1e9, pad=PAD)
    assert torch.equal(found.ids, IDS) and seen == [len(IDS)]
    assert found.loss.tolist() == [losses[(row, *ids)].item() for row, ids in enumerate(IDS.tolist())]
    assert hinges.max() == 0


def test_rows_are_searched_whole_and_some_at_a_time():
    """So that what is kept of a row's candidates doesn't depend on the rows beside it."""
    generator = torch.Generator().manual_seed(0)
    for at_once in (1, 4, 9, 100):
        sizes = torch.randint(1, 12, (30,), generator=generator)
        parts = _whole_rows(sizes, at_once)
        assert torch.equal(torch.cat(parts), torch.arange(int(sizes.sum())))
        ends = set(sizes.cumsum(0).tolist())
        assert {int(part[-1]) + 1 for part in parts} <= ends
        assert all(len(part) < at_once + int(sizes.max()) for part in parts)
