"""The image attacks of Foolbox, ART and torchattacks, all called alike, with the settings that ours have.

What isn't installed is left out: `pip install -e ".[peers]"`, and `pip install --no-deps torchattacks`, which asks for
versions that don't go with the rest.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

PEERS = {"foolbox": "Foolbox", "torchattacks": "torchattacks", "art": "ART"}
Call = Callable[[Any, Any], Any]  # images (N, C, H, W) and labels (N,) to adversarial images


@dataclass(frozen=True)
class Setting:
    """What every library is given. Steps are gradients of an image."""

    eps: float  # of PGD and AutoAttack, Linf
    steps: int = 40  # of PGD, each of 1/30 of eps
    binary_steps: int = 6  # of Carlini and Wagner, L2
    adam_steps: int = 200  # of each of them
    constant: float = 0.01  # c of the first of them
    fixed_steps: int = 1200  # of Carlini and Wagner, L2, with a c that isn't searched for
    fixed: float = 1.0  # this c
    deepfool_steps: int = 50
    ddn_steps: int = 300
    autoattack_steps: int = 100  # of APGD and FAB
    batch_size: int = 100


def installed() -> list[str]:
    """The modules of the peers that are there."""
    return [module for module in PEERS if find_spec(module)]


def peer_attack(peer: str, attack: str, victim: Any, shape: tuple[int, ...], setting: Setting) -> Call | None:
    """An attack of a peer on a victim of images of this shape; none if it has no such attack."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"foolbox": _foolbox, "torchattacks": _torchattacks, "art": _art}[peer](attack, victim, shape, setting)


