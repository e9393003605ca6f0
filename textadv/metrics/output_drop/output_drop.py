"""How much worse the outputs for adversarial sentences (`predictions`) are than those for the originals
(`clean_predictions`), measured against `references`.

The relative decrease of the TransFool papers (Sadrizadeh et al., 2023), of chrF and of BLEU:
    RD = (score(clean) - score(adversarial)) / score(clean),
negative where the adversarial output is the better one, NaN where the clean output scores 0. `rd_chrf` and `rd_bleu`
are of sacreBLEU's corpus scores, `rd_chrfs` and `rd_bleus` of the scores of each sentence; of a sentence BLEU is
smoothed.
"""

import math

import datasets
import evaluate
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from textadv.configs import BadInput


class OutputDrop(evaluate.Metric):
    """RDchrF and RDBLEU."""

    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "clean_predictions": text, "references": text})
        return evaluate.MetricInfo(description=str(__doc__), citation="", features=features)

    def _compute(self, predictions, clean_predictions, references):  # pyright: ignore[reportIncompatibleMethodOverride]
        if not predictions:
            raise BadInput("output_drop of no sentences; give one at least")
        rows = list(zip(predictions, clean_predictions, references, strict=True))
        drops = {}
        for name, score, score_one in (
            ("chrf", CHRF(), CHRF()),
            ("bleu", BLEU(), BLEU(effective_order=True)),
        ):
            adversarial, clean = (
                score.corpus_score(list(texts), [list(references)]).score for texts in (predictions, clean_predictions)
            )
            drops[f"rd_{name}"] = _relative_decrease(clean, adversarial)
            drops[f"rd_{name}s"] = [
                _relative_decrease(
                    score_one.sentence_score(clean, [reference]).score,
                    score_one.sentence_score(adversarial, [reference]).score,
                )
                for adversarial, clean, reference in rows
            ]
        return drops


def _relative_decrease(clean, adversarial):
    return (clean - adversarial) / clean if clean else math.nan
