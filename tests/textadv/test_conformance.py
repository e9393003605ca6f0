"""What every attack of the package must keep to, on the embedded victim in float64."""

import copy
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial

import numpy as np
import pytest
import tiny
import torch

from textadv.baselines.baseline import BASELINES, baseline
from textadv.configs import BaselineConfig, Seq2SickConfig, VictimConfig
from textadv.limits import NO_LIMITS, Limits, MaxPerplexityRatio, MinSimilarity
from textadv.metrics import Perplexity
from textadv.seq2sick import seq2sick
from textadv.types import AttackRecord, Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary
from textadv.words import contains_words, disjoint, output_bleu, shares_no_position, split_words

SHORT = {"steps": 4, "candidates": 10, "refine_rounds": 2, "num_keywords": 1}
POOL = ["Hund", "Mann", "Katze", "Apfel", "Kind", "Brot"]


def limits_of(name: str) -> Limits:
    return ATTACKS[name].keywords.get("limits", NO_LIMITS)  # type: ignore[attr-defined]


ATTACKS: dict[str, Callable[..., list[AttackRecord]]] = {
    f"seq2sick {variant} {goal}": partial(
        seq2sick, config=Seq2SickConfig(variant=variant, goal=goal, **SHORT), pool=POOL
    )
    for variant in ("fixed", "paper", "released")
    for goal in ("non_overlapping", "keywords")
}
ATTACKS["seq2sick released, refined and restored"] = partial(
    seq2sick, config=Seq2SickConfig(variant="released", refine=True, restore=True, **SHORT)
)
ATTACKS["seq2sick fixed, any piece"] = partial(seq2sick, config=Seq2SickConfig(whole_words=False, **SHORT))

FEW = {"tries": 24, "word_candidates": 8, "swap_steps": 3, "swap_candidates": 16, "top_k": 8, "num_keywords": 1}
FEW |= {"gumbel_steps": 16, "gumbel_tries": 24, "initial_coefficient": 2.0}
FEW |= {"continuous_steps": 6, "continuous_step_size": 2.0}
THREE = Limits(max_words=3)
ATTACKS |= {
    f"{name} {goal}": partial(baseline, config=BaselineConfig(baseline=name, goal=goal, **FEW), pool=POOL, limits=THREE)
    for name in BASELINES
    for goal in ("non_overlapping", "keywords")
}
ATTACKS |= {
    f"{name}, any piece": partial(
        baseline, config=BaselineConfig(baseline=name, whole_words=False, **FEW), limits=THREE
    )
    for name in BASELINES
    if name != "word_importance"
}

LANGUAGE_MODEL, ENCODER = tiny.language_model(), tiny.encoder()
LIMITS = {
    "words that stay": Limits(protected=frozenset({"a", "the", "is", "dog", "with"})),
    "one word": Limits(max_words=1),
    "a share": Limits(max_words_share=0.15),
    "perplexity": Limits(on_text=(MaxPerplexityRatio(LANGUAGE_MODEL, 0.95),)),
    "similarity": Limits(on_text=(MinSimilarity(ENCODER, 0.97),)),
    "every limit": Limits(
        frozenset({"is", "dog"}), 3, 0.3, on_text=(MaxPerplexityRatio(LANGUAGE_MODEL, 1.1), MinSimilarity(ENCODER, 0.9))
    ),
}
LONGER = {"steps": 8, "candidates": 40, "refine_rounds": 3}
ATTACKS |= {
    f"seq2sick, {name}": partial(seq2sick, config=Seq2SickConfig(**LONGER), limits=LIMITS[name]) for name in LIMITS
}
SWAPS = {"baseline": "gradient_swaps", "swap_steps": 6, "swap_candidates": 60, "top_k": 16}
ATTACKS |= {
    f"gradient_swaps, {name}": partial(baseline, config=BaselineConfig(**SWAPS), limits=LIMITS[name]) for name in LIMITS
}
ATTACKS["seq2sick, any piece, every limit"] = partial(
    seq2sick, config=Seq2SickConfig(whole_words=False, **LONGER), limits=LIMITS["every limit"]
)
BUDGET = {name: limits.max_words for name in ATTACKS if (limits := limits_of(name)).max_words}

