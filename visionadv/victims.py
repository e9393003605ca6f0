"""Who is attacked: anything that says a class, or a score for each, of images from 0 to 1.

`classes` is the number of classes, None as long as it isn't known; `differentiable` says whether there are gradients,
`scored` whether there are scores, and `randomized` whether two answers about one image may differ. `at_once` is how
many images it is best asked about together. `decide` says the class of each image (N, ...), and where there are scores
`logits` says these, (N, K).
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visionadv.configs import BadInput

AT_ONCE = 2048  # images
AT_ONCE_ON_CORE = 64  # on a CPU: what a convolution leaves of more is gone from the caches before the next one reads it


class ModuleVictim(nn.Module):
    """Any `torch.nn.Module` from images to logits, with its normalisation folded in.

    The module is put into evaluation mode, and its parameters take no gradients any more.

    Args:
        model: it returns logits (N, K), or an object with `logits`, as transformers' do.
        mean, std: of each channel, that the model's images are normalised by.
        size: (H, W) that the model takes, if it isn't that of the images: they are resized inside.
        flip: whether it takes the channels in reverse; mean and std are of what it takes.
        classes: K, if it is known; else the first answer tells it.
        randomized: whether two answers about one image may differ.
    """

    differentiable = scored = True
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        size: tuple[int, int] | None = None,
        flip: bool = False,
        classes: int | None = None,
        randomized: bool = False,
    ) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.size, self.flip, self.classes, self.randomized = size, flip, classes, randomized
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1) if mean else torch.zeros(()))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1) if std else torch.ones(()))

    @property
    def at_once(self) -> int:
        """Few on a CPU, many elsewhere."""
        return AT_ONCE_ON_CORE * torch.get_num_threads() if self.mean.device.type == "cpu" else AT_ONCE

    def logits(self, images: Tensor) -> Tensor:
        """(N, K), with a gradient if images (N, C, H, W) have one. Raises BadInput for another kind of answer."""
        if self.size and tuple(images.shape[2:]) != self.size:
            images = nn.functional.interpolate(images, self.size, mode="bilinear", antialias=True)
        if self.flip:
            images = images.flip(1)
        told = self._answer((images - self.mean.to(images)) / self.std.to(images))
        told = getattr(told, "logits", told)
        check_shape(told, len(images), self.classes)
        self.classes = self.classes or told.shape[1]
        return told.to(images.dtype)  # under autocast they have fewer bits

    def _answer(self, images: Tensor) -> Any:
        """The model's. Raises BadInput where it fails because its weights are numbers of another kind."""
        try:
            return self.model(images)
        except RuntimeError as error:
            kinds = {one.dtype for one in self.model.parameters()}
            if not kinds or images.dtype in kinds:
                raise
            told = f"the images are {images.dtype}, and the model's weights {', '.join(map(str, kinds))}"
            raise BadInput(f"{told}; convert one of them") from error

    @torch.no_grad()
    def decide(self, images: Tensor) -> Tensor:
        """(N,) the likeliest class.

        Raises:
            BadInput: the answer isn't a row of finite numbers for each image.
        """
        return _finite(self.logits(images)).argmax(1)

    def fingerprint(self) -> str:
        """SHA-256 of all weights, and of what is done to images."""
        digest = hashlib.sha256(f"{type(self.model).__name__} {self.size}{' flip' * self.flip}".encode())
        for name, values in self.state_dict().items():
            digest.update(name.encode())
            digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()


