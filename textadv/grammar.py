"""The embedded data: English scene captions and their German translations, from a grammar of our own.

German nouns have a gender, every article and adjective agrees in gender, number and case, verbs and
prepositions govern cases, the finite verb stands second in a main clause and last in a subordinate one, and
some verbs split. So the translation is no word-for-word substitution, and still there is exactly one: a small
model can learn it well. Nothing here is taken from any corpus.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

Case = Literal["nom", "acc", "dat"]
Pair = tuple[str, str]  # (English, German) of a constituent that agrees with nothing outside itself

SPLITS = ("train", "validation", "test")
SHORTEST, LONGEST = 6, 16  # words of a source sentence


@dataclass(frozen=True)
class Noun:
    english: str
    english_plural: str
    german: str
    german_plural: str
    gender: str  # "m", "f" or "n"
    kind: str
    tags: frozenset[str]


@dataclass(frozen=True)
class Verb:
    english: str  # the -ing form, with its preposition if it has one
    singular: str
    plural: str
    particle: str = ""  # leaves the finite verb of a main clause for the end of it
    reflexive: bool = False
    preposition: str = ""  # what its object follows, in German
    case: Case = "acc"  # of its object


def _nouns(table: str, kind: str) -> list[Noun]:
    """Rows of `english english_plural | german german_plural gender tags...`."""
    words = [line.replace("|", " ").split() for line in table.strip().splitlines()]
    return [Noun(w[0], w[1], w[2], w[3], w[4], kind, frozenset([kind, *w[5:]])) for w in words]


# Tags: he, she: takes the English possessive; weak: German acc. and dat. singular look like the plural.
PERSONS = _nouns(
    """
    man men | Mann Männer m he
    woman women | Frau Frauen f she
    boy boys | Junge Jungen m he weak
    girl girls | Mädchen Mädchen n
    child children | Kind Kinder n
    baby babies | Baby Babys n
    teacher teachers | Lehrer Lehrer m
    doctor doctors | Arzt Ärzte m
    farmer farmers | Bauer Bauern m weak
    soldier soldiers | Soldat Soldaten m weak
    student students | Student Studenten m weak
    tourist tourists | Tourist Touristen m weak
    neighbor neighbors | Nachbar Nachbarn m weak
    singer singers | Sänger Sänger m
    cook cooks | Koch Köche m
    worker workers | Arbeiter Arbeiter m
    player players | Spieler Spieler m
    king kings | König Könige m he
    lady ladies | Dame Damen f she
    nurse nurses | Krankenschwester Krankenschwestern f
    dancer dancers | Tänzerin Tänzerinnen f
    grandmother grandmothers | Großmutter Großmütter f she
    """,
    "person",
)
ANIMALS = _nouns(
    """
    dog dogs | Hund Hunde m
    cat cats | Katze Katzen f
    horse horses | Pferd Pferde n
    bird birds | Vogel Vögel m
    cow cows | Kuh Kühe f
    sheep sheep | Schaf Schafe n
    duck ducks | Ente Enten f
    goat goats | Ziege Ziegen f
    bear bears | Bär Bären m weak
    monkey monkeys | Affe Affen m weak
    rabbit rabbits | Hase Hasen m weak
    """,
    "animal",
)
THINGS = _nouns(
    """
    bag bags | Tasche Taschen f
    ball balls | Ball Bälle m
    basket baskets | Korb Körbe m
    book books | Buch Bücher n readable
    bottle bottles | Flasche Flaschen f
    box boxes | Kiste Kisten f
    bucket buckets | Eimer Eimer m
    camera cameras | Kamera Kameras f
    candle candles | Kerze Kerzen f
    cup cups | Tasse Tassen f
    flag flags | Fahne Fahnen f
    flower flowers | Blume Blumen f
    ladder ladders | Leiter Leitern f
    lamp lamps | Lampe Lampen f
    letter letters | Brief Briefe m readable
    map maps | Karte Karten f readable
    newspaper newspapers | Zeitung Zeitungen f readable
    picture pictures | Bild Bilder n
    rope ropes | Seil Seile n
    stick sticks | Stock Stöcke m
    suitcase suitcases | Koffer Koffer m
    sword swords | Schwert Schwerter n
    umbrella umbrellas | Regenschirm Regenschirme m
    apple apples | Apfel Äpfel m food
    cake cakes | Kuchen Kuchen m food
    carrot carrots | Karotte Karotten f food
    egg eggs | Ei Eier n food
    fish fish | Fisch Fische m food
    pear pears | Birne Birnen f food
    """,
    "thing",
)
VEHICLES = _nouns(
    """
    bicycle bicycles | Fahrrad Fahrräder n
    boat boats | Boot Boote n
    bus buses | Bus Busse m
    car cars | Auto Autos n
    train trains | Zug Züge m
    truck trucks | Lastwagen Lastwagen m
    """,
    "vehicle",
)
CLOTHES = _nouns(
    """
    coat coats | Mantel Mäntel m
    dress dresses | Kleid Kleider n
    hat hats | Hut Hüte m
    helmet helmets | Helm Helme m
    jacket jackets | Jacke Jacken f
    scarf scarves | Schal Schals m
    shirt shirts | Hemd Hemden n
    skirt skirts | Rock Röcke m
    suit suits | Anzug Anzüge m
    sweater sweaters | Pullover Pullover m
    uniform uniforms | Uniform Uniformen f
    """,
    "clothing",
)
# Places stay singular. Tags: en:de of being there (dative), and the ways of going there (see WAYS).
PLACES = _nouns(
    """
    barn - | Scheune - f in:in into landmark
    beach - | Strand - m on:an along to
    bed - | Bett - n in:in
    bench - | Bank - f on:auf landmark
    bridge - | Brücke - f on:auf across under:unter
    castle - | Schloss - n in:in into to landmark
    chair - | Stuhl - m on:auf
    church - | Kirche - f in:in into to landmark
    city - | Stadt - f in:in into through
    door - | Tür - f at:an through
    fence - | Zaun - m at:an along landmark
    field - | Feld - n in:auf across
    forest - | Wald - m in:in into through
    garden - | Garten - m in:in into through
    hospital - | Krankenhaus - n in:in into to
    house - | Haus - n in:in into through to landmark
    kitchen - | Küche - f in:in into through
    lake - | See - m at:an to
    library - | Bibliothek - f in:in into to
    market - | Markt - m at:auf across to
    meadow - | Wiese - f on:auf across
    mountain - | Berg - m on:auf
    office - | Büro - n in:in into
    park - | Park - m in:in into through
    river - | Fluss - m by:an along to
    rock - | Felsen - m on:auf landmark
    roof - | Dach - n on:auf
    school - | Schule - f in:in into to landmark
    shop - | Geschäft - n in:in into to
    sofa - | Sofa - n on:auf
    stage - | Bühne - f on:auf across
    station - | Bahnhof - m at:an through to
    street - | Straße - f on:auf along across
    table - | Tisch - m at:an under:unter
    tent - | Zelt - n in:in into landmark
    tree - | Baum - m under:unter landmark
    village - | Dorf - n in:in into through
    wall - | Mauer - f on:auf along
    window - | Fenster - n at:an
    """,
    "place",
)
NOUNS = {noun.english: noun for noun in [*PERSONS, *ANIMALS, *THINGS, *VEHICLES, *CLOTHES, *PLACES]}
TAGGED: dict[str, list[Noun]] = {}
for _noun in NOUNS.values():
    for _tag in _noun.tags:
        TAGGED.setdefault(_tag, []).append(_noun)
BESIDE = [("behind", "hinter"), ("in front of", "vor"), ("near", "bei"), ("next to", "neben")]  # dative
WAYS: dict[str, tuple[str, Case]] = {
    "across": ("über", "acc"),
    "into": ("in", "acc"),
    "through": ("durch", "acc"),
    "to": ("zu", "dat"),
    "along": ("entlang", "acc"),  # follows its noun and clings to the verb like a particle
}

COLORS = {
    "black": "schwarz",
    "blue": "blau",
    "brown": "braun",
    "gray": "grau",
    "green": "grün",
    "red": "rot",
    "white": "weiß",
    "yellow": "gelb",
}
ADJECTIVES = COLORS | {
    "beautiful": "schön",
    "big": "groß",
    "broken": "kaputt",
    "dark": "dunkl",
    "dirty": "schmutzig",
    "empty": "leer",
    "friendly": "freundlich",
    "happy": "glücklich",
    "heavy": "schwer",
    "hungry": "hungrig",
    "long": "lang",
    "new": "neu",
    "old": "alt",
    "quiet": "ruhig",
    "short": "kurz",
    "small": "klein",
    "strong": "stark",
    "tall": "groß",
    "thin": "dünn",
    "tired": "müd",
    "warm": "warm",
    "wet": "nass",
    "wild": "wild",
    "young": "jung",
}
ADJECTIVES_OF = {
    "person": "friendly happy hungry old small strong tall thin tired young".split(),
    "animal": "big black brown dirty gray hungry small thin wet white wild".split(),
    "thing": [*COLORS, "beautiful", "big", "heavy", "new", "old", "small"],
    "vehicle": [*COLORS, "big", "broken", "dirty", "new", "old", "small"],
    "clothing": [*COLORS, "dirty", "long", "new", "short", "warm"],
    "place": "beautiful big dark dirty empty new old quiet small".split(),
}

STAYING = [
    Verb("crying", "weint", "weinen"),
    Verb("dancing", "tanzt", "tanzen"),
    Verb("hiding", "versteckt", "verstecken", reflexive=True),
    Verb("kneeling", "kniet", "knien"),
    Verb("laughing", "lacht", "lachen"),
    Verb("lying", "liegt", "liegen"),
    Verb("resting", "ruht", "ruhen", particle="aus", reflexive=True),
    Verb("singing", "singt", "singen"),
    Verb("sitting", "sitzt", "sitzen"),
    Verb("sleeping", "schläft", "schlafen"),
    Verb("smiling", "lächelt", "lächeln"),
    Verb("standing", "steht", "stehen"),
    Verb("waiting", "wartet", "warten"),
    Verb("working", "arbeitet", "arbeiten"),
]
MOVING = [
    Verb("crawling", "kriecht", "kriechen"),
    Verb("hurrying", "eilt", "eilen"),
    Verb("jumping", "springt", "springen"),
    Verb("marching", "marschiert", "marschieren"),
    Verb("running", "läuft", "laufen"),
    Verb("walking", "geht", "gehen"),
]
HANDLING = {  # by what is handled
    "thing": [
        Verb("buying", "kauft", "kaufen"),
        Verb("carrying", "trägt", "tragen"),
        Verb("holding", "hält", "halten"),
        Verb("looking for", "sucht", "suchen"),
        Verb("picking up", "hebt", "heben", particle="auf"),
        Verb("throwing away", "wirft", "werfen", particle="weg"),
    ],
    "readable": [Verb("reading", "liest", "lesen")],
    "food": [Verb("cutting", "schneidet", "schneiden"), Verb("eating", "isst", "essen")],
    "vehicle": [
        Verb("painting", "malt", "malen", particle="an"),
        Verb("pulling", "zieht", "ziehen"),
        Verb("pushing", "schiebt", "schieben"),
        Verb("repairing", "repariert", "reparieren"),
        Verb("washing", "wäscht", "waschen"),
    ],
    "clothing": [
        Verb("putting on", "zieht", "ziehen", particle="an"),
        Verb("taking off", "zieht", "ziehen", particle="aus"),
        Verb("wearing", "trägt", "tragen"),
    ],
}
MEETING = [
    Verb("calling", "ruft", "rufen", particle="an"),
    Verb("following", "folgt", "folgen", case="dat"),
    Verb("greeting", "begrüßt", "begrüßen"),
    Verb("helping", "hilft", "helfen", case="dat"),
    Verb("hugging", "umarmt", "umarmen"),
    Verb("kissing", "küsst", "küssen"),
    Verb("laughing at", "lacht", "lachen", preposition="über"),
    Verb("listening to", "hört", "hören", particle="zu", case="dat"),
    Verb("looking at", "sieht", "sehen", particle="an"),
    Verb("playing with", "spielt", "spielen", preposition="mit", case="dat"),
    Verb("pointing at", "zeigt", "zeigen", preposition="auf"),
    Verb("talking to", "spricht", "sprechen", preposition="mit", case="dat"),
    Verb("waiting for", "wartet", "warten", preposition="auf"),
    Verb("watching", "beobachtet", "beobachten"),
    Verb("waving to", "winkt", "winken", particle="zu", case="dat"),
]
GIVING = [
    Verb("bringing", "bringt", "bringen"),
    Verb("giving", "gibt", "geben"),
    Verb("selling", "verkauft", "verkaufen"),
    Verb("showing", "zeigt", "zeigen"),
]
PLAYING = Verb("playing", "spielt", "spielen")
INSTRUMENTS = [
    ("the drums", "Schlagzeug"),
    ("the guitar", "Gitarre"),
    ("the piano", "Klavier"),
    ("the trumpet", "Trompete"),
    ("the violin", "Geige"),
]
MANNERS = [
    ("calmly", "gelassen"),
    ("happily", "fröhlich"),
    ("loudly", "laut"),
    ("quickly", "schnell"),
    ("quietly", "leise"),
    ("slowly", "langsam"),
]
TIMES = [
    ("at night", "in der Nacht"),
    ("in summer", "im Sommer"),
    ("in the evening", "am Abend"),
    ("in the morning", "am Morgen"),
    ("in winter", "im Winter"),
    ("on Sunday", "am Sonntag"),
    ("today", "heute"),
]

# Columns: masculine, feminine, neuter, plural.
COLUMN = {"m": 0, "f": 1, "n": 2, "pl": 3}
DEFINITE = {
    "nom": ("der", "die", "das", "die"),
    "acc": ("den", "die", "das", "die"),
    "dat": ("dem", "der", "dem", "den"),
}
INDEFINITE = {"nom": ("", "e", "", "e"), "acc": ("en", "e", "", "e"), "dat": ("em", "er", "em", "en")}
AFTER_DEFINITE = {
    "nom": ("e", "e", "e", "en"),
    "acc": ("en", "e", "e", "en"),
    "dat": ("en", "en", "en", "en"),
}
AFTER_INDEFINITE = {
    "nom": ("er", "e", "es", "en"),
    "acc": ("en", "e", "es", "en"),
    "dat": ("en", "en", "en", "en"),
}
STRONG_PLURAL = {"nom": "e", "acc": "e", "dat": "en"}  # after numbers and quantities, which end so themselves
EIN_WORDS = {"a": "ein", "his": "sein", "her": "ihr", "their": "ihr"}
NUMBERS = {"two": "zwei", "three": "drei", "four": "vier", "five": "fünf"}
QUANTITIES = {"many": "viel", "several": "mehrer", "some": "einig"}
CONTRACTIONS = {
    "in dem": "im",
    "in das": "ins",
    "an dem": "am",
    "bei dem": "beim",
    "zu dem": "zum",
    "zu der": "zur",
}


@dataclass(frozen=True)
class NounPhrase:
    """`determiner adjective noun modifier`; whether it is plural follows from `plural`."""

    noun: Noun
    determiner: str  # "the", a key of EIN_WORDS, NUMBERS or QUANTITIES, or none: ""
    adjective: str | None = None
    plural: bool = False
    modifier: Pair = ("", "")

    def english(self) -> str:
        noun = self.noun.english_plural if self.plural else self.noun.english
        words = _join(self.adjective or "", noun)
        article = "an" if self.determiner == "a" and words[0] in "aeiou" else self.determiner
        return _join(article, words, self.modifier[0])

    def german(self, case: Case) -> str:
        column = COLUMN["pl" if self.plural else self.noun.gender]
        if self.determiner == "the":
            determiner, ending = DEFINITE[case][column], AFTER_DEFINITE[case][column]
        elif self.determiner in EIN_WORDS:
            determiner = EIN_WORDS[self.determiner] + INDEFINITE[case][column]
            ending = AFTER_INDEFINITE[case][column]
        else:
            ending = STRONG_PLURAL[case]
            quantity = QUANTITIES.get(self.determiner)
            determiner = quantity + ending if quantity else NUMBERS.get(self.determiner, "")
        adjective = ADJECTIVES[self.adjective] + ending if self.adjective else ""
        return _join(determiner, adjective, self._german_noun(case), self.modifier[1])

    def _german_noun(self, case: Case) -> str:
        if not self.plural:
            weak = "weak" in self.noun.tags and case != "nom"
            return self.noun.german_plural if weak else self.noun.german
        plural = self.noun.german_plural
        return plural + "n" if case == "dat" and plural[-1] not in "ns" else plural


@dataclass(frozen=True)
class Clause:
    """Who does what and where; complements and places are in each language's own order and case."""

    subject: NounPhrase
    verb: Verb
    complement: Pair = ("", "")
    manner: Pair = ("", "")
    place: Pair = ("", "")

    def english(self, front: str = "", subject: str | None = None) -> str:
        subject = self.subject.english() if subject is None else subject
        be = "are" if self.subject.plural else "is"
        front = front and front + ","
        return _join(front, subject, be, self.manner[0], self.verb.english, self.complement[0], self.place[0])

    def german(self, front: str = "") -> str:
        """The main clause: the finite verb is second, whatever stands first."""
        subject, verb = self.subject.german("nom"), self.verb
        oneself = "sich" if verb.reflexive else ""
        opening = (front, self._finite(), oneself, subject) if front else (subject, self._finite(), oneself)
        return _join(*opening, self.manner[1], self.complement[1], self.place[1], verb.particle)

    def german_subordinate(self, conjunction: str, subject: str | None = None) -> str:
        """The finite verb is last and takes its particle back."""
        subject = self.subject.german("nom") if subject is None else subject
        oneself = "sich" if self.verb.reflexive else ""
        middle = (self.manner[1], self.complement[1], self.place[1])
        return _join(conjunction, oneself, subject, *middle, self.verb.particle + self._finite())

    def _finite(self) -> str:
        return self.verb.plural if self.subject.plural else self.verb.singular


