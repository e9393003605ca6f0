"""Victims by name: ours, transformers', torchvision's, LightGBM's. Weights are safetensors; nothing is unpickled."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from visionadv.configs import BadInput
from visionadv.models import MODELS, model_class
from visionadv.victims import ModuleVictim, PredictVictim

EMBEDDED = str(Path(__file__).parent / "embedded" / "digits")  # a CNN of scikit-learn's digits, by train_classifier.py
TORCHVISION = "torchvision:"
SORTS = (
    "a folder of scripts/train_classifier.py, a Hub id of an image classifier, torchvision:NAME, or a LightGBM model's "
    ".txt file"
)


def load_victim(
    name_or_path: str | None = None,
    *,
    classes: int | None = None,
    shape: Sequence[int] | None = None,
    randomized: bool = False,
) -> ModuleVictim | PredictVictim:
    """A victim that takes images in [0, 1].

    Args:
        name_or_path: a folder or Hub id of ours or of any `AutoModelForImageClassification`, whose processor's
            normalisation and size are folded in; "torchvision:" and a name of torchvision's, with its default weights;
            a LightGBM model as text. None for the CNN of the package, of scikit-learn's digits.
        classes: as many as the victim must know, if that matters.
        shape: of the images (C, H, W), or rows (D,), that it must take, if that matters; it is shown a black one.
        randomized: whether two answers about one image may differ.

    Raises:
        BadInput: nothing there, no network, something else, another number of classes, or no such images.
    """
    name = os.path.expanduser(name_or_path or EMBEDDED)
    if name.startswith(TORCHVISION):
        victim: Any = _torchvision(name.removeprefix(TORCHVISION))
    elif Path(name).suffix == ".txt":
        victim = _lightgbm(Path(name))
    elif "architecture" in (config := _config(name)):
        victim = ModuleVictim(model := load_classifier(name), classes=model.classes)
    elif "model_type" in config:
        victim = _transformers(name)
    else:
        raise BadInput(f"{name} has a config.json of no image classifier; give {SORTS}")
    if classes is not None and victim.classes != classes:
        raise BadInput(
            f"{name} knows {victim.classes} classes, and the data have {classes}; give a model of these data"
        )
    victim.randomized = randomized
    if isinstance(victim, ModuleVictim):  # convolutions of many channels are faster so
        victim.to(memory_format=getattr(victim.model, "memory_format", torch.channels_last))
    if shape is not None:
        _show(victim, shape, name)
    return victim


def _show(victim: Any, shape: Sequence[int], name: str) -> None:
    """Raises BadInput for a victim that can't take images of a shape, in whichever way it fails."""
    try:
        victim.decide(torch.zeros(1, *shape))
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"{name} can't take images of the shape {tuple(shape)}: {_told(error)}") from error


def load_classifier(name: str) -> Any:
    """A `Classifier` of ours by folder or Hub id.

    Raises:
        BadInput: nothing there, no network, or another model.
    """
    config = _config(name := os.path.expanduser(name))
    if config.get("architecture") not in MODELS:
        raise BadInput(f"{name} is none of our nets; give a folder of scripts/train_classifier.py, or its Hub id")
    try:
        return model_class(config["architecture"]).from_pretrained(name)
    except BadInput:
        raise
    except Exception as error:  # safetensors has an exception of its own, a folder that was tampered with any
        raise BadInput(f"{name} can't be loaded: {_told(error)}") from error


def _config(name: str) -> dict[str, Any]:
    """config.json of a folder, or of a Hub id."""
    from huggingface_hub import hf_hub_download

    path = Path(name).expanduser()
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1
    if path.exists() or looks_local:
        if not (path / "config.json").is_file():
            raise BadInput(f"{name} is no folder with a config.json; give {SORTS}")
        file = path / "config.json"
    else:
        try:
            file = Path(hf_hub_download(name, "config.json"))
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{name} is no local folder, and the Hub gives us no config.json of that name; check it, or the network"
            ) from error
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"the config.json of {name} is no JSON") from error
    return config if isinstance(config, dict) else {}


def _transformers(name: str) -> ModuleVictim:
    """Any image classifier of transformers, and what its processor does to images."""
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    safe, kind = {"trust_remote_code": False}, AutoModelForImageClassification
    try:
        model, told = kind.from_pretrained(
            name, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **safe
        )
        processor = AutoImageProcessor.from_pretrained(name, **safe)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise BadInput(f"{name} is no image classifier that can be loaded safely: {_told(error)}") from error
    if missing := sorted({*told["missing_keys"]} & {one for one, _ in model.named_parameters()}):
        raise BadInput(f"{name} has no {missing[0]}, so that it isn't trained as a classifier; give one that is")
    size, channels = _size(processor, name), int(getattr(model.config, "num_channels", 3))
    mean, std, flip = _normalisation(processor, channels, size or (64, 64), name)
    return ModuleVictim(model, mean=mean, std=std, size=size, flip=flip, classes=model.config.num_labels)


