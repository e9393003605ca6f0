"""How much of the source the adversarial sentence keeps: BLEU of `predictions` (adversarial) against `references`
(original).

`input_bleu`, 0 to 1, is the mean over sentences of the paper's "exponential average over BLEU 1, 2, 3, 4" (Cheng et
al., Seq2Sick, AAAI 2020; Papineni et al., ACL 2002): not smoothed, on the words of `textadv.words`.
`sacrebleu`, 0 to 100, is sacreBLEU's corpus BLEU (Post, WMT 2018). `input_bleus` and `sacrebleus` are the figures of
each sentence; sacreBLEU's are smoothed, and by the n-grams that a short sentence has. An empty sentence scores 0.
"""

import datasets
import evaluate
from sacrebleu.metrics.bleu import BLEU

from textadv.configs import BadInput
from textadv.words import input_bleu


class InputBleu(evaluate.Metric):
    """BLEU of adversarial against original sentences."""

    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description=str(__doc__), citation="", features=features)

    def _compute(self, predictions, references):  # pyright: ignore[reportIncompatibleMethodOverride]
        if not predictions:
            raise BadInput("input_bleu of no sentences; give one pair at least")
        pairs = list(zip(predictions, references, strict=True))
        ours = [input_bleu(original, adversarial) for adversarial, original in pairs]
        smoothed = BLEU(effective_order=True)
        return {
            "input_bleu": sum(ours) / len(ours),
            "sacrebleu": min(BLEU().corpus_score(predictions, [references]).score, 100.0),  # not 100.00000000000004
            "input_bleus": ours,
            "sacrebleus": [min(smoothed.sentence_score(new, [old]).score, 100.0) for new, old in pairs],
        }
