"""The tables of dialogue/README.md; `reproduce_advagent.py` measures them, from the training of the agents on."""

from _tables import RUNS, Row, Table

CORPUS = "--dataset_name $TEXTADV_DATA/negotiation"
SEEDS = (0, 1, 2)
STEPS = (1_000, 2_000, 4_000, 7_000, 10_000, 12_500)  # of an SV agent's training, at which it plays itself
# Those that are attacked. The RL agent speaks for every adversary, as in the authors' code, but the RL attack's, which
# begins as the SV agent.
TARGETS = {
    "sv": ("SV agent", f"{RUNS}/agents/sv-0"),
    "rl": ("RL agent", f"{RUNS}/agents/rl-0"),
    "hardened": ("hardened RL agent", f"{RUNS}/hardening/rl-0"),
}
SPEAKER = TARGETS["rl"][1]
ATTACKS = {
    "transfer": ("transfer attack", "--attack transfer"),
    "rl": ("RL attack", "--attack rl"),
    "reactive": ("reactive attack", "--attack reactive"),
    "preemptive": ("preemptive attack", "--attack preemptive"),
    "delayed": ("RA+PA+DA", "--attack adaptive"),
    "transferred": ("RA+PA+TA", "--attack adaptive --fallback transfer"),
}
WHITE_BOX = ("reactive", "preemptive", "delayed")
# Where nothing is found, all is tried, at every turn: half a minute of a core for a dialogue with the hardened agent.
SLOW = {"hardened.delayed": "--max_samples 64 --per_device_batch_size 8"}
IMPOSSIBLE = ("hardened.transfer", "hardened.transferred")  # no sentence has won anywhere
PAPER = {  # Tables 3.10 and 3.14: positive advantage rate, points, advantage
    "sv.none": "75.79 %, 7.23 to 4.55 (2.68)",
    "sv.transfer": "44.43 %, 6.41 to 6.54 (-0.13)",
    "sv.rl": "84.45 %, 8.28 to 4.03 (4.25)",
    "sv.reactive": "87.00 %, 8.83 to 3.43 (5.40)",
    "sv.preemptive": "71.86 %, 7.76 to 4.95 (2.81)",
    "sv.delayed": "84.33 %, 8.79 to 2.96 (5.83)",
    "sv.transferred": "83.12 %, 8.67 to 3.05 (5.62)",
    "rl.none": "44.70 %, 5.05 to 5.00 (0.05)",
    "rl.transfer": "36.10 %, 5.65 to 6.84 (-1.19)",
    "rl.rl": "69.35 %, 7.11 to 4.79 (2.32)",
    "rl.reactive": "90.23 %, 8.72 to 3.77 (4.95)",
    "rl.preemptive": "69.23 %, 6.78 to 6.01 (0.77)",
    "rl.delayed": "86.93 %, 8.73 to 2.95 (5.78)",
    "rl.transferred": "89.74 %, 8.62 to 2.92 (5.70)",
    "hardened.none": "48.67 %, 6.51 to 6.64 (-0.13)",
    "hardened.rl": "62.61 %, 5.71 to 7.51 (-1.80)",
    "hardened.reactive": "80.76 % (4.52)",
    "hardened.preemptive": "34.39 % (-1.77)",
    "hardened.delayed": "73.96 % (3.98)",
}
HARDENED_ALONE = Row(
    "RL agent hardened by RL adversaries alone: RA+PA+DA",
    "alone.delayed",
    f"--model_name_or_path {TARGETS['hardened'][1]}-alone --attack adaptive --speaker_name_or_path {SPEAKER}",
    PAPER["hardened.delayed"],
    "attack_negotiator",
)
# Table 3.15; 2 is what attacks do by default.
TURNS_PAPER = {1: "94.02 % (5.52)", 2: "90.23 % (4.95)", 3: "92.02 % (5.19)", 4: "90.35 % (4.84)"}
LIMITS = {
    "none": ("no limit", ""),
    "protect_deal": ("items and numbers stay", "--protect_deal"),
    "perplexity-4": ("at most 4 times the perplexity", "--max_perplexity_ratio 4"),
    "perplexity-2": ("at most twice the perplexity", "--max_perplexity_ratio 2"),
    "both": ("items and numbers stay, at most twice", "--protect_deal --max_perplexity_ratio 2"),
    "marks": ("marks may be written", "--legal_only false"),
}
PRESETS = {
    "paper": ("the paper's search and objective", "--search pad_greedy --objective paper"),
    "search": ("the paper's search alone", "--search pad_greedy"),
    "objective": ("the paper's objective alone", "--objective paper"),
    "sampled": ("sampled target", "--target_decoding sample"),
}
PRESETS_OF = {  # the attacks that each is measured with
    "paper": WHITE_BOX,
    "search": ("reactive",),
    "objective": ("reactive",),
    "sampled": ("rl", *WHITE_BOX),
}
PLAYED = ("par", "ties", "advantage", "score", "partner_score", "agreement")
ATTACKED = (*PLAYED, "changed_words", "perplexity_ratio", "minutes")


