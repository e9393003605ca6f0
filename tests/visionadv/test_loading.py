"""Victims by name, each against the model that it was made of; and what is refused."""

import json

import numpy as np
import pytest
import torch
from transformers import (
    EfficientNetImageProcessor,
    MobileViTImageProcessor,
    ResNetConfig,
    ResNetForImageClassification,
    ViTImageProcessor,
)

from visionadv.configs import BadInput
from visionadv.data import load_images
from visionadv.loading import load_classifier, load_victim
from visionadv.models import model_named


def test_the_embedded_victim_knows_the_digits():
    victim, data = load_victim(classes=10), load_images()
    assert (victim.decide(data.images(0)) == data.labels).double().mean() > 0.97
    assert not victim.model.training and not any(one.requires_grad for one in victim.parameters())
    assert load_victim(randomized=True).randomized


def test_a_folder_of_ours(tmp_path):
    model = model_named("perceptron", shape=(1, 4, 4), classes=3, mean=[0.3], std=[0.5])
    model.save_pretrained(tmp_path)
    images = torch.rand(2, 1, 4, 4)
    victim = load_victim(str(tmp_path))
    assert torch.equal(victim.logits(images), model(images)) and victim.classes == 3
    again = load_victim(str(tmp_path)).fingerprint()
    assert victim.fingerprint() == again
    with torch.no_grad():
        victim.model.features[1].weight[0, 0] += 1
    assert victim.fingerprint() != again
    with pytest.raises(BadInput, match="knows 3 classes, and the data have 10"):
        load_victim(str(tmp_path), classes=10)
    with pytest.raises(BadInput, match=r"takes images of \(1, 4, 4\), not \(1, 8, 8\)"):
        victim.logits(torch.rand(2, 1, 8, 8))


SIZE = {"height": 32, "width": 32}
NORMAL = {"size": SIZE, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
PROCESSORS = {
    "ViT's": ViTImageProcessor(**NORMAL),
    "of bytes": ViTImageProcessor(**NORMAL, do_rescale=False),
    "of nothing": ViTImageProcessor(size=SIZE, do_normalize=False),
    "blue first": MobileViTImageProcessor(do_resize=False, do_center_crop=False),
    "divided twice": EfficientNetImageProcessor(**NORMAL),
    "divided once": EfficientNetImageProcessor(**NORMAL, include_top=False),
    "from -1": EfficientNetImageProcessor(**NORMAL, include_top=False, rescale_offset=True, rescale_factor=1 / 127.5),
}


def tiny_resnet(labels=3):
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], num_labels=labels)
    return ResNetForImageClassification(config).eval()


@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=PROCESSORS)
def test_a_model_of_transformers_with_its_processor(tmp_path, processor):
    model = tiny_resnet()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    victim = load_victim(str(tmp_path), classes=3)
    images = torch.from_numpy(np.random.default_rng(0).integers(256, size=(2, 3, 32, 32), dtype=np.uint8))
    pixels = processor(list(images), return_tensors="pt")["pixel_values"]
    assert torch.allclose(victim.logits(images.float() / 255), model(pixels).logits, atol=1e-4)
    larger = victim.logits(torch.rand(2, 3, 48, 40))
    assert larger.shape == (2, 3), "resized inside"


def test_images_that_a_victim_can_not_take(tmp_path):
    """Told in a line, whichever way the model fails: five channels where there are three, rows, another size."""
    tiny_resnet().save_pretrained(tmp_path)
    ViTImageProcessor(**NORMAL, do_resize=False).save_pretrained(tmp_path)
    assert load_victim(str(tmp_path), shape=(3, 20, 24)).classes == 3
    for shape in ((5, 32, 32), (28,)):
        with pytest.raises(BadInput, match=rf"can't take images of the shape \({shape[0]}, ?[0-9 ,]*\)"):
            load_victim(str(tmp_path), shape=shape)
    with pytest.raises(BadInput, match=r"1, 8, 8"):
        load_victim(shape=(1, 9, 9))


class Posterized(ViTImageProcessor):
    """What no normalisation is."""

    def __call__(self, images, **options):
        return super().__call__(images // 128 * 128, **options)


def test_processors_that_are_not_understood_are_refused(tmp_path, monkeypatch):
    tiny_resnet().save_pretrained(tmp_path)
    ViTImageProcessor(size={"longest_edge": 64}).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="makes images of several sizes"):
        load_victim(str(tmp_path))
    monkeypatch.setattr("transformers.AutoImageProcessor.from_pretrained", lambda *_, **__: Posterized(**NORMAL))
    with pytest.raises(BadInput, match="does to colours is no normalisation"):
        load_victim(str(tmp_path))
    two = NORMAL | {"image_mean": [0.5, 0.5]}  # of another number of channels
    monkeypatch.setattr("transformers.AutoImageProcessor.from_pretrained", lambda *_, **__: ViTImageProcessor(**two))
    with pytest.raises(BadInput, match="takes no images as others do"):
        load_victim(str(tmp_path))


