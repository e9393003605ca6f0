"""TEAPOT's success (Michel et al., NAACL 2019): does an attack destroy more of the output than of the input?

With chrF, 0 to 1, as the score s, source x and adversarial source x^, reference y, outputs y_M and y^_M,
    s_src = s(x^, x),   d_tgt = max(0, (s(y_M, y) - s(y^_M, y)) / s(y_M, y)),   0 where s(y_M, y) = 0,
and an attack succeeds where s_src + d_tgt > 1. Inputs: `adversarial_sources`, `sources`, `references`,
`clean_predictions` (y_M), `predictions` (y^_M). `teapot` is the share of successes, `s_src` and `d_tgt` are means over
sentences; `successes` (1.0 or 0.0), `s_srcs` and `d_tgts` are the figures of each sentence.
"""

import datasets
import evaluate
from sacrebleu.metrics.chrf import CHRF

from textadv.configs import BadInput

INPUTS = ("predictions", "clean_predictions", "references", "adversarial_sources", "sources")


class Teapot(evaluate.Metric):
    """TEAPOT's success rate, by chrF."""

    def _info(self):
        features = datasets.Features({name: datasets.Value("string") for name in INPUTS})
        return evaluate.MetricInfo(description=str(__doc__), citation="", features=features)

    def _compute(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, predictions, clean_predictions, references, adversarial_sources, sources
    ):
        if not predictions:
            raise BadInput("teapot of no sentences; give one at least")
        kept = _chrf(adversarial_sources, sources)
        clean, adversarial = _chrf(clean_predictions, references), _chrf(predictions, references)
        lost = [max(0.0, (a - b) / a) if a else 0.0 for a, b in zip(clean, adversarial, strict=True)]
        successes = [float(s + d > 1) for s, d in zip(kept, lost, strict=True)]
        count = len(successes)
        return {
            "teapot": sum(successes) / count,
            "s_src": sum(kept) / count,
            "d_tgt": sum(lost) / count,
            "successes": successes,
            "s_srcs": kept,
            "d_tgts": lost,
        }


def _chrf(texts, references):
    """Sentence chrF of each text, 0 to 1. Two empty texts are equal, hence 1."""
    chrf = CHRF()
    return [
        1.0 if text.split() == reference.split() else chrf.sentence_score(text, [reference]).score / 100
        for text, reference in zip(texts, references, strict=True)
    ]
