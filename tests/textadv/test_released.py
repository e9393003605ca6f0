"""The authors' losses, slips included: one test for each numbered point of `released.py`."""

import pytest
import torch

from textadv.goals import NonOverlapping, TargetedKeywords
from textadv.released import ReleasedKeywords, ReleasedNonOverlapping, released_lead

END = 1
ROW = torch.tensor([0])


def random_logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3


def one_hot_lead(z: list[float], piece: int) -> float:
    """As released: the largest entry of z times a one-hot vector, less that of z times its complement."""
    return max(v * (y == piece) for y, v in enumerate(z)) - max(v * (y != piece) for y, v in enumerate(z))


@pytest.mark.parametrize("shift", [0.0, -20.0, 20.0])
def test_1_leads_are_taken_through_one_hot_products(shift):
    logits = random_logits(4, 6, 5) + shift
    leads = released_lead(logits, torch.arange(5).expand(4, 6, 5))
    for row in range(4):
        for t in range(6):
            expected = [one_hot_lead(logits[row, t].tolist(), y) for y in range(5)]
            assert leads[row, t].tolist() == pytest.approx(expected, abs=1e-12)


def test_1_a_negative_target_logit_counts_as_0_and_gets_no_gradient():
    """Piece 2 lacks 5 - (-3) = 8 to the top; the released loss says 5, and pulls the rival down only."""
    logits = torch.tensor([[[0.0, 1.0, -3.0, 5.0]]], dtype=torch.float64)
    lengths, pieces = torch.tensor([1]), torch.tensor([[[2]]])
    gradients = {}
    for kind, expected in ((TargetedKeywords, 8.0), (ReleasedKeywords, 5.0)):
        z = logits.clone().requires_grad_()
        goal = kind([["word"]], pieces)
        loss = goal.loss(goal.leads(z, ROW), z.argmax(-1), lengths, ROW)
        assert loss.item() == expected
        gradients[kind] = torch.autograd.grad(loss.sum(), z)[0][0, 0].tolist()
    assert gradients[TargetedKeywords] == [0, 0, -1, 1]
    assert gradients[ReleasedKeywords] == [0, 0, 0, 1]


def test_1_all_logits_below_zero_pass_for_success_though_the_clean_word_is_on_top():
    logits = torch.tensor([[[-5.0, -4.0, -1.0]]], dtype=torch.float64)
    labels, lengths = torch.tensor([[2]]), torch.tensor([1])
    right = NonOverlapping(["word"], labels, labels > 1, end_id=END)
    released = ReleasedNonOverlapping(["word"], labels, labels > 1, end_id=END)
    assert right.loss(right.leads(logits, ROW), labels, lengths, ROW).item() == 3.0
    assert released.loss(released.leads(logits, ROW), labels, lengths, ROW).item() == 0.0


def test_2_the_mask_never_fires():
    """Keyword 2 is on top at position 0 and there is where keyword 3 is cheapest: 1, and 4 at position 1."""
    logits = torch.tensor([[[1.0, 0.0, 6.0, 5.0], [6.0, 0.0, 1.0, 2.0]]], dtype=torch.float64)
    lengths, pieces = torch.tensor([2]), torch.tensor([[[2], [3]]])
    for kind, expected in ((TargetedKeywords, 4.0), (ReleasedKeywords, 1.0)):
        goal = kind([["one", "other"]], pieces)
        assert goal.loss(goal.leads(logits, ROW), logits.argmax(-1), lengths, ROW).item() == expected


def written(*outputs: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits in which each written piece leads by 1, the pieces, and their lengths."""
    width = max(map(len, outputs))
    pieces = torch.tensor([output + [0] * (width - len(output)) for output in outputs])
    return (
        torch.nn.functional.one_hot(pieces, 9).double(),
        pieces,
        torch.tensor([len(output) for output in outputs]),
    )


def loss_of(goal: NonOverlapping, *outputs: list[int], rows: torch.Tensor = ROW) -> list[float]:
    logits, pieces, lengths = written(*outputs)
    return goal.loss(goal.leads(logits, rows), pieces, lengths, rows).tolist()


def test_3_after_one_short_output_only_its_first_positions_are_ever_compared():
    clean = [2, 3, 4, 5, END]
    labels = torch.tensor([clean, clean])
    for kind, expected in ((NonOverlapping, [4.0, 4.0]), (ReleasedNonOverlapping, [5.0, 5.0])):
        goal = kind(["", ""], labels, labels > 1, end_id=END)
        assert loss_of(goal, clean, clean, rows=torch.tensor([0, 1])) == expected
    assert loss_of(goal, [7, 8, END]) == [0.0]
    assert loss_of(goal, [7, 8, 6, 5, END]) == [0.0]  # 5 is where it was, and nobody looks
    assert loss_of(goal, [2, 8, 6, 5, END]) == [1.0]
    assert loss_of(goal, clean, clean, rows=torch.tensor([0, 1])) == [
        3.0,
        5.0,
    ]  # the other example is as it was
    several = [2, END], [2, 3, END], clean  # of one example, in one batch: the shortest tells
    assert loss_of(goal, *several, rows=torch.tensor([1, 1, 1])) == [1.0, 2.0, 2.0]


def test_4_the_end_piece_counts_and_an_empty_output_is_a_success():
    labels = torch.tensor([[2, 3, 4, 5, END]])
    right = NonOverlapping([""], labels, labels > 1, end_id=END)
    for output, expected, expected_right in (([7, 7, 7, 7, END], 1.0, 0.0), ([END], 0.0, 1.0)):
        released = ReleasedNonOverlapping([""], labels, labels > 1, end_id=END)
        assert loss_of(released, output) == [expected]
        assert loss_of(right, output) == [expected_right]


def test_there_is_no_margin():
    labels = torch.tensor([[2, 3, END]])
    pieces = torch.tensor([[[7]]])
    logits, outputs, lengths = written([7, 8, 4])
    for margin in (0.0, 2.0):
        overlaps = ReleasedNonOverlapping([""], labels, labels > 1, end_id=END, margin=margin)
        words = ReleasedKeywords([["word"]], pieces, margin=margin)
        for goal in (overlaps, words):
            assert goal.loss(goal.leads(logits, ROW), outputs, lengths, ROW).item() == 0.0
