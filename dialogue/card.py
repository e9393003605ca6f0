"""The README.md of a trained agent: what it is, its scores with their intervals, and the command that made it."""

from typing import Any

MEASURES = {  # what results.json may hold, and how a person calls it
    "perplexity": ("Perplexity", "{:.2f}"),
    "selection_perplexity": ("Perplexity of the shares", "{:.3f}"),
    "exact_selection": ("Deals divided exactly", "{:.1%}"),
    "agreement": ("Dialogues that end in agreement", "{:.1%}"),
    "score": ("Points", "{:.2f}"),
    "partner_score": ("The partner's points", "{:.2f}"),
    "advantage": ("Points more than the partner", "{:.2f}"),
    "par": ("Dialogues won", "{:.1%}"),
    "advantage_rl": ("Advantage of the RL attack", "{:.2f}"),
    "advantage_fresh": ("Advantage of a new adversary by the RL attack", "{:.2f}"),
    "advantage_transfer": ("Advantage of the transfer attack", "{:.2f}"),
    "advantage_reactive": ("Advantage of the reactive attack", "{:.2f}"),
    "advantage_preemptive": ("Advantage of the preemptive attack", "{:.2f}"),
    "advantage_adaptive": ("Advantage of Algorithm 7", "{:.2f}"),
}


def model_card(
    model: Any, *, stage: str, dataset: str, split: str, scores: dict[str, Any], command: str, section: str = ""
) -> str:
    """A card in Markdown, with the scores for the Hub in its head.

    Args:
        stage: "supervised", "reinforce", "attack" or "hardened".
        dataset: a Hub id, or a name; split: what it was scored on.
        scores: its results.json; those of `MEASURES` are told.
        command: the one that made it.
        section: Markdown of its own, behind these scores.
    """
    from huggingface_hub import EvalResult, ModelCardData

    told = {name: scores[name] for name in MEASURES if name in scores}
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split=split,
            metric_type=name,
            metric_name=MEASURES[name][0],
            metric_value=round(one["value"], 4),
        )
        for name, one in told.items()
    ]
    data = ModelCardData(
        library_name="transformers",
        tags=["textadv", "dialogue", "negotiation"],
        model_name=f"{type(model).__name__} ({stage})",
        eval_results=results,
    )
    lines = []
    for name, one in told.items():
        label, form = MEASURES[name]
        value, low, high = (form.format(one[key]) for key in ("value", "low", "high"))
        lines.append(f"| {label} | {value} | {low} to {high} | {one['n']} |")
    table = "\n".join(["| | | 95 % interval | n |", "|---|---|---|---|", *lines])
    return f"""---
{data.to_yaml()}
---

# A negotiation agent, {stage}

It divides books, hats and balls with a partner by chat (Deal or No Deal, Lewis et al., EMNLP 2017), in the words of
{dataset}: {model.num_parameters() / 1e6:.2f} million parameters, {model.config.vocab_size} words, temperature
{model.config.temperature}. Load it with `dialogue.agent.NegotiationAgent.from_pretrained`.

{table}
{section}
Scored on the split `{split}`. Made by

```
{command}
```
"""
