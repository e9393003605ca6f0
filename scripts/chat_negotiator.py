"""Negotiate with an agent yourself, in the terminal.

    python scripts/chat_negotiator.py
    python scripts/chat_negotiator.py --model_name_or_path runs/rl --seed 7

You see the table, what each item is worth to you, and after each turn what the agent is inclined to take. Say anything;
/deal ends the talk, then you say what you take; /quit leaves.
"""

import random
import re
import sys
from dataclasses import dataclass, field
from typing import Any

from _run import launch

from dialogue.configs import BadInput


@dataclass(frozen=True)
class ChatArguments:
    """Who sits where."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "Hub id or folder of an agent, as scripts/train_negotiator.py makes it; default: this package's RL "
            "agent"
        },
    )
    seed: int | None = field(default=None, metadata={"help": "of the table and the agent's words; default: a new one"})
    inclination: bool = field(default=True, metadata={"help": "show what the agent is inclined to take"})


def main(arguments: ChatArguments) -> None:
    """One negotiation."""
    import torch

    from dialogue.domain import all_scenarios
    from dialogue.loading import EMBEDDED, load_agent
    from dialogue.types import SELECTION, Utterances, as_utterance

    agent = load_agent(arguments.model_name_or_path or EMBEDDED["reinforce"])
    rng = random.Random(arguments.seed)
    scenario = rng.choice(all_scenarios())
    talk, row = agent.begin([scenario.swapped], torch.tensor([rng.getrandbits(62)])), torch.tensor([0])
    show_table(scenario)
    yours = rng.random() < 0.5
    print("\nYou begin." if yours else "\nThe agent begins.")
    while True:
        if yours:
            said = ask("you:   ")
            if said == "/quit":
                return
            text = as_utterance(SELECTION if said == "/deal" else said)
            agent.read(talk, row, Utterances.of([text], agent.vocabulary))
            over = text == SELECTION
        else:
            utterance = agent.write(talk, row)
            over = bool(utterance.ends_talk())
            [text] = utterance.texts()
            print("agent:", text.replace("<eos>", "").replace(SELECTION, "(ends the talk)"))
        if arguments.inclination:
            print("       [" + inclination(agent, talk, row) + "]")
        if over:
            break
        yours = not yours
    settle(agent, talk, row, scenario)


def show_table(scenario: Any) -> None:
    """What there is, and what it is worth to the person."""
    from dialogue.domain import ITEMS

    print(f"{'':8}{'count':>6}{'worth to you':>14}")
    for item, count, value in zip(ITEMS, scenario.counts, scenario.values, strict=True):
        print(f"{item:8}{count:>6}{value:>14}")


def inclination(agent: Any, talk: Any, row: Any) -> str:
    """The likeliest thing that the agent would take now, and how sure it is."""
    probability = agent.choice_scores(talk, row)[0].softmax(0)
    choice = int(probability.argmax())
    return f"{probability[choice]:.0%} sure that it takes {phrase(choice)}"


def phrase(choice: int) -> str:
    """A choice in words."""
    from dialogue.domain import NO_DEAL, SHARES, in_words

    return "no deal" if choice == NO_DEAL else in_words(SHARES[choice])


def settle(agent: Any, talk: Any, row: Any, scenario: Any) -> None:
    """Asks the person for a share, and says who gets what."""
    import torch

    from dialogue.domain import NO_DEAL, SHARES, agreed, scores, tables

    while True:
        said = ask(f"What do you take? books hats balls of {' '.join(map(str, scenario.counts))}, or 'no deal': ")
        if said == "/quit":
            return
        numbers = tuple(int(one) for one in said.split()) if re.fullmatch(r"\d \d \d", said) else None
        if said == "no deal" or (numbers and all(n <= most for n, most in zip(numbers, scenario.counts, strict=True))):
            break
        print("Three numbers, none more than there are, as in 1 0 2; or no deal.")
    mine = torch.tensor([NO_DEAL if numbers is None else SHARES.index(numbers)])
    theirs = agent.choose(talk, row)
    counts, values, partner_values = tables([scenario])
    print("The agent takes", phrase(int(theirs)) + ".")
    if agreed(mine, theirs, counts):
        points = scores(mine, theirs, counts, values, partner_values)
        print(f"A deal: you get {int(points[0])} points, the agent {int(points[1])}.")
    else:
        print("That doesn't divide the table: 0 points for both.")


def ask(prompt: str) -> str:
    """A line of the person's; the end of input is /quit."""
    try:
        return " ".join(input(prompt).split())
    except EOFError:
        print()
        return "/quit"
    except KeyboardInterrupt:
        print()
        sys.exit(130)


if __name__ == "__main__":
    launch(main, ChatArguments, mistakes=(BadInput,), description=__doc__)