def _normalisation(
    processor: Any, channels: int, size: tuple[int, int], name: str
) -> tuple[list[float], list[float], bool]:
    """Mean and std (C,) of a processor, for images in [0, 1], and whether it reverses the channels.

    They are what it makes of a black image, and of one with a single channel that isn't: processors differ in what they
    do, and in what they call it. Raises BadInput for one that does something else to colours.
    """

    def made(values: Sequence[int]) -> np.ndarray:
        image = np.broadcast_to(np.array(values, dtype=np.uint8), (*size, channels))
        try:
            out = processor(image.copy(), input_data_format="channels_last", return_tensors="pt")["pixel_values"]
        except (TypeError, ValueError, KeyError, RuntimeError) as error:
            raise BadInput(f"the processor of {name} takes no images as others do: {_told(error)}") from error
        return out[0].double().flatten(1).median(1).values.numpy()

    black = made([0] * channels)
    slopes = np.stack([made([255 * (k == j) for j in range(channels)]) - black for k in range(channels)], axis=1)
    flip = channels > 1 and abs(slopes[0, -1]) > abs(slopes[0, 0])
    straight = slopes[:, ::-1] if flip else slopes
    scale = straight.diagonal()
    tried = [40 * (place + 1) for place in range(channels)]
    expected = scale * np.array(tried[::-1] if flip else tried) / 255 + black
    if not (np.abs(scale) > 0).all() or np.abs(made(tried) - expected).max() > 1e-4 * np.abs(scale).max():
        raise BadInput(f"what the processor of {name} does to colours is no normalisation; wrap the model yourself")
    return (-black / scale).tolist(), (1 / scale).tolist(), flip


def _size(processor: Any, name: str) -> tuple[int, int] | None:
    """(H, W) of what a processor makes of an image, None where it leaves the size as it is."""
    size: Any = None
    if getattr(processor, "do_center_crop", False):
        size = processor.crop_size
    elif getattr(processor, "do_resize", False):
        size = processor.size
    if size is None:
        return None
    side = size.get("shortest_edge")
    height, width = (size.get("height"), size.get("width")) if side is None else (side, side)
    if height is None or width is None:
        raise BadInput(f"the processor of {name} makes images of several sizes; give it a height and a width")
    return height, width


def _torchvision(name: str) -> ModuleVictim:
    """A classifier of torchvision with the weights that it calls the default, and their normalisation and size."""
    from torchvision import models

    try:
        weights: Any = models.get_model_weights(name).DEFAULT  # pyright: ignore[reportAttributeAccessIssue]
    except ValueError as error:
        raise BadInput(
            f"torchvision has no model {name!r}; `torchvision.models.list_models()` tells what it has"
        ) from error
    if "categories" not in weights.meta or not hasattr(weights.transforms(), "crop_size"):
        raise BadInput(f"torchvision's {name} is no image classifier; resnet50 is one")
    try:
        weights.get_state_dict(check_hash=True, weights_only=True)  # fails where a file holds more than weights
        model = models.get_model(name, weights=weights)
    except (OSError, RuntimeError) as error:
        raise BadInput(
            f"the weights of torchvision's {name} can't be had: {_told(error)}; check the network"
        ) from error
    preset, [side] = weights.transforms(), weights.transforms().crop_size
    return ModuleVictim(
        model, mean=preset.mean, std=preset.std, size=(side, side), classes=len(weights.meta["categories"])
    )


class Trees:
    """A LightGBM model as `PredictVictim` takes it. Raises BadInput for rows of another length than it knows."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(N,) classes."""
        return self.predict_proba(rows).argmax(1)

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        """(N, K) probabilities."""
        if rows.shape[1] != self.booster.num_feature():
            raise BadInput(
                f"the trees know {self.booster.num_feature()} numbers of an image, and there are {rows.shape[1]}"
            )
        told = np.asarray(self.booster.predict(rows))
        return np.stack([1 - told, told], axis=1) if told.ndim == 1 else told

    def model_to_string(self) -> str:
        """All that it knows."""
        return self.booster.model_to_string()


def _lightgbm(path: Path) -> PredictVictim:
    if not path.is_file():
        raise BadInput(f"{path} is no file; LightGBM writes one with `booster.save_model`")
    try:
        import lightgbm
    except ImportError as error:
        raise BadInput(f"{path} looks like a LightGBM model; pip install lightgbm to load it") from error
    objective = re.search(r"^objective=(\w+)", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    if objective is None or objective[1] not in ("binary", "multiclass", "multiclassova"):
        raise BadInput(
            f"{path} is no classifier of LightGBM; its objective is {objective[1] if objective else 'unknown'}"
        )
    try:
        booster = lightgbm.Booster(model_file=str(path))
    except lightgbm.basic.LightGBMError as error:
        raise BadInput(f"{path} is no model that LightGBM can read: {_told(error)}") from error
    return PredictVictim(Trees(booster), max(2, booster.num_model_per_iteration()))


def _told(error: Exception) -> str:
    """What an exception says, in one short line."""
    return " ".join(str(error).split())[:200]
