"""Every metric against figures worked out by hand, definitions written out again, and the libraries that it names.

Models are tiny and random; what is downloaded by others is replaced here by a stand-in whose answers are known.
"""

import itertools
import json
import math
import random
import re
import subprocess
import sys
import tomllib
import types
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest
import torch
import transformers
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from tiny import PAD, sentences, unigram, wordpiece

import textadv.metrics
from textadv.configs import BadInput
from textadv.words import input_bleu, split_words

ROOT = Path(__file__).parents[3]
CLASSES = textadv.metrics._HOME
PAIRS = {"predictions": ["A cat runs.", ""], "references": ["A dog runs.", ""]}
INPUTS = {
    "output_drop": PAIRS | {"clean_predictions": ["A dog runs.", ""]},
    "perplexity": {"predictions": ["A cat runs.", ""]},
    "teapot": PAIRS | {name: ["A dog runs.", ""] for name in ("clean_predictions", "sources", "adversarial_sources")},
}


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch):
    """Where `evaluate` keeps what it is given."""
    monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", str(tmp_path))


def measure(name: str, **inputs: Any) -> dict[str, Any]:
    kind = next(kind for kind, home in CLASSES.items() if home == name)
    return getattr(textadv.metrics, kind)(keep_in_memory=True).compute(**inputs)


def random_pairs(seed: int, count: int) -> tuple[list[str], list[str]]:
    """Sentences, and the same with some words dropped, added and replaced."""
    draw, originals = random.Random(seed), sentences(count, seed=seed)
    changed = []
    for text in originals:
        edits = ([[word], [], [word, "dog"], ["cat"]] for word in text.split())
        changed.append(" ".join(itertools.chain(*(draw.choices(edit, [7, 1, 1, 1])[0] for edit in edits))))
    return originals, changed


# All of them --------------------------------------------------------------------------------------------


def test_every_folder_is_a_metric_and_no_name_is_missing():
    folders = {path.parent.name for path in (ROOT / "textadv" / "metrics").glob("*/*.py")}
    assert folders == set(CLASSES.values()) and set(textadv.metrics.__all__) == set(CLASSES)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        textadv.metrics.Nothing  # noqa: B018


@pytest.mark.parametrize("name", CLASSES.values())
def test_loaded_by_path_or_imported_it_is_the_same_metric(name, monkeypatch):
    """From the root of the repository, as the README has it; without the network; documented; refuses what is wrong."""
    monkeypatch.chdir(ROOT)
    loaded = evaluate.load(f"textadv/metrics/{name}")
    assert len(loaded.description) > 200
    inputs: dict[str, Any] = INPUTS.get(name, PAIRS)
    assert set(loaded.features) == set(inputs)
    if name not in ("perplexity", "similarity", "sentiment_agreement"):
        found = loaded.compute(**inputs)
        assert found.keys() == measure(name, **inputs).keys()
        for value in found.values():
            assert all(type(one) is float for one in (value if isinstance(value, list) else [value]))
            assert not isinstance(value, list) or len(value) == 2
    with pytest.raises(BadInput, match=f"{name} of no sentences"):
        measure(name, **{key: [] for key in inputs}, **({"model_id": "any"} if name == "perplexity" else {}))
    if "references" in inputs:
        with pytest.raises(ValueError, match="Mismatch in the number of"):
            measure(name, **inputs | {"references": ["A"]})


def test_importing_the_package_imports_no_evaluate():
    code = "import sys, textadv.metrics; print({'evaluate', 'torch', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_wheel_holds_every_metric():
    """By setuptools' own search, with the settings of pyproject.toml."""
    setuptools = pytest.importorskip("setuptools")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    found = setuptools.find_namespace_packages(str(ROOT), **settings)
    assert {"textadv.metrics", *(f"textadv.metrics.{name}" for name in CLASSES.values())} <= set(found)


