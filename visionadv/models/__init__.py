"""Nets, most of them for small images, a file each, by the name that scripts know them by."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from visionadv.configs import BadInput

MODELS = {
    "small_cnn": ("small_cnn", "SmallCnn"),
    "strided_cnn": ("strided_cnn", "StridedCnn"),
    "strided_cnn_batch_norm": ("strided_cnn", "StridedCnnBatchNorm"),
    "perceptron": ("perceptron", "Perceptron"),
    "cnn7": ("cnn7", "Cnn7"),
    "cnn7_batch_norm": ("cnn7", "Cnn7BatchNorm"),
    "vgg": ("vgg", "Vgg"),
    "resnet": ("resnet", "ResNet"),
    "resnet32": ("resnet", "ResNet32"),
    "densenet": ("densenet", "DenseNet"),
    "vgg16": ("torchvision_nets", "Vgg16"),
    "resnet18": ("torchvision_nets", "ResNet18"),
    "torchvision_resnet18": ("torchvision_nets", "TorchvisionResNet18"),
    "torchvision_resnet50": ("torchvision_nets", "TorchvisionResNet50"),
    "wide_resnet": ("wide_resnet", "WideResNet"),
}


def model_class(name: str) -> Any:
    """The class of that name.

    Raises:
        BadInput: there is none.
    """
    if name not in MODELS:
        raise BadInput(f"there is no model {name!r}; there are {', '.join(MODELS)}")
    file, kind = MODELS[name]
    return getattr(import_module(f"visionadv.models.{file}"), kind)


def model_named(name: str, **arguments: Any) -> Any:
    """A new model: `arguments` are those of its class, such as `shape` and `classes`.

    Its weights come from torch's global generator: seed it first.

    Raises:
        BadInput: no such model, or a shape that it can't take.
    """
    return model_class(name)(**arguments)