def relative(clause: Clause) -> Pair:
    """`clause` as a relative clause of its own subject."""
    pronoun = DEFINITE["nom"][COLUMN["pl" if clause.subject.plural else clause.subject.noun.gender]]
    who = "who" if "person" in clause.subject.noun.tags else "that"
    return clause.english(subject=who), f", {clause.german_subordinate(pronoun, subject='')},"


def prepositional(english: str, german: str, phrase: NounPhrase, case: Case) -> Pair:
    """Preposition and noun phrase; German merges some prepositions with a definite article."""
    words = f"{german} {phrase.german(case)}"
    for long, short in CONTRACTIONS.items():
        if words.startswith(long + " "):
            words = short + words[len(long) :]
    return f"{english} {phrase.english()}", words


def generate(split: str, n: int, seed: int = 0) -> list[dict[str, str]]:
    """The first `n` distinct pairs of a split, as {"source": English, "target": German}.

    A hash of the English sentence decides its split, so the splits are disjoint for every seed and size.
    Raises ValueError for a split that is not one of `SPLITS`.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}; there are {', '.join(SPLITS)}")
    pairs: dict[str, str] = {}
    sentences = _sentences(random.Random(seed))
    while len(pairs) < n:
        source, target = next(sentences)
        if _split_of(source) == split:
            pairs[source] = target
    return [{"source": source, "target": target} for source, target in pairs.items()]


def _split_of(source: str) -> str:
    """80 % of all sentences are for training, 10 % each for validation and test."""
    share = hashlib.sha256(source.encode()).digest()[0] / 256
    return "test" if share < 0.1 else "validation" if share < 0.2 else "train"


def _sentences(rng: random.Random) -> Iterator[Pair]:
    while True:
        source, target = _sentence(rng)
        if SHORTEST <= len(source.split()) <= LONGEST:
            yield _finish(source), _finish(target)


def _sentence(rng: random.Random) -> Pair:
    shape = rng.choices(["plain", "front", "and", "while", "relative", "there"], [10, 5, 3, 4, 4, 2])[0]
    if shape == "there":
        subject, place = _subject(rng, "thing" if rng.random() < 0.7 else "any"), _place(rng)
        if subject.determiner == "the":
            subject = replace(subject, determiner="some" if subject.plural else "a")
        be, sein = ("are", "sind") if subject.plural else ("is", "ist")
        return f"there {be} {subject.english()} {place[0]}", f"{place[1]} {sein} {subject.german('nom')}"
    clause = _clause(rng)
    if shape == "front":
        fronted = _place(rng) if clause.place[0] and rng.random() < 0.7 else rng.choice(TIMES)
        clause = clause if fronted in TIMES else replace(clause, place=("", ""))
        return clause.english(front=fronted[0]), clause.german(front=fronted[1])
    if shape == "relative":
        aside = _clause(rng, replace(clause.subject, modifier=("", "")))
        clause = replace(clause, subject=replace(clause.subject, modifier=relative(aside)))
    if shape == "and":
        other = _clause(rng)
        return f"{clause.english()} and {other.english()}", f"{clause.german()} und {other.german()}"
    if shape == "while":
        other = _clause(rng)
        subordinate = other.german_subordinate("während")
        return f"{clause.english()} while {other.english()}", f"{clause.german()}, {subordinate}"
    return clause.english(), clause.german()


def _clause(rng: random.Random, subject: NounPhrase | None = None) -> Clause:
    subject = subject or _subject(rng, "any")
    manner = rng.choice(MANNERS) if rng.random() < 0.2 else ("", "")
    place = _place(rng) if rng.random() < 0.5 else ("", "")
    if "animal" in subject.noun.tags:
        kind = rng.choices(["stay", "move", "meet"], [3, 3, 2])[0]
    else:
        kind = rng.choices(["stay", "move", "meet", "handle", "give", "play"], [6, 5, 6, 7, 4, 1])[0]
    if kind == "stay":
        return Clause(subject, rng.choice(STAYING), manner=manner, place=_place(rng))
    if kind == "move":
        return _going(rng, subject, manner)
    if kind == "play":
        return Clause(subject, PLAYING, rng.choice(INSTRUMENTS), manner, place)
    if kind == "meet":
        verb, whom = rng.choice(MEETING), _object(rng, rng.choice(["person", "person", "animal"]), subject)
        return Clause(subject, verb, prepositional("", verb.preposition, whom, verb.case), manner, place)
    if kind == "give":
        verb, what, whom = rng.choice(GIVING), _object(rng, "thing", subject), _object(rng, "person", None)
        english = f"{what.english()} to {whom.english()}"
        return Clause(subject, verb, (english, f"{whom.german('dat')} {what.german('acc')}"), manner)
    what = rng.choices(list(HANDLING), [5, 2, 2, 3, 3])[0]
    thing = _object(rng, what, subject)
    return Clause(subject, rng.choice(HANDLING[what]), (thing.english(), thing.german("acc")), manner, place)


def _subject(rng: random.Random, kind: str) -> NounPhrase:
    kind = rng.choice(["person", "person", "person", "animal"]) if kind == "any" else kind
    phrase = _noun_phrase(rng, kind, plural=rng.random() < 0.35)
    if kind != "person" or rng.random() < 0.65:
        return phrase
    worn = rng.random() < 0.6
    if phrase.plural and worn:
        with_what = NounPhrase(rng.choice(TAGGED["clothing"]), "", rng.choice(list(COLORS)), plural=True)
    else:
        with_what = _noun_phrase(rng, "clothing" if worn else "thing", plural=False)
    german = "in" if worn else "mit"
    modifier = prepositional("in" if worn else "with", german, with_what, "dat")
    return replace(phrase, modifier=modifier)


def _object(rng: random.Random, kind: str, owner: NounPhrase | None) -> NounPhrase:
    """A noun phrase that may belong to `owner`: "her dog", if a single owner's English pronoun is known."""
    phrase = _noun_phrase(rng, kind, plural=rng.random() < 0.25)
    if owner is None or rng.random() < 0.8:
        return phrase
    whose = "their" if owner.plural else "his" if "he" in owner.noun.tags else "her"
    if not owner.plural and not owner.noun.tags & {"he", "she"}:
        return phrase
    return replace(phrase, determiner=whose)


