"""Adversarial training beyond the margin ruins a linear classifier, and CAT doesn't: Figure 4.1 of the dissertation.

    python scripts/toy_margin.py

Two classes of points can be told apart by a vertical line, with 1.75 on either side; most of them, but not all, by a
horizontal one with more. Natural training and adversarial training with eps = 1 find the first line. With eps = 4 no
line holds all points, and adversarial training gives up many. CAT gives those that are near a distance of their own.
(It depends on the points: where the horizontal line holds 96 % of them by far, --lift 6 --spread 3.5, CAT gives up the
others just as adversarial training does.) The folder gets toy_margin.png and results.json: points on the right side.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _estimates import estimate, print_table
from _run import launch, writable_folder, write_json, write_picture

from visionadv.configs import BadInput

SCALE = 32.0  # points from -16 to 16 become images from 0 to 1
MARGIN = 1.75
METHODS = {  # title: the method, and its hyperparameters in units of the points
    "natural": ("natural", {}),
    "adversarial, eps = 1": ("adversarial", {"eps": 1.0}),
    "adversarial, eps = 4": ("adversarial", {"eps": 4.0}),
    "CAT, eps up to 4": ("cat", {"eps": 4.0, "eta": 0.25}),
}


@dataclass(frozen=True)
class ToyArguments:
    """How many points, and how long."""

    output_dir: str | None = field(default=None, metadata={"help": "folder; default: runs/toy_margin"})
    points: int = field(default=150, metadata={"help": "of both classes together"})
    steps: int = field(default=400, metadata={"help": "of each training, all points in each"})
    lift: float = field(default=3.5, metadata={"help": "how far the classes lie above and below, in the mean"})
    spread: float = field(default=4.0, metadata={"help": "and the standard deviation of that"})
    seed: int = field(default=0, metadata={"help": "seed of the points"})

    def __post_init__(self) -> None:
        if self.points < 2 or self.steps < 1:
            raise BadInput("--points must be at least 2 and --steps at least 1")


def main(arguments: ToyArguments) -> None:
    """Trains by each method, draws, and writes the folder."""
    folder = writable_folder(arguments.output_dir or "runs/toy_margin")
    points, labels = make_points(arguments)
    lines, results = {}, {}
    for title, (method, options) in METHODS.items():
        lines[title] = trained(method, options, points, labels, arguments.steps)
        right = (lines[title](points).argmax(1) == labels).tolist()
        results[title] = estimate(right)
    draw(folder / "toy_margin.png", points, labels, lines, results)
    write_json(folder / "results.json", results)
    print_table(results)
    print(f"the picture is {folder / 'toy_margin.png'}")


def make_points(arguments: ToyArguments) -> tuple[Any, Any]:
    """(n, 1, 1, 2) points scaled to [0, 1], and (n,) their classes."""
    import torch

    count, generator = arguments.points, torch.Generator().manual_seed(arguments.seed)
    labels = torch.arange(count) % 2
    side = 2.0 * labels - 1
    near = MARGIN + 0.75 * torch.rand(count, generator=generator)
    high = arguments.lift + arguments.spread * torch.randn(count, generator=generator)
    points = torch.stack([side * near, (side * high).clamp(-15, 15)], dim=1)
    return (points / SCALE + 0.5).view(count, 1, 1, 2), labels


def trained(method: str, options: dict[str, float], points: Any, labels: Any, steps: int) -> Any:
    """A linear classifier after a method's training."""
    import torch

    from visionadv.noise import example_seeds
    from visionadv.training import method_named
    from visionadv.training.vicinity import Batch

    scaled: dict[str, Any] = {name: value / SCALE for name, value in options.items()}
    if method != "natural":
        scaled |= {"steps": 1, "step_size": 1.0}  # which is the best there is against a linear model
    if method == "adversarial":
        scaled["random_start"] = False
    if method == "cat":
        scaled |= {"c": 0.5 * SCALE / options["eps"], "margin": False}  # at most half of a label is uncertain
    vicinity = method_named(method, **scaled)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2))
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    vicinity.begin(model, count=len(points), classes=2, shape=tuple(points.shape))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    rows, seeds = torch.arange(len(points)), example_seeds(0, range(len(points)))
    for step in range(steps):
        batch = Batch(points, labels, rows, seeds, step, seeds[:1], seeds)
        vicinity.loss(model, batch).backward()
        optimizer.step()
        vicinity.after(model, batch)
        optimizer.zero_grad()
    return model


def draw(path: Path, points: Any, labels: Any, lines: dict[str, Any], results: dict[str, Any]) -> None:
    """The points, what each classifier says of the plane, and how many points it gets right."""
    import torch
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(lines), 3.4), layout="constrained")
    grid = torch.linspace(-16, 16, 300)
    plane = torch.stack(torch.meshgrid(grid, grid, indexing="xy"), dim=-1).view(-1, 1, 1, 2) / SCALE + 0.5
    places, classes = (SCALE * (points.view(-1, 2) - 0.5)).numpy(), labels.numpy()
    for axes, (title, model) in zip(figure.subplots(1, len(lines), sharey=True), lines.items(), strict=True):
        with torch.no_grad():
            says = model(plane).argmax(1).view(300, 300).numpy()
        axes.imshow(says, extent=(-16, 16, -16, 16), origin="lower", cmap="coolwarm", alpha=0.25, aspect="auto")
        axes.scatter(*places.T, c=classes, cmap="coolwarm", s=9, edgecolors="none")
        axes.set_title(f"{title}\n{results[title]['value']:.0%} right", fontsize=10)
        axes.set_xlim(-6, 6)
    write_picture(path, figure)


if __name__ == "__main__":
    launch(main, ToyArguments, mistakes=(BadInput,), description=__doc__)
