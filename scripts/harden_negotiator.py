"""Harden a negotiation agent: adversarial training against RL adversaries and the reactive attack.

The embedded RL agent, offline, about twenty minutes of one CPU core:

    accelerate launch scripts/harden_negotiator.py

An agent of your own, with its SV agent as the partner of ordinary games and as the first adversary; published:

    accelerate launch scripts/harden_negotiator.py --model_name_or_path runs/rl --partner_name_or_path runs/sv \\
        --dataset_name mikelewis0/deal_or_no_dialog --evaluated_dialogues 2000 --output_dir runs/hardened \\
        --push_to_hub --hub_model_id me/agent

First an adversary learns to win from the target, by --rl_dialogues (round 0). Then, in each round, the target learns
from --round_dialogues, and the adversary from as many. Every --reactive_every steps the target also learns to answer
the sentences that the reactive attack finds as it would have answered without the attack; 0 leaves that out, as the
paper does. Kept is the target whose worst loss to any of these adversaries is the least on validation scenarios. It is
attacked as the one before was, by the hardest of them where an adversary is trained, and by one that learns to win from
it anew (fresh).

The same command again resumes. The folder holds the hardened agent with its card, results.json (advantage_rl,
advantage_adaptive, agreement, perplexity and so on, each with ..._before, and advantage_fresh), manifest.json and
rounds.json: each adversary's advantage over each target. round-N/target/, round-N/adversary/ and fresh/ are trainings,
whose agents in best/ are ready for attack_negotiator.py; before/ and after/ hold the run folder of each attack.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _estimates import print_table
from _run import Run, RunArguments, launch, writable_folder, write_json
from attack_negotiator import attack_at, fingerprints, load_agents
from selfplay import agents_fingerprint, talk_at
from train_negotiator import Bars, load_splits, policy_accelerator, save, score
from train_seq2seq import TrainArguments, begin, push

from dialogue.configs import (
    AdversarialTrainingConfig,
    AgentsConfig,
    AttackConfig,
    BadInput,
    CorpusConfig,
    PlayConfig,
    ReinforceConfig,
    TargetConfig,
)

ORDINARY = 5  # games with the partner for each attacked dialogue: they take little
AT_ONCE = 64  # dialogues


def main(
    arguments: TrainArguments,
    named: AgentsConfig,
    corpus: CorpusConfig,
    play: PlayConfig,
    reinforced: ReinforceConfig,
    config: AdversarialTrainingConfig,
) -> None:
    """Trains in rounds, attacks before and after, and writes the hardened agent's folder."""
    from transformers import TrainingArguments

    from dialogue.adversarial_training import card_section
    from dialogue.data import corpus_fingerprint
    from dialogue.loading import EMBEDDED, load_agent

    folder = writable_folder(arguments.output_dir)
    splits = load_splits(arguments, corpus)
    given = named.model_name_or_path
    target, partner = given or EMBEDDED["reinforce"], named.partner_name_or_path or given or EMBEDDED["supervised"]
    agents = load_agent(target), load_agent(partner)
    if agents[0].vocabulary != agents[1].vocabulary:
        raise BadInput(f"{target} and {partner} have different vocabularies; its partner is the SV agent that it was")
    fingerprint = {name: corpus_fingerprint(dialogues) for name, dialogues in splits.items()}
    options = TrainingArguments(output_dir=str(folder), seed=arguments.seed, report_to=arguments.report_to)
    configs = [arguments, named, corpus, play, reinforced, config]
    if begin(folder, options, configs, fingerprint | agents_fingerprint(agents)):
        accelerator = policy_accelerator(folder, options)
        rounds = harden(folder, accelerator, agents, reinforced, config, splits, arguments.seed)
        hardened = str(folder / f"round-{rounds['chosen']}/target/best")
        adversary = {number: str(folder / f"round-{number}/adversary/best") for number in (0, rounds["hardest"])}
        evaluation = Evaluation(folder, accelerator, arguments.seed, play, config, splits[corpus.split])
        before = evaluation.all("before", TargetConfig(target, partner, adversary[0]))
        after = evaluation.all("after", TargetConfig(hardened, partner, adversary[rounds["hardest"]]))
        fresh = TargetConfig(hardened, partner, str(folder / "fresh/best"))
        results = after | {f"{name}_before": one for name, one in before.items()}
        results["advantage_fresh"] = evaluation.advantage("after/fresh", "rl", fresh)
        accelerator.end_training()
        if options.process_index == 0:
            section = card_section(results, rounds, config)
            save(folder, load_agent(hardened), "hardened", corpus, results, section=section)
    if options.process_index == 0:
        print_table(json.loads((folder / "results.json").read_text()))
        print(f"the agent is in {folder}")
        if arguments.push_to_hub:
            print("published:", push(folder, arguments.hub_model_id or folder.resolve().name))


