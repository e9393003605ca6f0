"""Perplexity of sentences (`predictions`) under a causal language model, `model_id`: a Hub id or a folder.

`perplexity` is exp of the mean of -log p(piece | pieces before it) over all pieces of all sentences (Jelinek et al.,
1977), `perplexities` are those of each sentence, `mean_perplexity` their mean. The last two, and the arguments, are
those of `evaluate`'s own perplexity: with `add_start_token` the first piece of a sentence counts too, given the
model's start token; no other special piece counts. A sentence is cut at `max_length` pieces, start token included, by
default at what the model takes. A sentence of no countable piece has the perplexity NaN and counts in no mean.
"""

import datasets
import evaluate

from textadv.configs import BadInput
from textadv.language_model import LanguageModel


class Perplexity(evaluate.Metric):
    """Perplexity under a causal language model."""

    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("string")})
        return evaluate.MetricInfo(description=str(__doc__), citation="", features=features)

    def _compute(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, predictions, model_id, batch_size=16, add_start_token=True, device="cpu", max_length=None
    ):
        if not predictions:
            raise BadInput("perplexity of no sentences; give one at least")
        model = LanguageModel.from_pretrained(model_id, device=device)
        found = model.likelihoods(
            predictions, batch_size=batch_size, add_start_token=add_start_token, max_length=max_length
        )
        return {
            "perplexity": found.perplexity,
            "mean_perplexity": found.mean_perplexity,
            "perplexities": found.perplexities,
        }
