"""Methods of robust training: their limits, their states, and every one against its formula."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot
from trainings import data_of, normalised, perceptron, training_of, weights

from visionadv.configs import METHODS, BadInput, TrainClassifierConfig
from visionadv.training import hyperparameters, method_from, method_named
from visionadv.training.advprop import strength
from visionadv.training.dirichlet import dirichlet
from visionadv.training.free import Free
from visionadv.training.inner import ascend, evaluating, margins
from visionadv.training.norms import blended, norms_of
from visionadv.training.trainer import Training
from visionadv.training.vicinity import Vicinity

NATURAL = {  # what makes natural training of a method
    "gaussian": {"sigma": 0.0},
    "label_smoothing": {"alpha": 0.0},
    "ls_ga": {"alpha": 0.0, "sigma": 0.0},
    "stable": {"weight": 0.0},
    "adversarial": {"eps": 0.0},
    "trades": {"beta": 0.0},
    "bilateral": {"eps": 0.0, "ratio": 1e12},
    "sprout": {"labels": False, "gaussian": False, "mixup": False},
    "free": {"replays": 1, "carried": False},
    "cat": {"eps": 0.0, "c": 0.0, "margin": False},
    "distillation": {"temperature": 1.0},
}


def trained(method, net=None, **options):
    training = training_of(
        method, **({"net": net} if net else {}), **{"optimizer": "sgd", "learning_rate": 0.05} | options
    )
    return training.run(None), training


@pytest.fixture(scope="module")
def natural():
    return weights(trained(Vicinity())[0])


@pytest.mark.parametrize("name", NATURAL)
def test_the_limit_of_natural_training(name, natural):
    assert torch.allclose(weights(trained(method_named(name, **NATURAL[name]))[0]), natural, atol=1e-9)


@pytest.mark.parametrize("name", sorted({*METHODS} - {"natural", "advprop", "robmask", "bn_finetune", "distillation"}))
def test_a_method_is_not_natural_training(name, natural):
    assert not torch.allclose(weights(trained(method_named(name))[0]), natural, atol=1e-5)


@pytest.mark.parametrize("start", ["linf", "l2"])
def test_adversarial_training_is_its_formula(start):
    """The whole of it by torch alone, for FGSM; and PGD's images lie within the distance, with a larger loss."""
    options = {"eps": 0.1, "steps": 1, "step_size": 1.0, "random_start": False, "norm": start}
    found, training = trained(method_named("adversarial", **options))
    own = training_of()
    model = own.model
    optimizer = torch.optim.SGD(
        [
            {"params": [one for one in model.parameters() if one.ndim > 1], "weight_decay": 0.01},
            {"params": [one for one in model.parameters() if one.ndim == 1]},
        ],
        lr=0.05,
        momentum=0.9,
        nesterov=True,
    )
    for step in range(20):
        batch = training.batch(step)
        images = batch.images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(cross_entropy(model(images), batch.labels, reduction="sum"), images)
        way = slope.sign() if start == "linf" else slope / slope.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        moved = (batch.images + 0.1 * way).clamp(0, 1)
        for group in optimizer.param_groups:
            group["lr"] = training.rate(step)
        optimizer.zero_grad()
        cross_entropy(model(moved), batch.labels).backward()
        optimizer.step()
    assert torch.allclose(weights(found), weights(model), atol=1e-9)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_the_inner_attack_keeps_its_distance_and_gains(norm, loss):
    training = training_of()
    method = method_named("adversarial", eps=0.2, norm=norm, loss=loss)
    method.begin(training.model, count=50, classes=3, shape=(8, 1, 6, 6))
    batch = training.batch(0)
    moved = method.inputs(training.model, batch)
    order = {"linf": torch.inf, "l2": 2}[norm]
    assert (torch.linalg.vector_norm((moved - batch.images).flatten(1), order, dim=1) <= 0.2 + 1e-9).all()
    assert moved.min() >= 0 and moved.max() <= 1 and training.model.training
    ascended = {"cross_entropy": lambda z: cross_entropy(z, batch.labels), "margin": lambda z: margins(z, batch.labels)}
    with torch.no_grad(), evaluating(training.model) as model:
        assert ascended[loss](model(moved)).mean() > ascended[loss](model(batch.images)).mean()
    assert all(one.grad is None for one in training.model.parameters())