def _noun_phrase(rng: random.Random, tag: str, plural: bool) -> NounPhrase:
    noun = rng.choice(TAGGED[tag])
    adjective = rng.choice(ADJECTIVES_OF[noun.kind]) if rng.random() < 0.35 else None
    counts = [*NUMBERS, *QUANTITIES, "the"]
    determiner = rng.choice(counts) if plural else rng.choices(["a", "the"], [3, 2])[0]
    return NounPhrase(noun, determiner, adjective, plural)


def _place(rng: random.Random) -> Pair:
    if rng.random() < 0.3:
        english, german = rng.choice(BESIDE)
        return prepositional(english, german, _noun_phrase(rng, rng.choice(["landmark", "vehicle"]), False), "dat")
    where = _noun_phrase(rng, "place", plural=False)
    english, german = rng.choice(sorted(tag.split(":") for tag in where.noun.tags if ":" in tag))
    return prepositional(english, german, where, "dat")


def _going(rng: random.Random, subject: NounPhrase, manner: Pair) -> Clause:
    verb, way = rng.choice(MOVING), rng.choice(list(WAYS))
    german, case = WAYS[way]
    where = _noun_phrase(rng, way, plural=False)
    if way == "along":
        complement = (f"along {where.english()}", where.german(case))
        return Clause(subject, replace(verb, particle=german), complement, manner)
    return Clause(subject, verb, prepositional(way, german, where, case), manner)


def _join(*words: str) -> str:
    return " ".join(word for word in words if word).replace(" ,", ",")


def _finish(sentence: str) -> str:
    sentence = " ".join(sentence.split()).removesuffix(",")
    return sentence[0].upper() + sentence[1:] + "."