def harden(
    folder: Path,
    accelerator: Any,
    agents: tuple[Any, Any],
    reinforced: ReinforceConfig,
    config: AdversarialTrainingConfig,
    splits: dict[str, list[Any]],
    seed: int,
) -> dict[str, Any]:
    """Every training, from the last checkpoint on, a new adversary's after the rounds included; its rounds.json."""
    from dialogue.adversarial_training import Lessons, adversarial_training, trained_adversary
    from dialogue.loading import load_agent
    from dialogue.supervised import Views

    scenarios = [list(dict.fromkeys(one.scenario for one in splits[name])) for name in ("train", "validation")]
    views = Views(agents[0].vocabulary, splits["train"])
    lessons = Lessons(reinforced, accelerator, views, *scenarios, seed=seed)
    path = folder / "rounds.json"
    with Bars(accelerator) as bars:
        finished = path.exists()
        accelerator.wait_for_everyone()
        if not finished:
            outcome = adversarial_training(*agents, config, lessons, folder=folder, on_step=bars.advance)
            if accelerator.is_main_process:
                write_json(path, asdict(outcome))
            accelerator.wait_for_everyone()
        rounds = json.loads(path.read_text())
        hardened = load_agent(str(folder / f"round-{rounds['chosen']}/target/best"))
        trained_adversary(agents[1], hardened, lessons, folder=folder / "fresh", on_step=bars.advance)
    return rounds


class Evaluation:
    """What a target is like: run folders inside the folder of a hardening."""

    def __init__(
        self,
        folder: Path,
        accelerator: Any,
        seed: int,
        play: PlayConfig,
        config: AdversarialTrainingConfig,
        dialogues: list[Any],
    ) -> None:
        self.folder, self.accelerator, self.seed = folder, accelerator, seed
        self.play, self.config, self.dialogues = play, config, dialogues

    def all(self, name: str, attacked: TargetConfig) -> dict[str, Any]:
        """Every attack's advantage; agreement and points with the partner; perplexity and decisions on the corpus."""
        found = {
            f"advantage_{attack}": self.advantage(f"{name}/{attack}", attack, attacked)
            for attack in self.config.evaluated_attacks
        }
        return found | self.ordinary(f"{name}/selfplay", attacked)

    def advantage(self, name: str, attack: Any, attacked: TargetConfig) -> dict[str, Any]:
        """Its estimate, as scripts/attack_negotiator.py measures it."""
        from dialogue.selfplay import load_tables

        config, count = AttackConfig(attack=attack), self.config.evaluated_dialogues
        agents = load_agents(attacked, config)
        with self.run(name, [attacked, self.play, config], fingerprints(agents), count) as run:
            attack_at(run, agents, load_tables(self.play), self.play, config)
        return self.results(name)["advantage"]

    def ordinary(self, name: str, attacked: TargetConfig) -> dict[str, Any]:
        """What scripts/selfplay.py measures of a game with the partner, and train_negotiator.py on the corpus."""
        from dialogue.loading import load_agent
        from dialogue.selfplay import load_tables

        target, partner = str(attacked.model_name_or_path), str(attacked.speaker_name_or_path)
        count = ORDINARY * self.config.evaluated_dialogues
        named, agents = AgentsConfig(target, partner), (load_agent(target), load_agent(partner))
        with self.run(name, [named, self.play], agents_fingerprint(agents), count) as run:
            talk_at(run, agents, load_tables(self.play), self.play)
        played = {measure: self.results(name)[measure] for measure in ("agreement", "score", "partner_score")}
        return score(agents[0].cpu(), self.dialogues) | played

    def run(self, name: str, configs: list[Any], fingerprint: dict[str, str], count: int) -> Run:
        """A run folder for the first `count` tables."""
        self.accelerator.print(f"{name}:", flush=True)
        output = {"output_dir": str(self.folder / name), "per_device_batch_size": AT_ONCE}
        return Run(RunArguments(seed=self.seed, max_samples=count, **output), configs, fingerprint, self.accelerator)

    def results(self, name: str) -> dict[str, Any]:
        """Those of a run folder."""
        return json.loads((self.folder / name / "results.json").read_text())


if __name__ == "__main__":
    configs = (TrainArguments, AgentsConfig, CorpusConfig, PlayConfig, ReinforceConfig, AdversarialTrainingConfig)
    launch(main, *configs, mistakes=(BadInput,), description=__doc__)