class PredictVictim:
    """Any object with `predict`, and perhaps `predict_proba`, of rows of values: scikit-learn's, LightGBM's and others.

    Decisions are those of `predict`, scores of `predict_proba`. Where the two contradict each other, as those of
    scikit-learn's SVC may, a success by scores is none by decisions: a record's `confirmed` tells.

    Args:
        model: its `predict` says classes, or scores (N, K), or for two classes the score of the second (N,).
        classes: K.
        randomized: whether two answers about one image may differ.
    """

    differentiable = False
    at_once = AT_ONCE

    def __init__(self, model: Any, classes: int, *, randomized: bool = False) -> None:
        self.model, self.classes, self.randomized = model, classes, randomized

    @property
    def scored(self) -> bool:
        """Whether it tells probabilities."""
        return hasattr(self.model, "predict_proba")

    def decide(self, images: Tensor) -> Tensor:
        """(N,) the class that `predict` says."""
        answer = np.ascontiguousarray(self.model.predict(_rows(images)))
        if answer.dtype.kind not in "biuf":
            raise BadInput(f"a {type(self.model).__name__} predicts {answer.dtype}; it must say numbers of classes")
        told = _finite(torch.from_numpy(answer))
        if told.ndim == 2 and told.shape[1] == 1:
            told = told[:, 0]
        elif told.ndim == 2:
            check_shape(told, len(images), self.classes)
            told = told.argmax(1)
        if self.classes == 2 and told.is_floating_point() and ((told >= 0) & (told <= 1)).all():
            told = told > 0.5  # the likelier of two
        return _classes(told, len(images), self.classes).to(images.device)

    def logits(self, images: Tensor) -> Tensor:
        """(N, K) logarithms of what `predict_proba` says, over the likeliest class's: of 0 rounding keeps most."""
        if not self.scored:
            raise BadInput(f"a {type(self.model).__name__} tells no probabilities; attack it by its decisions")
        told = torch.from_numpy(np.asarray(self.model.predict_proba(_rows(images)), dtype=np.float64))
        check_shape(told, len(images), self.classes)
        told = told.clamp(min=1e-12).log()
        return (told - told.amax(1, keepdim=True)).to(images)

    def to(self, device: Any) -> PredictVictim:
        """Itself: such models have no device."""
        return self

    def fingerprint(self) -> str:
        """SHA-256 of all that the model knows: of its text, if it tells that, and else of what pickle makes of it."""
        if hasattr(self.model, "model_to_string"):
            return hashlib.sha256(self.model.model_to_string().encode()).hexdigest()
        return hashlib.sha256(pickle.dumps(self.model)).hexdigest()


class CallableVictim:
    """A function from images (N, ...) to classes (N,): a remote service, for one.

    Where `classes` isn't given, a label that the function never answers counts as its error.
    """

    differentiable = scored = False
    at_once = AT_ONCE

    def __init__(self, function: Callable[[Tensor], Tensor], classes: int | None = None, *, randomized: bool = False):
        self.function, self.classes, self.randomized = function, classes, randomized

    def decide(self, images: Tensor) -> Tensor:
        """(N,) what the function says."""
        return _classes(
            _finite(torch.as_tensor(self.function(images), device=images.device)), len(images), self.classes
        )


class CallableScoresVictim(CallableVictim):
    """A function from images (N, ...) to the score of each class (N, K)."""

    scored = True

    @torch.no_grad()
    def decide(self, images: Tensor) -> Tensor:
        """(N,) the class of the highest score."""
        return _classes(self.logits(images).argmax(1), len(images), self.classes)

    def logits(self, images: Tensor) -> Tensor:
        """(N, K) what the function says."""
        told = _finite(torch.as_tensor(self.function(images)).to(images))
        check_shape(told, len(images), self.classes)
        self.classes = self.classes or told.shape[1]
        return told


def check_shape(told: Any, count: int, classes: int | None) -> None:
    """Raises BadInput for an answer that is no row of scores (K,) for each of `count` images."""
    expected = f"scores ({count}, {classes or 'K'}) were expected"
    if not isinstance(told, Tensor):
        raise BadInput(f"the victim's answer is a {type(told).__name__}, where {expected}")
    if told.ndim != 2 or len(told) != count or (classes is not None and told.shape[1] != classes):
        raise BadInput(f"the victim's answer has the shape {tuple(told.shape)}, where {expected}")
    if told.shape[1] < 2:
        raise BadInput("the victim tells a single score, so that all are of one class; it must tell one for each class")


def _finite(told: Tensor) -> Tensor:
    """An answer. Raises BadInput for NaN and infinity."""
    if not told.isfinite().all():
        raise BadInput("the victim answered NaN or infinity; check it, and the scale of what it expects")
    return told


def _classes(told: Tensor, count: int, classes: int | None) -> Tensor:
    """(N,) classes that were answered. Raises BadInput for another number of them, and for one that there isn't."""
    if told.shape != (count,):
        raise BadInput(f"the victim's answer has the shape {tuple(told.shape)}, where ({count},) was expected")
    if told.is_floating_point() and (told != told.round()).any():
        raise BadInput("the victim answered fractions, where numbers of classes were expected; scores are (N, K)")
    told = told.long()
    if count and not 0 <= int(told.min()) <= int(told.max()) < (classes or torch.inf):
        raise BadInput(f"the victim answered classes {int(told.min())} to {int(told.max())}, and it has {classes}")
    return told


def _rows(images: Tensor) -> np.ndarray:
    return images.detach().flatten(1).cpu().numpy()
