"""How near in meaning adversarial sentences (`predictions`) stay to the originals (`references`): the cosine of their
embeddings.

`model_id` is any model that sentence-transformers loads (Reimers and Gurevych, Sentence-BERT, EMNLP 2019), by Hub id
or folder, or a text file of word vectors in GloVe's format, of which the mean is taken. `similarity` is the mean over
sentences, -1 to 1, `similarities` are the figures of each sentence.
"""

import datasets
import evaluate

from textadv.configs import SENTENCE_ENCODER, BadInput
from textadv.similarity import SentenceEncoder, cosines


class Similarity(evaluate.Metric):
    """Cosine similarity of sentence embeddings."""

    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description=str(__doc__), citation="", features=features)

    def _compute(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, predictions, references, model_id=SENTENCE_ENCODER, batch_size=32, device="cpu"
    ):
        if not predictions:
            raise BadInput("similarity of no sentences; give one pair at least")
        encoder = SentenceEncoder.from_pretrained(model_id, device=device)
        first, second = (encoder.embeddings(texts, batch_size=batch_size) for texts in (predictions, references))
        found = cosines(first, second)
        return {"similarity": float(found.mean()), "similarities": found.tolist()}
