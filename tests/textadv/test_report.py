"""The page of a run, read back with an HTML parser."""

import random
from dataclasses import asdict
from html.parser import HTMLParser

import pytest

from textadv.report import picked_words, report, success_curve
from textadv.types import AttackRecord
from textadv.words import changed_words, contains_words, disjoint, input_bleu, output_bleu, shares_no_position

RESULTS = {
    "success": {"value": 0.75, "low": 0.3, "high": 0.954, "n": 4},
    "changed_words": {"value": 1.5, "low": 1.0, "high": 2.25, "n": 3},
    "queries": {"value": 1234.56, "low": float("nan"), "high": float("nan"), "n": 1},
    "seconds": 12.34,
    "examples_per_second": 0.5,
}
MANIFEST = {
    "command": ["accelerate", "launch", "scripts/seq2sick.py", "--keywords", "Hund sitzt"],
    "config": {"model_name_or_path": "../models/captions", "split": "test", "source_lang": None},
    "seed": 7,
    "versions": {"torch": "2.15.0"},
    "git_hash": "3f9c2ab",
    "device": "cpu",
    "precision": "fp32",
}


def make_record(
    example_id: int,
    original: str = "A dog sleeps.",
    adversarial: str = "A cat sleeps.",
    clean_output: str = "Ein Hund schläft.",
    adversarial_output: str = "Die Katze träumt.",
    **fields,
) -> dict:
    """A record with every column that follows from the four texts filled in."""
    keywords = fields.get("keywords", [])
    won = contains_words if keywords else shares_no_position
    record = AttackRecord(
        example_id=example_id,
        seed=7,
        success=won(adversarial_output, keywords) if keywords else won(clean_output, adversarial_output),
        queries=1200,
        seconds=0.5,
        original=original,
        adversarial=adversarial,
        skipped=None,
        keywords=keywords,
        reference=None,
        clean_output=clean_output,
        adversarial_output=adversarial_output,
        changed_words=changed_words(original, adversarial),
        input_bleu=input_bleu(original, adversarial),
        output_bleu=output_bleu(clean_output, adversarial_output),
        success_disjoint=disjoint(clean_output, adversarial_output),
        success_half_bleu=output_bleu(clean_output, adversarial_output) <= 0.5,
        search_success=True,
        found_by="search",
    )
    return asdict(record) | fields