def test_the_example_of_the_readme(tmp_path, monkeypatch, capsys):
    """Its offline part, up to the comment that says so, on the records of two successes and a failure."""
    readme = (ROOT / "textadv" / "README.md").read_text(encoding="utf-8")
    [example] = [code for code in re.findall(r"```python\n(.+?)```", readme, re.DOTALL) if "evaluate.load" in code]
    offline, _, online = example.partition("\n# evaluate's own modules come from the Hub: this one needs the network")
    assert 'evaluate.load("sacrebleu")' in online and "runs/seq2sick/records.jsonl" in offline
    rows = [("A dog runs here.", "A cat runs here.", True), ("A man sits.", "A man sits.", True), ("a", "b", False)]
    path = tmp_path / "records.jsonl"
    path.write_text(
        "\n".join(
            json.dumps({"original": old, "adversarial": new, "success": success, "keywords": []})
            for old, new, success in rows
        )
    )
    monkeypatch.chdir(ROOT)
    exec(offline.replace("runs/seq2sick/records.jsonl", str(path)), {})
    ours, theirs = map(float, capsys.readouterr().out.split())
    assert ours == pytest.approx(sum(input_bleu(old, new) for old, new, success in rows if success) / 2)
    assert theirs == pytest.approx(BLEU().corpus_score([r[1] for r in rows[:2]], [[r[0] for r in rows[:2]]]).score)


# Words --------------------------------------------------------------------------------------------------