FROZEN = "Xqzv jkwpx!"  # holds no whole-word piece that may be replaced
EXAMPLES = [
    Example(0, "A grandmother is hurrying across a meadow.", "Eine Großmutter eilt über eine Wiese."),
    Example(4, "A hungry man with a basket is slowly bringing a cup to a baby."),
    Example(7, " "),
    Example(8, FROZEN),
    Example(9, "A lady is  marching (slowly) along the river, ox3."),
    Example(12, "The dog sleeps."),
]


@pytest.fixture(scope="module")
def vocabularies() -> dict[bool, Vocabulary]:
    """For whole words and for any piece; attacked records must not depend on what was attacked before."""
    victim = embedded_victim()
    return {whole_words: Vocabulary(victim, whole_words=whole_words) for whole_words in (True, False)}


def embedded_victim() -> Victim:
    victim = Victim.from_pretrained(VictimConfig(num_beams=2, max_new_tokens=12))
    victim.model.double()
    return victim


def attacked(vocabularies, name: str, examples: Sequence[Example], *, seed: int = 0) -> list[AttackRecord]:
    return ATTACKS[name](vocabularies["any piece" not in name], examples, seed=seed)


@pytest.fixture(scope="module")
def together(vocabularies) -> Callable[[str], list[AttackRecord]]:
    """An attack's records of all examples in one batch; each is carried out once."""
    return cache(lambda name: attacked(vocabularies, name, EXAMPLES))


@pytest.fixture(scope="module", params=ATTACKS)
def attack(request, together) -> tuple[str, list[AttackRecord]]:
    """An attack's name, and its records."""
    return request.param, together(request.param)


def columns(records: Sequence[AttackRecord]) -> list[dict]:
    """Everything but `seconds`, the only column that may vary."""
    return [{name: value for name, value in asdict(record).items() if name != "seconds"} for record in records]


def test_one_record_for_each_example_in_order(attack):
    _, records = attack
    assert [record.example_id for record in records] == [example.example_id for example in EXAMPLES]
    for record, example in zip(records, EXAMPLES, strict=True):
        assert (record.original, record.reference, record.seed) == (example.source, example.reference, 0)
        assert record.seconds > 0
        assert (record.skipped is not None) == (not example.source.strip())


def test_some_attacks_succeed(attack):
    assert sum(record.success for record in attack[1]) >= 1


def test_words_are_only_replaced(attack, vocabularies):
    """The budget: as many words and pieces as before, and those that may not change are as they were."""
    name, records = attack
    tokenizer = vocabularies[True].victim.tokenizer
    for record in records:
        before, after = (tokenizer(text)["input_ids"] for text in (record.original, record.adversarial))
        assert len(before) == len(after)
        if "any piece" not in name:
            assert record.original != FROZEN or record.adversarial == FROZEN
            assert len(split_words(record.original)) == len(split_words(record.adversarial))
            assert len(record.original.split()) == len(record.adversarial.split())
        changed = sum(a != b for a, b in zip(before, after, strict=True))
        assert record.changed_words <= changed <= BUDGET.get(name, len(before))
        assert (record.changed_words == 0) == (changed == 0)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory) -> str:
    """The folder of the limits' language model, for the metric."""
    folder = tmp_path_factory.mktemp("lm")
    judge = tiny.language_model()
    judge.model.save_pretrained(folder)
    judge.tokenizer.save_pretrained(folder)
    return str(folder)


