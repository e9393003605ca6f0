"""The losses against references in plain Python, written from the formulas; the judgement of decoded text."""

import random
from dataclasses import replace

import pytest
import tiny
import torch

from textadv.attack import clean_batch, non_overlapping_goal
from textadv.goals import (
    NOWHERE,
    UNASKED,
    NonOverlapping,
    TargetedKeywords,
    keywords_loss,
    lead,
    non_overlapping_loss,
)
from textadv.released import ReleasedKeywords, ReleasedNonOverlapping
from textadv.sources import Sources
from textadv.types import Example
from textadv.vocabulary import Vocabulary

END = 1


def random_logits(kind: str, *shape: int, seed: int = 0) -> torch.Tensor:
    """Logits of every sign, all below zero, or of few different values so that most maxima are ties."""
    draw = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=draw, dtype=torch.float64) * 3
    return {
        "any": values,
        "negative": -values.abs() - 0.5,
        "ties": values.sign() * values.abs().clamp(max=2).round(),
    }[kind]


# References: lists in, a number out ---------------------------------------------------------------------


def hinge(z: list[float], piece: int, margin: float) -> float:
    """max(-eps, z[piece] - max of the others): a summand of (2.8)."""
    return max(-margin, z[piece] - max(value for y, value in enumerate(z) if y != piece))


def distance(z: list[float], piece: int, margin: float) -> float:
    """max(-eps, max of the others - z[piece]): what (2.9) takes the least of."""
    return max(-margin, max(value for y, value in enumerate(z) if y != piece) - z[piece])


def overlap(logits, clean, counted, written, margin) -> float:
    """(2.8) over the counted positions that the output has, and the end piece of an output below half."""
    total = 0.0
    for t in range(min(len(clean), len(written))):
        if counted[t]:
            total += hinge(logits[t], clean[t], margin)
    if written[-1] == END and 2 * (len(written) - 1) < sum(counted):
        total += hinge(logits[len(written) - 1], END, margin)
    return total


def single_keywords(logits, keywords, margin, masked) -> float:
    """(2.12) as printed, for keywords of one piece; only a keyword's own places stay open to it in (2.11)."""
    total = 0.0
    for keyword in keywords:
        costs = []
        for z in logits:
            top = z.index(max(z))
            if not (masked and top in keywords and top != keyword):
                costs.append(distance(z, keyword, margin))
        total += min(costs, default=NOWHERE)
    return total


def windowed_keywords(logits, written, keywords, margin, masked) -> float:
    """The same for keywords of several pieces: a place is a window.

    It costs what its dearest piece does, up to the first that isn't written; the others cost UNASKED each.
    """
    total = 0.0
    for k, keyword in enumerate(keywords):
        costs = []
        for start in range(len(written)):
            mine = range(start, start + len(keyword))
            taken = any(
                other != k and written[at : at + len(pieces)] == pieces and set(mine) & {*range(at, at + len(pieces))}
                for other, pieces in enumerate(keywords)
                for at in range(len(written) - len(pieces) + 1)
            )
            asked = next((p for p in range(len(keyword)) if written[start : start + p + 1] != keyword[: p + 1]), None)
            asked = len(keyword) if asked is None else asked + 1
            cost = max(
                distance(logits[start + p], keyword[p], margin) if start + p < len(written) else NOWHERE
                for p in range(asked)
            )
            costs.append(NOWHERE if masked and taken else cost + UNASKED * (len(keyword) - asked))
        total += min(costs)
    return total


# (2.8) --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["any", "negative", "ties"])
def test_lead_is_the_distance_to_the_best_other_piece(kind):
    logits = random_logits(kind, 5, 7, 6)
    labels = torch.arange(6).expand(5, 7, 6)
    expected = [[[z[y] - max(z[:y] + z[y + 1 :]) for y in range(6)] for z in row] for row in logits.tolist()]
    torch.testing.assert_close(lead(logits, labels), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["any", "negative", "ties"])
@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_non_overlapping_loss_is_2_8(kind, margin):
    logits = random_logits(kind, 20, 6, 8)
    clean = torch.randint(0, 8, (20, 6), generator=torch.Generator().manual_seed(1))
    loss = non_overlapping_loss(lead(logits, clean[..., None])[..., 0], torch.ones(20, 6), margin)
    for row, z in enumerate(logits.tolist()):
        expected = sum(hinge(z[t], clean[row, t].item(), margin) for t in range(6))
        assert loss[row].item() == pytest.approx(expected, abs=1e-6)