def test_input_bleu():
    """One word of six changed, the second: precisions 5/6, 3/5, 2/4, 1/3; an untouched sentence; an empty one."""
    originals, adversarial = ["a b c d e f", "a dog sees a cat", "a b"], ["a x c d e f", "a dog sees a cat", ""]
    found = measure("input_bleu", predictions=adversarial, references=originals)
    assert found["input_bleus"] == pytest.approx([(5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25, 1, 0])
    assert found["input_bleu"] == pytest.approx(sum(found["input_bleus"]) / 3)
    assert found["sacrebleu"] == pytest.approx(BLEU().corpus_score(adversarial, [originals]).score)
    assert found["sacrebleus"][1:] == [100, 0]  # not 100.00000000000004


def test_input_bleu_is_what_records_hold_and_sacrebleus():
    originals, adversarial = random_pairs(0, 50)
    found = measure("input_bleu", predictions=adversarial, references=originals)
    assert found["input_bleus"] == [input_bleu(*pair) for pair in zip(originals, adversarial, strict=True)]
    scores = [
        BLEU(effective_order=True).sentence_score(new, [old]).score
        for old, new in zip(originals, adversarial, strict=True)
    ]
    assert found["sacrebleus"] == pytest.approx(scores)


def levenshtein(first: list[str], second: list[str]) -> int:
    """By the recursive definition."""

    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        same = distance(i - 1, j - 1) + (first[i - 1] != second[j - 1])
        return min(same, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(first), len(second))


def test_changed_words():
    """Substitutions go by position; "b" dropped is one edit, whatever the positions; nothing added to nothing."""
    originals = ["a man runs .", "a b", "a b c d", "", ""]
    adversarial = ["a dog runs !", "b a", "a c d", "", "x"]
    found = measure("changed_words", predictions=adversarial, references=originals)
    assert found["changed_words_each"] == [2, 2, 1, 0, 1]
    assert found["changed_share_each"][:4] == [0.5, 1, 0.25, 0] and math.isnan(found["changed_share_each"][4])
    assert (found["changed_words"], found["changed_share"]) == (6 / 5, 6 / 10)
    originals, adversarial = random_pairs(1, 60)
    found = measure("changed_words", predictions=adversarial, references=originals)
    words = [(split_words(old), split_words(new)) for old, new in zip(originals, adversarial, strict=True)]
    assert found["changed_words_each"] == [
        sum(map(str.__ne__, old, new)) if len(old) == len(new) else levenshtein(old, new) for old, new in words
    ]


def test_token_error_rate():
    """Words end at white space only; "b a" for "a b" is two edits anyhow, "c a b" for "a b c" two, not three."""
    originals, adversarial = ["a man runs.", "a b", "a b c", "", ""], ["a man runs !", "b a", "c a b", "", "x y"]
    found = measure("token_error_rate", predictions=adversarial, references=originals)
    assert found["token_error_rates"][:4] == pytest.approx([2 / 3, 1, 2 / 3, 0])
    assert math.isnan(found["token_error_rates"][4])
    assert found["token_error_rate"] == 8 / 8  # 2 + 2 + 2 + 0 + 2 edits of 3 + 2 + 3 words
    originals, adversarial = random_pairs(2, 60)
    found = measure("token_error_rate", predictions=adversarial, references=originals)
    edits = [levenshtein(old.split(), new.split()) for old, new in zip(originals, adversarial, strict=True)]
    lengths = [len(old.split()) for old in originals]
    assert found["token_error_rates"] == [e / n for e, n in zip(edits, lengths, strict=True)]
    assert found["token_error_rate"] == sum(edits) / sum(lengths)


# Outputs ------------------------------------------------------------------------------------------------

REFERENCES = ["Ein Hund läuft im Park.", "Zwei Frauen sitzen.", "Ein Kind", "Ein Kind"]
CLEAN = ["Ein Hund läuft im Park.", "Zwei Frauen stehen.", "", "Das Kind"]
ADVERSARIAL = ["Ein Mann läuft im Park.", "Zwei Frauen sitzen.", "Ein", ""]


def test_output_drop():
    """A drop; a gain, which is negative; an empty clean output, whose drop is undefined; an empty output: all of it."""
    found = measure("output_drop", predictions=ADVERSARIAL, clean_predictions=CLEAN, references=REFERENCES)
    for name, corpus, one in (("chrf", CHRF(), CHRF()), ("bleu", BLEU(), BLEU(effective_order=True))):
        clean, adversarial = (corpus.corpus_score(texts, [REFERENCES]).score for texts in (CLEAN, ADVERSARIAL))
        assert found[f"rd_{name}"] == pytest.approx((clean - adversarial) / clean)
        drops = found[f"rd_{name}s"]
        first = one.sentence_score(ADVERSARIAL[0], [REFERENCES[0]]).score
        assert drops[0] == pytest.approx(1 - first / 100) and 0 < drops[0] < 1
        second = one.sentence_score(CLEAN[1], [REFERENCES[1]]).score
        assert drops[1] == pytest.approx(1 - 100 / second) and drops[1] < 0
        assert math.isnan(drops[2]) and drops[3] == 1


def chrf(text: str, reference: str) -> float:
    """chrF2 by its definition (Popović, 2015): F2 of the mean n-gram precision and recall, n = 1 to 6, over the
    orders that both have; white space isn't a character."""
    precisions, recalls = [], []
    first, second = "".join(text.split()), "".join(reference.split())
    for n in range(1, 7):
        there, here = (Counter(s[i : i + n] for i in range(len(s) - n + 1)) for s in (second, first))
        if there and here:
            precisions.append((there & here).total() / here.total())
            recalls.append((there & here).total() / there.total())
    if not precisions or not sum(precisions):
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return 5 * precision * recall / (4 * precision + recall)


def test_teapot_by_hand():
    """s_src and d_tgt from chrF by its definition.

    "ab" for "abc": precisions 2/2, 1/1, mean 1, over the orders 1 and 2 that both have; recalls 2/3, 1/2, mean 7/12;
    F2 = 5 * 7/12 / (4 + 7/12) = 7/11.
    """
    sources = ["abc", "abc", "abc", "abc"]
    adversarial_sources = ["ab", "ab", "abc", "xyz"]
    references = ["abc", "abc", "abc", "abc"]
    clean = ["abc", "abc", "ab", "abc"]
    outputs = ["xyz", "ab", "abc", "xyz"]
    found = measure(
        "teapot",
        predictions=outputs,
        clean_predictions=clean,
        references=references,
        adversarial_sources=adversarial_sources,
        sources=sources,
    )
    kept = 7 / 11
    assert found["s_srcs"] == pytest.approx([kept, kept, 1, 0])
    # All of the output lost; 4/11 of it, and then kept + lost is exactly 1, which isn't enough; a gain is no loss.
    assert found["d_tgts"] == pytest.approx([1, 1 - kept, 0, 1])
    assert found["successes"] == [1, 0, 0, 0] and found["teapot"] == 1 / 4
    assert found["s_src"] == pytest.approx((2 * kept + 1) / 4)
    assert found["d_tgt"] == pytest.approx((1 + 1 - kept + 0 + 1) / 4)


def test_teapot_of_random_sentences():
    sources, adversarial_sources = random_pairs(3, 40)
    references, clean = random_pairs(4, 40)
    outputs = sentences(40, seed=5)
    found = measure(
        "teapot",
        predictions=outputs,
        clean_predictions=clean,
        references=references,
        adversarial_sources=adversarial_sources,
        sources=sources,
    )
    for i in range(40):
        s = chrf(adversarial_sources[i], sources[i])
        before, after = chrf(clean[i], references[i]), chrf(outputs[i], references[i])
        d = max(0, (before - after) / before) if before else 0
        assert (found["s_srcs"][i], found["d_tgts"][i]) == pytest.approx((s, d))
        assert found["successes"][i] == (s + d > 1)
    assert 0 < found["teapot"] < 1  # both happen


def test_teapot_of_empty_texts():
    """Nothing changed in nothing is all kept; an output where there was none can't be worse."""
    nothing = {name: [""] for name in ("references", "clean_predictions", "sources", "adversarial_sources")}
    found = measure("teapot", predictions=["x"], **nothing)
    assert (found["s_src"], found["d_tgt"], found["teapot"]) == (1, 1, 1)  # it said nothing, rightly, and now speaks
    found = measure("teapot", **nothing | {"predictions": ["x"], "references": ["abc"]})
    assert (found["s_src"], found["d_tgt"], found["teapot"]) == (1, 0, 0)


# Meaning ------------------------------------------------------------------------------------------------


@pytest.fixture
def encoder(monkeypatch):
    """A stand-in for sentence-transformers: a sentence is its numbers of "a" and "b"."""

    class SentenceTransformer:
        def __init__(self, name, device):
            if name == "nothing":
                raise OSError("not found")

        def encode(self, texts, batch_size, show_progress_bar):
            assert show_progress_bar is False
            return [[float(text.count("a")), float(text.count("b"))] for text in texts]

    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = SentenceTransformer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)


