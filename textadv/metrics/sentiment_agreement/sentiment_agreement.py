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
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from textadv.configs import BadInput

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
        texts = [*predictions, *references]
        if model_id == "vader":
            labels = _vader_labels(texts)
        else:
            model, tokenizer = _classifier(model_id)
            model.to(device)
            parts = [texts[first : first + batch_size] for first in range(0, len(texts), batch_size)]
            labels = torch.cat([_labels(model, tokenizer, part) for part in parts])
        same = labels[: len(predictions)] == labels[len(predictions) :]
        return {"sentiment_agreement": same.double().mean().item(), "agreements": same.double().tolist()}


@torch.no_grad()
def _labels(model, tokenizer, texts):
    """(N,) the likeliest label of each text."""
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(model.device)
    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.argmax(-1).cpu()


def _vader_labels(texts):
    """(N,) -1, 0 or 1."""
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise BadInput("sentiment by 'vader' needs vaderSentiment: pip install vaderSentiment") from error
    analyzer = SentimentIntensityAnalyzer()
    compound = torch.tensor([analyzer.polarity_scores(text)["compound"] for text in texts])
    return (compound >= 0.05).long() - (compound <= -0.05).long()


def _classifier(model_id):
    try:
        model = AutoModelForSequenceClassification.from_pretrained(model_id, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(model_id)
    except (OSError, ValueError) as error:
        raise BadInput(f"{model_id} is no text classifier that can be loaded; check name and network") from error
    if model.config.num_labels < 2:
        raise BadInput(f"{model_id} has one label and can't disagree; give a classifier with two or more")
    if tokenizer.pad_token is None:  # decoders classify by the last piece that isn't padding
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    tokenizer.model_max_length = min(positions, tokenizer.model_max_length)
    return model, tokenizer
