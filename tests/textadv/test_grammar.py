"""The grammar against German as it is: a table of genders, articles and endings typed apart from the code."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from textadv import grammar
from textadv.grammar import NOUNS, Clause, NounPhrase, Verb

MASCULINE = """
Mann Junge Lehrer Arzt Bauer Soldat Student Tourist Nachbar Sänger Koch Arbeiter Spieler König Hund Vogel
Bär Affe Hase Ball Korb Eimer Brief Stock Koffer Regenschirm Apfel Kuchen Fisch Bus Zug Lastwagen Mantel Hut
Helm Schal Rock Anzug Pullover Strand Stuhl Zaun Wald Garten See Markt Berg Park Fluss Felsen Bahnhof Tisch
Baum
""".split()
FEMININE = """
Frau Dame Krankenschwester Tänzerin Großmutter Katze Kuh Ente Ziege Tasche Flasche Kiste Kamera Kerze Tasse
Fahne Blume Leiter Lampe Karte Zeitung Karotte Birne Jacke Uniform Scheune Bank Brücke Kirche Stadt Tür
Küche Bibliothek Wiese Schule Bühne Straße Mauer
""".split()
NEUTER = """
Mädchen Kind Baby Pferd Schaf Buch Bild Seil Schwert Ei Fahrrad Boot Auto Kleid Hemd Bett Schloss Feld
Krankenhaus Haus Büro Dach Geschäft Sofa Zelt Dorf Fenster
""".split()
GENDER: Mapping[Any, str] = dict.fromkeys(MASCULINE, "m") | dict.fromkeys(FEMININE, "f") | dict.fromkeys(NEUTER, "n")

# (article's ending, adjective's ending) that German allows before a singular noun, by gender and case.
AFTER_DER: dict[str, dict[tuple[str, str], str]] = {
    "der": {("m", "nom"): "e", ("f", "dat"): "en"},
    "die": {("f", "nom"): "e", ("f", "acc"): "e"},
    "das": {("n", "nom"): "e", ("n", "acc"): "e"},
    "den": {("m", "acc"): "en"},
    "dem": {("m", "dat"): "en", ("n", "dat"): "en"},
}
AFTER_EIN: dict[str, dict[tuple[str, str], str]] = {
    "": {("m", "nom"): "er", ("n", "nom"): "es", ("n", "acc"): "es"},
    "e": {("f", "nom"): "e", ("f", "acc"): "e"},
    "en": {("m", "acc"): "en"},
    "em": {("m", "dat"): "en", ("n", "dat"): "en"},
    "er": {("f", "dat"): "en"},
}
MERGED: dict[str, str] = {"im": "dem", "am": "dem", "beim": "dem", "zum": "dem", "zur": "der", "ins": "das"}
GOVERNED = {
    "bei": "dat",
    "mit": "dat",
    "hinter": "dat",
    "neben": "dat",
    "unter": "dat",
    "zu": "dat",
    "durch": "acc",
}
# Forms that are singular and plural alike: no article of theirs tells its reading.
ALIKE = {noun.german for noun in NOUNS.values() if noun.german == noun.german_plural}
STEMS = {
    "schwarz",
    "weiß",
    "rot",
    "groß",
    "klein",
    "alt",
    "neu",
    "jung",
    "dunkl",
    "müd",
    "hungrig",
    "nass",
    "leer",
}


@pytest.fixture(scope="module")
def test_pairs():
    return grammar.generate("test", 500)


def german_words(pairs):
    return [re.findall(r"\w+|[.,]", pair["target"]) for pair in pairs]


def phrase(english, determiner, adjective=None, plural=False):
    return NounPhrase(NOUNS[english], determiner, adjective, plural)


def agreeing(article: str, noun: str, adjective: str | None):
    """The (gender, case) readings of `article (adjective) noun` that German has for this noun's gender."""
    article = MERGED.get(article, article)
    readings = AFTER_DER.get(article) or AFTER_EIN[re.split("^(?:ein|sein|ihr)", article)[1]]
    return {case for (gender, case), end in readings.items() if gender == GENDER[noun] and adjective in (None, end)}


