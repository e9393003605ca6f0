"""The white-box attacks: batched scores against one-at-a-time ones, the constraint, replays, what can't be attacked."""

import pytest
import torch
from negotiators import WORDS, ready_to_end, tiny_agent

from dialogue.attacks.adaptive import AdaptiveAdversary
from dialogue.attacks.attack import attack
from dialogue.attacks.goal import ENOUGH, gains, margin
from dialogue.attacks.preemptive import PreemptiveAdversary
from dialogue.attacks.reactive import ReactiveAdversary
from dialogue.attacks.white_box import Memory
from dialogue.configs import AttackConfig, BadInput
from dialogue.domain import NO_DEAL, SHARES, all_scenarios
from dialogue.selfplay import Table
from dialogue.types import EOS, MARKS, SELECTION, THEM, YOU, Attempt, Utterances

SCENARIOS = all_scenarios()[::400]
NUMBER = {word: i for i, word in enumerate(WORDS)}


def adversary(kind=ReactiveAdversary, target=None, **options):
    target = target or ready_to_end()
    return kind(tiny_agent(0, temperature=1.0), target, AttackConfig(**options))


def begun(one, lines):
    """Memories after the partner has said a line in each dialogue."""
    scenarios = SCENARIOS[: len(lines)]
    memory = one.begin(scenarios, torch.arange(len(lines)))
    one.read(memory, torch.arange(len(lines)), Utterances.of(lines, tuple(WORDS)))
    return memory


def words_heard(memory, row, sentence, *behind):
    """What the target has in mind of a row, once it has heard a sentence, and more behind it."""
    history = memory.target.words[row, : memory.target.lengths[row]].tolist()
    return torch.tensor([[*history, NUMBER[THEM], *sentence, *(NUMBER[word] for word in behind)]])


def decided(one, memory, row, words):
    """(1, C) choice scores of the target's forward pass over whole dialogues: no cache, no batch."""
    from dialogue.agent import choice_scores

    talk = memory.target
    logits = one.target(words, torch.tensor([words.shape[1]]), talk.counts[row : row + 1], talk.values[row : row + 1])
    return choice_scores(logits.selection_logits, talk.counts[row : row + 1])


LINES = ["i take the ball <eos>", "deal <eos>", "you want books ? <eos>"]
BASE = Utterances.of(["you take book <eos>", "i want the hats <eos>", "ok <eos>"], tuple(WORDS))


def candidates(told):
    """Two changes of each base sentence, at a place of its own; which words are alike may be told, or not."""
    owner, place = torch.tensor([0, 2, 1, 1, 0, 2]), torch.tensor([1, 0, 2, 2, 1, 0])
    ids = BASE.ids[owner].clone()
    ids[torch.arange(6), place] = torch.tensor([NUMBER[word] for word in "take deal i book ball hat".split()])
    return owner, ids, place if told else torch.zeros_like(place)


@pytest.mark.parametrize("told", [True, False])
def test_reactive_scores_are_those_of_one_sentence_at_a_time(told):
    one = adversary(objective="paper")
    memory = begun(one, LINES)
    owner, ids, alike = candidates(told)
    loss, hinge = one._reactive(memory, torch.arange(3), BASE)(owner, ids, alike, True)
    lazy, same = one._reactive(memory, torch.arange(3), BASE)(owner, ids, alike, False)
    assert torch.equal(hinge, same)
    assert torch.allclose(lazy, loss.where(hinge == 0, torch.inf)), "the decision is asked where (3.9) holds, only"
    gain = gains(SCENARIOS[:3])
    for i, row in enumerate(owner.tolist()):
        sentence = ids[i, : BASE.lengths[row]].tolist()
        words = words_heard(memory, row, sentence, YOU)
        talk = memory.target
        output = one.target(
            words, torch.tensor([words.shape[1]]), talk.counts[row : row + 1], talk.values[row : row + 1]
        )
        logits = output.logits[0, -1].clone()
        logits[[NUMBER[word] for word in ("<unk>", "<pad>", YOU, THEM)]] = -torch.inf
        chosen = logits[NUMBER[SELECTION]].item()
        logits[NUMBER[SELECTION]] = -torch.inf
        assert hinge[i].item() == pytest.approx(max(logits.max().item() - chosen, 0), abs=1e-12)
        scores = decided(one, memory, row, words_heard(memory, row, sentence, YOU, SELECTION))
        assert loss[i].item() == pytest.approx(margin(scores, gain[row : row + 1]).item(), abs=1e-10)


