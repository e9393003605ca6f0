"""Every option of the package as flat dataclasses. Standard library only, so that `--help` is quick."""

from dataclasses import dataclass, field
from typing import Literal

from textadv.configs import BadInput

__all__ = [
    "AdversarialTrainingConfig",
    "AgentsConfig",
    "AttackConfig",
    "BadInput",
    "CorpusConfig",
    "PlayConfig",
    "ReinforceConfig",
    "StageConfig",
    "SupervisedConfig",
    "TargetConfig",
]

ATTACKS = ("rl", "transfer", "reactive", "preemptive", "adaptive")


@dataclass(frozen=True)
class CorpusConfig:
    """Negotiations that people, or scripts, have had."""

    dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "Hub id, folder or file of Deal-or-No-Deal dialogues: columns input, dialogue, output and "
            "partner_input, or the original text; default: dialogues of the simulator"
        },
    )
    split: str = field(default="test", metadata={"help": "split that is scored; train and validation are learnt from"})


@dataclass(frozen=True)
class AgentsConfig:
    """An agent, and the one on the other side of the table."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "Hub id or folder of an agent, as scripts/train_negotiator.py makes it; default: an embedded one"
        },
    )
    partner_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder of its partner; default: the agent itself, or this package's SV agent"},
    )


@dataclass(frozen=True)
class TargetConfig:
    """An agent that is attacked, and those that attack it."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder of the target; default: an embedded RL agent"},
    )
    speaker_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "who speaks for the adversary where it doesn't attack; default: the target, or an embedded SV agent"
        },
    )
    adversary_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "the trained adversary of rl, and of transfer's sentences, as train_negotiator.py --stage attack "
            "makes it; default: an embedded one, for the embedded target"
        },
    )
    surrogate_name_or_path: str | None = field(
        default=None,
        metadata={"help": "what a white-box attack looks into in place of the target, which it then doesn't know"},
    )


@dataclass(frozen=True)
class PlayConfig:
    """Which tables two agents sit at, and how long."""

    scenarios: str = field(
        default="all",
        metadata={"help": "'all' 5,295 in a shuffled order, or a Hub id, folder or file that holds scenarios"},
    )
    scenario_split: str = field(default="train", metadata={"help": "split of that one"})
    max_turns: int = field(default=10, metadata={"help": "turns of a side; then the talk is over"})
    starter: Literal["either", "agent", "partner"] = field(
        default="either", metadata={"help": "who speaks first; 'either': a coin decides at each table"}
    )

    def __post_init__(self) -> None:
        if self.max_turns < 1:
            raise BadInput(f"--max_turns must be at least 1, not {self.max_turns}")


@dataclass(frozen=True)
class StageConfig:
    """Which training it is."""

    stage: Literal["supervised", "reinforce", "attack"] = field(
        default="supervised",
        metadata={
            "help": "a new agent that learns to speak and decide as people do; or --model_name_or_path, to win; or to "
            "win as an adversary, who takes what the partner leaves"
        },
    )


