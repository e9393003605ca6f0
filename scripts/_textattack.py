"""TextAttack (Morris et al., EMNLP 2020, arXiv:2005.05909) as a peer: its own recipes, on our victim, offline.

`Seq2SickCheng2018BlackBox` and `DeepWordBugGao2018` run as the installed package builds them: search, transformation,
constraints (no word twice, no stop word, at most 30 edited letters) and the goal NonOverlappingOutput. Three things
would be downloaded, and are given instead:

- the counter-fitted word vectors that `WordSwapEmbedding` picks its 50 candidates from: another table of words;
- NLTK's stop words, where they aren't on this machine: scikit-learn's;
- NLTK corpora that the first import fetches: neither recipe needs them.

DeepWordBug is written for classifiers; its goal is replaced by the one of the other recipe, nothing else. flair, which
the package imports and neither recipe uses, refuses transformers 5; where it is missing, empty classes take its place.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata, util
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from _run import RunError

if TYPE_CHECKING:
    from textadv.baselines.peer import Peer
    from textadv.victim import Victim
    from textadv.word_table import WordTable

INSTALL = 'pip install -e ".[textattack]" && pip install --no-deps textattack==0.3.11'


@dataclass(frozen=True)
class Recipe:
    """A TextAttack attack as a `Peer`."""

    attack: Any
    wrapper: Any  # its victim

    def __call__(
        self, sentence: str, clean_output: str, victim: Callable[[Sequence[str]], list[str]], *, seed: int
    ) -> tuple[str, bool]:
        from accelerate.utils import set_seed
        from textattack.goal_function_results import GoalFunctionResultStatus  # pyright: ignore[reportMissingImports]

        set_seed(seed)  # DeepWordBug draws from the global generators of Python and NumPy
        self.wrapper.ask = victim
        found = self.attack.attack(sentence, clean_output).perturbed_result
        return found.attacked_text.text, found.goal_status == GoalFunctionResultStatus.SUCCEEDED


def check_installed() -> None:
    """Raises RunError if the package isn't there."""
    if util.find_spec("textattack") is None:
        raise RunError(f"TextAttack is not installed: {INSTALL}; or leave its attacks out of --attacks")


def recipes(victim: "Victim", table: "WordTable") -> tuple[dict[str, "Peer"], str]:
    """TextAttack's two recipes by the names that `--attacks` knows, and a line that says what they are made of.

    Raises:
        RunError: the package can't be imported.
    """
    with _without_downloads():
        try:
            stop_words = _give_stop_words()
            textattack = import_module("textattack")
        except ImportError as error:
            raise RunError(f"TextAttack can't be imported ({error}): {INSTALL}") from error
        textattack.shared.logger.setLevel(logging.ERROR)
        textattack.shared.utils.GLOBAL_OBJECTS["textattack_counterfitted_GLOVE_embedding"] = _embedding(table)
        wrapper = _wrapper(victim)
        seq2sick = textattack.attack_recipes.Seq2SickCheng2018BlackBox.build(wrapper)
        characters = textattack.attack_recipes.DeepWordBugGao2018.build(wrapper)
        characters = textattack.Attack(
            textattack.goal_functions.NonOverlappingOutput(wrapper),
            [*characters.constraints, *characters.pre_transformation_constraints],
            characters.transformation,
            characters.search_method,
        )
    for attack in (seq2sick, characters):
        attack.goal_function.batch_size = sys.maxsize  # the victim cuts batches that suit it
    made_of = f"TextAttack {metadata.version('textattack')}, stop words of {stop_words}"
    return {
        "textattack_seq2sick": Recipe(seq2sick, wrapper),
        "textattack_deepwordbug": Recipe(characters, wrapper),
    }, made_of


@contextmanager
def _without_downloads() -> Iterator[None]:
    """The first import sees no flair where there is none, and a cache that says all downloads are done."""
    before = dict(os.environ)
    with TemporaryDirectory() as folder:
        Path(folder, "post_install_check_3").touch()
        os.environ["TA_CACHE_DIR"] = folder
        if "flair" not in sys.modules and util.find_spec("flair") is None:
            sys.modules |= _empty_flair()
        try:
            yield
        finally:
            os.environ.clear()  # the import sets the caches of other libraries to its own
            os.environ.update(before)


def _empty_flair() -> dict[str, ModuleType]:
    """What TextAttack imports of flair, doing nothing."""
    names = {"flair": (), "flair.data": ("Sentence", "Tokenizer"), "flair.models": ("SequenceTagger",)}
    modules = {name: ModuleType(name) for name in names}
    for name, classes in names.items():
        for one in classes:
            setattr(modules[name], one, type(one, (), {}))
    modules["flair"].data, modules["flair"].models = modules["flair.data"], modules["flair.models"]  # type: ignore
    return modules


def _give_stop_words() -> str:
    """Whose stop words TextAttack will find; it looks for NLTK's as soon as it is imported."""
    import nltk

    try:
        nltk.data.find("corpora/stopwords")
        return "NLTK"
    except LookupError:
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        nltk.corpus.stopwords = SimpleNamespace(words=lambda language: sorted(ENGLISH_STOP_WORDS))
        return "scikit-learn"


def _embedding(table: "WordTable") -> Any:
    """TextAttack's own class over another table; its way of finding neighbours needs all of them at once."""
    from textattack.shared import WordEmbedding  # pyright: ignore[reportMissingImports]

    class Table(WordEmbedding):
        def nearest_neighbours(self, index: int, topn: int) -> list[int]:
            return table.nearest(index, topn)

    numbers = {word: number for number, word in enumerate(table.words)}
    return Table(table.vectors.numpy(), numbers, table.words)


def _wrapper(victim: "Victim") -> Any:
    """TextAttack's view of the victim: texts in, reported outputs out, asked through `ask`."""
    from textattack.models.wrappers import ModelWrapper  # pyright: ignore[reportMissingImports]

    class Wrapper(ModelWrapper):
        def __init__(self) -> None:
            self.model = victim.model
            self.ask: Callable[[Sequence[str]], list[str]] = victim.generate

        def __call__(self, text_input_list: Sequence[str], **kwargs: Any) -> list[str]:
            return self.ask(text_input_list)

    return Wrapper()