@pytest.mark.parametrize("told", [True, False])
def test_preemptive_scores_are_those_of_one_sentence_at_a_time(told):
    one = adversary(PreemptiveAdversary, objective="paper")
    memory = begun(one, LINES)
    owner, ids, alike = candidates(told)
    loss, hinge = one._preemptive(memory, torch.arange(3), BASE, 1)(owner, ids, alike, False)
    assert not hinge.any()
    gain = gains(SCENARIOS[:3])
    for i, row in enumerate(owner.tolist()):
        sentence = ids[i, : BASE.lengths[row]].tolist()
        fork = memory.target.fork(torch.tensor([row]))
        one.target.read(fork, torch.tensor([0]), Utterances(ids[i : i + 1], BASE.lengths[row : row + 1], tuple(WORDS)))
        [reply] = one.target.write(fork, torch.tensor([0])).texts()
        behind = [YOU, *reply.split(), *([] if reply.endswith(SELECTION) else [THEM, SELECTION])]
        scores = decided(one, memory, row, words_heard(memory, row, sentence, *behind))
        assert loss[i].item() == pytest.approx(margin(scores, gain[row : row + 1]).item(), abs=1e-10)


def test_replies_that_are_tried_are_a_mean_over_series():
    """k replies are k different draws, the same for every candidate of a dialogue, and none is the real one."""
    one = adversary(PreemptiveAdversary, target=tiny_agent(1, temperature=1.0), objective="paper")
    memory = begun(one, LINES)
    owner, ids, alike = candidates(False)
    first, _ = one._preemptive(memory, torch.arange(3), BASE, 1)(owner, ids, alike, False)
    many, _ = one._preemptive(memory, torch.arange(3), BASE, 4)(owner, ids, alike, False)
    again, _ = one._preemptive(memory, torch.arange(3), BASE, 4)(owner.flip(0), ids.flip(0), alike, False)
    assert torch.allclose(many.flip(0), again, atol=1e-10) and not torch.allclose(first, many)
    assert memory.queries.tolist() == [2 * 9] * 3


def played(one, tables, seed=0, **options):
    return attack(one, one.target, tables, seed=seed, **{"max_turns": 4} | options)


TABLES = [Table(i, scenario) for i, scenario in enumerate(SCENARIOS)]
KINDS = {"reactive": ReactiveAdversary, "preemptive": PreemptiveAdversary, "adaptive": AdaptiveAdversary}


