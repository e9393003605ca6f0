"""Word-level edit distance over the original's length: the word error rate of `predictions` (adversarial) against
`references` (original).

The least number of words to substitute, add or drop (Levenshtein, 1966), over the number of words of the original.
Words are what stands between white space, as in jiwer's `wer`; the "token error rate" of GBDA (Guo et al., EMNLP 2021)
is this rate. `token_error_rate` divides all edits by all words of the originals, `token_error_rates` are the figures
of each sentence. The rate of an empty original is 0, or NaN if words were added.
"""

import datasets
import evaluate

from textadv.configs import BadInput
from textadv.words import edit_distance, share


class TokenErrorRate(evaluate.Metric):
    """Word error rate of adversarial against original sentences."""

    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description=str(__doc__), citation="", features=features)

    def _compute(self, predictions, references):  # pyright: ignore[reportIncompatibleMethodOverride]
        if not predictions:
            raise BadInput("token_error_rate of no sentences; give one pair at least")
        originals = [original.split() for original in references]
        edits = [edit_distance(words, new.split()) for words, new in zip(originals, predictions, strict=True)]
        lengths = [len(words) for words in originals]
        return {
            "token_error_rate": share(sum(edits), sum(lengths)),
            "token_error_rates": [share(*pair) for pair in zip(edits, lengths, strict=True)],
        }