def test_every_noun_is_in_the_table_with_its_gender():
    assert {noun.german: noun.gender for noun in NOUNS.values()} == GENDER


def test_singular_articles_and_adjectives_agree_with_their_noun_and_preposition():
    articles = re.compile(r"der|die|das|den|dem|(?:ein|sein|ihr)(?:e|en|em|er)?|" + "|".join(MERGED), re.IGNORECASE)
    checked, governed = 0, 0
    for words in german_words(grammar.generate("train", 4000)):
        for i, word in enumerate(words):
            if not articles.fullmatch(word):
                continue
            stem = re.fullmatch(f"({'|'.join(STEMS)})(e|er|es|en)", words[i + 1])
            noun = words[i + 2] if stem else words[i + 1]
            if noun not in GENDER or noun in ALIKE:
                continue
            cases = agreeing(word.lower(), noun, stem[2] if stem else None)
            assert cases, (word, stem and stem[0], noun, " ".join(words))
            checked += 1
            if i and words[i - 1].lower() in GOVERNED:
                assert GOVERNED[words[i - 1].lower()] in cases, " ".join(words[: i + 3])
                governed += 1
    assert checked > 5000 and governed > 300


@pytest.mark.parametrize(
    ("nouns", "case", "expected"),
    [
        (phrase("man", "the"), "acc", "den Mann"),
        (phrase("boy", "a", "small"), "acc", "einen kleinen Jungen"),  # weak noun
        (phrase("soldier", "the", "old"), "dat", "dem alten Soldaten"),
        (phrase("dog", "three", "black", True), "dat", "drei schwarzen Hunden"),
        (phrase("dog", "the", "black", True), "nom", "die schwarzen Hunde"),
        (phrase("car", "two", "new", True), "dat", "zwei neuen Autos"),  # no -n after -s
        (phrase("child", "many", "happy", True), "nom", "viele glückliche Kinder"),
        (phrase("child", "some", None, True), "dat", "einigen Kindern"),
        (phrase("woman", "his"), "dat", "seiner Frau"),
        (phrase("book", "their", "old", True), "acc", "ihre alten Bücher"),
        (phrase("street", "a", "dark"), "dat", "einer dunklen Straße"),
        (phrase("house", "a", "big"), "nom", "ein großes Haus"),
        (phrase("lady", "", "white", True), "dat", "weißen Damen"),
    ],
)
def test_noun_phrases_by_hand(nouns, case, expected):
    assert nouns.german(case) == expected


def test_english_article_before_a_vowel():
    assert phrase("man", "a", "old").english() == "an old man"
    assert phrase("apple", "a").english() == "an apple"
    assert phrase("apple", "a", "red").english() == "a red apple"
    assert phrase("sheep", "two", None, True).english() == "two sheep"


RESTING = Verb("resting", "ruht", "ruhen", particle="aus", reflexive=True)
LISTENING = Verb("listening to", "hört", "hören", particle="zu", case="dat")
PARK = ("in the park", "im Park")


def test_word_order_by_hand():
    """Verb second in a main clause, last in a subordinate one, where a particle comes back to it."""
    teacher, men = phrase("teacher", "the"), phrase("man", "two", "tired", True)
    listening = Clause(men, LISTENING, ("the teacher", teacher.german("dat")), ("quietly", "leise"), PARK)
    assert listening.english() == "two tired men are quietly listening to the teacher in the park"
    assert listening.german() == "zwei müde Männer hören leise dem Lehrer im Park zu"
    assert listening.german_subordinate("während") == "während zwei müde Männer leise dem Lehrer im Park zuhören"
    resting = Clause(phrase("girl", "a"), RESTING)
    assert resting.english(front="at night") == "at night, a girl is resting"
    assert resting.german(front="in der Nacht") == "in der Nacht ruht sich ein Mädchen aus"
    assert resting.german() == "ein Mädchen ruht sich aus"
    assert resting.german_subordinate("während") == "während sich ein Mädchen ausruht"
    assert grammar.relative(resting) == ("who is resting", ", das sich ausruht,")