@pytest.mark.parametrize("objective", ["paper", "released"])
@pytest.mark.parametrize("search", ["pad_greedy", "coordinate"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_every_attack_keeps_to(kind, search, objective):
    one = adversary(KINDS[kind], search=search, objective=objective, turn=1)
    records = played(one, TABLES)
    attacked = 0
    for record in records:
        own = [text for speaker, text in zip(record.speakers, record.turns, strict=True) if speaker == 0]
        assert (
            len(record.kinds)
            == len(record.bases)
            == len(record.losses)
            == len(own) - record.cut * (record.speakers[-1] == 0)
        )
        for said, base, name, loss in zip(own, record.bases, record.kinds, record.losses, strict=False):
            if name == "closing":
                assert said == SELECTION
                continue
            one_, other = said.split(), base.split()
            assert len(one_) == len(other) and sum(a != b for a, b in zip(one_, other, strict=True)) <= 2
            assert not {*MARKS, YOU, THEM} & {*one_[:-1]}, "no special tokens"
            assert (loss is None) == (name == "regular")
            if name != "regular":
                attacked += 1
            if name == "adaptive":
                assert loss <= ENOUGH[kind][objective]
        assert record.success == (record.score > record.partner_score)
        assert record.candidates <= record.queries
        left = tuple(n - m for n, m in zip(record.counts, record.partner_choice, strict=False))
        assert tuple(record.choice) == left, "the adversary takes what is left; nothing where there is no deal"
    assert attacked
    # The same seed gives the same records, in whatever batch; another seed others.
    again = [*played(one, TABLES[:1]), *played(one, TABLES[1:])]
    assert [plain(record) for record in again] == [plain(record) for record in records]
    assert [plain(record) for record in played(one, TABLES[::2], seed=1)] != [plain(record) for record in records[::2]]


def plain(record):
    return {
        name: value for name, value in vars(record).items() if name not in ("seconds", "losses", "perplexity_ratios")
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_replay_gives_the_recorded_choice(kind):
    """A greedy target that hears the recorded sentences says what is recorded, and takes it."""
    one = adversary(KINDS[kind], turn=1)
    target = one.target
    for table, record in zip(TABLES, played(one, TABLES), strict=True):
        talk, row = target.begin([table.scenario.swapped], torch.tensor([5])), torch.tensor([0])
        for i, (speaker, text) in enumerate(zip(record.speakers, record.turns, strict=True)):
            if speaker == 0 or (record.cut and i == len(record.turns) - 1):
                target.read(talk, row, Utterances.of([text], tuple(WORDS)), own=speaker == 1)
            else:
                assert target.write(talk, row).texts() == [text]
        choice = int(target.choose(talk, row))
        assert record.partner_choice == ([] if choice == NO_DEAL else list(SHARES[choice]))
        for place, kind_ in enumerate(record.kinds):
            if kind_ == "reactive":
                turn = [i for i, speaker in enumerate(record.speakers) if speaker == 0][place]
                assert record.turns[turn + 1] == SELECTION, "the constraint (3.9) was kept"


def test_the_limits_of_an_attack():
    kept = {"book", "hat", "ball", "books", "hats", "balls"}
    one = adversary(protect_deal=True, turn=1)
    assert not kept & {WORDS[i] for i in one.words.tolist()}
    for record in played(one, TABLES):
        own = [text for speaker, text in zip(record.speakers, record.turns, strict=True) if speaker == 0]
        for said, base in zip(own, record.bases, strict=False):
            pairs = list(zip(said.split(), base.split(), strict=True))
            assert all(a == b for a, b in pairs if {a, b} & kept)
    limited = [
        ratio for r in played(adversary(max_perplexity_ratio=1.2, turn=1), TABLES) for ratio in r.perplexity_ratios
    ]
    free = [ratio for r in played(adversary(turn=1), TABLES) for ratio in r.perplexity_ratios]
    assert max(limited) <= 1.2 + 1e-9 < max(free)


def test_a_decision_that_ignores_the_words_is_not_moved():
    target = tiny_agent(1, temperature=0.0)
    with torch.no_grad():
        target.heads.weight.zero_()
        target.heads.bias.copy_(torch.arange(36.0).view(6, 6).flip(1).flatten())  # a liking of its own
    one = adversary(AdaptiveAdversary, target=target, objective="paper")
    records = played(one, TABLES)
    taken = {(tuple(record.counts), tuple(record.partner_choice)) for record in records}
    assert len(taken) == len({tuple(record.counts) for record in records}), "by the counts alone"
    for record in records:
        losing = record.score <= record.partner_score
        assert not losing or not {"reactive", "preemptive"} & {*record.kinds}


def test_who_cannot_be_attacked():
    with pytest.raises(BadInput, match="different vocabularies"):
        ReactiveAdversary(tiny_agent(0, words=[*WORDS, "more"]), tiny_agent(1), AttackConfig())
    with pytest.raises(BadInput, match="no inside to look at"):
        ReactiveAdversary(tiny_agent(0), object(), AttackConfig())


def test_a_sentence_that_ends_the_talk_is_not_attacked():
    one = adversary(objective="paper")
    memory = begun(one, LINES)
    base = Utterances.of(["you take book <selection>", "<selection>", "you take book <eos>"], tuple(WORDS))
    memory.attempts = [[Attempt("regular", text)] for text in base.texts()]
    due = torch.ones(3, dtype=torch.bool)
    said, found = one.replaced(memory, torch.arange(3), base, due, "reactive", only_successes=False)
    assert (memory.candidates > 0).tolist() == [False, False, True]
    assert not found[:2].any() and said.texts()[:2] == base.texts()[:2]


def test_nothing_is_left_behind_in_the_adversarys_memory():
    """What it remembers is what was said: its own sentences once, the attacked ones as they were said."""
    one = adversary(AdaptiveAdversary)
    memory = begun(one, LINES)
    assert isinstance(memory, Memory)
    said = one.write(memory, torch.arange(3))
    for row, text in enumerate(said.texts()):
        expected = f"{THEM} {LINES[row]} {YOU} {text}".split()
        own = memory.own.words[row, : memory.own.lengths[row]].tolist()
        assert [WORDS[i] for i in own] == expected
        mirrored = [WORDS[i] for i in memory.target.words[row, : memory.target.lengths[row]].tolist()]
        assert mirrored == [{YOU: THEM, THEM: YOU}.get(word, word) for word in expected]
    assert EOS in said.texts()[0] or SELECTION in said.texts()[0]