class Page(HTMLParser):
    """A page as text, and per sentence: its classes, its text, and what each kind of mark holds."""

    VOID = frozenset(("meta", "input", "br", "link", "img", "path", "use"))
    MARKS = frozenset(("del", "ins", "mark", "u"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.cards: dict[str, dict] = {}
        self.rows: list[list[str]] = []  # of all tables: the text of each cell
        self.text = ""
        self._open: list[str] = []
        self._card: dict | None = None
        self.feed(html)
        self.close()
        assert not self._open, "every element is closed"

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        if tag not in self.VOID:
            self._open.append(tag)
        if tag in ("br", "td", "dd"):
            self.handle_data(" ")
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
        if tag == "article":
            card = {"classes": attributes["class"].split(), "text": "", **{mark: [] for mark in self.MARKS}}
            self._card = self.cards[attributes["id"].removeprefix("sentence-")] = card

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag == "article":
            self._card = None

    def handle_data(self, data):
        if "style" in self._open:
            return
        self.text += data
        if {"th", "td"} & set(self._open):
            self.rows[-1][-1] += data
        if self._card is not None:
            self._card["text"] += data
            if self._open[-1] in self.MARKS:
                self._card[self._open[-1]].append(data)


def read(records, results=RESULTS, manifest=MANIFEST, **options) -> Page:
    return Page(report(records, results, manifest, **options))


def test_changed_words_are_marked_on_both_sides():
    card = read([make_record(3, "A dog, a red ball and a dog.", "A cat, a red bus and a dog.")]).cards["3"]
    assert card["del"] == ["dog", "ball"]
    assert card["ins"] == ["cat", "bus"]
    assert "A cat, a red bus and a dog." in card["text"]  # marks leave the text as it was
    assert "2 of 10 words" in card["text"]
    assert card["mark"] == card["u"] == []


def test_an_inserted_word_is_marked_alone():
    card = read([make_record(0, "A dog sleeps.", "A very old dog sleeps.")]).cards["0"]
    assert (card["del"], card["ins"]) == ([], ["very", "old"])


def test_words_kept_in_their_place_are_marked_in_both_outputs():
    """The final point is in the same place as well but isn't compared."""
    record = make_record(0, clean_output="Ein Hund schläft hier.", adversarial_output="Ein Kater schläft dort.")
    card = read([record]).cards["0"]
    assert card["u"] == ["Ein", "schläft"] * 2
    assert card["classes"][-1] == "failed"


def test_keywords_are_marked_where_the_output_says_them():
    record = make_record(0, adversarial_output="Ein Hund sitzt auf Hundefutter.", keywords=["sitzt", "Hund", "Boot"])
    card = read([record]).cards["0"]
    assert card["mark"] == ["Hund", "Hund", "sitzt"]  # the clean output says "Hund" too
    assert card["u"] == []
    assert "sitzt ✓" in card["text"] and "Hund ✓" in card["text"] and "Boot ✗" in card["text"]


def test_everything_from_a_model_or_a_data_set_is_escaped():
    """Each text of the record, the config and the versions carries a tag of its own."""

    def attack(name: str) -> str:
        return f'<script>{name}</script><b onclick="x">&amp;"\''

    texts = ("original", "adversarial", "clean_output", "adversarial_output", "reference", "found_by")
    record = make_record(0, **{name: attack(name) for name in texts})
    skipped = make_record(1, skipped=attack("skipped"), original=attack("alone"))
    said = make_record(2, keywords=[attack("keyword")], adversarial_output=attack("said"))
    manifest = {
        "command": attack("command"),
        "config": {"model_name_or_path": attack("model"), "dataset_name": attack("data"), attack("key"): 1},
        "versions": {"torch": attack("torch")},
        "git_hash": attack("git"),
        "device": attack("device"),
    }
    html = report([record, skipped, said], RESULTS, manifest)
    assert "<script" not in html and "<b" not in html.replace("<body", "").replace("<br>", "")
    page = Page(html)
    for name in (*texts, "skipped", "alone", "keyword", "said", "command", "key", "torch", "git", "device"):
        assert attack(name) in page.text, name
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_the_page_is_self_contained():
    """No scripts, and no address but names of XML vocabularies and places on the page."""
    page = read([make_record(0)])
    assert "script" not in {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#"), (tag, attributes)
    html = report([make_record(0)], RESULTS, MANIFEST)
    assert "url(" not in html.replace("url(#", "") and "@import" not in html


def test_same_arguments_same_page():
    records = [make_record(i) for i in range(3)]
    assert report(records, RESULTS, MANIFEST) == report(records, RESULTS, MANIFEST)


def test_curve_equals_a_count():
    generator = random.Random(0)
    records = [
        make_record(
            i,
            success=generator.random() < 0.7,
            changed_words=generator.randrange(1, 9),
            skipped="too long" if generator.random() < 0.2 else None,
        )
        for i in range(200)
    ]
    attacked = [r for r in records if not r["skipped"]]
    most = max(r["changed_words"] for r in attacked if r["success"])
    expected = []
    for k in range(most + 1):
        flipped = [r for r in attacked if r["success"] and r["changed_words"] <= k]
        expected.append(len(flipped) / len(attacked))
    assert success_curve(records) == expected
    assert expected[-1] == sum(r["success"] for r in attacked) / len(attacked)
    label = next(a["aria-label"] for tag, a in read(records).tags if tag == "svg")
    assert label.endswith(f"{most}: {100 * expected[-1]:.1f} %")


def test_curve_of_few():
    failed = make_record(0, adversarial_output="Ein Hund schläft.")
    skipped = make_record(1, skipped="empty")
    assert success_curve([]) == success_curve([skipped]) == []
    assert success_curve([failed, skipped]) == [0.0]
    assert success_curve([make_record(2)]) == [0.0, 1.0]
    assert success_curve([make_record(2, adversarial="A dog sleeps.")]) == [1.0]  # flipped without a change


def test_the_band_of_the_curve_is_wilsons(monkeypatch):
    """Three of four sentences flipped, one with one word, two with two: what matplotlib is given to fill."""
    from matplotlib.axes import Axes

    bands = []
    monkeypatch.setattr(Axes, "fill_between", lambda self, x, low, high, **style: bands.append((list(x), low, high)))
    records = [make_record(i, changed_words=words) for i, words in enumerate([1, 2, 2])]
    report([*records, make_record(3, adversarial_output="Ein Hund schläft."), make_record(4, skipped="empty")], {}, {})
    [(words, lows, highs)] = bands
    assert words == [0, 1, 2]
    z, n = 1.959964, 4
    for share, low, high in zip([0, 0.25, 0.75], lows, highs, strict=True):
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
        assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)


PICKED = [
    make_record(0, "a dog and a cat.", "a cow and the cat."),
    make_record(1, "a dog runs", "a hen runs"),
    make_record(2, "a man runs", "the cow runs"),
    make_record(3, "a fish swims", "big fish fly", adversarial_output=""),  # failed
    make_record(4, "a bird flies", "a bee flies", skipped="too long"),
]


def test_words_that_are_picked():
    """By hand, over the first three: "a" is changed in two of its four places, "dog" in both of its two."""
    changed, written = picked_words(PICKED)
    assert changed == [("a", 2, 4), ("dog", 2, 2), ("man", 1, 1)]
    assert written == [("cow", 2), ("the", 2), ("hen", 1)]
    assert picked_words([]) == picked_words(PICKED[3:]) == ([], [])


def test_tables_of_the_words_that_are_picked():
    page = read(PICKED, {}, {})
    assert [" ".join("".join(row).split()) for row in page.rows] == [
        "Found by search 3", "a 2 of 4", "dog 2 of 2", "man 1 of 1", "cow 2", "the 2", "hen 1"
    ]  # fmt: skip
    assert "5 changes in the successes" in page.text and "3 different words in the successes" in page.text
    bars = [a["style"] for tag, a in page.tags if tag == "i" and "range" in a["class"]]
    assert bars == [f"width: {width}%" for width in ["100.00", "100.00", "50.00"] * 2]
    few = read(PICKED, {}, {}, max_rows=1)
    assert [row[0].strip() for row in few.rows if len(row) == 3] == ["a", "cow"]
    assert "5 changes in the successes" in few.text, "what isn't shown counts"
    assert "Words most often" not in read(PICKED[3:], {}, {}).text


def test_words_that_are_picked_by_chance_in_any_number_equal_a_count():
    generator = random.Random(1)
    records = []
    for i in range(60):
        before = [generator.choice("abcdef") for _ in range(6)]
        after = [generator.choice("abcdef") for _ in range(6)]
        records.append(make_record(i, " ".join(before), " ".join(after), success=generator.random() < 0.6))
    pairs = [pair for r in records if r["success"] for pair in zip(r["original"], r["adversarial"], strict=True)]
    changed, written = picked_words(records)
    for letter in "abcdef":
        assert (letter, sum(a == letter != b for a, b in pairs), sum(a == letter for a, _ in pairs)) in changed
        assert (letter, sum(b == letter != a for a, b in pairs)) in written
    assert [count for _, count, _ in changed] == sorted((count for _, count, _ in changed), reverse=True)


def test_sentences_are_grouped_by_the_number_of_changed_words():
    """A button for each number that a shown sentence has, and a rule that hides the cards of other numbers."""
    records = [make_record(i, changed_words=words) for i, words in enumerate([1, 1, 3, 10, 14])]
    records += [
        make_record(5, changed_words=3, adversarial_output="Ein Hund schläft."),
        make_record(6, skipped="empty", changed_words=0),
    ]
    html = report(records, RESULTS, MANIFEST)
    page = Page(html)
    sizes = {number: card["classes"][2:-1] for number, card in page.cards.items()}
    grouped = {"0": 1, "1": 1, "2": 3, "3": 10, "4": 10, "5": 3}
    assert sizes == {number: [f"size-{size}"] for number, size in grouped.items()} | {"6": []}
    inputs = [a["id"] for tag, a in page.tags if tag == "input" and a["name"] == "size"]
    assert inputs == ["size-all", "size-1", "size-3", "size-10"]
    assert "any 1 (2) 3 (2) 10+ (2)" in " ".join(page.text.split())
    for size in (1, 3, 10):
        assert f"body:has(#size-{size}:checked) .card:not(.size-{size}) {{ display: none; }}" in html
    assert "size-all" not in report(records[:2], RESULTS, MANIFEST), "one number is no choice"
    capped = read(records, max_cards=3)  # one of the five successes, the failure, the skipped one
    assert [a["id"] for tag, a in capped.tags if tag == "input" and a["name"] == "size"][1:] == ["size-1", "size-3"]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_no_success(count):
    records = [make_record(i, adversarial_output="") for i in range(count)]
    page = read(records, {}, {})
    assert "svg" not in {tag for tag, _ in page.tags}
    assert "No sentence was flipped" in page.text
    assert page.text.count("(empty)") == count  # an output that says nothing is told apart from a lost one
    assert ("No sentence was attacked." in page.text) == (count == 0)


def test_order_and_badges():
    records = [
        make_record(0, skipped="over the limit", success=False),
        make_record(1, adversarial_output="Ein Hund schläft.", found_by=None),
        make_record(2, "A dog sleeps.", "The cat eats."),
        make_record(3),
        make_record(4),
    ]
    page = read(records)
    assert list(page.cards) == ["3", "4", "2", "1", "0"]
    assert [card["classes"][-1] for card in page.cards.values()] == ["success"] * 3 + ["failed", "skipped"]
    assert "over the limit" in page.cards["0"]["text"] and "queries" not in page.cards["0"]["text"]
    assert "1,200 queries" in page.cards["3"]["text"] and "search" in page.cards["3"]["text"]
    assert "disjoint" in page.cards["3"]["text"] and "disjoint" not in page.cards["1"]["text"]
    assert "3 of 4 sentences flipped" in page.text and "1 skipped" in page.text


def test_a_cap_leaves_room_for_failures():
    """Room for six of ten successes and two failures: both failures, and the four least changed successes."""
    records = [make_record(i, changed_words=10 - i) for i in range(10)]
    records += [make_record(i, adversarial_output="Ein Hund schläft.") for i in (10, 11)]
    page = read(records, max_cards=6)
    assert list(page.cards) == ["9", "8", "7", "6", "10", "11"]
    assert "4 of 10 success, 2 of 2 failed" in page.text
    assert "All are in records.jsonl" not in read(records, max_cards=12).text


def test_figures():
    page = read([make_record(0)])
    text = " ".join(page.text.split())
    assert "Success 75.0 % no word keeps its place 95 % interval 30.0 – 95.4 % n = 4" in text
    assert "Changed words 1.50 mean over the successes 95 % interval 1.00 – 2.25 n = 3" in text
    assert "Queries per sentence 1,234.6 Found by" in text  # no interval from nan
    assert "Seconds 12.3" in text
    assert "Seq2Sick against captions" in text and "../models/captions" in text
    assert "seq2sick.py --keywords 'Hund sitzt'" in text
    assert "seed 7 device cpu precision fp32" in text
    assert "3f9c2ab" in text and "source_lang" not in text


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Helsinki-NLP/opus-mt-en-de", "Helsinki-NLP/opus-mt-en-de"),
        ("../models/captions/", "captions"),
        ("/data/captions", "captions"),
        ("runs/models/captions", "captions"),
        ("C:\\models\\captions", "captions"),
        (None, "the embedded model"),
    ],
)
def test_model_name(model, name):
    html = report([], {}, {"config": {"model_name_or_path": model}})
    assert f"<title>Seq2Sick against {name}</title>" in html


def test_a_baseline_is_called_by_its_name():
    html = report([], {}, {"config": {"model_name_or_path": None, "baseline": "word_importance"}})
    assert "<title>Word importance against the embedded model</title>" in html and "Seq2Sick" not in html