def unequal_outputs(kind: str, seed: int = 0):
    """12 rows whose clean and adversarial outputs have 1 to 7 pieces each, in any combination."""
    draw = random.Random(seed)
    rows, width, pieces = 12, 7, 9
    labels = torch.zeros(rows, width, dtype=torch.long)
    counted = torch.zeros(rows, width, dtype=torch.bool)
    logits = random_logits(kind, rows, width, pieces, seed=seed)
    outputs, lengths = logits.argmax(-1), torch.zeros(rows, dtype=torch.long)
    for row in range(rows):
        clean = draw.randint(1, width)
        labels[row, :clean] = torch.tensor([draw.randrange(2, pieces) for _ in range(clean - 1)] + [END])
        counted[row, : max(clean - 1 - draw.randrange(2), 0)] = True  # some end with a punctuation mark
        lengths[row] = draw.randint(1, width)
        outputs[row, lengths[row] - 1] = END
        outputs[row, lengths[row] :] = 0
    return labels, counted, logits, outputs, lengths


@pytest.mark.parametrize("kind", ["any", "negative", "ties"])
@pytest.mark.parametrize("margin", [0.0, 0.7])
@pytest.mark.parametrize("width", [4, 7, 10])  # of the clean outputs' table: narrower and wider than the output
def test_non_overlapping_goal_on_unequal_lengths(kind, margin, width):
    labels, counted, logits, outputs, lengths = unequal_outputs(kind)
    wide_labels = torch.nn.functional.pad(labels, (0, 3))[:, :width]
    wide_counted = torch.nn.functional.pad(counted, (0, 3))[:, :width]
    rows = torch.tensor([5, 0, 11, 5, 3, 7, 2, 2, 9, 1, 6, 4])  # rows of the goal, in any order and repeated
    goal = NonOverlapping([""] * 12, wide_labels, wide_counted, end_id=END, margin=margin)
    loss = goal.loss(goal.leads(logits, rows), outputs, lengths, rows)
    for i, row in enumerate(rows.tolist()):
        written = outputs[i, : lengths[i]].tolist()
        arguments = wide_labels[row].tolist(), wide_counted[row].tolist(), written, margin
        assert loss[i].item() == pytest.approx(overlap(logits[i].tolist(), *arguments), abs=1e-6)


def test_an_output_below_half_is_held_against_the_attacker():
    """Clean output of 6 counted pieces and an end: 2 pieces and an end are too few, 3 are enough."""
    labels = torch.tensor([[2, 3, 4, 5, 6, 7, END]])
    goal = NonOverlapping([""], labels, labels != END, end_id=END)
    rows = torch.tensor([0])
    for length, expected in ((1, 4.0), (3, 4.0), (4, 0.0), (5, 0.0)):
        logits = torch.zeros(1, length, 9, dtype=torch.float64)
        logits[0, :, 8] = 3.0  # another word everywhere,
        logits[0, -1, END] = 7.0  # and an end that leads by 7 - 3 = 4
        logits.requires_grad_()
        loss = goal.loss(goal.leads(logits, rows), logits.argmax(-1), torch.tensor([length]), rows)
        assert loss.item() == expected
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert gradient[0, -1, END].item() == (1.0 if expected else 0.0)


def test_the_clean_output_itself_is_no_success():
    labels, counted, _, _, _ = unequal_outputs("any")
    logits = torch.nn.functional.one_hot(labels, 9).double()
    goal = NonOverlapping([""] * 12, labels, counted, end_id=END)
    lengths = (labels == END).long().argmax(1) + 1
    loss = goal.loss(goal.leads(logits, torch.arange(12)), labels, lengths, torch.arange(12))
    assert torch.equal(loss, counted.sum(1).double())  # a lead of 1 at every counted position


def test_what_counts_are_the_words_up_to_the_last():
    """Neither the end piece of a clean output counts nor the punctuation before it; commas inside do."""
    victim = tiny.victim(tiny.word_level())
    batch = clean_batch(Vocabulary(victim), [Example(i, text) for i, text in enumerate(["a dog", "the cat"])])
    tokenizer = victim.tokenizer
    for text, expected in (("dog , cat . !", "1110000"), ("dog cat", "1100000"), (". !", "0000000")):
        ids = [*tokenizer.convert_tokens_to_ids(text.split()), END]
        pieces = torch.tensor([ids + [victim.pad_id] * (7 - len(ids))] * 2)
        goal = non_overlapping_goal(replace(batch, outputs=[text] * 2, pieces=pieces))
        assert "".join(str(int(value)) for value in goal.counted[0]) == expected


# (2.9) to (2.12) ----------------------------------------------------------------------------------------


def table(keywords: list[list[list[int]]]) -> torch.Tensor:
    """(N, K, P), -1 where there is less."""
    most, longest = max(map(len, keywords)), max(len(word) for words in keywords for word in words)
    pieces = torch.full((len(keywords), most, longest), -1)
    for row, words in enumerate(keywords):
        for k, word in enumerate(words):
            pieces[row, k, : len(word)] = torch.tensor(word)
    return pieces


