"""Every option of the package as flat dataclasses. Standard library only, so that `--help` is quick."""

from dataclasses import dataclass, field
from typing import Literal

SENTENCE_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


class BadInput(ValueError):
    """A user's mistake. The message is one line: what is wrong, and what would be right."""


@dataclass(frozen=True)
class VictimConfig:
    """The model under attack and how it decodes what is reported."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder of an encoder-decoder; default: the embedded victim"},
    )
    num_beams: int = field(default=5, metadata={"help": "beams of the reported decoding"})
    max_new_tokens: int = field(default=60, metadata={"help": "longest output, in pieces, of every decoding"})
    source_prefix: str = field(
        default="", metadata={"help": "text before every source sentence, never attacked (T5: 'summarize: ')"}
    )
    source_lang: str | None = field(
        default=None, metadata={"help": "language code of the source, for multilingual tokenizers"}
    )
    target_lang: str | None = field(
        default=None, metadata={"help": "language code of the output, for multilingual models"}
    )

    def __post_init__(self) -> None:
        for name in ("num_beams", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise BadInput(f"--{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class DataConfig:
    """The sentences: any parallel or summarization set of `datasets`."""

    dataset_name: str | None = field(
        default=None, metadata={"help": "Hub id or local path of the data set; default: the embedded one"}
    )
    dataset_config_name: str | None = field(default=None, metadata={"help": "configuration of the data set"})
    split: str = field(default="test", metadata={"help": "split that is attacked"})
    source_column: str = field(default="source", metadata={"help": "column of the model's input"})
    target_column: str | None = field(
        default="target", metadata={"help": "column of the reference output; 'none' if there is none"}
    )
    drop_duplicates: bool = field(
        default=False, metadata={"help": "leave out sentences that came before (DUC2004: 440 of 500 are distinct)"}
    )


@dataclass(frozen=True)
class GoalConfig:
    """What is wanted, and what may be written to get it: the same for every attack."""

    goal: Literal["non_overlapping", "keywords"] = field(
        default="non_overlapping", metadata={"help": "what counts as success: (2.8) or (2.12)"}
    )
    num_keywords: int = field(default=1, metadata={"help": "random keywords for each sentence"})
    whole_words: bool = field(
        default=True, metadata={"help": "replace whole words by whole words; else any piece by its like"}
    )


@dataclass(frozen=True)
class Seq2SickConfig(GoalConfig):
    """Seq2Sick (Cheng et al., AAAI 2020, Algorithm 6). Lengths are in units of the victim's median
    nearest-neighbour distance among allowed pieces; the loss is in logits."""

    variant: Literal["fixed", "paper", "released"] = field(
        default="fixed",
        metadata={"help": "right, or Algorithm 6 to the letter, or as the authors' code does"},
    )
    steps: int = field(default=30, metadata={"help": "projected-gradient steps"})
    step_size: float = field(default=16.0, metadata={"help": "how far a step moves the word of largest gradient"})
    penalty: Literal["group_lasso", "l2"] = field(
        default="group_lasso", metadata={"help": "R of (3.4); l2, which changes most words, is for the ablation"}
    )
    lasso: float = field(default=0.1, metadata={"help": "lambda_1 of (3.4), weight of the penalty"})
    gradient_regularization: float = field(
        default=0.1, metadata={"help": "lambda_2 of (3.4), weight of the distance to the nearest piece"}
    )
    margin: float = field(default=0.0, metadata={"help": "epsilon of (2.8) and (2.9): confidence, in logits"})
    refine: bool | None = field(
        default=None,
        metadata={"help": "discrete refinement after the gradient search; default: in 'fixed' only"},
    )
    refine_rounds: int = field(default=16, metadata={"help": "rounds of the refinement; each changes one word"})
    candidates: int = field(
        default=64, metadata={"help": "substitutions that a round of it decodes; 8 for a place, or an eighth of them"}
    )
    refine_margin: float = field(
        default=3.0,
        metadata={"help": "confidence that the refinement asks for: beams disagree with a bare lead"},
    )
    beam: int = field(default=2, metadata={"help": "lines of sentences that it follows"})
    restore: bool | None = field(
        default=None, metadata={"help": "put original words back at the end; default: in 'fixed' only"}
    )

    def __post_init__(self) -> None:
        for name, least in (
            ("num_keywords", 1),
            ("steps", 0),
            ("refine_rounds", 1),
            ("candidates", 1),
            ("beam", 1),
        ):
            if getattr(self, name) < least:
                raise BadInput(f"--{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("step_size", "lasso", "gradient_regularization", "margin", "refine_margin"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise BadInput(f"--{name} must be a number of at least 0, not {getattr(self, name)}")

    @property
    def refines(self) -> bool:
        """Whether the refinement runs."""
        return self.variant == "fixed" if self.refine is None else self.refine

    @property
    def restores(self) -> bool:
        """Whether original words are put back."""
        return self.variant == "fixed" if self.restore is None else self.restore


@dataclass(frozen=True)
class BaselineConfig(GoalConfig):
    """What Seq2Sick is measured against (`textadv/baselines/`), within the budget of words of `LimitsConfig`."""

    baseline: Literal["random_words", "word_importance", "gradient_swaps", "gumbel", "nearest_neighbor"] = field(
        default="random_words", metadata={"help": "which one: a file of textadv/baselines"}
    )
    tries: int = field(
        default=200, metadata={"help": "random_words: sentences tried, evenly over 1, 2, ... changed words"}
    )
    word_candidates: int = field(default=50, metadata={"help": "word_importance: candidates for each word"})
    swap_steps: int = field(default=16, metadata={"help": "gradient_swaps: steps; each swaps one word"})
    swap_candidates: int = field(default=64, metadata={"help": "gradient_swaps: swaps that a step decodes"})
    top_k: int = field(default=32, metadata={"help": "gradient_swaps: pieces of each word that they are drawn from"})
    gumbel_steps: int = field(default=100, metadata={"help": "gumbel: Adam steps"})
    gumbel_learning_rate: float = field(default=0.3, metadata={"help": "gumbel: Adam's learning rate"})
    gumbel_samples: int = field(default=1, metadata={"help": "gumbel: soft sentences that a step's loss averages"})
    gumbel_tries: int = field(default=100, metadata={"help": "gumbel: sentences drawn and decoded at the end"})
    initial_coefficient: float = field(
        default=15.0, metadata={"help": "gumbel: log-coefficient that the original word begins with"}
    )
    temperature: float = field(default=1.0, metadata={"help": "gumbel: temperature of the softmax"})
    keep_weight: float = field(
        default=1.0, metadata={"help": "gumbel: weight of the expected number of changed words, in logits a word"}
    )
    confidence: float = field(
        default=3.0,
        metadata={"help": "gradient_swaps, gumbel: epsilon of (2.8) and (2.9), in logits; as --refine_margin"},
    )
    continuous_steps: int = field(default=30, metadata={"help": "nearest_neighbor: gradient steps; as --steps"})
    continuous_step_size: float = field(
        default=16.0,
        metadata={"help": "nearest_neighbor: how far a step moves the word of largest gradient; as --step_size"},
    )
    continuous_lasso: float = field(
        default=0.1, metadata={"help": "nearest_neighbor: lambda of (3.2), weight of the group lasso; as --lasso"}
    )

    def __post_init__(self) -> None:
        counts = ("num_keywords", "tries", "word_candidates", "swap_candidates", "top_k")
        for name in (*counts, "swap_steps", "gumbel_samples", "gumbel_tries"):
            if getattr(self, name) < 1:
                raise BadInput(f"--{name} must be at least 1, not {getattr(self, name)}")
        for name in ("gumbel_steps", "continuous_steps"):
            if getattr(self, name) < 0:
                raise BadInput(f"--{name} must be at least 0, not {getattr(self, name)}")
        for name in ("gumbel_learning_rate", "temperature"):
            if not 0 < getattr(self, name) < float("inf"):
                raise BadInput(f"--{name} must be a positive number, not {getattr(self, name)}")
        weights = ("initial_coefficient", "keep_weight", "confidence", "continuous_step_size", "continuous_lasso")
        for name in weights:
            if not 0 <= getattr(self, name) < float("inf"):
                raise BadInput(f"--{name} must be a number of at least 0, not {getattr(self, name)}")
        if self.baseline == "word_importance" and not self.whole_words:
            raise BadInput("word_importance ranks whole words; leave out --whole_words false")


ATTACKS = ("seq2sick", "random_words", "word_importance", "textattack_seq2sick", "textattack_deepwordbug")


@dataclass(frozen=True)
class PeersConfig:
    """Which attacks `scripts/benchmark_peers.py` sets side by side."""

    attacks: list[str] = field(
        default_factory=lambda: list(ATTACKS), metadata={"help": f"some of: {', '.join(ATTACKS)}"}
    )
    max_words: int = field(
        default=5, metadata={"help": "budget of changed words: of the baselines, and of the rate within it"}
    )
    word_vectors: str | None = field(
        default=None,
        metadata={
            "help": "text file in GloVe's format whose words textattack_seq2sick writes; default: the words that "
            "ours may write, with the victim's own vectors"
        },
    )

    def __post_init__(self) -> None:
        if unknown := [name for name in self.attacks if name not in ATTACKS]:
            raise BadInput(f"--attacks has no {unknown[0]}; there are {', '.join(ATTACKS)}")
        if not self.attacks or len(set(self.attacks)) < len(self.attacks):
            raise BadInput("--attacks names every attack once, and at least one")
        if self.max_words < 1:
            raise BadInput(f"--max_words must be at least 1, not {self.max_words}")


@dataclass(frozen=True)
class LimitsConfig:
    """What an adversarial sentence must keep to, beside the goal: the same for every attack, and nothing by default.

    Words are those of `words.py`, where a punctuation mark is a word too.
    """

    protected_words: str | None = field(
        default=None,
        metadata={"help": "words of the source that stay, as in 'not never', or a text file of them; in any case"},
    )
    protect_stop_words: bool = field(
        default=False, metadata={"help": "scikit-learn's English stop words stay; for another list: --protected_words"}
    )
    max_words: int | None = field(
        default=None, metadata={"help": "most words that may change; default: any number, 5 for the baselines"}
    )
    max_words_share: float | None = field(
        default=None, metadata={"help": "most of a sentence's words that may change, as a share: 0.2 for one in five"}
    )
    min_similarity: float | None = field(
        default=None, metadata={"help": "least cosine of the sentence embeddings of original and adversarial source"}
    )
    similarity_model: str = field(
        default=SENTENCE_ENCODER,
        metadata={
            "help": "Hub id or folder of the sentence encoder, for sentence-transformers, or a file of word vectors "
            "in GloVe's format, whose mean is taken"
        },
    )
    max_perplexity_ratio: float | None = field(
        default=None,
        metadata={"help": "most that perplexity under --perplexity_model may grow, adversarial over original"},
    )

    def __post_init__(self) -> None:
        if self.max_words is not None and self.max_words < 1:
            raise BadInput(f"--max_words must be at least 1, not {self.max_words}")
        if self.max_words_share is not None and not 0 < self.max_words_share <= 1:
            raise BadInput(f"--max_words_share must be above 0 and at most 1, not {self.max_words_share}")
        if self.min_similarity is not None and not -1 <= self.min_similarity <= 1:
            raise BadInput(f"--min_similarity must be a cosine, from -1 to 1, not {self.min_similarity}")
        if self.max_perplexity_ratio is not None and not 0 < self.max_perplexity_ratio < float("inf"):
            raise BadInput(f"--max_perplexity_ratio must be a positive number, not {self.max_perplexity_ratio}")


@dataclass(frozen=True)
class WordsConfig:
    """Where the targets of the keywords goal come from, and what words an attack may write."""

    keywords: str | None = field(
        default=None,
        metadata={"help": "the targets of every sentence, as in 'Hund sitzt'; default: random ones"},
    )
    keywords_file: str | None = field(
        default=None, metadata={"help": "JSONL with example_id and keywords (a list) for each sentence"}
    )
    keyword_corpus: str | None = field(
        default=None,
        metadata={"help": "data set or text file that random keywords come from; default: the target column"},
    )
    keyword_column: str | None = field(
        default=None,
        metadata={"help": "column that random keywords come from; default: the one that --target_column names"},
    )
    source_corpus: str | None = field(
        default=None,
        metadata={
            "help": "data set or text file whose words may be written, 'dataset' for the source column of the "
            "attacked one; default: any word of the vocabulary"
        },
    )


@dataclass(frozen=True)
class MeasuresConfig:
    """What is measured beside the attack's own figures."""

    perplexity_model: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder of a causal language model: perplexity of the successes' sentences"},
    )
    sentiment_model: str | None = field(
        default=None,
        metadata={
            "help": "Hub id or folder of a text classifier, or 'vader' (a lexicon): share of the successes that keep "
            "the sentiment of the original"
        },
    )