def broken(limits: Limits, original: str, adversarial: str, language_model: str) -> set[str]:
    """The limits that an adversarial sentence breaks, from the two texts; not by the code that held them."""
    before, after = (re.findall(r"\w+|[^\w\s]", text) for text in (original, adversarial))
    changed = [a for a, b in zip(before, after, strict=True) if a != b]
    found = set()
    if {word.lower() for word in changed} & limits.protected:
        found.add("words that stay")
    if limits.max_words is not None and len(changed) > limits.max_words:
        found.add("number")
    if limits.max_words_share is not None and len(changed) / len(before) > limits.max_words_share:
        found.add("share")
    for limit in limits.on_text:
        if isinstance(limit, MaxPerplexityRatio):
            both = Perplexity().compute(predictions=[original, adversarial], model_id=language_model)
            first, second = both["perplexities"]
            holds = second / first <= limit.most * (1 + 1e-5)
        else:
            first, second = (Counter(filter(str.isalpha, text.lower())) for text in (original, adversarial))
            product = sum(first[letter] * second[letter] for letter in first)
            lengths = math.hypot(*first.values()) * math.hypot(*second.values())
            holds = product / lengths >= limit.least - 1e-9
        if not holds:
            found.add(limit.name)
    return found


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_turns_something_down(name, together, language_model):
    """Without it, some of the successes break it: else the tests of what holds it say nothing."""
    records, limited = together("seq2sick fixed non_overlapping"), together(f"seq2sick, {name}")
    solved = [record for record in records if record.success]
    assert any(broken(LIMITS[name], record.original, record.adversarial, language_model) for record in solved)
    assert columns(limited) != columns(records)


def test_successes_hold_for_a_fresh_victim_that_sees_the_text_only(attack, language_model):
    name, records = attack
    victim = embedded_victim()
    spoken = [record for record in records if record.skipped is None]
    clean = victim.generate([record.original for record in spoken])
    outputs = victim.generate([record.adversarial for record in spoken])
    for record, before, after in zip(spoken, clean, outputs, strict=True):
        assert (record.clean_output, record.adversarial_output) == (before, after)
        shares = not shares_no_position(before, after)
        met = contains_words(after, record.keywords) if "keywords" in name else not shares
        within = not broken(limits_of(name), record.original, record.adversarial, language_model)
        assert record.success == (met and within)
        assert record.success_disjoint == disjoint(before, after)
        assert record.success_half_bleu == (output_bleu(before, after) <= 0.5)
        assert (record.found_by is not None) == record.success
        assert len(record.keywords) == ("keywords" in name)


def everything_of(victim: Victim) -> tuple:
    """Parameters, modes and generation settings, and the state of all global randomness."""
    modes = [module.training for module in victim.model.modules()]
    numbers = np.random.get_state()[1].tolist()  # noqa: NPY002 (it is the global state that is watched)
    states = random.getstate(), torch.get_rng_state().tolist(), numbers
    return victim.fingerprint(), modes, victim.model.generation_config.to_dict(), states


def test_other_batches_give_the_same_records_and_leave_everything_else_as_it_was(attack, vocabularies, monkeypatch):
    """The longest sentence alone, and the others with less padding: neither batch nor time matters.

    Queries are what the model was shown, counted at the model itself: rows given to `generate`, and rows of vectors to
    its forward pass outside it.
    """
    name, records = attack
    victim, shown = vocabularies[True].victim, []
    model, generate, examples = victim.model, victim.model.generate, copy.deepcopy(EXAMPLES)

    def watched(*args, **options):
        [given] = (options[name] for name in ("input_ids", "inputs_embeds") if name in options)
        shown.append(len(given))
        return generate(*args, **options)

    def before_forward(module, args, options):
        if options.get("inputs_embeds") is not None:
            shown.append(len(options["inputs_embeds"]))

    monkeypatch.setattr(model, "generate", watched)
    before = everything_of(victim)
    hook = model.register_forward_pre_hook(before_forward, with_kwargs=True)
    try:
        for some in ([4], [0, 1, 2, 3, 5]):
            shown.clear()
            known = [records[i] for i in some]
            assert columns(attacked(vocabularies, name, [examples[i] for i in some])) == columns(known)
            assert sum(shown) == sum(record.queries for record in known)
    finally:
        hook.remove()
    assert examples == EXAMPLES
    assert everything_of(victim) == before
    assert not any(values.requires_grad or values.grad is not None for values in model.parameters())


def test_another_seed_draws_other_keywords(vocabularies):
    name = "seq2sick fixed keywords"
    first, second = (attacked(vocabularies, name, EXAMPLES[:3], seed=seed) for seed in (0, 1))
    assert [record.keywords for record in first] != [record.keywords for record in second]
    assert {record.seed for record in second} == {1}
