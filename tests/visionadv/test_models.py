"""The nets: their sizes against the paper's, and a folder that they go to and come back from."""

import json

import pytest
import torch

from visionadv.configs import BadInput
from visionadv.models import MODELS, model_class, model_named

MNIST, CIFAR10 = {"shape": (1, 28, 28)}, {"shape": (3, 32, 32)}
STL10, TINY_IMAGENET = {"shape": (3, 96, 96)}, {"shape": (3, 64, 64), "classes": 200}
IMAGENET = {"shape": (3, 224, 224), "classes": 1000}
TABLE_1 = [
    ("perceptron", CIFAR10, 3_157_002),
    ("cnn7", CIFAR10, 1_147_978),
    ("resnet32", CIFAR10, 467_946),
    ("densenet", CIFAR10, 1_059_298),
    ("perceptron", MNIST, 814_090),
    ("strided_cnn", MNIST, 166_406),  # these seven in other papers
    ("strided_cnn_batch_norm", MNIST, 166_502),
    ("vgg16", CIFAR10, 14_728_266),
    ("resnet18", CIFAR10, 11_173_962),
    ("wide_resnet", CIFAR10, 46_160_474),
    ("torchvision_resnet18", IMAGENET, 11_689_512),
    ("torchvision_resnet50", IMAGENET, 25_557_032),
    ("cnn7", MNIST, 312_202),
    ("resnet", MNIST, 272_778),
    ("resnet", STL10, 278_186),
    ("densenet", STL10, 1_059_298),
    ("resnet", TINY_IMAGENET, 323_816),
]


@pytest.mark.parametrize(("name", "data", "count"), TABLE_1)
def test_parameters_are_as_many_as_in_table_1(name, data, count):
    assert model_named(name, **data).parameter_count == count


@pytest.mark.parametrize(("data", "count"), [(STL10, 7_257_322), (TINY_IMAGENET, 6_044_072)])
def test_the_20_layers_have_the_papers_count_with_their_running_statistics(data, count):
    model = model_named("vgg", **data)
    statistics = [one for name, one in model.named_buffers() if name.endswith(("running_mean", "running_var"))]
    assert model.parameter_count + sum(one.numel() for one in statistics) == count
    assert model.parameter_count == count - 8128
    assert sum(isinstance(one, (torch.nn.Conv2d, torch.nn.Linear)) for one in model.modules()) == 20


def test_the_net_of_the_decision_attacks():
    """Its weights are Carlini and Wagner's with batch normalisation: two more for each channel of a convolution."""
    for data, channels in ((MNIST, 192), (CIFAR10, 384)):
        assert model_named("cnn7_batch_norm", **data).parameter_count == (
            model_named("cnn7", **data).parameter_count + 2 * channels
        )


@pytest.mark.parametrize("name", MODELS)
def test_a_folder_gives_the_same_model_back(name, tmp_path, capsys):
    torch.manual_seed(0)
    shape = (1, 8, 8) if name == "small_cnn" else (3, 32, 40)
    model = model_named(
        name, shape=shape, classes=3, mean=[0.5] * shape[0], std=[0.2] * shape[0], labels=["a", "b", "c"]
    )
    images = torch.rand(2, *shape)
    expected = model.train()(images)  # batch normalisation learns
    assert expected.shape == (2, 3)
    expected = model.eval()(images)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architecture"] == name and config["shape"] == list(shape) and config["labels"] == ["a", "b", "c"]
    loaded = model_class(config["architecture"]).from_pretrained(tmp_path)
    assert torch.equal(loaded(images), expected) and not loaded.training
    assert loaded.labels == ("a", "b", "c") and loaded.shape == shape
    loaded.save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text()) == config
    assert capsys.readouterr().out == ""


def test_images_are_normalised_inside():
    model = model_named("perceptron", shape=(1, 4, 4), mean=(0.25,), std=(0.5,)).double()
    plain = model_named("perceptron", shape=(1, 4, 4)).double()
    plain.load_state_dict(model.state_dict())
    images = torch.rand(3, 1, 4, 4, dtype=torch.float64)
    assert torch.allclose(model(images), plain((images - 0.25) / 0.5))


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("lenet", {}, "no model 'lenet'; there are small_cnn, strided_cnn"),
        ("cnn7", {"shape": (1, 8, 8)}, r"at least 16 high and wide, not \(1, 8, 8\)"),
        ("perceptron", {"shape": (28,)}, r"not \(28,\)"),
        ("resnet", {"depth": 21}, "6n \\+ 2"),
        ("densenet", {"depth": 41}, "3n \\+ 4"),
    ],
)
def test_mistakes(name, arguments, told):
    with pytest.raises(BadInput, match=told):
        model_named(name, **arguments)
