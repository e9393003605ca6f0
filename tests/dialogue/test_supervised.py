"""The SV agent's training: what its first epochs teach, and what is kept."""

import pytest
import torch
from transformers import TrainingArguments

from dialogue.configs import SupervisedConfig
from dialogue.simulator import corpus
from dialogue.supervised import SupervisedTrainer, Views, build, collate, validate

SIZES = {"embedding_size": 8, "context_size": 4, "hidden_size": 8, "selection_size": 8, "rarest": 0}


def training(tmp_path, word_epochs, max_steps=-1):
    """A trainer of a tiny agent on 20 views, five steps an epoch, two epochs."""
    dialogues = corpus("train")[:20]
    torch.manual_seed(0)
    agent = build(SupervisedConfig(**SIZES), dialogues)
    views = Views(agent.vocabulary, dialogues)
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_train_epochs=2,
        max_steps=max_steps,
        learning_rate=0.01,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=True,
    )
    options = {"train_dataset": views, "eval_dataset": views, "data_collator": collate, "word_epochs": word_epochs}
    return SupervisedTrainer(model=agent, args=arguments, **options)


def decision(agent):
    """Weights that the decision alone has."""
    parts = (agent.selector, agent.attention, agent.summary, agent.heads)
    return torch.cat([one.detach().flatten().clone() for part in parts for one in part.parameters()])


@pytest.mark.parametrize(("word_epochs", "max_steps", "learns"), [(1, 5, False), (1, 6, True), (0, 5, True)])
def test_the_first_epochs_teach_words_only(tmp_path, word_epochs, max_steps, learns):
    trainer = training(tmp_path, word_epochs, max_steps)
    before, words = decision(trainer.model), trainer.model.speaker.weight_hh_l0.detach().clone()
    trainer.train()
    assert torch.equal(decision(trainer.model), before) != learns
    assert not torch.equal(trainer.model.speaker.weight_hh_l0, words)


def test_the_loss_of_words_is_the_models_own_part_of_it(tmp_path):
    trainer = training(tmp_path, word_epochs=1)
    agent = trainer.model.eval()
    batch = collate(trainer.train_dataset.rows[:6])
    output = agent(**batch)
    trainer.state.epoch = 0.5
    assert trainer.compute_loss(agent, dict(batch)).item() == pytest.approx(output.word_loss.item())
    trainer.state.epoch = 1.0
    assert trainer.compute_loss(agent, dict(batch)).item() == pytest.approx(output.loss.item())


def test_what_is_kept_is_judged_by_words_and_decision_together(tmp_path):
    agent = training(tmp_path, 0).model
    found = validate(agent, Views(agent.vocabulary, corpus("validation")[:30]))
    assert found["loss"] == pytest.approx(found["word_loss"] + 0.5 * found["selection_loss"])
    assert 0 <= found["exact_selection"] <= 1
