"""Whether adversarial sentences (`predictions`) keep the sentiment of the originals (`references`).

`sentiment_agreement` is the share of pairs to which a classifier gives the same label, `agreements` 1.0 or 0.0 for
each pair. Cheng et al. (Seq2Sick, AAAI 2020) found another sentiment in 2.2 % of 500 sentences of DUC2003, by an
online service: an agreement of 0.978. `model_id` is any text classifier of transformers with two labels or more, by
Hub id or folder; sentences are cut at what it takes. "vader" stands for the lexicon and rules of the package
vaderSentiment (Hutto and Gilbert, ICWSM 2014), which need no network; their labels are negative, neutral and positive,
parted at a compound score of -0.05 and 0.05, as its authors do.
"""

import datasets
import evaluate

from textadv.configs import BadInput
from textadv.sentiment import SentimentClassifier, agreements

DEFAULT = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"


class SentimentAgreement(evaluate.Metric):
    """Share of pairs with one sentiment."""

    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description=str(__doc__), citation="", features=features)

    def _compute(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, predictions, references, model_id=DEFAULT, batch_size=32, device="cpu"
    ):
        if not predictions:
            raise BadInput("sentiment_agreement of no sentences; give one pair at least")
        classifier = SentimentClassifier.from_pretrained(model_id)
        classifier.to(device)
        found = agreements(classifier, list(zip(predictions, references, strict=True)), batch_size=batch_size)
        return {"sentiment_agreement": sum(found) / len(found), "agreements": [float(same) for same in found]}