BY_HAND = {
    "Four dirty birds are slowly looking at their dirty bear in front of the barn.": (
        "Vier schmutzige Vögel sehen langsam ihren schmutzigen Bären vor der Scheune an."
    ),
    "A hungry man with a basket is slowly bringing a cup to a baby.": (
        "Ein hungriger Mann mit einem Korb bringt langsam einem Baby eine Tasse."
    ),
    "A lady is marching along the river.": "Eine Dame marschiert den Fluss entlang.",
    "In winter, a baby is waiting for some neighbors in an office.": (
        "Im Winter wartet ein Baby auf einige Nachbarn in einem Büro."
    ),
    "A baby who is waiting at an empty door is waiting on a dirty roof.": (
        "Ein Baby, das an einer leeren Tür wartet, wartet auf einem schmutzigen Dach."
    ),
    "Many cows are waving to the black rabbit.": "Viele Kühe winken dem schwarzen Hasen zu.",
    "On the big bench, a happy soldier in the red hat is following many happy teachers.": (
        "Auf der großen Bank folgt ein glücklicher Soldat im roten Hut vielen glücklichen Lehrern."
    ),
    "There are four cooks at the old station.": "Am alten Bahnhof sind vier Köche.",
    "A girl is throwing away the bag while the cat is crawling through a dark park.": (
        "Ein Mädchen wirft die Tasche weg, während die Katze durch einen dunklen Park kriecht."
    ),
}


def test_sentences_by_hand():
    """Some of the first sentences that are generated, translated by hand."""
    pairs = [pair for split in ("test", "validation") for pair in grammar.generate(split, 14)]
    generated = {pair["source"]: pair["target"] for pair in pairs}
    assert {source: generated[source] for source in BY_HAND} == BY_HAND


def test_verbs_agree_in_number(test_pairs):
    """Where English says "are", German must not have a singular finite verb, and the other way round."""
    plurals = {"sind"} | {verb.plural for verb in _verbs()}
    singulars = {"ist"} | {verb.singular for verb in _verbs()}
    for pair in test_pairs:
        words = pair["target"].replace(",", "").removesuffix(".").split()
        particles = ("aus", "auf", "weg", "an", "zu", "entlang", "")
        bare = [word.removeprefix(particle) for word in words for particle in particles]
        english = re.findall(r"\b(?:is|are)\b", pair["source"])
        assert any(word in plurals for word in bare) == ("are" in english), pair
        assert any(word in singulars for word in bare) == ("is" in english), pair


def _verbs():
    handling = [verb for verbs in grammar.HANDLING.values() for verb in verbs]
    return [*grammar.STAYING, *grammar.MOVING, *handling, *grammar.MEETING, *grammar.GIVING, grammar.PLAYING]


def test_splits_are_disjoint_and_the_same_every_time():
    splits = {split: [pair["source"] for pair in grammar.generate(split, 400)] for split in grammar.SPLITS}
    assert all(len(set(sources)) == 400 for sources in splits.values())
    assert len({source for sources in splits.values() for source in sources}) == 1200
    assert grammar.generate("test", 400) == grammar.generate("test", 500)[:400]
    assert grammar.generate("test", 50, seed=1) != grammar.generate("test", 50, seed=0)
    train = {pair["source"] for pair in grammar.generate("train", 3000)}
    assert not train & {pair["source"] for pair in grammar.generate("test", 400, seed=1)}


def test_sentences_are_captions(test_pairs):
    for pair in test_pairs:
        assert grammar.SHORTEST <= len(pair["source"].split()) <= grammar.LONGEST
        for text in pair.values():
            assert text[0].isupper() and text.endswith(".") and text == " ".join(text.split())
            assert " ," not in text and ",." not in text and ",," not in text
    moved = sum(pair["source"].count(",") != pair["target"].count(",") for pair in test_pairs)
    assert moved > 50  # fronted places lose their comma, clauses get one


def test_vocabulary_is_small_and_rich_enough():
    words = {word.lower() for pair in grammar.generate("train", 8000) for word in re.findall(r"\w+", pair["source"])}
    assert 250 <= len(words) <= 400


def test_unknown_split():
    with pytest.raises(ValueError, match="train, validation, test"):
        grammar.generate("dev", 1)
