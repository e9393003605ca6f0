"""Adversarial fine-tuning: what a victim learns from sentences that were made against it, and what came of it.

Each round attacks other training sentences with the model as it is by then, and goes on training on the changed
sentences of all rounds so far, mixed with clean ones. A changed sentence gets the label of its original. That label is
no longer exact, since a changed word means something else: with the reference, the model learns to overlook such a word
and to say what it would have been right to say before; with its own clean output, only to stay as it was. Either may
cost it some of its care for words, so clean BLEU belongs beside every success rate.

Two controls tell the effect of the attack from that of noise and of more training: sentences with random words in place
of attacked ones, and clean sentences only, over the same number of steps.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import torch

from textadv.baselines.random_words import random_sentences
from textadv.configs import BadInput, HardenConfig, Seq2SickConfig
from textadv.noise import example_seeds
from textadv.sources import Sources
from textadv.summary import measures
from textadv.types import Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary

LOOKED_AT_ONCE = 1024


def training_attack(attack: Seq2SickConfig, config: HardenConfig) -> Seq2SickConfig:
    """The attack on training sentences: that on held-out ones, cut short."""
    return replace(
        attack,
        steps=config.attack_steps,
        refine_rounds=config.attack_refine_rounds,
        candidates=config.attack_candidates,
        beam=config.attack_beam,
    )


def fresh_parts(
    examples: Sequence[Example], victim: Victim, *, rounds: int, each: int, seed: int
) -> list[list[Example]]:
    """`rounds` times `each` examples, none twice, drawn by the seed; blank and overlong sentences are left out.

    Raises:
        BadInput: there are too few.
    """
    order, needed = list(examples), rounds * each
    random.Random(f"parts:{seed}").shuffle(order)
    usable: list[Example] = []
    for start in range(0, len(order), LOOKED_AT_ONCE):
        some = [e for e in order[start : start + LOOKED_AT_ONCE] if e.source.strip() and (e.reference or "").strip()]
        lengths = victim.lengths([example.source for example in some])
        usable += [example for example, n in zip(some, lengths, strict=True) if n <= victim.longest_source]
        if len(usable) >= needed:
            return [usable[first : first + each] for first in range(0, needed, each)]
    raise BadInput(
        f"{rounds} rounds of {each} sentences need {needed}, and the training split has {len(usable)} that can be "
        "attacked; lower --rounds or --attacked_samples"
    )


def attacked_pairs(records: Sequence[Mapping[str, Any]], label: str) -> list[Example]:
    """Every adversarial sentence that succeeded, with its original's reference or clean output; of `AttackRecord`s."""
    return [
        Example(
            record["example_id"],
            record["adversarial"],
            record["reference"] if label == "reference" else record["clean_output"],
        )
        for record in records
        if record["success"]
    ]


def noisy_pairs(
    vocabulary: Vocabulary, examples: Sequence[Example], *, words: int, label: str, seed: int, whole_words: bool = True
) -> list[Example]:
    """The examples with `words` random words changed, labelled as by `attacked_pairs`.

    Left out are sentences with fewer words that may change, and those whose text is tokenized to other pieces.
    """
    victim = vocabulary.victim
    sources = Sources(vocabulary, [example.source for example in examples], whole_words=whole_words)
    rows = (sources.changeable.sum(1) >= words).nonzero().squeeze(1)
    if len(rows) == 0:
        return []
    seeds = example_seeds(seed, [example.example_id for example in examples]).to(rows.device)
    ids = random_sentences(sources, rows, words, seeds[rows], torch.zeros_like(rows))
    texts = sources.text(rows, ids)
    usable = [same and text != sources.texts[row] for same, text, row in zip(
        sources.survives(rows, ids, texts), texts, rows.tolist(), strict=True
    )]  # fmt: skip
    kept = [(examples[row], text) for row, text, good in zip(rows.tolist(), texts, usable, strict=True) if good]
    if label == "reference":
        return [Example(example.example_id, text, example.reference) for example, text in kept]
    outputs = victim.generate([example.source for example, _ in kept])
    return [Example(example.example_id, text, out) for (example, text), out in zip(kept, outputs, strict=True)]


def mixture(
    clean: Sequence[Example], adversarial: Sequence[Example], *, share: float, count: int, seed: int, number: int
) -> list[Example]:
    """`count` training pairs of round `number`, a `share` of them adversarial: both shuffled, and repeated at need."""
    changed = round(share * count) if adversarial else 0
    draw = random.Random(f"mixture:{seed}:{number}")
    parts = [draw.sample(list(pairs), len(pairs)) for pairs in (clean, adversarial)]
    return [*islice(cycle(parts[0]), count - changed), *islice(cycle(parts[1]), changed)]


def comparison(
    before: list[dict[str, Any]], after: list[dict[str, Any]], transferred: Sequence[Mapping[str, Any]]
) -> dict[str, list[bool] | list[float]]:
    """What a summary averages, from `AttackRecord`s of the same sentences and `TransferRecord`s of the old successes.

    `success` and so on are those of the hardened model, "..._before" of the model that it was; `success_drop` is the
    difference on the sentences that were attacked both times, and `transferred` the share of the old adversarial
    sentences that still work.
    """
    old, new = measures(before), measures(after)
    found: dict[str, Any] = {}
    for name in ("success", "success_disjoint", "success_half_bleu", "changed_words", "input_bleu"):
        found |= {name: new[name], f"{name}_before": old[name]}
    pairs = zip(before, after, strict=True)
    both = [(one, other) for one, other in pairs if one["skipped"] is None and other["skipped"] is None]
    found["success_drop"] = [float(one["success"]) - float(other["success"]) for one, other in both]
    found["transferred"] = [record["success"] for record in transferred if record["skipped"] is None]
    return found


def card_section(results: Mapping[str, Any], config: HardenConfig) -> str:
    """Markdown for the model card: what was done, and BLEU and success before and after."""
    made = {
        "seq2sick": "adversarial sentences that Seq2Sick made against the model of the time",
        "random_words": f"sentences with {config.noise_words} random word(s) changed: a control",
        "none": "no changed sentences: a control",
    }[config.adversary]
    label = {"reference": "the reference of the original", "clean_output": "the model's own output for the original"}
    shown = {
        "BLEU": ("bleu", 1, ""),
        "Success of Seq2Sick": ("success", 100, " %"),
        "... with disjoint outputs": ("success_disjoint", 100, " %"),
        "... with half BLEU": ("success_half_bleu", 100, " %"),
        "Changed words, successes": ("changed_words", 1, ""),
    }
    rows = [
        f"| {name} | {_cell(results[f'{key}_before'], scale, unit)} | {_cell(results[key], scale, unit)} |"
        for name, (key, scale, unit) in shown.items()
    ]
    learnt = (
        "" if config.adversary == "none" else f" A changed sentence is to become {label[config.adversarial_label]}."
    )
    return (
        f"\n## Hardening\n\n{config.rounds} rounds of {config.steps_per_round} steps; learnt from were clean sentences "
        f"and {made}.{learnt}\nIntervals are 95 %, and the attacked sentences are held out.\n\n"
        "| | before | after |\n|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\nOf the sentences that were adversarial before, {_cell(results['transferred'], 100, ' %')} still are.\n"
    )


def _cell(found: Mapping[str, Any], scale: float, unit: str) -> str:
    if found["value"] is None:
        return "-"
    value, low, high = (f"{scale * found[name]:.1f}" for name in ("value", "low", "high"))
    return f"{value}{unit} [{low}, {high}], n = {found['n']}"
