"""How near in meaning adversarial sentences (`predictions`) stay to the originals (`references`): the cosine of their
embeddings.

`model_id` is any model that sentence-transformers loads (Reimers and Gurevych, Sentence-BERT, EMNLP 2019), by Hub id
or folder. `similarity` is the mean over sentences, -1 to 1, `similarities` are the figures of each sentence.
"""

import datasets
import evaluate
import numpy as np

from textadv.configs import BadInput

DEFAULT = "sentence-transformers/all-MiniLM-L6-v2"


class Similarity(evaluate.Metric):
    """Cosine similarity of sentence embeddings."""

    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description=str(__doc__), citation="", features=features)

    def _compute(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, predictions, references, model_id=DEFAULT, batch_size=32, device="cpu"
    ):
        if not predictions:
            raise BadInput("similarity of no sentences; give one pair at least")
        model = _encoder(model_id, device)
        first, second = (
            np.asarray(model.encode(list(texts), batch_size=batch_size, show_progress_bar=False), dtype=np.float64)
            for texts in (predictions, references)
        )  # (N, d)
        lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        cosines = (first * second).sum(1) / np.maximum(lengths, 1e-12)
        return {"similarity": float(cosines.mean()), "similarities": cosines.tolist()}


def _encoder(model_id, device):
    try:
        from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise BadInput("similarity needs sentence-transformers: pip install sentence-transformers") from error
    try:
        return SentenceTransformer(model_id, device=str(device))
    except (OSError, ValueError) as error:
        raise BadInput(f"{model_id} is no sentence encoder that can be loaded; check name and network") from error
