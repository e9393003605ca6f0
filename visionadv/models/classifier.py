"""What all nets of the package have in common: images from 0 to 1 in, logits out, and a folder to live in.

A folder holds config.json (the net's arguments and its name, `architecture`) and model.safetensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from safetensors.torch import load_model
from torch import Tensor, nn

from visionadv.configs import BadInput

WEIGHTS = "model.safetensors"


class Classifier(nn.Module, PyTorchModelHubMixin):
    """From images (B, C, H, W) to logits (B, K). A subclass calls `begin`, and has `features`.

    `from_pretrained` takes a folder or a Hub id, `save_pretrained` a folder, and `push_to_hub` a Hub id.
    """

    architecture = ""  # its name in `MODELS`
    memory_format = torch.channels_last  # of its weights: convolutions of many channels are faster so
    features: nn.Module
    mean: Tensor
    std: Tensor

    def begin(
        self,
        shape: Sequence[int],
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        labels: Sequence[str],
        smallest: int = 1,
    ) -> None:
        """What every net knows.

        Args:
            shape: (C, H, W) of the images.
            classes: K.
            mean, std: of each channel, that images are normalised by; none, if they are empty.
            labels: the names of the classes, if they have any.
            smallest: the least H and W that the net can take.

        Raises:
            BadInput: another shape, or too small.
        """
        if len(shape) != 3 or min(shape[1:]) < smallest:
            raise BadInput(
                f"a {self.architecture} takes images of (channels, height, width), at least {smallest} high and wide, "
                f"not {tuple(shape)}"
            )
        self.shape, self.classes, self.labels = tuple(shape), classes, tuple(labels)
        self.register_buffer("mean", torch.tensor(mean or (0.0,)).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std or (1.0,)).view(-1, 1, 1), persistent=False)
        self._hub_mixin_config = {**(self._hub_mixin_config or {}), "architecture": self.architecture}  # type: ignore[dict-item]

    def forward(self, images: Tensor) -> Tensor:
        """(B, K) logits. Raises BadInput for images of another shape than the model's."""
        if tuple(images.shape[1:]) != self.shape:
            raise BadInput(f"this model takes images of {self.shape}, not {tuple(images.shape[1:])}; give it such")
        return self.features((images - self.mean) / self.std)

    @property
    def parameter_count(self) -> int:
        """Of what is learnt."""
        return sum(one.numel() for one in self.parameters())

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **arguments: Any,
    ) -> Self:
        """The mixin's own falls back to a pickle, tells what it does, and forgives missing weights."""
        model, file = cls(**arguments), Path(model_id) / WEIGHTS
        if not Path(model_id).is_dir():
            where = {"revision": revision, "cache_dir": cache_dir, "force_download": force_download, "token": token}
            file = hf_hub_download(model_id, WEIGHTS, local_files_only=local_files_only, **where)
        load_model(model, file)
        return model.eval()


def convolution(
    inputs: int, outputs: int, size: int = 3, *, stride: int = 1, padding: int = 0, batch_norm: bool = False
) -> nn.Module:
    """A convolution, batch normalisation if there is one, and ReLU."""
    middle = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, padding=padding), *middle, nn.ReLU())