@pytest.mark.parametrize("kind", ["any", "negative", "ties"])
@pytest.mark.parametrize("margin", [0.0, 0.7])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_keywords_loss_is_2_12(kind, margin, masked, count):
    """Six pieces only, so that keywords are on top often, at position 0 too; masked=False is (2.10)."""
    draw = random.Random(count)
    logits = random_logits(kind, 60, 5, 6, seed=count)
    logits[0, 0, 3] = 50.0  # a keyword on top at position 0
    keywords = [draw.sample(range(6), count) for _ in range(60)]
    keywords[0] = [3, *(k for k in range(6) if k != 3)][:count]
    pieces = table([[[k] for k in words] for words in keywords])
    leads = lead(logits, pieces.flatten(1)[:, None].expand(-1, 5, -1)).unflatten(-1, pieces.shape[1:])
    written = logits.argmax(-1)
    valid = torch.ones(60, 5, dtype=torch.bool)
    loss = keywords_loss(leads, written, valid, pieces, margin=margin, masked=masked)
    for row, z in enumerate(logits.tolist()):
        assert [v.index(max(v)) for v in z] == written[row].tolist()  # both break ties alike
        assert loss[row].item() == pytest.approx(single_keywords(z, keywords[row], margin, masked), abs=1e-6)


@pytest.mark.parametrize("kind", ["any", "negative", "ties"])
@pytest.mark.parametrize("margin", [0.0, 0.7])
@pytest.mark.parametrize("seed", range(4))
def test_keywords_of_several_pieces_and_outputs_of_any_length(kind, margin, seed):
    draw = random.Random(seed)
    rows = 40
    logits = random_logits(kind, rows, 6, 7, seed=seed)
    keywords = []
    for _ in range(rows):
        sizes = [draw.randint(1, 3) for _ in range(draw.randint(1, 4))]
        keywords.append([[draw.randrange(7) for _ in range(size)] for size in sizes])
    lengths = torch.tensor([draw.randint(1, 6) for _ in range(rows)])
    written = logits.argmax(-1)
    for row in range(0, rows, 2):  # in half of the rows some keyword is written, at position 0 or wherever it fits
        word = draw.choice(keywords[row])
        at = draw.choice([0, draw.randint(0, 6 - len(word))])
        written[row, at : at + len(word)] = torch.tensor(word)
    goal = TargetedKeywords([[]] * rows, table(keywords), margin=margin)
    at = torch.arange(rows)
    loss = goal.loss(goal.leads(logits, at), written, lengths, at)
    for row in range(rows):
        here = written[row, : lengths[row]].tolist()
        expected = windowed_keywords(logits[row].tolist(), here, keywords[row], margin, True)
        assert loss[row].item() == pytest.approx(expected, abs=1e-6)


def test_a_keyword_in_front_is_found():
    """`if mask:` on a position is false for position 0, a slip of the released code."""
    logits = torch.zeros(1, 3, 5, dtype=torch.float64)
    logits[0, 0, 2] = 4.0  # keyword 2 stands at position 0
    logits[0, 0, 3] = 3.0  # where keyword 3 would be cheapest: 1, against 2 at position 1
    logits[0, 1, 4], logits[0, 2, 4] = 2.0, 5.0
    goal = TargetedKeywords([["x", "y"]], torch.tensor([[[2], [3]]]))
    rows = torch.tensor([0])
    loss = goal.loss(goal.leads(logits, rows), logits.argmax(-1), torch.tensor([3]), rows)
    assert loss.item() == 2.0


@pytest.mark.parametrize("masked", [True, False])
def test_the_mask_sends_colliding_keywords_to_different_places(masked):
    """Both keywords are cheapest at position 2. Descent along (2.12) places both, along (2.10) never."""
    logits = torch.zeros(1, 5, 8, dtype=torch.float64)
    logits[..., 0] = 3.0
    logits[0, 2, 5], logits[0, 2, 6] = 2.0, 1.9
    pieces = torch.tensor([[[5], [6]]])
    valid = torch.ones(1, 5, dtype=torch.bool)
    together = 0
    for _ in range(200):
        logits = logits.detach().requires_grad_()
        leads = lead(logits, pieces.flatten(1)[:, None].expand(-1, 5, -1)).unflatten(-1, (2, 1))
        written = logits.argmax(-1)
        together = max(together, int(torch.isin(torch.tensor([5, 6]), written).sum()))
        loss = keywords_loss(leads, written, valid, pieces, masked=masked)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        logits = logits - 0.05 * gradient
    assert together == (2 if masked else 1)


# Gradients, and leads taken while decoding --------------------------------------------------------------


def finite_differences(function, logits: torch.Tensor, step: float = 1e-6) -> torch.Tensor:
    gradient = torch.zeros_like(logits)
    for i in range(logits.numel()):
        for sign in (1, -1):
            moved = logits.clone()
            moved.view(-1)[i] += sign * step
            gradient.view(-1)[i] += sign * function(moved.tolist()) / (2 * step)
    return gradient