def attack_row(
    target: str, attack: str, options: str = "", label: str = "", cell: str = "", paper: str = "", made: str = ""
) -> Row:
    """An attack on a target, by an adversary that was trained against it, or was `made` against another."""
    name, folder = TARGETS[target]
    attack_name, attack_options = ATTACKS[attack]
    words = [f"--model_name_or_path {folder}", attack_options]
    if attack != "rl":
        words.append(f"--speaker_name_or_path {SPEAKER}")
    if attack in ("rl", "transfer", "transferred"):
        words.append(f"--adversary_name_or_path {RUNS}/adversaries/{made or target}")
    label = f"{name}: {attack_name}" + (f", {label}" if label else "")
    return Row(label, cell or f"{target}.{attack}", " ".join([*words, options]).strip(), paper, "attack_negotiator")


def selfplay_row(label: str, cell: str, agent: str, partner: str, paper: str = "") -> Row:
    """Two agents, without an attack."""
    options = f"--model_name_or_path {agent} --partner_name_or_path {partner}"
    return Row(label, cell, options, paper, "selfplay")


def chapter_rows(target: str) -> tuple[Row, ...]:
    """A target of Table 3.10 or 3.14; behind the hardened one RA+PA+DA on one hardened without our addition."""
    name, folder = TARGETS[target]
    return (
        selfplay_row(f"{name}: RL agent, no attack", f"{target}.none", SPEAKER, folder, PAPER[f"{target}.none"]),
        *(
            attack_row(target, attack, SLOW.get(f"{target}.{attack}", ""), paper=PAPER[f"{target}.{attack}"])
            for attack in ATTACKS
            if f"{target}.{attack}" not in IMPOSSIBLE
        ),
        *([HARDENED_ALONE] if target == "hardened" else []),
    )


