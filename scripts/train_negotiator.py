"""Train a negotiation agent: to speak and decide as people do, and then to win; or an adversary against one.

On the simulator's dialogues, by default: offline. These make the agents of the package (dialogue/embedded), in ten,
three and five minutes of one CPU core; the later ones go on from the earlier ones, as they are in the package:

    python scripts/train_negotiator.py --output_dir runs/sv --embedding_size 64 --selection_size 128 --dropout 0.1 \\
        --word_dropout 0.1 --output_dropout 0.1 --selection_weight 0.5 --calibrate false --learning_rate 4e-3 \\
        --per_device_train_batch_size 32 --num_train_epochs 8 --save_steps 250
    python scripts/train_negotiator.py --output_dir runs/rl --stage reinforce
    python scripts/train_negotiator.py --output_dir runs/adversary --stage attack --rl_dialogues 19200

On Deal or No Deal, of the Hub or in a local folder; the second agent learns to win from the first one:

    accelerate launch scripts/train_negotiator.py --output_dir runs/sv --dataset_name mikelewis0/deal_or_no_dialog
    accelerate launch scripts/train_negotiator.py --output_dir runs/rl --dataset_name mikelewis0/deal_or_no_dialog \\
        --stage reinforce --model_name_or_path runs/sv
    accelerate launch scripts/train_negotiator.py --output_dir runs/adversary --stage attack \\
        --dataset_name mikelewis0/deal_or_no_dialog --model_name_or_path runs/sv --partner_name_or_path runs/rl

The same command again goes on from the last checkpoint. The folder holds the agent with its card, ready for
`--model_name_or_path` elsewhere, results.json, manifest.json and checkpoint-N/. --push_to_hub publishes it.
"""

import json
import sys
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _estimates import estimates, print_table
from _run import launch, public_command, writable_folder, write_json
from selfplay import agents_fingerprint
from train_seq2seq import TrainArguments, begin, push

from dialogue.configs import AgentsConfig, BadInput, CorpusConfig, ReinforceConfig, StageConfig, SupervisedConfig


def main(
    arguments: TrainArguments,
    stage: StageConfig,
    named: AgentsConfig,
    corpus: CorpusConfig,
    supervised: SupervisedConfig,
    reinforced: ReinforceConfig,
) -> None:
    """Trains on a corpus, scores on a split that it hasn't seen, and writes the agent's folder."""
    from dialogue.data import corpus_fingerprint

    if stage.stage == "supervised" and (named.model_name_or_path or named.partner_name_or_path):
        raise BadInput("--stage supervised trains a new agent; to go on with a given one, --stage reinforce or attack")
    folder = writable_folder(arguments.output_dir)
    splits = load_splits(arguments, corpus)
    fingerprint = {name: corpus_fingerprint(dialogues) for name, dialogues in splits.items()}
    options = training_arguments(folder, arguments, supervised)
    agents = load_agents(named, stage) if stage.stage != "supervised" else None
    fingerprint |= agents_fingerprint(agents) if agents else {}
    if begin(folder, options, [arguments, stage, named, corpus, supervised, reinforced], fingerprint):
        train, validation, test = splits["train"], splits["validation"], splits[corpus.split]
        if agents:
            agent, cost = reinforce(folder, options, stage, agents, reinforced, train, validation)
            play = played(agent, agents[1], stage, test, arguments.seed)
        else:
            (agent, cost), play = supervise(folder, options, supervised, train, validation), {}
        if options.process_index == 0:
            save(folder, agent, stage.stage, corpus, score(agent, test) | play | {"cpu_seconds": cost})
    if options.process_index == 0:
        print_table(json.loads((folder / "results.json").read_text()))
        print(f"the agent is in {folder}")
        if arguments.push_to_hub:
            print("published:", push(folder, arguments.hub_model_id or folder.resolve().name))


def load_splits(arguments: TrainArguments, corpus: CorpusConfig) -> dict[str, list[Any]]:
    """What is learnt from, what is chosen by, and what is scored. Raises BadInput where these are the same."""
    from dialogue.data import load_dialogues

    if corpus.split in ("train", "validation"):
        raise BadInput(f"the split to score, {corpus.split!r}, is what is learnt from; give another --split")
    splits = {name: load_dialogues(corpus.dataset_name, name) for name in ("train", "validation", corpus.split)}
    return splits | {"train": splits["train"][: arguments.max_samples]}


def training_arguments(folder: Path, arguments: TrainArguments, config: SupervisedConfig) -> Any:
    """Our options in the Trainer's words; device and precision are `accelerate launch`'s."""
    import torch
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(folder),
        seed=arguments.seed,
        report_to=arguments.report_to,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        num_train_epochs=config.num_train_epochs,
        max_steps=config.max_steps,
        per_device_train_batch_size=config.per_device_train_batch_size,
        train_sampling_strategy="group_by_length",
        eval_strategy="steps",
        eval_steps=config.save_steps,
        save_steps=config.save_steps,
        save_total_limit=config.save_total_limit,
        logging_steps=config.logging_steps,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        greater_is_better=False,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def supervise(
    folder: Path, options: Any, config: SupervisedConfig, train: list[Any], validation: list[Any]
) -> tuple[Any, float]:
    """The agent of the lowest loss on `validation`, calibrated there, from the last checkpoint on; its CPU-seconds."""
    from transformers import set_seed

    from dialogue.supervised import SupervisedTrainer, Views, build, calibrate, collate
    from textadv.training import last_checkpoint

    set_seed(options.seed)
    agent = build(config, train)
    held_out = Views(agent.vocabulary, validation)
    trainer = SupervisedTrainer(
        model=agent,
        args=options,
        train_dataset=Views(agent.vocabulary, train),
        eval_dataset=held_out,
        data_collator=collate,
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    agent = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False).eval()
    if config.calibrate:
        calibrate(agent, held_out)
    return agent, trainer.cpu_seconds