class Logits:
    """A victim as the function of images that peers expect."""

    @staticmethod
    def of(victim: Any) -> Any:
        """A module in evaluation mode."""
        from torch import nn

        class Module(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.victim = victim

            def forward(self, images: Any) -> Any:
                return self.victim.logits(images)

        return Module().eval()


def _foolbox(attack: str, victim: Any, shape: tuple[int, ...], setting: Setting) -> Call | None:
    import foolbox  # pyright: ignore[reportMissingImports]

    kinds = {
        "pgd": lambda: foolbox.attacks.LinfPGD(steps=setting.steps, rel_stepsize=1 / 30),
        "carlini_wagner_l2": lambda: foolbox.attacks.L2CarliniWagnerAttack(
            binary_search_steps=setting.binary_steps, steps=setting.adam_steps, initial_const=setting.constant
        ),
        "deepfool": lambda: foolbox.attacks.L2DeepFoolAttack(steps=setting.deepfool_steps),
        "ddn": lambda: foolbox.attacks.DDNAttack(steps=setting.ddn_steps),
    }
    if attack not in kinds:
        return None
    made, model = kinds[attack](), foolbox.PyTorchModel(Logits.of(victim), bounds=(0, 1))
    eps = setting.eps if attack == "pgd" else None

    def call(images: Any, labels: Any) -> Any:
        return made(model, images, labels, epsilons=eps)[1]

    return call


def _torchattacks(attack: str, victim: Any, shape: tuple[int, ...], setting: Setting) -> Call | None:
    import torchattacks  # pyright: ignore[reportMissingImports]

    model = Logits.of(victim)
    kinds = {
        "pgd": lambda: torchattacks.PGD(model, eps=setting.eps, alpha=setting.eps / 30, steps=setting.steps),
        # It knows no search for c.
        "carlini_wagner_l2_fixed": lambda: torchattacks.CW(model, c=setting.fixed, steps=setting.fixed_steps),
        "deepfool": lambda: torchattacks.DeepFool(model, steps=setting.deepfool_steps),
        "autoattack": lambda: torchattacks.AutoAttack(model, eps=setting.eps, n_classes=victim.classes),
    }
    if attack not in kinds:
        return None
    made = kinds[attack]()
    if attack == "autoattack":
        for member in made._autoattack.attacks:
            if hasattr(member, "steps"):  # all but Square; it takes 10
                member.steps = setting.autoattack_steps
    return made


def _art(attack: str, victim: Any, shape: tuple[int, ...], setting: Setting) -> Call | None:
    import torch
    from art.attacks.evasion import CarliniL2Method, DeepFool, ProjectedGradientDescent  # pyright: ignore[reportMissingImports]
    from art.estimators.classification import PyTorchClassifier  # pyright: ignore[reportMissingImports]

    model = PyTorchClassifier(
        Logits.of(victim), torch.nn.CrossEntropyLoss(), shape, victim.classes, clip_values=(0.0, 1.0), device_type="cpu"
    )
    quiet = {"verbose": False, "batch_size": setting.batch_size}
    kinds = {
        "pgd": lambda: ProjectedGradientDescent(
            model, eps=setting.eps, eps_step=setting.eps / 30, max_iter=setting.steps, num_random_init=1, **quiet
        ),
        "carlini_wagner_l2": lambda: CarliniL2Method(
            model,
            binary_search_steps=setting.binary_steps,
            max_iter=setting.adam_steps,
            initial_const=setting.constant,
            **quiet,
        ),
        "deepfool": lambda: DeepFool(model, max_iter=setting.deepfool_steps, epsilon=0.02, **quiet),
    }
    if attack not in kinds:
        return None
    made = kinds[attack]()

    def call(images: Any, labels: Any) -> Any:
        return torch.from_numpy(made.generate(images.cpu().numpy(), labels.cpu().numpy())).to(images)

    return call


@dataclass
class Nearest:
    """What a victim was shown of one image: how many images, and the nearest success among the first so many.

    Peers keep no such account; it is taken where the victim is asked. Images are clipped, as ours are.
    """

    victim: Any
    original: Any  # (1, C, H, W)
    label: int
    norm: str
    marks: tuple[int, ...]  # numbers of queries at which the nearest success is noted

    class Spent(Exception):
        """The last mark is reached."""

    def __post_init__(self) -> None:
        self.queries, self.nearest = 0, float("inf")
        self.noted = dict.fromkeys(self.marks, float("inf"))

    def logits(self, images: Any) -> Any:
        """The victim's, of images (N, C, H, W) that are queries, one after the other. Raises Spent at the last mark."""
        from visionadv.distances import size

        if self.queries >= max(self.marks):
            raise Nearest.Spent
        images = images.clamp(0, 1)
        logits = self.victim.logits(images)
        reached = (logits.argmax(1) != self.label).tolist()
        distances = size(images - self.original, self.norm).tolist()
        for good, distance in zip(reached, distances, strict=True):
            self.queries += 1
            if good:
                self.nearest = min(self.nearest, distance)
            if self.queries in self.noted:
                self.noted[self.queries] = self.nearest
        return logits

    @property
    def classes(self) -> int:
        """Of the victim."""
        return self.victim.classes

    def finish(self) -> list[float]:
        """The nearest success at each mark; a search that ended before it goes on with what it has."""
        return [self.noted[mark] if mark <= self.queries else self.nearest for mark in self.marks]


def peer_decisions(attack: str, watched: Nearest, shape: tuple[int, ...]) -> None:
    """Runs a peer's decision attack on one image until its marks are reached: Foolbox's HopSkipJump, ART's Sign-OPT."""
    import numpy as np
    import torch

    model = Logits.of(watched)
    label = torch.tensor([watched.label])
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            if attack == "hop_skip_jump":
                import foolbox  # pyright: ignore[reportMissingImports]

                made = foolbox.attacks.HopSkipJumpAttack(steps=10_000, constraint=watched.norm)
                made(foolbox.PyTorchModel(model, bounds=(0, 1)), watched.original, label, epsilons=None)
            else:
                from art.attacks.evasion import SignOPTAttack  # pyright: ignore[reportMissingImports]
                from art.estimators.classification import PyTorchClassifier  # pyright: ignore[reportMissingImports]

                loss = torch.nn.CrossEntropyLoss()
                options = {"clip_values": (0.0, 1.0), "device_type": "cpu"}
                estimator = PyTorchClassifier(model, loss, shape, watched.classes, **options)
                made = SignOPTAttack(estimator, targeted=False, query_limit=2 * max(watched.marks))
                made.generate(watched.original.numpy(), np.array([watched.label]))
    except Nearest.Spent:
        pass
    except ValueError as error:
        if "init_attack failed" not in str(error):  # Foolbox has found no image to start from
            raise
