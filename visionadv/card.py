"""The README.md of a trained classifier: what it is, its scores with their intervals, and the command that made it."""

from __future__ import annotations

from typing import Any


def name_of(measure: str) -> str | None:
    """How a person calls a measure of results.json; None for what a card doesn't tell."""
    from visionadv.evaluation import NAMES, called_measure, judge_of

    if measure == "accuracy":
        return "Accuracy"
    return f"Robustness: {called_measure(measure)}" if judge_of(measure) in NAMES else None


def model_card(
    model: Any, *, method: str, dataset: str, split: str, scores: dict[str, Any], command: str, section: str = ""
) -> str:
    """A card in Markdown, with the scores for the Hub in its head.

    Args:
        model: a `Classifier`.
        dataset: a Hub id, or a name; split: what it was scored on.
        scores: its results.json; accuracy is told, and what judges of robustness say.
        command: the one that made it.
        section: Markdown of its own, behind the scores.
    """
    from huggingface_hub import EvalResult, ModelCardData

    told = {name_of(measure): one for measure, one in scores.items() if name_of(measure)}
    measures = [measure for measure in scores if name_of(measure)]
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split=split,
            metric_type=measure,
            metric_name=name,
            metric_value=round(one["value"], 4),
        )
        for measure, (name, one) in zip(measures, told.items(), strict=True)
    ]
    data = ModelCardData(
        library_name="pytorch",
        pipeline_tag="image-classification",
        tags=["textadv", "visionadv", "pytorch_model_hub_mixin", "model_hub_mixin"],
        model_name=f"{type(model).__name__} ({method})",
        eval_results=results,
    )
    rows = [
        f"| {name} | {one['value']:.2%} | {one['low']:.2%} to {one['high']:.2%} | {one['n']} |"
        for name, one in told.items()
    ]
    table = "\n".join(["| | | 95 % interval | n |", "|---|---|---|---|", *rows])
    kind, shape = type(model).__name__, "x".join(map(str, model.shape))
    return f"""---
{data.to_yaml()}
---

# {kind} for {dataset}, {method} training

{model.parameter_count:,} parameters; images of {shape} from 0 to 1, {model.classes} classes. It normalises by itself.
`visionadv.loading.load_victim` loads it, and `--model_name_or_path` of the scripts takes it.

{table}
{section}
Scored on the split `{split}`. Made by

```
{command}
```
"""
