"""How fast agents negotiate at many tables at once, and are attacked there, beside loops over one thing at a time.

    python scripts/benchmark_dialogue.py
    python scripts/benchmark_dialogue.py --model_name_or_path runs/rl --partner_name_or_path runs/sv

From one run on one machine: dialogues per second of wall time, and of all cores' time together, at batch 1 (the loop)
and at larger batches; how many times the loop that is; the share of the time that goes into the decisions. Then the
white-box attacks on the partner, and how many times that is of a reactive attack which reads the whole dialogue and
decides for one candidate after the other. Batches and loops take turns, so that what else the machine does weighs on
both alike. Times are compared within a run only.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from _run import RunError, launch
from selfplay import load_agents

from dialogue.configs import AgentsConfig, AttackConfig, BadInput, PlayConfig


@dataclass(frozen=True)
class BenchmarkArguments:
    """What is measured."""

    batch_sizes: list[int] = field(
        default_factory=lambda: [64, 256, 1024], metadata={"help": "batch sizes that are measured against the loop"}
    )
    max_samples: int = field(default=1024, metadata={"help": "dialogues at each batch size in a round"})
    loop_samples: int = field(default=32, metadata={"help": "dialogues of the loop in a round, the first of these"})
    attack_samples: int = field(default=64, metadata={"help": "dialogues of an attack, at once; 0: no attacks"})
    attack_loop_samples: int = field(default=2, metadata={"help": "dialogues of its loop, the first of these"})
    rounds: int = field(default=5, metadata={"help": "times that everything is measured"})
    seed: int = field(default=0, metadata={"help": "seed of the agents' words"})

    def __post_init__(self) -> None:
        if min([*self.batch_sizes, self.max_samples, self.loop_samples, self.attack_loop_samples, self.rounds]) < 1:
            raise RunError("sizes of batches, loops and samples, and --rounds, must be at least 1")


@dataclass
class Clock:
    """What some work has cost so far."""

    dialogues: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    def rate(self) -> float:
        """Dialogues per second of wall time."""
        return self.dialogues / self.wall


def main(arguments: BenchmarkArguments, named: AgentsConfig, config: PlayConfig) -> None:
    """Prints the figures."""
    import torch
    from accelerate import Accelerator

    from dialogue.selfplay import load_tables

    device = Accelerator().device
    agents = tuple(agent.to(device) for agent in load_agents(named))
    tables = load_tables(config)[: arguments.max_samples]
    print(f"{len(tables)} tables on {device}, {torch.get_num_threads()} threads")
    measure_selfplay(arguments, agents, tables, config, device)
    if arguments.attack_samples:
        measure_attacks(arguments, agents, tables, device)


def measure_selfplay(
    arguments: BenchmarkArguments, agents: Any, tables: list[Any], config: PlayConfig, device: Any
) -> None:
    """Prints a line for each batch size."""
    from dialogue.selfplay import play

    def played(size: int) -> int:
        some = tables[: arguments.loop_samples] if size == 1 else tables
        for first in range(0, len(some), size):
            play(agents, some[first : first + size], seed=arguments.seed, max_turns=config.max_turns)
        return len(some)

    sizes = list(dict.fromkeys([1, *arguments.batch_sizes]))
    for size in sizes:
        played(size)  # for what is made at the first use
    whole, decisions = {size: Clock() for size in sizes}, {size: Clock() for size in sizes}
    chooses = [agent.choose for agent in agents]
    for _ in range(arguments.rounds):
        for size in sizes:
            for agent, choose in zip(agents, chooses, strict=True):
                agent.choose = timed(choose, decisions[size], device)
            whole[size].dialogues += timed(played, whole[size], device)(size)
    for agent, choose in zip(agents, chooses, strict=True):
        agent.choose = choose
    for size, clock in whole.items():
        print(
            f"batch {size:>5}: {clock.rate():8.1f} dialogues/s, {clock.dialogues / clock.cpu:8.1f} a CPU-second, "
            f"{clock.rate() / whole[1].rate():6.1f}x the loop, {decisions[size].wall / clock.wall:.0%} in decisions"
        )


def measure_attacks(arguments: BenchmarkArguments, agents: Any, tables: list[Any], device: Any) -> None:
    """Prints a line for each attack on the second agent, by a speaker like it."""
    from dialogue.attacks.adaptive import AdaptiveAdversary
    from dialogue.attacks.attack import attack
    from dialogue.attacks.preemptive import PreemptiveAdversary
    from dialogue.attacks.reactive import ReactiveAdversary

    speaker, target = agents
    temperature, target.temperature = target.temperature, 0.0
    kinds = {"reactive": ReactiveAdversary, "preemptive": PreemptiveAdversary, "adaptive": AdaptiveAdversary}
    for search in ("pad_greedy", "coordinate"):
        config = AttackConfig(search=search)
        adversaries = {name: kind(speaker, target, config) for name, kind in kinds.items()}
        loop = one_by_one(speaker, target, config)
        clocks = {name: Clock() for name in ("loop", *kinds)}
        for _ in range(arguments.rounds):
            for name, adversary in [("loop", loop), *adversaries.items()]:
                some = tables[: arguments.attack_loop_samples if name == "loop" else arguments.attack_samples]
                timed(attack, clocks[name], device)(adversary, target, some, seed=arguments.seed)
                clocks[name].dialogues += len(some)
        for name, clock in clocks.items():
            times = f", {clock.rate() / clocks['loop'].rate():6.1f}x the loop" if name == "reactive" else ""
            rates = f"{clock.rate():8.2f} dialogues/s, {clock.dialogues / clock.cpu:8.2f} a CPU-second"
            print(f"{search} {name}: {rates}{times}")
    target.temperature = temperature


def one_by_one(speaker: Any, target: Any, config: AttackConfig) -> Any:
    """A reactive adversary that scores one candidate after the other, by the target's passes over whole dialogues."""
    import torch

    from dialogue.agent import choice_scores
    from dialogue.attacks.reactive import ReactiveAdversary
    from dialogue.types import THEM

    class OneByOne(ReactiveAdversary):
        @torch.no_grad()
        def _score(self, memory: Any, row: Any, sentence: Any) -> tuple[Any, Any]:
            talk, them = memory.target, self.target.vocabulary.index(THEM)
            counts, values = talk.counts[row][None], talk.values[row][None]
            marks = [sentence.new_tensor([one]) for one in (them, self.you, self.selection)]
            words = torch.cat([talk.words[row, : talk.lengths[row]], marks[0], sentence, *marks[1:]])[None]
            output = self.target(words, words.new_tensor([words.shape[1]]), counts, values)
            logits = self.target.sayable(output.logits[0, -2])
            others = logits.index_fill(0, marks[2], -torch.inf).max()
            loss = self._loss(memory, row[None], choice_scores(output.selection_logits, counts))
            return loss[0], (others - logits[self.selection]).clamp(min=0)

        def _reactive(self, memory: Any, rows: Any, base: Any) -> Any:
            def score(owner: Any, ids: Any, alike: Any, everything: bool) -> tuple[Any, Any]:
                found = [
                    self._score(memory, row, words[:length])
                    for row, words, length in zip(rows[owner], ids, base.lengths[owner], strict=True)
                ]
                losses, hinges = (torch.stack(one) for one in zip(*found, strict=True))
                return losses, hinges

            return score

    return OneByOne(speaker, target, config)


def timed(function: Callable[..., Any], clock: Clock, device: Any) -> Callable[..., Any]:
    """The same function; its time goes to the clock once the device has done the work."""
    import torch

    def call(*args: Any, **kwargs: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = function(*args, **kwargs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        clock.wall += time.perf_counter() - wall
        clock.cpu += time.process_time() - cpu
        return result

    return call


if __name__ == "__main__":
    launch(main, BenchmarkArguments, AgentsConfig, PlayConfig, mistakes=(BadInput,), description=__doc__)