def test_the_best_point_of_a_linear_model_is_found():
    """Within the cube of a distance a linear loss has its maximum in a corner, cut off at 0 and 1."""
    weight = torch.randn(36, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    images = torch.rand(5, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    radius = torch.tensor([0.0, 0.05, 0.1, 0.3, 0.3], dtype=torch.float64)
    model = nn.Flatten()
    found = ascend(model, images, lambda z: z @ weight, radius=radius, steps=8, step_size=0.25)
    best = (images + radius.view(-1, 1, 1, 1) * weight.view(1, 1, 6, 6).sign()).clamp(0, 1)
    assert torch.allclose(found, best)


def test_the_divergence_and_loss_of_trades():
    training = training_of()
    method = method_named("trades", eps=0.2, beta=3.0)
    method.begin(training.model, count=50, classes=3, shape=(8, 1, 6, 6))
    batch = training.batch(0)
    moved = method.inputs(training.model, batch)
    clean, other = (training.model(images).log_softmax(1) for images in (batch.images, moved))
    expected = cross_entropy(clean, batch.labels) + 3 * nn.functional.kl_div(
        other, clean, log_target=True, reduction="batchmean"
    )
    assert method.loss(training.model, batch).item() == pytest.approx(expected.item(), abs=1e-12)


def test_labels_of_bilateral_training():
    training = training_of()
    method = method_named("bilateral")
    method.begin(training.model, count=50, classes=3, shape=(8, 1, 6, 6))
    batch = training.batch(0)
    labels = method.targets(training.model, batch)
    assert torch.allclose(labels.sum(1), torch.ones(8, dtype=torch.float64)) and (labels >= 0).all()
    own = labels.gather(1, batch.labels[:, None])[:, 0]
    assert torch.allclose(own, torch.full_like(own, 1 - 1 / (1 + 9 / 2))), "9 times the mean of the others"
    logits = training.model(batch.images)
    for row in range(8):
        first, second = (k for k in range(3) if k != batch.labels[row])
        likelier = first if logits[row, first] > logits[row, second] else second
        assert labels[row, likelier] < labels[row, first + second - likelier], "the unlikelier one gains more"


def test_mixup_mixes_images_and_labels_alike():
    training = training_of(per_device_train_batch_size=40)
    method = method_named("mixup")
    method.begin(training.model, count=50, classes=3, shape=(40, 1, 6, 6))
    batch = training.batch(0)
    images, labels = method.inputs(training.model, batch), method.targets(training.model, batch)
    shares = []
    for row in range(40):  # the partner and the share that explain the image
        distance = batch.images - batch.images[row]
        told = [
            (float(((images[row] - batch.images[row]) * one).sum() / (one**2).sum()), k)
            for k, one in enumerate(distance)
            if one.abs().max() > 0
        ]
        good = [(share, k) for share, k in told if torch.allclose(images[row], batch.images[row] + share * distance[k])]
        if not good:
            assert torch.allclose(images[row], batch.images[row])
            continue
        share, k = good[0] if len(good) == 1 else (0.0, row)
        expected = (1 - share) * one_hot(batch.labels[row], 3) + share * one_hot(batch.labels[k], 3)
        assert torch.allclose(labels[row], expected.double(), atol=1e-9)
        shares.append(share)
    assert len({round(share, 6) for share in shares}) > 10 and sum(share < 0.1 or share > 0.9 for share in shares) > 20


def test_noise_has_its_deviation():
    training = training_of(per_device_train_batch_size=50)
    batch = training.batch(0)
    noise = method_named("gaussian", sigma=0.3).inputs(None, batch) - batch.images
    assert abs(noise.mean()) < 0.03 and noise.std() == pytest.approx(0.3, rel=0.05)


def test_moments_of_dirichlet_labels():
    """(5.7): means, covariances; and a gradient that is torch's own implicit one."""
    beta = torch.tensor([0.3, 1.0, 2.5], dtype=torch.float64)
    drawn = dirichlet(beta.expand(200_000, 3), torch.arange(200_000) * 7919, 4)
    total = beta.sum()
    assert torch.allclose(drawn.mean(0), beta / total, atol=5e-3)
    expected = -beta[0] * beta[2] / (total**2 * (total + 1))
    assert torch.cov(drawn.T)[0, 2] == pytest.approx(float(expected), abs=2e-3)
    assert torch.allclose(drawn.sum(1), torch.ones(200_000, dtype=torch.float64))


def test_the_gradient_of_dirichlet_labels_is_that_of_their_mean():
    """d (beta_0 / total) / d beta = (total - beta_0, -beta_0, -beta_0) / total^2."""
    beta = torch.tensor([0.3, 1.0, 2.5], dtype=torch.float64, requires_grad=True)
    drawn = dirichlet(beta.expand(200_000, 3), torch.arange(200_000), 1)
    (slope,) = torch.autograd.grad(drawn[:, 0].mean(), beta)
    total = 3.8
    assert torch.allclose(slope, torch.tensor([total - 0.3, -0.3, -0.3]).double() / total**2, atol=3e-3)


def test_labels_of_next_to_no_concentration_are_numbers():
    concentration = torch.full((500, 10), 1e-5, dtype=torch.float64, requires_grad=True)
    drawn = dirichlet(concentration, torch.arange(500), 2)
    (slope,) = torch.autograd.grad(drawn[:, 0].sum(), concentration)
    assert torch.allclose(drawn.sum(1), torch.ones(500, dtype=torch.float64)) and slope.isfinite().all()
    again, other = dirichlet(concentration, torch.arange(500), 2), dirichlet(concentration, torch.arange(500), 3)
    assert torch.equal(drawn, again) and not torch.equal(drawn, other)


def test_sprouts_beta_ascends_by_the_gradient_of_the_same_pass():
    method = method_named("sprout", alpha=0.5, beta_rate=0.7, concentration=3.0)
    training = training_of(method)
    before, batch = method.beta.detach().clone(), training.batch(0)
    assert len(set(before.tolist())) == 3 and (before > 0).all()

    (slope,) = torch.autograd.grad(method.loss(training.model, batch), method.beta)
    assert (slope != 0).all()
    passes = []
    training.model.register_forward_hook(lambda *_: passes.append(1))
    training._step()
    assert torch.allclose(method.beta, before + 0.7 * slope, atol=1e-12) and len(passes) == 1


def test_cat_without_its_additions_is_adversarial_training():
    """eta = eps_max, c = 0, no margin and no reset: the same inner attack from no perturbation, the same weights."""
    how = {"eps": 0.1, "steps": 3, "step_size": 0.4}
    cat = method_named("cat", eta=0.1, c=0.0, margin=False, reset=False, **how)
    adversarial = method_named("adversarial", random_start=False, **how)
    first, second = (weights(trained(one)[0]) for one in (cat, adversarial))
    assert torch.allclose(first, second, atol=1e-9)


class Fixed(nn.Module):
    """Says the same of every image."""

    def __init__(self, says):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3, dtype=torch.float64)[says])

    def forward(self, images):
        return self.weight + 0 * images.flatten(1).sum(1, keepdim=True)


