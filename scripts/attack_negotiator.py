"""Attack a negotiation agent with an adversarial one, which takes what the target leaves: AdvAgent.

The embedded RL agent under Algorithm 7 (reactive, else preemptive, else later), offline, a minute or two:

    accelerate launch scripts/attack_negotiator.py --max_samples 200

An agent of your own. rl and transfer are black box; they need an adversary that was trained against it:

    accelerate launch scripts/attack_negotiator.py --model_name_or_path runs/sv --attack reactive --max_samples 2000
    accelerate launch scripts/train_negotiator.py --stage attack --model_name_or_path runs/sv \\
        --partner_name_or_path runs/sv --dataset_name mikelewis0/deal_or_no_dialog --output_dir runs/adversary
    accelerate launch scripts/attack_negotiator.py --model_name_or_path runs/sv --attack rl --max_samples 2000 \\
        --adversary_name_or_path runs/adversary
    accelerate launch scripts/attack_negotiator.py --model_name_or_path runs/sv --fallback transfer \\
        --adversary_name_or_path runs/adversary --max_samples 2000

What is found by looking into another agent than the target is a transfer attack too:

    accelerate launch scripts/attack_negotiator.py --model_name_or_path runs/rl --surrogate_name_or_path runs/sv

Repeat a command to resume it. The run folder (--output_dir) holds records.jsonl (a dialogue a line), results.json
(advantage, par, agreement, ...), manifest.json and report.html.
"""

from dataclasses import dataclass, field
from typing import Any

from _run import Run, RunArguments, launch, write_json

from dialogue.configs import AttackConfig, BadInput, PlayConfig, TargetConfig

WINS_FROM = 2_000  # tables that winning sentences are taken from, others than those that are attacked


@dataclass(frozen=True)
class AttackArguments(RunArguments):
    """As for every run; a dialogue takes little room, its candidates more."""

    per_device_batch_size: int = field(default=64, metadata={"help": "dialogues at once"})


def main(arguments: AttackArguments, named: TargetConfig, play: PlayConfig, config: AttackConfig) -> None:
    """Attacks at every table, and writes a run folder."""
    from dialogue.selfplay import load_tables
    from textadv.data import texts_fingerprint

    agents, tables = load_agents(named, config), load_tables(play)
    fingerprint = fingerprints(agents) | {"scenarios": texts_fingerprint(repr(one) for one in tables)}
    with Run(arguments, [named, play, config], fingerprint) as run:
        attack_at(run, agents, tables, play, config)


def fingerprints(agents: dict[str, Any]) -> dict[str, str]:
    """What tells agents from others of the same names."""
    from textadv.fingerprint import parameters_fingerprint

    return {name: parameters_fingerprint(agent) for name, agent in agents.items()}


def attack_at(run: Run, agents: dict[str, Any], tables: list[Any], play: PlayConfig, config: AttackConfig) -> None:
    """A run from its first table to its report; the agents are those of `load_agents`."""
    from dialogue.attacks.attack import attack, attack_measures
    from dialogue.report import attack_report
    from dialogue.selfplay import starters_of

    arguments, sentences = run.arguments, []
    agents = {name: agent.to(run.device) for name, agent in agents.items()}
    if "transfer" in (config.attack, config.fallback):
        others = tables[arguments.max_samples or len(tables) :][:WINS_FROM]
        sentences = winning(agents, others, arguments.seed)
        if run.is_main:
            write_json(run.folder / "sentences.json", sentences)
    adversary = make_adversary(agents, config, sentences)
    for batch in run.batches(tables):
        with run.accelerator.autocast():
            records = attack(
                adversary,
                agents["target"],
                batch,
                seed=arguments.seed,
                max_turns=play.max_turns,
                starters=starters_of(play.starter, len(batch)),
                on_finished=run.advance,
            )
        run.append(records)
    run.finish(attack_measures, attack_report)


def load_agents(named: TargetConfig, config: AttackConfig) -> dict[str, Any]:
    """The target, with its decoding; who speaks for the adversary; and the trained adversary where one is needed."""
    from dialogue.loading import EMBEDDED, load_agent, load_negotiator

    target = named.model_name_or_path
    agents = {"target": load_negotiator(target or EMBEDDED["reinforce"])}
    if config.attack != "rl":
        agents["speaker"] = load_agent(named.speaker_name_or_path or target or EMBEDDED["supervised"])
    if named.surrogate_name_or_path:
        if config.attack in ("rl", "transfer"):
            raise BadInput(f"{config.attack} looks into nobody; leave out --surrogate_name_or_path")
        agents["surrogate"] = load_agent(named.surrogate_name_or_path)
    if config.target_decoding == "greedy":
        for name in {"target", "surrogate"} & agents.keys():
            agents[name].temperature = 0.0
    if config.attack in ("rl", "transfer") or config.fallback == "transfer":
        adversary = named.adversary_name_or_path or (None if target else EMBEDDED["attack"])
        if adversary is None:
            raise BadInput(
                "this attack needs a trained adversary: give --adversary_name_or_path; scripts/train_negotiator.py "
                f"--stage attack --partner_name_or_path {target} makes one"
            )
        agents["adversary"] = load_agent(adversary)
    return agents


def winning(agents: dict[str, Any], tables: list[Any], seed: int) -> list[str]:
    """The sentences by which the trained adversary wins at other tables."""
    from dialogue.attacks.attack import attack
    from dialogue.attacks.transfer import winning_sentences

    if not tables:
        raise BadInput("no tables are left to find winning sentences at; lower --max_samples")
    found = winning_sentences(attack(agents["adversary"], agents["target"], tables, seed=seed))
    if not found:
        raise BadInput("the adversary never wins by much, so that it has no sentences to transfer; train it for longer")
    return found


def make_adversary(agents: dict[str, Any], config: AttackConfig, sentences: list[str]) -> Any:
    """The agent that attacks."""
    from dialogue.attacks.adaptive import AdaptiveAdversary
    from dialogue.attacks.preemptive import PreemptiveAdversary
    from dialogue.attacks.reactive import ReactiveAdversary
    from dialogue.attacks.transfer import TransferAdversary

    if config.attack == "rl":
        return agents["adversary"]
    if config.attack == "transfer":
        return TransferAdversary(agents["speaker"], sentences, config.transfer_turn)
    seen = agents.get("surrogate", agents["target"])
    if config.attack == "adaptive":
        return AdaptiveAdversary(agents["speaker"], seen, config, sentences)
    kind = {"reactive": ReactiveAdversary, "preemptive": PreemptiveAdversary}[config.attack]
    return kind(agents["speaker"], seen, config)


if __name__ == "__main__":
    launch(main, AttackArguments, TargetConfig, PlayConfig, AttackConfig, mistakes=(BadInput,), description=__doc__)
