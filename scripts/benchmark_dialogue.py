"""How fast two agents negotiate at many tables at once, beside a loop that plays one table after the other.

    python scripts/benchmark_dialogue.py
    python scripts/benchmark_dialogue.py --model_name_or_path runs/rl --partner_name_or_path runs/sv

From one run on one machine: dialogues per second of wall time, and of all cores' time together, at batch 1 (the loop)
and at larger batches; how many times the loop that is; the share of the time that goes into the decisions. Batches
and loop take turns, so that what else the machine does weighs on both alike. Times are compared within a run only.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from _run import RunError, launch
from selfplay import load_agents

from dialogue.configs import AgentsConfig, BadInput, PlayConfig


@dataclass(frozen=True)
class BenchmarkArguments:
    """What is measured."""

    batch_sizes: list[int] = field(
        default_factory=lambda: [64, 256, 1024], metadata={"help": "batch sizes that are measured against the loop"}
    )
    max_samples: int = field(default=1024, metadata={"help": "dialogues at each batch size in a round"})
    loop_samples: int = field(default=32, metadata={"help": "dialogues of the loop in a round, the first of these"})
    rounds: int = field(default=5, metadata={"help": "times that everything is measured"})
    seed: int = field(default=0, metadata={"help": "seed of the agents' words"})

    def __post_init__(self) -> None:
        if min([*self.batch_sizes, self.max_samples, self.loop_samples, self.rounds]) < 1:
            raise RunError("--batch_sizes, --max_samples, --loop_samples and --rounds must be at least 1")


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

    from dialogue.selfplay import load_tables, play

    device = Accelerator().device
    agents = tuple(agent.to(device) for agent in load_agents(named))
    tables = load_tables(config)[: arguments.max_samples]
    print(f"{len(tables)} tables on {device}, {torch.get_num_threads()} threads")

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
    for size, clock in whole.items():
        print(
            f"batch {size:>5}: {clock.rate():8.1f} dialogues/s, {clock.dialogues / clock.cpu:8.1f} a CPU-second, "
            f"{clock.rate() / whole[1].rate():6.1f}x the loop, {decisions[size].wall / clock.wall:.0%} in decisions"
        )


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