TABLES = (
    Table(
        "dialogue",
        "agents",
        CORPUS,
        (
            *(
                Row(
                    f"SV agent, seed {seed}",
                    f"sv-{seed}",
                    f"--seed {seed} --save_total_limit 40",
                    "5.47",
                    "train_negotiator",
                )
                for seed in SEEDS
            ),
            *(
                Row(
                    f"RL agent, seed {seed}",
                    f"rl-{seed}",
                    f"--seed {seed} --stage reinforce --model_name_or_path {RUNS}/agents/sv-{seed}",
                    "5.86",
                    "train_negotiator",
                )
                for seed in SEEDS
            ),
        ),
        ("perplexity", "exact_selection", "cpu_minutes"),
        paper="perplexity",
    ),
    Table(
        "dialogue",
        "selfplay",
        "--max_samples 2000",
        (
            *(
                selfplay_row(
                    f"SV with itself, seed {seed}",
                    f"sv-{seed}",
                    f"{RUNS}/agents/sv-{seed}",
                    f"{RUNS}/agents/sv-{seed}",
                    "87.9 %, 5.4 to 5.5",
                )
                for seed in SEEDS
            ),
            *(
                selfplay_row(
                    f"RL with SV, seed {seed}",
                    f"rl-{seed}",
                    f"{RUNS}/agents/rl-{seed}",
                    f"{RUNS}/agents/sv-{seed}",
                    "89.57 %, 7.23 to 4.55",
                )
                for seed in SEEDS
            ),
        ),
        ("agreement", "score", "partner_score", "pareto", "utterance_length", "distinct_utterances"),
        paper="agreement, points (of SV with itself: Lewis et al.)",
    ),
    Table(
        "dialogue",
        "selection",
        "--max_samples 2000",
        tuple(
            selfplay_row(
                f"seed {seed}, after {steps:,} steps",
                f"sv-{seed}.{steps}",
                *[f"{RUNS}/agents/sv-{seed}/checkpoint-{steps}"] * 2,
            )
            for seed in (0, 2)
            for steps in STEPS
        ),
        ("agreement", "score", "partner_score", "pareto"),
    ),
    Table(
        "dialogue",
        "adversaries",
        f"--stage attack {CORPUS} --model_name_or_path {TARGETS['sv'][1]}",
        tuple(
            Row(f"against the {name}", target, f"--partner_name_or_path {folder}", script="train_negotiator")
            for target, (name, folder) in TARGETS.items()
        ),
        ("advantage", "par", "perplexity", "cpu_minutes"),
    ),
    Table(
        "dialogue",
        "hardening",
        f"{CORPUS} --evaluated_dialogues 2000",
        tuple(
            Row(
                label,
                cell,
                f"--model_name_or_path {TARGETS['rl'][1]} --partner_name_or_path {TARGETS['sv'][1]} "
                f"--evaluated_attacks rl{options}",
                "2.32, -1.80",
                "harden_negotiator",
            )
            for cell, label, options in (
                ("rl-0", "RL agent", ""),
                ("rl-0-alone", "RL agent, by RL adversaries alone", " --reactive_every 0"),
            )
        ),
        ("advantage_rl_before", "advantage_rl", "advantage_fresh", "agreement_before", "agreement", "perplexity"),
        paper="advantage of the RL attack before and after",
    ),
    *(
        Table(
            "dialogue",
            f"{target}_attacks",
            "--max_samples 2000",
            chapter_rows(target),
            ATTACKED,
            paper="positive advantage rate, points (advantage)",
        )
        for target in TARGETS
    ),
    Table(
        "dialogue",
        "turns",
        "--max_samples 2000",
        tuple(
            attack_row("rl", "reactive", f"--turn {turn}" if turn != 2 else "", f"n = {turn}", f"turn-{turn}", paper)
            for turn, paper in TURNS_PAPER.items()
        ),
        ATTACKED,
        paper="positive advantage rate (advantage)",
    ),
    Table(
        "dialogue",
        "presets",
        "--max_samples 400",
        tuple(
            attack_row(target, attack, options, label, f"{target}.{attack}.{name}")
            for target in ("sv", "rl")
            for attack in ("rl", *WHITE_BOX)
            for name, (label, options) in PRESETS.items()
            if attack in PRESETS_OF[name]
        ),
        ATTACKED,
    ),
    Table(
        "dialogue",
        "limits",
        "--max_samples 400",
        tuple(
            attack_row("rl", "reactive", options, label, f"reactive.{name}")
            for name, (label, options) in LIMITS.items()
        ),
        (*ATTACKED[:-1], "special_tokens", "minutes"),
    ),
    Table(
        "dialogue",
        "transfer",
        "--max_samples 400",
        (
            *(
                attack_row(shown, "rl", label=f"learnt on the {TARGETS[made][0]}", cell=f"rl.{made}.{shown}", made=made)
                for made in TARGETS
                for shown in TARGETS
            ),
            *(
                attack_row(
                    shown,
                    "reactive",
                    f"--surrogate_name_or_path {TARGETS[made][1]}" if made != shown else "",
                    f"found on the {TARGETS[made][0]}",
                    f"reactive.{made}.{shown}",
                )
                for made in TARGETS
                for shown in TARGETS
            ),
        ),
        (*PLAYED, "minutes"),
    ),
)
