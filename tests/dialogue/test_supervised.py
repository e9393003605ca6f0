"""The SV agent's training: what its two parts teach, how fast, and what is kept."""

import pytest
import torch
from transformers import TrainingArguments

from dialogue.configs import SupervisedConfig
from dialogue.simulator import corpus
from dialogue.supervised import SupervisedTrainer, Views, build, collate, validate

SIZES = {"embedding_size": 8, "context_size": 4, "hidden_size": 8, "selection_size": 8, "rarest": 0}


def test_what_is_kept_is_judged_by_words_and_decision_together():
    torch.manual_seed(0)
    agent = build(SupervisedConfig(**SIZES, selection_weight=0.25), corpus("train")[:20])
    found = validate(agent, Views(agent.vocabulary, corpus("validation")[:30]))
    assert found["loss"] == pytest.approx(found["word_loss"] + 0.25 * found["selection_loss"])
    assert 0 <= found["exact_selection"] <= 1


def test_every_dropout_has_its_place():
    """The decision's, that of what the speaking GRU reads, and that of what words come of: none unless asked for."""
    torch.manual_seed(0)
    agent = build(SupervisedConfig(**SIZES, dropout=0.5, word_dropout=0.25, output_dropout=0.0), corpus("train")[:20])
    assert (agent.dropout.p, agent.word_dropout.p, agent.output_dropout.p) == (0.5, 0.25, 0.0)
    states = torch.rand(3, 4, 8)
    agent.train()
    assert torch.equal(agent.word_logits(states), agent.word_logits(states))
    agent.output_dropout.p = 0.5
    assert not torch.equal(agent.word_logits(states), agent.word_logits(states))


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
        warmup_steps=2,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=True,
    )
    options = {"train_dataset": views, "eval_dataset": views, "data_collator": collate, "word_epochs": word_epochs}
    return SupervisedTrainer(model=agent, args=arguments, **options)


def weights(agent):
    """What the words are made of, and what the decision alone has."""
    own = {
        id(one) for part in (agent.selector, agent.attention, agent.summary, agent.heads) for one in part.parameters()
    }
    parts = [[one for one in agent.parameters() if (id(one) in own) == decides] for decides in (False, True)]
    return [torch.cat([one.detach().flatten().clone() for one in part]) for part in parts]


@pytest.mark.parametrize(("word_epochs", "changed"), [(1, (True, False)), (0, (True, True))])
def test_the_first_epochs_teach_words_only(tmp_path, word_epochs, changed):
    trainer = training(tmp_path, word_epochs, max_steps=5)
    before = weights(trainer.model)
    trainer.train()
    after = weights(trainer.model)
    assert tuple(not torch.equal(one, other) for one, other in zip(before, after, strict=True)) == changed


def test_the_later_epochs_teach_the_decision_only(tmp_path):
    words = training(tmp_path, 1, max_steps=5)
    words.train()
    both = training(tmp_path, 1)
    start = weights(both.model)[1]
    both.train()
    # The rate of the first part falls to 0 in either, so that the words are the same.
    assert torch.allclose(weights(both.model)[0], weights(words.model)[0], atol=1e-6)
    assert not torch.equal(weights(both.model)[1], start)


def test_the_rate_falls_in_either_part(tmp_path):
    trainer = training(tmp_path, 1)
    trainer.create_optimizer_and_scheduler(10)
    rates = []
    for _ in range(10):
        rates.append(trainer.lr_scheduler.get_last_lr()[0] / 0.01)
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    assert rates == pytest.approx([0.5, 1, 1, 2 / 3, 1 / 3] * 2)