def test_similarity(encoder):
    """(1, 1) and (2, 2): 1; (1, 0) and (0, 3): 0; (3, 4) and (4, 3): 24/25; an empty vector: 0."""
    pairs = {"predictions": ["ab", "a", "aaabbbb", "c"], "references": ["aabb", "bbb", "aaaabbb", "a"]}
    found = measure("similarity", **pairs, model_id="any")
    assert found["similarities"] == pytest.approx([1, 0, 24 / 25, 0])
    assert found["similarity"] == pytest.approx(1.96 / 4)
    with pytest.raises(BadInput, match="nothing is no sentence encoder that can be loaded"):
        measure("similarity", **pairs, model_id="nothing")


def test_similarity_of_word_vectors_is_that_of_their_means(tmp_path, monkeypatch):
    """Words as they are written, else in lower case; those without a vector are passed over."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    file = tmp_path / "vectors.txt"
    file.write_text("a 1 0 0\ndog 0 2 0\nDog 0 0 4\n. 1 1 0\n")
    pairs = {
        "predictions": ["A dog.", "a Dog", "unknown", "dog dog a"],
        "references": ["a dog .", "dog", "a", "unknown a"],
    }
    found = measure("similarity", **pairs, model_id=str(file))
    expected = [1, 0, 0, 1 / np.sqrt(17)]
    assert found["similarities"] == pytest.approx(expected) and found["similarity"] == pytest.approx(np.mean(expected))
    with pytest.raises(BadInput, match="can't be read as word vectors"):
        file.write_text("a 1 0 0\ndog 0 2\n")
        measure("similarity", **pairs, model_id=str(file))


def test_similarity_without_its_library_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(BadInput, match=r"pip install sentence-transformers$"):
        measure("similarity", **PAIRS)


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory) -> dict[str, Path]:
    """Random classifiers of three labels: a BERT, and a GPT-2, whose tokenizer lacks a padding piece; one of one."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("bert", "gpt2", "one")}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        words, pieces = wordpiece(), unigram()
        pieces.pad_token = None
        sizes: Any = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
        bert = transformers.BertConfig(
            vocab_size=len(words), num_labels=3, max_position_embeddings=20, hidden_dropout_prob=0.5, **sizes
        )
        gpt2 = transformers.GPT2Config(
            vocab_size=len(pieces),
            n_embd=16,
            n_layer=2,
            n_head=2,
            n_positions=20,
            num_labels=3,
            bos_token_id=None,
            eos_token_id=None,
        )
        one = transformers.BertConfig(vocab_size=len(words), num_labels=1, **sizes)
        for name, model, tokenizer in (
            ("bert", transformers.BertForSequenceClassification(bert), words),
            ("gpt2", transformers.GPT2ForSequenceClassification(gpt2), pieces),
            ("one", transformers.BertForSequenceClassification(one), words),
        ):
            for values in model.parameters():
                if values.dim() > 1:
                    values.normal_(0, 1)
            model.save_pretrained(folders[name])
            tokenizer.save_pretrained(folders[name])
    return folders


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_sentiment_agreement_against_one_sentence_at_a_time(kind, classifiers):
    """Padding, batches and a sentence that is too long change no label."""
    originals = [*sentences(20, seed=6, most=4), "dog " * 40]
    adversarial = [*sentences(20, seed=7, most=4), "dog " * 40]
    found = measure(
        "sentiment_agreement",
        predictions=adversarial,
        references=originals,
        model_id=str(classifiers[kind]),
        batch_size=6,
    )
    model = transformers.AutoModelForSequenceClassification.from_pretrained(classifiers[kind]).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(classifiers[kind])
    if kind == "gpt2":  # reads the label off the last piece that isn't padding
        model.config.pad_token_id = tokenizer.eos_token_id

    def label(text: str) -> int:
        ids = tokenizer(text, truncation=True, max_length=20, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            return int(model(input_ids=ids).logits.argmax())

    same = [float(label(old) == label(new)) for old, new in zip(originals, adversarial, strict=True)]
    assert found["agreements"] == same and found["sentiment_agreement"] == pytest.approx(sum(same) / len(same))
    assert 0 < sum(same) < len(same)


def test_sentiment_classifiers_that_cannot_be(classifiers):
    with pytest.raises(BadInput, match="has one label and can't disagree"):
        measure("sentiment_agreement", **PAIRS, model_id=str(classifiers["one"]))
    with pytest.raises(BadInput, match=r"\./nothing is no text classifier that can be loaded"):
        measure("sentiment_agreement", **PAIRS, model_id="./nothing")


def test_sentiment_by_vader_parts_plain_words_as_anyone_would():
    pytest.importorskip("vaderSentiment")
    pairs = {"predictions": ["great fun", "a car", "awful"], "references": ["wonderful", "a terrible car", "a loss"]}
    assert measure("sentiment_agreement", **pairs, model_id="vader")["agreements"] == [1.0, 0.0, 1.0]


# Perplexity ---------------------------------------------------------------------------------------------


def test_perplexity_against_one_piece_at_a_time(tmp_path):
    """-log p of each piece from the logits of its own prefix, the softmax written out; empty sentences don't count."""
    tokenizer: Any = unigram()
    tokenizer.bos_token = PAD
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        sizes = transformers.GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=64)
        model = transformers.GPT2LMHeadModel(sizes).eval()
        for values in model.parameters():
            values.normal_(0, 0.3)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = [*sentences(12, seed=8), ""]
    inputs: dict[str, Any] = {"predictions": texts, "model_id": str(tmp_path), "batch_size": 5}
    for start in (True, False):
        losses = []
        for text in texts:
            ids = [tokenizer.bos_token_id] * start + tokenizer(text, add_special_tokens=False)["input_ids"]
            losses.append([])
            for t in range(1, len(ids)):
                with torch.no_grad():
                    logits = model(torch.tensor([ids[:t]])).logits[0, -1].double()
                losses[-1].append(math.log(logits.exp().sum()) - float(logits[ids[t]]))
        found = measure("perplexity", **inputs, add_start_token=start)
        each = [math.exp(sum(loss) / len(loss)) for loss in losses if loss]
        flat = list(itertools.chain(*losses))
        assert [value for value in found["perplexities"] if not math.isnan(value)] == pytest.approx(each, rel=1e-5)
        assert math.isnan(found["perplexities"][-1])
        assert found["mean_perplexity"] == pytest.approx(sum(each) / len(each), rel=1e-5)
        assert found["perplexity"] == pytest.approx(math.exp(sum(flat) / len(flat)), rel=1e-5)
        assert all(type(value) is float for value in [*found["perplexities"], found["perplexity"]])
    with pytest.raises(BadInput, match=re.escape("./nothing is neither a folder here nor a model")):
        measure("perplexity", predictions=["a"], model_id="./nothing")