@dataclass(frozen=True)
class TrainerConfig:
    """What every training takes, of a new model or a given one."""

    train_split: str = field(default="train", metadata={"help": "split that is learnt from"})
    max_length: int = field(default=128, metadata={"help": "longest text, in pieces; the rest is cut"})
    learning_rate: float = field(default=3e-3, metadata={"help": "AdamW's highest learning rate"})
    warmup_steps: int = field(default=400, metadata={"help": "steps until it is reached; then it falls to 0"})
    weight_decay: float = field(default=0.01, metadata={"help": "AdamW's weight decay"})
    label_smoothing_factor: float = field(default=0.0, metadata={"help": "mass taken from the right piece"})
    per_device_train_batch_size: int = field(default=64, metadata={"help": "examples in a step on each device"})
    gradient_accumulation_steps: int = field(default=1, metadata={"help": "batches that make one update"})
    train_sampling_strategy: Literal["random", "group_by_length"] = field(
        default="random",
        metadata={"help": "order of the examples; with sources of like length together less is padded"},
    )
    save_steps: int = field(default=500, metadata={"help": "steps between checkpoints"})
    logging_steps: int = field(default=50, metadata={"help": "steps between reports of the loss"})
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "score the first so many sentences of --split; default: all"}
    )

    def __post_init__(self) -> None:
        counts = ("max_length", "per_device_train_batch_size", "gradient_accumulation_steps", "save_steps")
        for name in (*counts, "logging_steps"):
            if getattr(self, name) < 1:
                raise BadInput(f"--{name} must be at least 1, not {getattr(self, name)}")
        if self.learning_rate <= 0:
            raise BadInput(f"--learning_rate must be positive, not {self.learning_rate}")


