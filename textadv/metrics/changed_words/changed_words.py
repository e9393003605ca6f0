"""How many words of the original (`references`) the adversarial sentence (`predictions`) changes.

`changed_words` is the mean number over sentences, `changed_share` all changed words over all words of the originals;
`changed_words_each` and `changed_share_each` are the figures of each sentence. Words, punctuation marks among them,
are those of `textadv.words`. With equal numbers of words, as after substitutions, positions that differ count
(Cheng et al., Seq2Sick, AAAI 2020); otherwise the least number of words to substitute, add or drop
(Levenshtein, 1966), so that a share may be above 1. The share of an empty original is 0, or NaN if words were added.
"""

import datasets
import evaluate

from textadv.configs import BadInput
from textadv.words import changed_words, share, split_words


class ChangedWords(evaluate.Metric):
    """Number and share of changed words."""

    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description=str(__doc__), citation="", features=features)

    def _compute(self, predictions, references):  # pyright: ignore[reportIncompatibleMethodOverride]
        if not predictions:
            raise BadInput("changed_words of no sentences; give one pair at least")
        changed = [changed_words(original, new) for new, original in zip(predictions, references, strict=True)]
        lengths = [len(split_words(original)) for original in references]
        return {
            "changed_words": sum(changed) / len(changed),
            "changed_share": share(sum(changed), sum(lengths)),
            "changed_words_each": [float(count) for count in changed],
            "changed_share_each": [share(*pair) for pair in zip(changed, lengths, strict=True)],
        }
