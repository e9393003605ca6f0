"""How fast Seq2Sick is, beside what it can't be faster than: the victim's own forward and backward pass.

    python scripts/benchmark_seq2sick.py
    python scripts/benchmark_seq2sick.py --model_name_or_path runs/multi30k-marian \\
        --dataset_name $TEXTADV_DATA/multi30k --source_column en --target_column de

From one run on one machine: sentences per second at batch 1 and at larger batches (the whole attack with the given
options); the time of one attack step over that of one forward and backward pass of the victim on the same batch, with
decoding told apart; the share of the attack's time that goes into decoding. Times are medians and are compared within
a run only.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from _run import RunError, launch

from textadv.configs import BadInput, DataConfig, Seq2SickConfig, VictimConfig, WordsConfig


@dataclass(frozen=True)
class BenchmarkArguments:
    """What is measured."""

    batch_sizes: list[int] = field(
        default_factory=lambda: [1, 8, 32, 64], metadata={"help": "batch sizes of the whole attack"}
    )
    max_samples: int = field(default=64, metadata={"help": "sentences that each batch size attacks"})
    repeats: int = field(default=20, metadata={"help": "timed steps"})
    seed: int = field(default=0, metadata={"help": "seed of the random keywords"})

    def __post_init__(self) -> None:
        if min([*self.batch_sizes, self.max_samples, self.repeats]) < 1:
            raise RunError("--batch_sizes, --max_samples and --repeats must be at least 1")


def main(
    arguments: BenchmarkArguments,
    victim_config: VictimConfig,
    data: DataConfig,
    config: Seq2SickConfig,
    words: WordsConfig,
) -> None:
    """Prints the figures."""
    import torch
    from accelerate import Accelerator

    from textadv.attack import clean_batch
    from textadv.seq2sick import init, seq2sick, step, wanted
    from textadv.setting import load_setting

    device = Accelerator().device
    setting = load_setting(victim_config, data, config, words, max_samples=arguments.max_samples)
    victim, vocabulary, examples, pool = setting.victim, setting.vocabulary, setting.examples, setting.pool
    victim.to(device)
    print(f"{victim.name} on {device}, {torch.get_num_threads()} threads, {len(examples)} sentences, {config.goal}")

    decoding = Stopwatch(device)
    greedy, generate_pieces = victim.greedy, victim.generate_pieces
    victim.greedy, victim.generate_pieces = decoding.timed(greedy), decoding.timed(generate_pieces)  # type: ignore
    vocabulary.unit  # noqa: B018  (made once, not part of an attack)
    speeds = {}
    for size in arguments.batch_sizes:
        whole = Stopwatch(device)
        decoding.seconds = []
        for first in range(0, len(examples), size):
            batch = examples[first : first + size]
            whole.timed(seq2sick)(vocabulary, batch, config=config, seed=arguments.seed, pool=pool)
        speeds[size] = len(examples) / sum(whole.seconds)
        share = sum(decoding.seconds) / sum(whole.seconds)
        gain = speeds[size] / speeds[arguments.batch_sizes[0]]
        print(
            f"batch {size:>4}: {speeds[size]:8.3f} sentences/s, {gain:6.2f}x batch {arguments.batch_sizes[0]}, "
            f"{share:.0%} of the time in decoding"
        )

    best = max(speeds, key=lambda size: speeds[size])
    clean = clean_batch(vocabulary, [example for example in examples if example.source.strip()][:best])
    goal = wanted(clean, config, seed=arguments.seed, pool=pool)
    state = init(clean.sources, torch.arange(len(clean.examples), device=device))
    steps, passes = Stopwatch(device), Stopwatch(device)
    decoding.seconds = []
    outputs = victim.greedy(clean.sources.ids, clean.sources.mask).outputs

    def forward_backward() -> None:
        embeds = clean.sources.embeds.detach().requires_grad_()
        victim.logits(embeds, clean.sources.mask, outputs).logsumexp(-1).sum().backward()

    for _ in range(arguments.repeats):
        state, *_ = steps.timed(step)(state, clean.victim, clean.sources, goal, config)
        passes.timed(forward_backward)()
    whole, reference = statistics.median(steps.seconds), statistics.median(passes.seconds)
    decode = statistics.median(decoding.seconds[1:])
    print(
        f"at batch {len(clean.examples)}, milliseconds: step {1e3 * whole:.1f}, of which decoding {1e3 * decode:.1f}; "
        f"forward and backward of the victim alone {1e3 * reference:.1f}"
    )
    print(f"step without decoding / forward and backward: {(whole - decode) / reference:.2f}")


class Stopwatch:
    """Seconds of every call of the functions that it times."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self.seconds: list[float] = []

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, with its time kept once the device has done the work."""

        def call(*args: Any, **kwargs: Any) -> Any:
            begin = self._now()
            result = function(*args, **kwargs)
            self.seconds.append(self._now() - begin)
            return result

        return call

    def _now(self) -> float:
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


if __name__ == "__main__":
    launch(
        main,
        BenchmarkArguments,
        VictimConfig,
        DataConfig,
        Seq2SickConfig,
        WordsConfig,
        mistakes=(BadInput,),
        description=__doc__,
    )