@dataclass(frozen=True)
class SupervisedConfig:
    """A new agent's vocabulary and sizes, and how it learns to speak and to decide as people do."""

    rarest: int = field(default=20, metadata={"help": "words that are there no more often than this are <unk>"})
    embedding_size: int = field(default=256, metadata={"help": "width of the word vectors"})
    context_size: int = field(default=64, metadata={"help": "width of the context: counts and values"})
    hidden_size: int = field(default=128, metadata={"help": "width of the speaking GRU"})
    selection_size: int = field(default=256, metadata={"help": "width of the decision's GRU in either direction"})
    dropout: float = field(default=0.5, metadata={"help": "on what the decision's GRU and its last layer read"})
    word_dropout: float = field(default=0.3, metadata={"help": "on what the speaking GRU reads"})
    output_dropout: float = field(default=0.1, metadata={"help": "on its states, where words come of them"})
    selection_weight: float = field(default=0.25, metadata={"help": "of the decision's loss beside the words'"})
    temperature: float = field(default=0.5, metadata={"help": "that the agent speaks at; 0 says the likeliest word"})
    calibrate: bool = field(default=True, metadata={"help": "scale its words on the validation split at the end"})
    learning_rate: float = field(default=2e-3, metadata={"help": "AdamW's highest learning rate"})
    warmup_steps: int = field(default=200, metadata={"help": "steps until it is reached; then it falls to 0"})
    weight_decay: float = field(default=0.01, metadata={"help": "AdamW's weight decay"})
    max_grad_norm: float = field(default=0.5, metadata={"help": "longest gradient, L2"})
    per_device_train_batch_size: int = field(default=16, metadata={"help": "dialogues in a step on each device"})
    num_train_epochs: float = field(default=20.0, metadata={"help": "passes over the corpus"})
    max_steps: int = field(default=-1, metadata={"help": "steps, instead of the epochs"})
    save_steps: int = field(default=500, metadata={"help": "steps between checkpoints, each scored on validation"})
    save_total_limit: int = field(default=2, metadata={"help": "checkpoints that are kept, the best one among them"})
    logging_steps: int = field(default=50, metadata={"help": "steps between reports of the loss"})

    def __post_init__(self) -> None:
        sizes = ("embedding_size", "context_size", "hidden_size", "selection_size")
        for name in (*sizes, "per_device_train_batch_size", "save_steps", "save_total_limit", "logging_steps"):
            if getattr(self, name) < 1:
                raise BadInput(f"--{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm"):
            if getattr(self, name) <= 0:
                raise BadInput(f"--{name} must be positive, not {getattr(self, name)}")
        for name in ("rarest", "selection_weight", "temperature"):
            if getattr(self, name) < 0:
                raise BadInput(f"--{name} must be at least 0, not {getattr(self, name)}")
        for name in ("dropout", "word_dropout", "output_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"--{name} must be at least 0 and below 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class ReinforceConfig:
    """How an agent learns to win: policy gradient on its score against a fixed partner."""

    preset: Literal["fast", "paper"] = field(
        default="fast",
        metadata={"help": "what isn't given below: many dialogues a step and Adam, or one a step and SGD"},
    )
    rl_dialogues: int | None = field(
        default=None, metadata={"help": "dialogues to learn from (fast: 6,400, paper: 4,086)"}
    )
    rl_batch_size: int | None = field(default=None, metadata={"help": "dialogues in a step (fast: 32, paper: 1)"})
    rl_learning_rate: float | None = field(
        default=None, metadata={"help": "of the policy gradient (fast: 5e-4, Adam; paper: 0.1, SGD)"}
    )
    rl_max_grad_norm: float = field(default=1.0, metadata={"help": "longest gradient of either kind of step, L2"})
    rl_reward: Literal["points", "released"] = field(
        default="points",
        metadata={"help": "of an adversary: its advantage, or the authors' shaped one, which looks into the target"},
    )
    gamma: float = field(default=0.95, metadata={"help": "discount of a word for each own word after it"})
    supervised_every: int | None = field(
        default=None, metadata={"help": "steps from one supervised batch to the next; 0: none (fast: 1, paper: 4)"}
    )
    supervised_learning_rate: float | None = field(
        default=None, metadata={"help": "of these (fast: as the policy gradient's, paper: 0.5)"}
    )
    validate_every: int = field(default=640, metadata={"help": "dialogues between two scores on validation scenarios"})
    validation_dialogues: int = field(default=400, metadata={"help": "dialogues of each"})


@dataclass(frozen=True)
class AttackConfig:
    """How an adversarial agent attacks the target."""

    attack: Literal["rl", "transfer", "reactive", "preemptive", "adaptive"] = field(
        default="adaptive", metadata={"help": "rl and transfer see nothing of the target but what it says and takes"}
    )
    fallback: Literal["delayed", "transfer"] = field(
        default="delayed",
        metadata={"help": "what adaptive says where nothing is found: the regular sentence, or one of transfer's"},
    )
    turn: int = field(
        default=2, metadata={"help": "utterances of both sides before reactive and preemptive attack, once"}
    )
    transfer_turn: int = field(default=3, metadata={"help": "utterances before transfer does"})
    search: Literal["pad_greedy", "coordinate"] = field(
        default="coordinate", metadata={"help": "the paper's search, or that of the authors' code"}
    )
    objective: Literal["paper", "released"] = field(
        default="released", metadata={"help": "the loss (3.10), or that of the authors' code, which wants large gains"}
    )
    target_decoding: Literal["greedy", "sample"] = field(
        default="greedy", metadata={"help": "whether the target says the likeliest words, or samples as it was trained"}
    )
    changes: int = field(default=2, metadata={"help": "most words of a sentence that are replaced"})
    legal_only: bool = field(
        default=True, metadata={"help": "write words only; false: marks and <unk> too, as the authors' code does"}
    )
    protect_deal: bool = field(default=False, metadata={"help": "items and numbers are neither replaced nor written"})
    max_perplexity_ratio: float | None = field(
        default=None,
        metadata={"help": "most that a sentence's perplexity to the adversary may grow, as a factor"},
    )
    screening: Literal["auto", "bf16", "none"] = field(
        default="auto",
        metadata={
            "help": "look at candidates in bf16 first, and exactly at those that look best; auto: on CPUs that are "
            "made for it"
        },
    )
    replies: int = field(default=10, metadata={"help": "replies that a preemptive sentence must work for, in the mean"})

    def __post_init__(self) -> None:
        for name, least in (("turn", 0), ("transfer_turn", 0), ("changes", 1), ("replies", 1)):
            if getattr(self, name) < least:
                raise BadInput(f"--{name} must be at least {least}, not {getattr(self, name)}")
        if self.max_perplexity_ratio is not None and self.max_perplexity_ratio <= 0:
            raise BadInput(f"--max_perplexity_ratio must be positive, not {self.max_perplexity_ratio}")


@dataclass(frozen=True)
class AdversarialTrainingConfig:
    """How a target is hardened, and by which attacks that is measured, before and after."""

    rounds: int = field(default=3, metadata={"help": "rounds; in each the target learns, and then the adversary"})
    round_dialogues: int = field(
        default=6400,
        metadata={"help": "dialogues that either learns from in a round; --rl_dialogues are a new adversary's"},
    )
    defense_reward: Literal["points", "advantage"] = field(
        default="advantage", metadata={"help": "what the target is to win: points, or more of them than the adversary"}
    )
    reactive_every: int = field(
        default=4,
        metadata={"help": "steps of the target's until it learns from the reactive attack on it again; 0: never"},
    )
    reactive_words: int = field(default=128, metadata={"help": "words that this attack tries, drawn anew each time"})
    min_agreement: float = field(
        default=0.85, metadata={"help": "a target that agrees with its partner less often isn't kept"}
    )
    evaluated_attacks: list[str] = field(
        default_factory=lambda: ["rl", "reactive", "adaptive"],
        metadata={"help": "attacks of scripts/attack_negotiator.py, by its own options; with rl goes a new adversary"},
    )
    evaluated_dialogues: int = field(default=200, metadata={"help": "dialogues of each attack, before and after"})

    def __post_init__(self) -> None:
        least = {"rounds": 1, "round_dialogues": 1, "reactive_every": 0, "reactive_words": 1, "evaluated_dialogues": 1}
        for name, least_value in least.items():
            if getattr(self, name) < least_value:
                raise BadInput(f"--{name} must be at least {least_value}, not {getattr(self, name)}")
        if not 0 <= self.min_agreement <= 1:
            raise BadInput(f"--min_agreement is a share from 0 to 1, not {self.min_agreement}")
        if unknown := sorted({*self.evaluated_attacks} - {*ATTACKS}):
            raise BadInput(f"--evaluated_attacks are among {', '.join(ATTACKS)}; there is no {', '.join(unknown)}")