def test_distances_of_cat():
    """They grow by eta where the attack fails, to eps_max at most, and are 0 where it succeeds: an image's own ones."""
    method = method_named("cat", eps=0.1, eta=0.04, c=0.0, steps=1)
    training = training_of(per_device_train_batch_size=10)
    method.begin(training.model, count=50, classes=3, shape=(10, 1, 6, 6))
    seen = []
    for expected in (0.04, 0.08, 0.1, 0.1):
        batch = training.batch(0)
        method.loss(Fixed(0), batch)
        right = batch.labels == 0
        assert torch.allclose(method.distances[batch.rows], expected * right.double())
        seen = batch.rows
    others = torch.ones(50, dtype=torch.bool).index_fill(0, seen, False)
    assert not method.distances[others].any()
    batch = training.batch(0)
    method.loss(Fixed(1), batch)
    assert torch.equal(method.distances[batch.rows] > 0, batch.labels == 1)


def test_labels_and_loss_of_cat():
    method = method_named("cat", eps=0.1, c=5.0, kappa=0.3, adaptive=False)
    training = training_of()
    method.begin(training.model, count=50, classes=3, shape=(8, 1, 6, 6))
    assert (method.distances == 0.1).all(), "Adv+LS: eps_max for all"
    batch = training.batch(0)
    distance = torch.full((8,), 0.1, dtype=torch.float64)
    labels = method._labels(batch, distance, 16)
    assert not torch.equal(labels, method._labels(batch, distance, 18)), "another draw"
    own = labels.gather(1, batch.labels[:, None])[:, 0]
    assert torch.allclose(labels.sum(1), torch.ones(8, dtype=torch.float64)) and (own >= 0.5).all() and own.std() > 0
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 2.9]], dtype=torch.float64)
    losses = method._losses(labels[:2], torch.tensor([0, 1]))(logits)
    entropy = -(labels[:2] * logits.log_softmax(1)).sum(1)
    assert torch.allclose(losses - entropy, torch.tensor([-0.3, -0.1], dtype=torch.float64))


