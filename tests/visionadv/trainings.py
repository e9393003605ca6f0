"""Trainings of tiny nets on random images, in double precision."""

import torch
from accelerate import Accelerator

from visionadv.configs import TrainClassifierConfig
from visionadv.data import Images
from visionadv.models import model_named
from visionadv.training.trainer import Training
from visionadv.training.vicinity import Vicinity

SHAPE = (1, 6, 6)


def data_of(count=50, shape=SHAPE, classes=3):
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(256, (count, *shape), generator=generator, dtype=torch.uint8)
    labels = torch.randint(classes, (count,), generator=generator)
    return Images(labels, "abcdef"[:classes], shape, lambda rows: values[list(rows)], fingerprint="")


def perceptron(data):
    return model_named("perceptron", shape=data.shape, classes=len(data.classes), hidden=[8])


def normalised(data):
    """A net with batch normalisation."""
    net = perceptron(data)
    net.features = torch.nn.Sequential(
        torch.nn.Conv2d(data.shape[0], 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * (data.shape[1] - 2) * (data.shape[2] - 2), len(data.classes)),
    )
    return net


def training_of(vicinity=None, data=None, dtype=torch.float64, seed=3, net=perceptron, accelerator=None, **options):
    torch.manual_seed(0)
    data = data or data_of()
    model = net(data).to(dtype)
    config = TrainClassifierConfig(**{"per_device_train_batch_size": 8, "max_steps": 20, "logging_steps": 1} | options)
    accelerator = accelerator or Accelerator(cpu=True)
    return Training(model, vicinity or Vicinity(), config, accelerator=accelerator, data=data, seed=seed)


def weights(model):
    return torch.cat([one.detach().flatten() for one in model.parameters()])