@pytest.mark.parametrize("kind", ["any", "negative"])
@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_gradients_against_finite_differences(kind, margin):
    rows = torch.tensor([0])
    labels, counted, logits, outputs, lengths = unequal_outputs(kind, seed=3)
    keywords = [[2], [3, 4], [5]]
    words = TargetedKeywords([[]], table([keywords]), margin=margin)
    nonzero = 0
    for row in range(len(logits)):
        overlaps = NonOverlapping([""], labels[row : row + 1], counted[row : row + 1], end_id=END, margin=margin)
        written, length = outputs[row, : lengths[row]].tolist(), lengths[row : row + 1]
        clean = labels[row].tolist(), counted[row].tolist()
        for goal, reference in (
            (overlaps, lambda z, clean=clean, written=written: overlap(z, *clean, written, margin)),
            (words, lambda z, written=written: windowed_keywords(z, written, keywords, margin, True)),
        ):
            z = logits[row : row + 1].clone().requires_grad_()
            loss = goal.loss(goal.leads(z, rows), outputs[row : row + 1], length, rows)
            gradient = torch.zeros_like(z)
            if loss.requires_grad:
                (gradient,) = torch.autograd.grad(loss.sum(), z)
            torch.testing.assert_close(gradient[0], finite_differences(reference, logits[row]), rtol=0, atol=1e-6)
            nonzero += int(gradient.any())
    assert nonzero >= 10


@pytest.mark.parametrize("kind", [NonOverlapping, ReleasedNonOverlapping, TargetedKeywords, ReleasedKeywords])
@pytest.mark.parametrize("family", ["Marian", "T5"])
def test_leads_taken_while_decoding_are_those_of_the_teacher_forced_pass(kind, family):
    victim = tiny.victim(tiny.unigram(), family)
    sources = Sources(Vocabulary(victim), tiny.sentences(9, seed=2))
    size = victim.model.config.vocab_size
    victim.model.generation_config.eos_token_id = list(range(1, size, 5))  # so that some outputs end early
    draw = torch.Generator().manual_seed(0)
    if issubclass(kind, TargetedKeywords):
        goal = kind([[]] * 9, torch.randint(-1, size, (9, 3, 2), generator=draw))
    else:
        labels = torch.randint(2, size, (9, 4), generator=draw)  # shorter than most outputs
        goal = kind([""] * 9, labels, labels > 1, end_id=END)
    rows = torch.tensor([3, 8, 0, 1, 1, 7, 5, 6, 4])

    def observe(logits, at, t):
        return goal.leads(logits[:, None], rows[at], start=t)[:, 0]

    decoded = victim.greedy(sources.ids[rows], sources.mask[rows], observe)
    logits = victim.logits(sources.embeds[rows], sources.mask[rows], decoded.outputs)
    assert len(set(decoded.lengths.tolist())) > 1
    valid = (torch.arange(logits.shape[1]) < decoded.lengths[:, None])[..., None]
    torch.testing.assert_close(decoded.observed, goal.leads(logits, rows) * valid, rtol=1e-4, atol=1e-4)


# Judgement of text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "violations"),
    [
        ("Ein Hund läuft schnell.", 4),  # all of it
        ("Eine Katze läuft langsam.", 1),
        ("Eine Katze sitzt langsam.", 0),  # only the full stop is shared
        ("Der Ein Hund läuft schnell.", 0),  # the position rule sees nothing in common
        ("Zwei Katzen", 0),  # half as long
        ("Katzen", 1),
        ("", 2),  # two words are missing to half
    ],
)
def test_non_overlapping_violations(output, violations):
    goal = NonOverlapping(["?", "Ein Hund läuft schnell."], torch.zeros(2, 1), torch.zeros(2, 1), end_id=END)
    found = goal.violations(1, output)
    assert (found == 0) == (violations == 0)
    assert found >= violations


@pytest.mark.parametrize(
    ("output", "violations"),
    [
        ("Ein Hund läuft.", 1),
        ("Ein Hund sitzt.", 0),
        ("Sitzt der Hund?", 1),  # case counts
        ("Hunde und Sitze", 2),  # whole words
        ("sitzt, Hund", 0),
        ("", 2),
    ],
)
def test_keywords_violations(output, violations):
    goal = TargetedKeywords([[], ["Hund", "sitzt"]], torch.full((2, 1, 1), -1))
    assert goal.violations(1, output) == violations


def test_a_keyword_wanted_twice_is_there_twice():
    goal = TargetedKeywords([["Hund", "Hund"]], torch.full((1, 1, 1), -1))
    assert goal.violations(0, "Ein Hund") == 1
    assert goal.violations(0, "Hund und Hund") == 0