def test_free_training_is_its_algorithm():
    """Both gradients from one pass; the perturbation goes on from replay to replay and from batch to batch."""
    training = training_of(Free(eps=0.1, replays=3), optimizer="sgd", learning_rate=0.05)
    found = weights(training.run(None))
    own = training_of(optimizer="sgd", learning_rate=0.05)
    model, optimizer = own.model, own.optimizer
    delta = torch.zeros(8, 1, 6, 6, dtype=torch.float64)
    for step in range(20):
        batch = own.batch(step // 3)
        for group in optimizer.param_groups:
            group["lr"] = own.rate(step)
        leaf = (batch.images + delta).clamp(0, 1).requires_grad_()
        loss = cross_entropy(model(leaf), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        delta = (delta + 0.1 * leaf.grad.sign()).clamp(-0.1, 0.1)
    assert torch.allclose(found, weights(model), atol=1e-9)


def test_the_second_replay_of_free_training_from_zero_is_fgsm_of_the_weights_before():
    training = training_of(Free(eps=0.1, replays=2, carried=False), max_steps=2)
    model, batch = training.model, training.batch(0)
    images = batch.images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(model(images), batch.labels), images)
    training._step()
    assert torch.allclose(training.vicinity.delta, 0.1 * slope.sign())


def test_robmask_that_never_draws_is_advprop():
    """(6.3): rank 2, and always the largest distance."""
    how = {"eps": 0.1, "steps": 2, "step_size": 0.5}
    nets = []
    for method in (method_named("robmask", rank=2, p=1.0, **how), method_named("advprop", **how)):
        model, _ = trained(method, net=normalised, weight_decay=0.1)
        nets.append(method.nets(model))
    for name in ("", "adversarial"):
        first, second = (one[name].state_dict() for one in nets)
        for key in (one for one in first if first[one].is_floating_point()):
            assert torch.allclose(first[key].double(), second[key].double(), atol=1e-9), key
    assert any(
        not torch.allclose(one, other)
        for one, other in zip(nets[0][""].parameters(), nets[0]["adversarial"].parameters(), strict=True)
    )


def test_maskings_lie_between_their_bases():
    """(6.2): what the net does at p is what the net does whose normalisation is p and 1 - p of the two ends."""
    from visionadv.training.robmask import mask

    method = method_named("robmask", eps=0.1, steps=1)
    model, _ = trained(method, net=normalised)
    ends = method.nets(model)
    images = data_of().images(0).double()
    mask(model, 1.0)
    assert torch.allclose(model(images), ends["adversarial"](images))
    mask(model, 0.0)
    assert torch.allclose(model(images), ends[""](images))
    between = blended(ends["adversarial"], ends[""], 0.3)
    layer, ours = norms_of(between)[0][1], model.features[1]
    mask(model, 0.3)
    gamma, beta = ours.rescaling()
    assert torch.allclose(layer.weight, gamma) and torch.allclose(layer.bias, beta)
    three = method_named("robmask", rank=3)
    net = normalised(data_of()).double()
    three.begin(net, count=50, classes=3, shape=(8, 1, 6, 6))
    for p, code in ((0.0, [1, 0, 0]), (0.25, [0.5, 0.5, 0]), (0.5, [0, 1, 0]), (1.0, [0, 0, 1])):
        mask(net, p)
        assert net.features[1].code().tolist() == code


def test_only_normalisation_is_fine_tuned():
    for eps in (0.0, 0.1):
        method = method_named("bn_finetune", eps=eps)
        training = training_of(method, net=normalised)
        before = {name: one.clone() for name, one in training.model.state_dict().items()}
        model = training.run(None)
        changed = {name for name, one in model.state_dict().items() if not torch.equal(one, before[name])}
        assert changed == {
            f"features.1.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        }


def test_a_student_learns_what_its_teacher_says():
    teacher = training_of().model
    method = method_named("distillation", temperature=4.0, teacher=teacher)
    training = training_of(method, seed=4)
    batch = training.batch(0)
    with torch.no_grad():
        taught = (teacher(batch.images) / 4).softmax(1)
    expected = -(taught * (training.model(batch.images) / 4).log_softmax(1)).sum(1).mean()
    assert method.loss(training.model, batch).item() == pytest.approx(expected.item())
    assert not list(method.state_dict()), "the teacher is no state"


@pytest.mark.parametrize("name", ["sprout", "cat", "free", "advprop", "robmask"])
def test_a_method_resumes_with_its_state(name, tmp_path):
    class Killed(Exception):
        pass

    def kill(step, told):
        if step == 13:
            raise Killed

    def begun():
        return training_of(method_named(name), net=normalised, save_steps=5)

    whole = begun()
    expected = weights(whole.run(tmp_path / "whole"))
    with pytest.raises(Killed):
        begun().run(tmp_path / "cut", kill)
    again = begun()
    assert torch.equal(weights(again.run(tmp_path / "cut")), expected)
    states = whole.vicinity.state_dict(), again.vicinity.state_dict()
    assert states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


def test_blending_is_refused_where_more_than_normalisation_differs():
    net, other = (normalised(data_of()) for _ in range(2))
    with pytest.raises(BadInput, match="which is no normalisation"):
        blended(net, other, 0.5)
    with pytest.raises(BadInput, match="p must be from 0 to 1"):
        blended(net, net, 1.5)


def test_every_method_has_a_file_and_hyperparameters():
    for name in METHODS:
        assert all(
            default is None or isinstance(default, int | float | str) for default in hyperparameters(name).values()
        )
        if name != "natural":
            assert hyperparameters(name), name


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("magic", {}, "there is no method 'magic'; there are natural, gaussian"),
        ("adversarial", {"eps": 1.5}, "eps must be from 0 to 1"),
        ("trades", {"eps": -0.1}, "eps must be from 0 to 1"),
        ("adversarial", {"steps": 0}, "at least 1 step"),
        ("adversarial", {"norm": "l1"}, "knows linf and l2"),
        ("adversarial", {"loss": "hinge"}, "cross_entropy or margin"),
        ("cat", {"c": 40.0}, "a share of the label"),
        ("mixup", {"a": 0.0}, "must be above 0"),
        ("label_smoothing", {"alpha": 1.5}, "alpha must be from 0 to 1"),
        ("robmask", {"rank": 1}, "rank must be at least 2"),
        ("free", {"replays": 0}, "replays must be at least 1"),
        ("sprout", {"beta": 1}, "sprout has no beta; it has alpha"),
        ("sprout", {"alpha": 0.0}, "give labels=false instead"),
        ("distillation", {"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_mistakes(name, options, told):
    with pytest.raises(BadInput, match=told):
        method_named(name, **options)


@pytest.mark.parametrize("name", ["advprop", "robmask", "bn_finetune"])
def test_a_net_without_batch_normalisation_is_refused(name):
    with pytest.raises(BadInput, match="a perceptron has no batch normalisation"):
        training_of(method_named(name))


def test_robmask_needs_all_that_it_combines():
    def cumulative(data):
        net = normalised(data)
        net.features[1].momentum = None
        return net

    with pytest.raises(BadInput, match="weights, biases, running statistics and a momentum"):
        training_of(method_named("robmask"), net=cumulative)


def test_the_strength_of_a_batch_is_one_for_all_processes():
    """It depends on the seed and on the step, and not on which images come first."""
    batch = training_of().batch(4)
    others = replace(batch, seeds=batch.seeds.flip(0), images=batch.images.flip(0))
    assert strength(batch, 0.1, None) == strength(others, 0.1, None) != strength(replace(batch, step=5), 0.1, None)
    assert strength(training_of(seed=4).batch(4), 0.1, None) != strength(batch, 0.1, None)


@pytest.mark.parametrize("name", ["sprout", "free", "adversarial", "robmask"])
def test_gradients_of_ones_own_and_scaled_losses_do_not_go_together(name):
    accelerator = SimpleNamespace(mixed_precision="fp16")
    config = TrainClassifierConfig(per_device_train_batch_size=8)
    with pytest.raises(BadInput, match="which fp16 would scale; use bf16"):
        Training(perceptron(data_of()), method_named(name), config, accelerator=accelerator, data=data_of(), seed=0)


@pytest.mark.parametrize("name", METHODS)
def test_steps_in_bfloat16(name, monkeypatch):
    """All that is learnt has gradients, and the weights stay numbers of 32 bits."""
    training = training_of(method_named(name), dtype=torch.float32, net=normalised, max_steps=2)
    monkeypatch.setattr(training.accelerator, "autocast", lambda: torch.autocast("cpu", torch.bfloat16))
    learnt = {key: one.detach().clone() for key, one in training.model.named_parameters() if one.requires_grad}
    assert learnt and training.run(None)
    for key, one in training.model.named_parameters():
        assert one.dtype == torch.float32 and one.isfinite().all()
        assert key not in learnt or not torch.equal(one, learnt[key]), key


def test_hyperparameters_from_texts():
    method = method_from("adversarial", eps=0.3, options=["steps=4", "random_start=false", "norm=l2"])
    assert (method.eps, method.steps, method.random_start, method.norm) == (0.3, 4, False, "l2")
    with pytest.raises(BadInput, match="adversarial's steps is a whole number, such as 10, not 'many'"):
        method_from("adversarial", options=["steps=many"])
    with pytest.raises(BadInput, match="eps is given twice"):
        method_from("adversarial", eps=0.3, options=["eps=0.2"])
    with pytest.raises(BadInput, match="p must be a number from 0 to 1, not 'half'"):
        method_from("robmask", options=["p=half"])
    with pytest.raises(BadInput, match="a teacher is a net; give --teacher_name_or_path"):
        method_from("distillation", options=["teacher=runs/x"])
