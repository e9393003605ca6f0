"""Two negotiation agents at many tables: who gets how much, how often they agree, and every word that was said.

The agents of the package, the RL agent against the SV agent, at 300 of all 5,295 tables, offline:

    python scripts/selfplay.py --max_samples 300

An agent against itself, at 2,000 of them:

    accelerate launch scripts/selfplay.py --model_name_or_path runs/sv --max_samples 2000

Two agents of the Hub or of local folders, at the tables of the original's self-play:

    accelerate launch scripts/selfplay.py --model_name_or_path runs/rl --partner_name_or_path runs/sv \\
        --scenarios mikelewis0/deal_or_no_dialog --scenario_split selfplay --max_samples 2000

Repeat a command to resume it. The run folder (--output_dir) holds records.jsonl (a transcript a line), results.json,
manifest.json and report.html.
"""

from dataclasses import dataclass, field
from typing import Any

from _run import Run, RunArguments, launch

from dialogue.configs import AgentsConfig, BadInput, PlayConfig


@dataclass(frozen=True)
class SelfplayArguments(RunArguments):
    """As for every run; a dialogue takes little room."""

    per_device_batch_size: int = field(default=1024, metadata={"help": "dialogues at once"})


def main(arguments: SelfplayArguments, named: AgentsConfig, config: PlayConfig) -> None:
    """Lets two agents talk at every table, and writes a run folder."""
    from dialogue.selfplay import load_tables
    from textadv.data import texts_fingerprint

    agents, tables = load_agents(named), load_tables(config)
    fingerprint = agents_fingerprint(agents) | {"scenarios": texts_fingerprint(repr(one) for one in tables)}
    with Run(arguments, [named, config], fingerprint) as run:
        talk_at(run, agents, tables, config)


def talk_at(run: Run, agents: tuple[Any, Any], tables: list[Any], config: PlayConfig) -> None:
    """A run from its first table to its report."""
    from dialogue.report import report
    from dialogue.selfplay import selfplay, starters_of
    from dialogue.summary import measures

    agents = tuple(agent.to(run.device) for agent in agents)
    for batch in run.batches(tables):
        with run.accelerator.autocast():
            records = selfplay(
                agents,
                batch,
                seed=run.arguments.seed,
                max_turns=config.max_turns,
                starters=starters_of(config.starter, len(batch)),
                on_finished=run.advance,
            )
        run.append(records)
    run.finish(measures, report)


def load_agents(named: AgentsConfig) -> tuple[Any, Any]:
    """The agent and its partner; the embedded RL agent meets the SV agent."""
    from dialogue.loading import EMBEDDED, load_negotiator

    agent, partner = named.model_name_or_path, named.partner_name_or_path
    return load_negotiator(agent or EMBEDDED["reinforce"]), load_negotiator(partner or agent or EMBEDDED["supervised"])


def agents_fingerprint(agents: tuple[Any, Any]) -> dict[str, str]:
    """What tells two agents from others of the same names."""
    from textadv.fingerprint import parameters_fingerprint

    return {name: parameters_fingerprint(one) for name, one in zip(("agent", "partner"), agents, strict=True)}


if __name__ == "__main__":
    launch(main, SelfplayArguments, AgentsConfig, PlayConfig, mistakes=(BadInput,), description=__doc__)
