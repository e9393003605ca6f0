"""How good a victim is before anyone attacks it: BLEU and ROUGE-L of its outputs, with 95 % intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from scipy import stats

from textadv.types import Example

SCORED_AT_ONCE = 64


@torch.no_grad()
def score(model: Any, tokenizer: Any, examples: Sequence[Example], prefix: str = "") -> dict[str, dict[str, float]]:
    """`bleu` and `rouge_l` of the model's own decoding of the sources against the references.

    Empty sources are included.
    """
    model.eval()
    outputs: list[str] = []
    for first in range(0, len(examples), SCORED_AT_ONCE):
        sources = [prefix + example.source for example in examples[first : first + SCORED_AT_ONCE]]
        batch = tokenizer(sources, truncation=True, padding=True, return_tensors="pt").to(model.device)
        pieces = model.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        outputs += [text.strip() for text in tokenizer.batch_decode(pieces, skip_special_tokens=True)]
    return _scores(outputs, [example.reference or "" for example in examples])


def measures(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """`bleu` and `rouge_l` of `CleanOutput`s as dictionaries."""
    return _scores([record["output"] for record in records], [record["reference"] for record in records])


def _scores(outputs: Sequence[str], references: Sequence[str]) -> dict[str, dict[str, float]]:
    return {"bleu": bleu(outputs, references), "rouge_l": rouge_l(outputs, references)}


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float | int]:
    """sacreBLEU's corpus BLEU, 0 to 100, with its 95 % bootstrap interval over sentences.

    Source: Koehn, EMNLP 2004. Raises ValueError for no sentences.
    """
    if not hypotheses:
        raise ValueError("BLEU of no sentences")
    value = min(BLEU().corpus_score(hypotheses, [list(references)]).score, 100.0)  # not 100.00000000000004
    counter = BLEU(effective_order=True)  # this changes a sentence's score, not its counts
    scores = [counter.sentence_score(h, [r]) for h, r in zip(hypotheses, references, strict=True)]
    statistics = np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in scores])  # (n, 10)
    n = len(scores)
    generator = np.random.default_rng(0)
    samples = [statistics[generator.integers(n, size=n)].sum(axis=0).tolist() for _ in range(1000)]
    resampled = [BLEU.compute_bleu(s[:4], s[4:8], s[8], s[9], smooth_method="exp").score for s in samples]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {"value": value, "low": min(float(low), 100.0), "high": min(float(high), 100.0), "n": n}


def rouge_l(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float | int]:
    """Mean F1 of the longest common subsequence of words, 0 to 100, with Student's interval.

    Source: Lin, 2004, as in the package rouge-score without stemming: lower case, words of Latin letters and digits
    without accents. Raises ValueError for no sentences.
    """
    if not hypotheses:
        raise ValueError("ROUGE-L of no sentences")
    scorer = RougeScorer(["rougeL"])
    each = [100 * scorer.score(r, h)["rougeL"].fmeasure for h, r in zip(hypotheses, references, strict=True)]
    value, n = float(np.mean(each)), len(each)
    half = float(stats.t.ppf(0.975, n - 1) * stats.sem(each)) if n > 1 else float("inf")
    return {"value": value, "low": max(value - half, 0.0), "high": min(value + half, 100.0), "n": n}
