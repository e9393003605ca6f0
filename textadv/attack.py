"""What every attack of the package begins and ends with: clean outputs, a goal, and a record for each example."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from textadv.configs import BadInput
from textadv.confirmation import Confirmation
from textadv.goals import Goal, NonOverlapping, TargetedKeywords
from textadv.keywords import draw_keywords, stack_pieces
from textadv.limits import NO_LIMITS, Limits
from textadv.sources import Sources
from textadv.types import AttackRecord, CountedVictim, Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary
from textadv.words import changed_words, disjoint, input_bleu, output_bleu

BLANK = "the sentence is empty"
SPEECHLESS = "the clean output is empty"
SAID_ALREADY = "the clean output holds the keywords already"


@dataclass(frozen=True)
class CleanBatch:
    """Sentences that aren't blank, and what the victim makes of them before the attack."""

    examples: list[Example]
    victim: CountedVictim
    sources: Sources
    outputs: list[str]
    pieces: Tensor  # (B, M) of the outputs


def attack(
    vocabulary: Vocabulary,
    examples: Sequence[Example],
    *,
    goal: Callable[[CleanBatch], Goal],
    search: Callable[[Confirmation, Tensor], None],
    seed: int,
    whole_words: bool = True,
    limits: Limits = NO_LIMITS,
) -> list[AttackRecord]:
    """Runs `search` on a batch and returns one record for each example, in order.

    Args:
        goal: what is wanted of the batch, once its clean outputs are known.
        search: offers sentences for the given rows (N,) to the `Confirmation` that it gets.
    """
    if not examples:
        return []
    begin = time.perf_counter()
    spoken = not_blank(examples)
    records = {example.example_id: _skipped_record(example, BLANK, seed) for example in examples}
    if spoken:
        batch = clean_batch(vocabulary, spoken, whole_words=whole_words, limits=limits)
        confirmed = Confirmation(batch.victim, batch.sources, goal(batch), batch.outputs, limits)
        reasons = [_why_skip(confirmed.goal, row, output) for row, output in enumerate(batch.outputs)]
        rows = torch.tensor([row for row, why in enumerate(reasons) if why is None], dtype=torch.long)
        rows = rows.to(batch.sources.ids.device)
        if limits:  # where they leave nothing to change, nothing is searched
            rows = rows[batch.sources.changeable[rows].any(1)]
        if len(rows):
            search(confirmed, rows)
            confirmed.close()
        for row, example in enumerate(spoken):
            records[example.example_id] = _record(batch, confirmed, row, reasons[row], seed)
    share = (time.perf_counter() - begin) / len(examples)
    return [replace(record, seconds=share) for record in records.values()]


def not_blank(examples: Sequence[Example]) -> list[Example]:
    """The examples that `attack` hands to its search, in the order of the rows."""
    return [example for example in examples if example.source.strip()]


def clean_batch(
    vocabulary: Vocabulary,
    examples: Sequence[Example],
    *,
    whole_words: bool = True,
    limits: Limits = NO_LIMITS,
) -> CleanBatch:
    """Decodes the clean outputs with the reporting settings: one query each."""
    victim = vocabulary.victim
    texts = [example.source for example in examples]
    sources = Sources(vocabulary, texts, whole_words=whole_words, limits=limits)
    pieces = victim.generate_pieces(texts)
    counted = CountedVictim(victim, len(texts))
    counted.queries = [1] * len(texts)
    return CleanBatch(list(examples), counted, sources, victim.decode(pieces), pieces)


def non_overlapping_goal(
    batch: CleanBatch, *, margin: float = 0.0, kind: type[NonOverlapping] = NonOverlapping
) -> NonOverlapping:
    """(2.8) against the clean outputs; what counts is up to the last piece that is no punctuation."""
    victim, pieces = batch.sources.vocabulary.victim, batch.pieces
    special = torch.tensor(sorted(victim.special_ids), device=pieces.device)
    seen = pieces.unique()
    spoken = torch.tensor([any(map(str.isalnum, text)) for text in victim.decode(seen[:, None])])
    words = torch.isin(pieces, seen[spoken.to(seen.device)]) & ~torch.isin(pieces, special)
    until_last_word = words.flip(1).cumsum(1).flip(1) > 0
    counted = until_last_word & ~torch.isin(pieces, special)
    return kind(batch.outputs, pieces, counted, end_id=victim.eos_ids[0], margin=margin)


def keywords_goal(
    batch: CleanBatch,
    *,
    count: int,
    pool: Sequence[str],
    seed: int,
    margin: float = 0.0,
    kind: type[TargetedKeywords] = TargetedKeywords,
) -> TargetedKeywords:
    """(2.12) for each example's own keywords, or else `count` that are drawn from `pool` by (seed, example_id).

    Raises:
        BadInput: the victim can't say a keyword, or the pool is too small.
    """
    keywords = [
        list(example.keywords) or draw_keywords(pool, output, count, seed=seed, example_id=example.example_id)
        for example, output in zip(batch.examples, batch.outputs, strict=True)
    ]
    return kind(keywords, stack_pieces(keywords, batch.sources.vocabulary.victim), margin=margin)


def refuse_too_long(victim: Victim, examples: Sequence[Example]) -> None:
    """Raises BadInput if a sentence has more pieces than the victim takes, naming the first."""
    lengths = victim.lengths([example.source for example in examples])
    for example, length in zip(examples, lengths, strict=True):
        if length > victim.longest_source:
            raise BadInput(
                f"sentence {example.example_id} has {length} pieces, and {victim.name} takes "
                f"{victim.longest_source}; shorten it or leave it out"
            )


def _why_skip(goal: Goal, row: int, output: str) -> str | None:
    if not output.strip():
        return SPEECHLESS
    return SAID_ALREADY if isinstance(goal, TargetedKeywords) and goal.violations(row, output) == 0 else None


def _record(batch: CleanBatch, confirmed: Confirmation, row: int, skipped: str | None, seed: int) -> AttackRecord:
    example, goal = batch.examples[row], confirmed.goal
    clean, output = batch.outputs[row], confirmed.outputs[row]
    text = confirmed.texts[row]
    return replace(
        _skipped_record(example, skipped, seed),
        success=skipped is None and bool(confirmed.solved[row]),
        queries=batch.victim.queries[row],
        adversarial=text,
        keywords=goal.keywords[row] if isinstance(goal, TargetedKeywords) else [],
        clean_output=clean,
        adversarial_output=output,
        changed_words=changed_words(example.source, text),
        input_bleu=input_bleu(example.source, text),
        output_bleu=output_bleu(clean, output),
        success_disjoint=disjoint(clean, output),
        success_half_bleu=output_bleu(clean, output) <= 0.5,
        search_success=confirmed.claimed[row],
        found_by=confirmed.found_by[row],
    )


def _skipped_record(example: Example, skipped: str | None, seed: int) -> AttackRecord:
    return AttackRecord(
        example_id=example.example_id,
        seed=seed,
        success=False,
        queries=0,
        seconds=0.0,
        original=example.source,
        adversarial=example.source,
        skipped=skipped,
        keywords=list(example.keywords),
        reference=example.reference,
        clean_output="",
        adversarial_output="",
        changed_words=0,
        input_bleu=1.0,
        output_bleu=1.0,
        success_disjoint=False,
        success_half_bleu=False,
        search_success=False,
        found_by=None,
    )