def load_agents(named: AgentsConfig, stage: StageConfig) -> tuple[Any, Any]:
    """The one that learns, and its partner: itself, or the embedded RL agent as an embedded adversary's target."""
    from dialogue.loading import EMBEDDED, load_agent, load_negotiator

    agent, partner = named.model_name_or_path, named.partner_name_or_path or named.model_name_or_path
    default = EMBEDDED["reinforce" if stage.stage == "attack" else "supervised"]
    return load_agent(agent or EMBEDDED["supervised"]), load_negotiator(partner or default)


def reinforce(
    folder: Path,
    options: Any,
    stage: StageConfig,
    agents: tuple[Any, Any],
    config: ReinforceConfig,
    train: list[Any],
    validation: list[Any],
) -> tuple[Any, float]:
    """The agent, or adversary, of the highest reward on validation scenarios, from the last checkpoint on.

    With it its CPU-seconds.
    """
    from dialogue.attacks.rl import RlAttack
    from dialogue.loading import load_agent
    from dialogue.reinforce import Reinforcement
    from dialogue.supervised import Views

    accelerator = policy_accelerator(folder, options)
    training = (RlAttack if stage.stage == "attack" else Reinforcement)(
        *agents,
        config,
        accelerator=accelerator,
        views=Views(agents[0].vocabulary, train),
        scenarios=list(dict.fromkeys(one.scenario for one in train)),
        validation=list(dict.fromkeys(one.scenario for one in validation)),
        seed=options.seed,
    )
    with Bars(accelerator) as bars:
        training.run(folder, lambda told: bars.advance(stage.stage, training, told))
    accelerator.end_training()
    return load_agent(str(folder / "best")), training.progress.cpu_seconds


def policy_accelerator(folder: Path, options: Any) -> Any:
    """What trains by policy gradient, with the trackers of --report_to, and seeded."""
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.utils import set_seed

    set_seed(options.seed)
    log_with = [one for one in options.report_to if one != "none"]
    spare = DistributedDataParallelKwargs(find_unused_parameters=True)  # the policy gradient leaves out the decision
    accelerator = Accelerator(log_with=log_with or None, project_dir=folder, kwargs_handlers=[spare])
    if log_with:
        accelerator.init_trackers(Path(sys.argv[0]).stem)
    return accelerator


class Bars(AbstractContextManager):
    """A progress bar for each training by policy gradient, one after the other, and its figures for the trackers."""

    def __init__(self, accelerator: Any) -> None:
        from tqdm import tqdm

        self.accelerator, self.bar, self.name, self.steps = accelerator, tqdm(disable=True), "", 0

    def __exit__(self, *error: Any) -> None:
        self.bar.close()

    def advance(self, name: str, training: Any, told: dict[str, float]) -> None:
        """Shows what a training of that name tells."""
        from tqdm import tqdm

        if self.name != name:
            self.bar.close()
            self.name, self.steps = name, self.steps + self.bar.n
            self.bar = tqdm(desc=name, total=training.steps, unit="step", disable=not self.accelerator.is_main_process)
        self.bar.update(training.progress.step - self.bar.n)
        self.bar.set_postfix({"best": training.progress.best, **told})
        self.accelerator.log(told, step=self.steps + training.progress.step)


def score(agent: Any, dialogues: list[Any]) -> dict[str, dict]:
    """How well it speaks and decides as people do."""
    from dialogue.supervised import Views
    from dialogue.supervised import score as scored

    return estimates(scored(agent, Views(agent.vocabulary, dialogues)))


def played(agent: Any, partner: Any, stage: StageConfig, dialogues: list[Any], seed: int) -> dict[str, dict]:
    """What it wins from its partner, once at each table of the dialogues."""
    from dialogue.attacks.attack import attack, attack_measures
    from dialogue.selfplay import Table, selfplay
    from dialogue.summary import measures

    tables = [Table(i, scenario) for i, scenario in enumerate(dict.fromkeys(one.scenario for one in dialogues))]
    if stage.stage == "attack":
        return estimates(attack_measures([asdict(one) for one in attack(agent, partner.cpu(), tables, seed=seed)]))
    return estimates(measures([asdict(one) for one in selfplay((agent, partner.cpu()), tables, seed=seed)]))


def save(folder: Path, agent: Any, stage: str, corpus: CorpusConfig, scores: dict[str, Any], **more: str) -> None:
    """Agent, tokenizer, card and scores; results.json comes last, and says that the training is finished.

    `more` is for `model_card`.
    """
    from dialogue.card import model_card
    from textadv.adversarial_set import public_name

    agent.save_pretrained(folder)
    name, command = public_name(corpus.dataset_name) or "dialogue-simulator", public_command()
    card = model_card(agent, stage=stage, dataset=name, split=corpus.split, scores=scores, command=command, **more)
    (folder / "README.md").write_text(card, encoding="utf-8")
    write_json(folder / "results.json", scores)


if __name__ == "__main__":
    configs = (TrainArguments, StageConfig, AgentsConfig, CorpusConfig, SupervisedConfig, ReinforceConfig)
    launch(main, *configs, mistakes=(BadInput,), description=__doc__)