def test_a_body_without_a_head_is_refused(tmp_path, monkeypatch):
    tiny_resnet().resnet.save_pretrained(tmp_path)
    ViTImageProcessor(**NORMAL).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match=r"has no classifier\.1\.bias, so that it isn't trained as a classifier"):
        load_victim(str(tmp_path))
    tiny_resnet().save_pretrained(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert load_victim(f"~/{tmp_path.name}").classes == 3
    [weights] = tmp_path.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(BadInput, match="can be loaded safely"):
        load_victim(str(tmp_path))


def test_a_model_of_torchvision(monkeypatch):
    """Its weights would come from the network; here they are random."""
    from torchvision import models

    torch.manual_seed(0)
    made = models.resnet18()
    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", lambda *_, **__: made.state_dict())
    victim = load_victim("torchvision:resnet18", classes=1000)
    images = torch.rand(1, 3, 224, 224)
    preset = models.ResNet18_Weights.DEFAULT.transforms()
    normal = (images - torch.tensor(preset.mean).view(-1, 1, 1)) / torch.tensor(preset.std).view(-1, 1, 1)
    assert torch.allclose(victim.logits(images), made.eval()(normal), atol=1e-4)

    def unreachable(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", unreachable)
    with pytest.raises(BadInput, match="resnet18 can't be had: no route; check the network"):
        load_victim("torchvision:resnet18")
    with pytest.raises(BadInput, match="torchvision has no model 'resnet1'"):
        load_victim("torchvision:resnet1")
    with pytest.raises(BadInput, match="is no image classifier"):
        load_victim("torchvision:fcn_resnet50")


@pytest.mark.parametrize("classes", [2, 3])
def test_trees(tmp_path, classes):
    lightgbm = pytest.importorskip("lightgbm")
    rows = np.random.default_rng(0).random((60, 4))
    labels = (rows[:, 0] * classes).astype(int)
    quick = {"n_estimators": 3, "min_child_samples": 5, "verbose": -1, "n_jobs": 1}
    model = lightgbm.LGBMClassifier(**quick).fit(rows, labels)
    model.booster_.save_model(tmp_path / "trees.txt")
    victim = load_victim(str(tmp_path / "trees.txt"), classes=classes)
    images = torch.from_numpy(rows)
    told = model.predict_proba(rows)
    assert victim.decide(images).tolist() == told.argmax(1).tolist()
    assert victim.logits(images).softmax(1).numpy() == pytest.approx(told)
    assert victim.to("cpu") is victim and victim.fingerprint() == load_victim(str(tmp_path / "trees.txt")).fingerprint()
    with pytest.raises(BadInput, match="the trees know 4 numbers of an image, and there are 3"):
        victim.decide(images[:, :3])
    (tmp_path / "trees.txt").write_text("tree\nobjective=regression\n")
    with pytest.raises(BadInput, match="no classifier of LightGBM; its objective is regression"):
        load_victim(str(tmp_path / "trees.txt"))


def folder_with(folder, **config):
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_what_is_no_victim(tmp_path):
    with pytest.raises(BadInput, match=r"is no folder with a config\.json; give a folder of scripts/train_class"):
        load_victim("./nowhere")
    with pytest.raises(BadInput, match=r"the Hub gives us no config\.json of that name"):
        load_victim("nobody/nothing-of-this-name")
    with pytest.raises(BadInput, match="is no file; LightGBM writes one"):
        load_victim("./nowhere.txt")
    with pytest.raises(BadInput, match=r"config\.json of no image classifier"):
        load_victim(folder_with(tmp_path, name="x"))
    with pytest.raises(BadInput, match="none of our nets"):
        load_victim(folder_with(tmp_path, architecture="lenet"))
    with pytest.raises(BadInput, match="none of our nets"):
        load_classifier(folder_with(tmp_path, model_type="bert"))
    with pytest.raises(BadInput, match="is no image classifier that can be loaded safely"):
        load_victim(folder_with(tmp_path, model_type="bart"))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(BadInput, match="is no JSON"):
        load_victim(str(tmp_path))


class Bomb:
    """Unpickled, it would fail the test."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was read",)


def test_nothing_is_unpickled(tmp_path):
    ResNetConfig(num_labels=2).save_pretrained(tmp_path)
    ViTImageProcessor().save_pretrained(tmp_path)
    torch.save({"x": Bomb()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(BadInput, match="can be loaded safely"):
        load_victim(str(tmp_path))
    folder_with(tmp_path, architecture="perceptron", shape=[1, 4, 4])
    with pytest.raises(BadInput, match="can't be loaded"):
        load_victim(str(tmp_path))


def test_weights_of_another_net_are_refused(tmp_path):
    model_named("perceptron", shape=(1, 4, 4), hidden=[8]).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    folder_with(tmp_path, **config | {"hidden": [9]})
    with pytest.raises(BadInput, match="can't be loaded"):
        load_victim(str(tmp_path))
    folder_with(tmp_path, **config | {"hidden": [8, 8]})
    with pytest.raises(BadInput, match="can't be loaded"):
        load_victim(str(tmp_path))


def test_remote_code_is_not_run(tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('remote code ran')")
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForImageClassification": "evil.M"}}
    with pytest.raises(BadInput, match="can be loaded safely"):
        load_victim(folder_with(tmp_path, **config))