@dataclass(frozen=True)
class TrainingConfig(TrainerConfig):
    """Data and sizes of a new model, and how long it is trained."""

    extra_datasets: list[str] = field(
        default_factory=list,
        metadata={"help": "more data sets with the same columns, whose --train_split is learnt from too"},
    )
    tokenizer: Literal["subword", "word"] = field(
        default="subword", metadata={"help": "pieces of a new model: subwords, or whole words and nothing else"}
    )
    newswire: bool = field(
        default=False,
        metadata={"help": "a new model reads and writes lower case, and '#' for every digit, as is usual for Gigaword"},
    )
    config_name: str | None = field(
        default=None, metadata={"help": "Hub id, folder or config.json with a new model's family and sizes"}
    )
    vocab_size: int = field(default=1000, metadata={"help": "pieces of a new model, of both languages together"})
    d_model: int = field(default=96, metadata={"help": "width of a new model"})
    num_layers: int = field(default=2, metadata={"help": "layers of a new model, of encoder and decoder each"})
    num_heads: int = field(default=4, metadata={"help": "attention heads of each layer, but of lstm"})
    ffn_dim: int = field(default=256, metadata={"help": "width of their feed-forward part, but of lstm"})
    dropout: float = field(default=0.1, metadata={"help": "dropout of a new model"})
    num_train_epochs: float = field(default=12.0, metadata={"help": "passes over the training split"})
    max_steps: int = field(default=-1, metadata={"help": "stop after so many steps instead, if positive"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("d_model", "num_layers", "num_heads", "ffn_dim"):
            if getattr(self, name) < 1:
                raise BadInput(f"--{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class TrainSeq2SeqConfig(TrainingConfig):
    """A victim and its training. The defaults make the embedded one."""

    label_smoothing_factor: float = field(default=0.1, metadata={"help": "mass taken from the right piece"})
    architecture: Literal["marian", "bart", "t5", "lstm"] = field(
        default="marian", metadata={"help": "family of a new model, of the sizes above; lstm is the paper's"}
    )
    word_vectors: str | None = field(
        default=None, metadata={"help": "text file in GloVe's format that a new model's word vectors start from"}
    )


@dataclass(frozen=True)
class TrainLMConfig(TrainingConfig):
    """A causal language model and its training. The defaults make one of the embedded grammar's English."""

    num_train_epochs: float = field(default=4.0, metadata={"help": "passes over the training split"})
    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Hub id or folder of a language model to go on from; default: a new one"}
    )
    architecture: Literal["gpt2", "llama"] = field(
        default="gpt2", metadata={"help": "family of a new model, of the sizes above"}
    )
    side: Literal["source", "target"] = field(default="source", metadata={"help": "column that is learnt"})


@dataclass(frozen=True)
class HardenConfig(TrainerConfig):
    """Adversarial fine-tuning. `attack_*` cut the attack that makes training sentences short, since thousands of them
    are needed; the sentences that are held out are attacked by the options of Seq2Sick as they stand."""

    learning_rate: float = field(default=5e-4, metadata={"help": "AdamW's highest learning rate, in every round"})
    warmup_steps: int = field(default=50, metadata={"help": "steps until it is reached; then it falls to 0"})
    label_smoothing_factor: float = field(default=0.1, metadata={"help": "mass taken from the right piece"})
    save_steps: int = field(default=100, metadata={"help": "steps between checkpoints"})
    adversary: Literal["seq2sick", "random_words", "none"] = field(
        default="seq2sick",
        metadata={"help": "what changes training sentences; the last two are controls: mere noise, more training"},
    )
    rounds: int = field(default=2, metadata={"help": "rounds; each attacks other sentences, with the model so far"})
    attacked_samples: int = field(default=500, metadata={"help": "training sentences that a round changes"})
    steps_per_round: int = field(default=200, metadata={"help": "training steps of a round, whatever the adversary"})
    adversarial_share: float = field(default=0.3, metadata={"help": "share of changed sentences in what is learnt"})
    adversarial_label: Literal["reference", "clean_output"] = field(
        default="reference",
        metadata={"help": "what a changed sentence is to become: the original's reference, or the model's own output"},
    )
    noise_words: int = field(default=1, metadata={"help": "random_words: words that it changes in a sentence"})
    attack_steps: int = field(default=0, metadata={"help": "--steps of the attack on training sentences"})
    attack_refine_rounds: int = field(default=4, metadata={"help": "its --refine_rounds"})
    attack_candidates: int = field(default=32, metadata={"help": "its --candidates"})
    attack_beam: int = field(default=1, metadata={"help": "its --beam"})
    held_out_samples: int = field(
        default=100, metadata={"help": "first sentences of --split that are attacked before and after"}
    )
    per_device_batch_size: int = field(default=32, metadata={"help": "examples that are attacked together"})

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = ("rounds", "attacked_samples", "steps_per_round", "noise_words", "attack_refine_rounds")
        for name in (*counts, "attack_candidates", "attack_beam", "held_out_samples", "per_device_batch_size"):
            if getattr(self, name) < 1:
                raise BadInput(f"--{name} must be at least 1, not {getattr(self, name)}")
        if self.attack_steps < 0:
            raise BadInput(f"--attack_steps must be at least 0, not {self.attack_steps}")
        if not 0 < self.adversarial_share <= 1:
            raise BadInput(f"--adversarial_share must be above 0 and at most 1, not {self.adversarial_share}")


@dataclass(frozen=True)
class TransferConfig:
    """Which adversarial sentences are shown to which victims."""

    runs: list[str] = field(
        default_factory=lambda: ["runs/seq2sick"],
        metadata={"help": "finished run folders of scripts/seq2sick.py or seq2sick_baselines.py"},
    )
    victims: list[str] = field(
        default_factory=list,
        metadata={"help": "Hub ids or folders, 'embedded' for the embedded one; default: those that the runs attacked"},
    )
    num_beams: int | None = field(
        default=None,
        metadata={"help": "beams for all victims; default: as a victim's run has it, for others as the first run"},
    )
    max_new_tokens: int | None = field(default=None, metadata={"help": "longest output, in pieces; default: as beams"})
    source_prefix: str = field(
        default="", metadata={"help": "text before every source sentence, for victims that no run attacked"}
    )
    source_lang: str | None = field(default=None, metadata={"help": "their language code of the source"})
    target_lang: str | None = field(default=None, metadata={"help": "their language code of the output"})

    def __post_init__(self) -> None:
        for name in ("num_beams", "max_new_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadInput(f"--{name} must be at least 1, not {value}")
        if not self.runs:
            raise BadInput("--runs names no run folder; name one at least")
