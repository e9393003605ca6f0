"""The tables of robust training in visionadv/README.md; `reproduce_defenses.py` measures them, nets first.

There are two settings. `SMALL` is what the README's tables are of: Fashion-MNIST, its first 10,000 images, nets of
166,000 parameters, three seeds. `FULL` is the dissertation's: CIFAR-10, VGG-16 and ResNet-18, for a GPU. Apart from
these, `mnist_nets` is a net of Madry et al.'s kind on MNIST, judged by `mnist`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from _tables import RUNS, Row, Table


@dataclass(frozen=True)
class Setting:
    """Data, nets and distances that the tables are measured with."""

    prefix: str  # of the tables' names
    page: str  # where they stand, in visionadv/
    data: str
    train: str  # options of every training
    plain: str  # options of the nets of chapters 4 and 5
    masked: str  # and of chapter 6, which have batch normalisation
    eps: float  # in place of 8/255
    judged: int  # images that attacks are shown
    judged_l2: int  # and C&W of L2, which takes long
    long: str  # options of PGD with several starts
    seeds: tuple[int, ...]
    l2_eps: tuple[float, ...]  # of Figure 5.3

    def near(self, share: float) -> str:
        """A part of eps."""
        return f"{self.eps * share:.4g}"


SMALL = Setting(
    prefix="",
    page="README.md",
    data="--dataset_name $TEXTADV_DATA/fashion_mnist",
    train="--max_samples 10000 --num_train_epochs 20 --save_steps 1000",
    plain="--model strided_cnn",
    masked="--model strided_cnn_batch_norm",
    eps=0.1,
    judged=500,
    judged_l2=200,
    long="--long_steps 100 --restarts 10",
    seeds=(0, 1, 2),
    l2_eps=(0.5, 1.0, 1.5),
)
FULL = Setting(
    prefix="full_",
    page="results/full_scale.md",
    data="--dataset_name uoft-cs/cifar10",
    train="--shift 4 --mirror true --optimizer sgd --weight_decay 5e-4 --per_device_train_batch_size 128 "
    "--num_train_epochs 200",
    plain="--model vgg16 --learning_rate 0.01",
    masked="--model resnet18 --learning_rate 0.1",
    eps=8 / 255,
    judged=1000,
    judged_l2=1000,
    long="--long_steps 1000 --restarts 20",
    seeds=(0,),
    l2_eps=(0.25, 0.5, 1.0),
)
WIDE = "--model wide_resnet --learning_rate 0.1"  # WRN-34-10, of Tables 4.3, 4.4 and 5.2

# Tables 4.2, 4.3, 4.4 and 4.6 (VGG-16): no attack; PGD-100, and 20 times with 1,000 steps; C&W-100, and so; transfer;
# DeepFool
PAPER_4 = {
    "natural": "93.34; 0.6, 0.0; 0.0, 0.0; -; 16.39",
    "adversarial": "80.32; 36.36, 36.12; 37.89, 36.8; 79.13; 44.65",
    "trades": "84.85; 38.81, 37.95; 39.49, 38.94; 83.53; 48.37",
    "bilateral": "91.00; 57.5; 56.2 (WRN)",
    "cat": "85.44; 75.54, 75.17; 51.81, 50.08; 86.58; 70.19",
    "adv_ls": "80.25; 43.0",
    "adp_adv": "87.91; 38.59",
}
# Tables 4.3, 4.4 and 5.2 (WRN): no attack, PGD, C&W, transfer
PAPER_WIDE = {
    "natural": "95.93, 0, 0",
    "adversarial": "87.30, 52.68, 50.73, 85.84",
    "trades": "84.22, 56.40, 51.98, 83.90",
    "bilateral": "91.00, 57.5, 56.2",
    "cat": "89.61, 73.16, 71.67, 88.66",
    "sprout": "-, -, -, 89.1",
}
# Tables 5.6 and 5.2: no attack, PGD, transfer
PAPER_5 = {
    "natural": "95.93, 0",
    "adversarial": "84.92, 36.29, 79.13",
    "trades": "88.6, 38.29, 83.53",
    "sprout": "90.56, 58.93, 86.28",
}
L2_PAPER = {"natural": "26.95", "adversarial": "70.13", "trades": "75.08", "sprout": "72.7"}  # Table 5.6
CHANGED_PAPER = {  # Table 5.4: rotation, brightness, contrast, gray
    "natural": "88.21, 93.4, 91.88, 91.95",
    "adversarial": "82.66, 83.64, 84.99, 81.08",
    "trades": "80.81, 81.5, 83.08, 79.27",
    "sprout": "85.95, 88.26, 86.98, 81.64",
}
STARTS_PAPER = {  # Table 5.7
    "adversarial": ("45.88", "45.67", "45.52", "45.52", "45.21"),
    "trades": ("57.02", "56.84", "56.77", "56.7", "56.7"),
    "sprout": ("64.58", "62.53", "61.98", "61.38", "61.00"),
}
STARTS = (1, 3, 5, 8, 10)
TIME_PAPER = {"natural": "147", "adversarial": "1327", "trades": "1933", "sprout": "272", "free": "2053"}  # Table 5.5
MASKED_PAPER = {  # Tables 6.3 (100 epochs) and 6.6
    "bn_natural": "94.87; 94.71",
    "advprop": "95.3; 94.61",
    "advprop_random": "-; 94.50",
    "advprop_two": "-; 95.10",
    "robmask": "96.10; 96.47",
    "robmask_three": "-; 96.40",
}
FINETUNED_PAPER = {  # Table 6.1: clean, robust
    "bn_natural": "91.97, 0.0",
    "bn_to_adversarial": "53.96, 26.51",
    "bn_adversarial": "78.47, 48.67",
    "bn_to_natural": "86.96, 5.83",
}
BLENDS_PAPER = {  # Table 6.2: clean, robust
    "bn_adversarial": ("78.47, 48.67", "81.16, 44.88", "82.8, 37.2", "84.66, 24.79", "86.06, 12.85", "86.96, 5.83"),
    "bn_natural": ("91.97, 0.0", "88.66, 0.0", "74.87, 0.12", "58.76, 5.73", "53.89, 19.93", "53.96, 26.51"),
}
AGAIN = "natural-again"  # a second natural net, where there is one seed only
SHARES = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
STRENGTH_PAPER = {  # Table 6.5: PGD and AutoAttack within 0, 2/255, ... 8/255
    "adversarial": "78.86, 72.61, 65.27, 57.15, 47.97; 70.99, 62.94, 53.83, 44.66",
    "advprop": "85.98, 78.34, 69.24, 57.61, 46.04; 77.73, 67.57, 55.36, 43.13",
    "robmask": "89.99, 82.91, 72.23, 58.63, 44.50; 81.87, 70.99, 55.90, 41.70",
    "robmask_wide": "AutoAttack: 86.50; 78.47, 68.08, 56.89, 44.69",
}
SENSITIVITY = {"alpha": (0.001, 0.01, 0.1, 0.3), "a": (0.1, 0.2, 0.5, 1.0)}  # Figure 5.9a


def figures_of(setting: Setting) -> dict[str, str]:
    """Options of draw_defenses.py for each figure, by its name in the dissertation; nets are those of seed 0."""

    def nets(folders: str, *cells: str, **named: str) -> str:
        found = {cell: cell for cell in cells} | named
        every = [f"{RUNS}/{setting.prefix}{folder}" for folder in folders.split()]
        return f"--nets {' '.join(f'{name}={one}/{cell}-0' for one in every for name, cell in found.items())}"

    chapter_5 = ("natural", "adversarial", "trades", "sprout")
    pairs = {f"{alpha:g},{a:g}": f"alpha={alpha:g},a={a:g}" for alpha in SENSITIVITY["alpha"] for a in SENSITIVITY["a"]}
    around = f"--figure landscape {setting.data} --extent {setting.eps:.4g}"
    middle = f"{setting.l2_eps[1]:g}"
    axes = f"pgd@{setting.near(1)} autoattack@{setting.near(1)} carlini_wagner_l2@{middle} contrast"  # and two more
    return {
        "4.2": f"{around} {nets('defenses', 'natural', 'adversarial', 'trades', 'cat')}",
        "5.1": f"--figure radar --curve_judges {axes} {nets('defenses chapter_5 l2 invariance', *chapter_5)}",
        "5.2": f"--figure curves {nets('chapter_5', *chapter_5)}",
        "5.3": f"--figure curves --curve_judges carlini_wagner_l2 autoattack_l2 {nets('l2', *chapter_5)}",
        "5.4": f"{around} {nets('defenses', *chapter_5)}",
        "5.8": f"--figure labels {nets('defenses', 'sprout')}",
        "5.9a": f"--figure sensitivity --curve_judges pgd autoattack {nets('sensitivity', **pairs)}",
        "5.9b": f"--figure curves --curve_judges margin autoattack {nets('chapter_5', *chapter_5)}",
        "6.1": f"--figure norms {nets('masked_nets', before='bn_adversarial', after='bn_to_natural')}",
        "6.2": f"--figure maps {setting.data} {nets('masked_nets', before='bn_adversarial', after='bn_to_natural')}",
        "cat": f"--figure distances {nets('defenses', 'cat')}",
    }


def tables_of(setting: Setting) -> tuple[Table, ...]:
    """All of a setting's tables."""
    return (
        plain_nets(setting),
        masked_nets(setting),
        training_eps(setting),
        chapter_4(setting),
        chapter_5(setting),
        ablation(setting),
        distances_of_l2(setting),
        invariance(setting),
        references(setting),
        masking(setting),
        starts(setting),
        similarity(setting),
        sensitivity(setting),
        finetuned(setting),
        blends(setting),
        *strengths(setting),
    )


def net(setting: Setting, cell: str, masked: bool = False) -> str:
    """The folder of a trained net."""
    return f"{RUNS}/{setting.prefix}{'masked_nets' if masked else 'defenses'}/{cell}-{{seed}}"


def plain_nets(setting: Setting) -> Table:
    """The nets of chapters 4 and 5, and what their training costs: Table 5.5."""
    eps = setting.eps
    cat = f"eta={0.005 * eps / (8 / 255):.4g} c={10 * (8 / 255) / eps:.4g}"  # the same parts of eps, and of labels
    from_natural = f"--model_name_or_path {net(setting, 'natural')}"
    within = f"--train_eps {setting.near(1)}"
    rows = {
        "natural": ("natural", "--method natural"),
        "gaussian": ("Gaussian augmentation (GA)", "--method gaussian"),
        "label_smoothing": ("label smoothing (LS)", "--method label_smoothing"),
        "ls_ga": ("LS + GA", "--method ls_ga"),
        "mixup": ("Mixup", "--method mixup"),
        "stable": ("stable training", "--method stable"),
        "adversarial": ("adversarial training", f"--method adversarial {within}"),
        "adversarial_third": (
            "adversarial training, a third of eps",
            f"--method adversarial --train_eps {setting.near(1 / 3)}",
        ),
        "adversarial_two_thirds": (
            "adversarial training, two thirds of eps",
            f"--method adversarial --train_eps {setting.near(2 / 3)}",
        ),
        "trades": ("TRADES", f"--method trades {within}"),
        "bilateral": ("bilateral adversarial training", f"--method bilateral {within}"),
        "free": ("free adversarial training, m = 8", f"--method free {within}"),
        "cat": ("CAT", f"--method cat {within} --method_options {cat}"),
        "adv_ls": ("Adv+LS", f"--method cat {within} --method_options {cat} adaptive=false margin=false"),
        "adp_adv": ("Adp-Adv", f"--method cat {within} --method_options {cat.split()[0]} c=0 margin=false"),
        "sprout": ("SPROUT", f"--method sprout {from_natural}"),
        "sprout_new": ("SPROUT, a new net", "--method sprout"),
        "sprout_code": (
            "SPROUT, a new net, the code's labels",
            "--method sprout --method_options alpha=0.0909 concentration=11",
        ),
        "labels": ("SPROUT's labels alone", "--method sprout --method_options gaussian=false mixup=false"),
        "labels_ga": ("SPROUT without Mixup", "--method sprout --method_options mixup=false"),
        "labels_mixup": ("SPROUT without GA", "--method sprout --method_options gaussian=false"),
        "ga_mixup": ("SPROUT without its labels", "--method sprout --method_options labels=false"),
    }
    paper = "seconds for 10 epochs (VGG-16, GTX 1080)"
    nets = trained(setting, "defenses", setting.plain, rows, TIME_PAPER, paper, ("accuracy", "ten_epochs"))
    if len(setting.seeds) > 1:
        return nets
    again = Row("natural, another seed", AGAIN, "--method natural --seed 1", script="train_classifier")
    return replace(nets, rows=(*nets.rows, again))


def another(setting: Setting) -> str:
    """The folder of a natural net of another seed, from which attacks are transferred."""
    if len(setting.seeds) == 1:
        return f"{RUNS}/{setting.prefix}defenses/{AGAIN}"
    return net(setting, "natural").replace("{seed}", "{next}")


def masked_nets(setting: Setting) -> Table:
    """The nets of chapter 6, and what becomes of clean accuracy: Tables 6.3 and 6.6."""
    within, more = f"--train_eps {setting.near(1)}", f"--train_eps {setting.near(1.25)}"
    natural, adversarial = net(setting, "bn_natural", True), net(setting, "bn_adversarial", True)
    seven = "--method_options steps=7 step_size=0.2"  # section 6.4
    rows = {
        "bn_natural": ("batch normalisation", "--method natural"),
        "bn_adversarial": ("adversarial training", f"--method adversarial {within} {seven}"),
        "bn_to_adversarial": (
            "natural, then adversarial for BN only",
            f"--method bn_finetune {within} --model_name_or_path {natural}",
        ),
        "bn_to_natural": (
            "adversarial, then natural for BN only",
            f"--method bn_finetune --model_name_or_path {adversarial}",
        ),
        "advprop": ("AdvProp", f"--method advprop {within}"),
        "advprop_random": (
            "AdvProp, random strength",
            f"--method advprop {within} --method_options random_strength=true",
        ),
        "advprop_two": ("AdvProp, two auxiliaries", f"--method advprop {within} --method_options auxiliaries=2"),
        "robmask": ("RobMask", f"--method robmask {within}"),
        "robmask_three": ("RobMask, k = 3", f"--method robmask {within} --method_options rank=3"),
        "robmask_wide": ("RobMask, 1.25 eps", f"--method robmask {more}"),
    }
    paper = "accuracy (ResNet-18; DenseNet-121), 100 epochs"
    nets = trained(setting, "masked_nets", setting.masked, rows, MASKED_PAPER, paper)
    return replace(nets, against="bn_natural")


def training_eps(setting: Setting) -> Table:
    """Table 4.1: what training within more costs within less, on images that were learnt from and on others."""
    paper = {
        "adversarial_third": ("99.96", "69.79"),
        "adversarial_two_thirds": ("99.99", "69.06"),
        "adversarial": ("99.16", "66.04"),
    }
    names = {"adversarial_third": "a third of eps", "adversarial_two_thirds": "two thirds", "adversarial": "all of it"}
    rows = [
        judge_row(
            setting,
            f"{cell}-{split}",
            f"{names[cell]}, {split}",
            net(setting, cell),
            f"--split {split}",
            figures[place],
        )
        for cell, figures in paper.items()
        for place, split in enumerate(("train", "test"))
    ]
    near = setting.near(1 / 3)
    columns = ("clean", f"pgd@{near}", f"autoattack@{near}")
    paper = "within 0.01, trained within 0.01 to 0.03 (VGG-16)"
    return judged(setting, "training_eps", "clean pgd autoattack", rows, (near,), columns, paper)


def chapter_4(setting: Setting) -> Table:
    """Tables 4.2 to 4.4 and 4.6: CAT among others, and AutoAttack beside."""
    rows = []
    for cell, label in {
        "natural": "natural",
        "adversarial": "adversarial training",
        "trades": "TRADES",
        "bilateral": "bilateral",
        "adv_ls": "Adv+LS",
        "adp_adv": "Adp-Adv",
        "cat": "CAT",
    }.items():
        options = f"--pgd_steps 100 {setting.long} --surrogate_name_or_path {another(setting)}"
        rows.append(judge_row(setting, cell, label, net(setting, cell), options, PAPER_4[cell]))
    eps = setting.near(1)
    judges = ("pgd", "pgd_restarts", "margin", "transfer", "deepfool", "square", "decision", "autoattack", "worst")
    columns = ("clean", *(f"{judge}@{eps}" for judge in judges))
    paper = "clean; PGD-100, 20 times PGD-1000; C&W-100, 20 times C&W-1000; transfer; DeepFool (VGG-16)"
    table = judged(setting, "chapter_4", f"clean {' '.join(judges[:-1])}", rows, (eps,), columns, paper)
    return replace(table, against="adversarial")


def chapter_5(setting: Setting) -> Table:
    """Tables 5.2 and 5.6 and Figures 5.2 and 5.9b: SPROUT among others, and AutoAttack beside."""
    names = {
        "natural": "natural",
        "gaussian": "GA",
        "label_smoothing": "LS",
        "mixup": "Mixup",
        "stable": "stable training",
        "adversarial": "adversarial training",
        "trades": "TRADES",
        "free": "free adversarial training",
        "sprout_new": "SPROUT, a new net",
        "sprout_code": "SPROUT, a new net, the code's labels",
        "sprout": "SPROUT",
    }
    rows = [
        judge_row(
            setting,
            cell,
            label,
            net(setting, cell),
            f"--surrogate_name_or_path {another(setting)}",
            PAPER_5.get(cell, ""),
        )
        for cell, label in names.items()
    ]
    near = [setting.near(share) for share in (0.5, 1.0, 1.5)]
    judges = ("pgd", "margin", "transfer", "autoattack")
    columns = ("clean", *(f"{judge}@{eps}" for eps in near for judge in judges))
    paper = "within 0.03: clean, PGD, transfer (VGG-16)"
    table = judged(setting, "chapter_5", f"clean {' '.join(judges)}", rows, near, columns, paper)
    return replace(table, against="natural")


def ablation(setting: Setting) -> Table:
    """Figure 5.5: SPROUT's modules, and others' in their place."""
    names = {
        "label_smoothing": "LS",
        "gaussian": "GA",
        "mixup": "Mixup",
        "ls_ga": "LS + GA",
        "labels": "SPROUT's labels alone",
        "labels_ga": "labels, GA",
        "labels_mixup": "labels, Mixup",
        "ga_mixup": "GA, Mixup",
        "sprout_new": "all three",
    }
    known = {row.cell: row for row in chapter_5(setting).rows}
    rows = [
        replace(known[cell], label=label, of=f"{setting.prefix}chapter_5", paper="")
        if cell in known
        else judge_row(setting, cell, label, net(setting, cell))
        for cell, label in names.items()
    ]
    near = [setting.near(share) for share in (0.5, 1.0)]
    columns = ("clean", *(f"{judge}@{eps}" for eps in near for judge in ("pgd", "autoattack")))
    return replace(judged(setting, "ablation", "clean pgd autoattack", rows, near, columns), against="sprout_new")


CHAPTER_5 = {
    "natural": "natural",
    "adversarial": "adversarial training",
    "trades": "TRADES",
    "sprout_new": "SPROUT, a new net",
    "sprout": "SPROUT",
}


def distances_of_l2(setting: Setting) -> Table:
    """Figure 5.3, and Table 5.6: accuracy within L2 distances, by C&W."""
    rows = [
        judge_row(setting, cell, label, net(setting, cell), "", L2_PAPER.get(cell, ""))
        for cell, label in CHAPTER_5.items()
    ]
    judges = ("carlini_wagner_l2", "autoattack_l2")
    columns = ("clean", *(f"{judge}@{eps:g}" for eps in setting.l2_eps for judge in judges))
    paper = "C&W-L2 (VGG-16)"
    table = judged(setting, "l2", f"clean {' '.join(judges)}", rows, (), columns, paper, setting.judged_l2)
    return replace(table, against="natural")


def invariance(setting: Setting) -> Table:
    """Table 5.4: changes that a person sees through."""
    names = CHAPTER_5 | {"gaussian": "GA", "label_smoothing": "LS", "mixup": "Mixup"}
    rows = [
        judge_row(setting, cell, label, net(setting, cell), "", CHANGED_PAPER.get(cell, ""))
        for cell, label in names.items()
    ]
    columns = ("clean", "rotation", "brightness", "contrast", "grayscale")
    paper = "rotation, brightness, contrast, gray (wide ResNet)"
    table = judged(setting, "invariance", " ".join(columns), rows, (), columns, paper, images=10_000)
    return replace(table, against="natural")


def references(setting: Setting) -> Table:
    """The signs of masked gradients on nets of which is known what they are; by these the thresholds are fixed."""
    names = {"adversarial": "adversarial training", "trades": "TRADES", "label_smoothing": "label smoothing alone"}
    return signs(setting, "references", names)


def masking(setting: Setting) -> Table:
    """The signs on nets that are to be judged, by the thresholds that are fixed."""
    names = {"cat": "CAT", "adv_ls": "Adv+LS", "sprout": "SPROUT", "sprout_new": "SPROUT, a new net"}
    return signs(setting, "masking", names)


def signs(setting: Setting, name: str, names: dict[str, str]) -> Table:
    """The signs of masked gradients on nets, and what is left of their accuracy."""
    rows = [judge_row(setting, cell, label, net(setting, cell)) for cell, label in names.items()]
    near = [setting.near(share) for share in (0.5, 1.0)]
    kinds = ("losses", "scores", "restarts")
    columns = [column for eps in near for column in (f"worst@{eps}", *(f"masked_{kind}@{eps}" for kind in kinds))]
    judges = "clean gradients pgd pgd_long pgd_restarts margin square"
    return judged(setting, name, judges, rows, near, ("clean", "gradients", *columns))


def starts(setting: Setting) -> Table:
    """Table 5.7: PGD-20 with several random starts."""
    names = {"adversarial": "adversarial training", "trades": "TRADES", "sprout": "SPROUT"}
    rows = [
        judge_row(
            setting,
            f"{cell}-{number}",
            f"{label}, {number}",
            net(setting, cell),
            f"--restarts {number} --long_steps 20",
            STARTS_PAPER[cell][place],
        )
        for cell, label in names.items()
        for place, number in enumerate(STARTS)
    ]
    rows += [
        replace(row, label=f"{names[row.cell]}, AutoAttack", of=f"{setting.prefix}chapter_5", paper="")
        for row in chapter_5(setting).rows
        if row.cell in names
    ]
    eps = setting.near(1)
    columns = ("clean", f"pgd_restarts@{eps}", f"autoattack@{eps}")
    return judged(setting, "starts", "clean pgd_restarts", rows, (eps,), columns, "PGD-20 (WRN)")


def similarity(setting: Setting) -> Table:
    """Table 5.9: how alike the input gradients of SPROUT's three modules are."""
    pairs = {
        "labels-mixup": ("labels and Mixup", "labels", "mixup", "0.1023"),
        "labels-gaussian": ("labels and GA", "labels", "gaussian", "0.0163"),
        "mixup-gaussian": ("Mixup and GA", "mixup", "gaussian", "0.0111"),
    }
    rows = tuple(
        Row(
            label,
            cell,
            f"--model_name_or_path {net(setting, one)} --other_name_or_path {net(setting, other)}",
            paper,
            "compare_gradients",
            setting.seeds,
        )
        for cell, (label, one, other, paper) in pairs.items()
    )
    on = f"{setting.data} --max_samples 10000"
    name = f"{setting.prefix}similarity"
    return Table("visionadv", name, on, rows, ("cosine",), paper="cosine (VGG-16)", page=setting.page)


def sensitivity(setting: Setting) -> Table:
    """Figure 5.9a: SPROUT's alpha and a."""
    near = setting.near(0.5)
    rows = tuple(
        Row(
            f"alpha = {alpha:g}, a = {a:g}",
            f"alpha={alpha:g},a={a:g}",
            f"--seed {{seed}} --model_name_or_path {net(setting, 'natural')} --method sprout "
            f"--method_options alpha={alpha:g} a={a:g}",
            script="train_classifier",
            seeds=setting.seeds,
        )
        for alpha in SENSITIVITY["alpha"]
        for a in SENSITIVITY["a"]
    )
    judges = f"--robustness_samples {setting.judged} --judges clean pgd autoattack --test_eps {near}"
    return Table(
        "visionadv",
        f"{setting.prefix}sensitivity",
        f"{setting.data} {setting.train} {setting.plain} {judges}",
        rows,
        ("clean", f"pgd@{near}", f"autoattack@{near}"),
        page=setting.page,
    )


def finetuned(setting: Setting) -> Table:
    """Table 6.1: what batch normalisation alone can change."""
    names = {
        "bn_natural": "natural",
        "bn_to_adversarial": "+ adversarial, BN only",
        "bn_adversarial": "adversarial",
        "bn_to_natural": "+ natural, BN only",
    }
    rows = [
        judge_row(setting, cell, label, net(setting, cell, True), "--pgd_steps 100", FINETUNED_PAPER[cell])
        for cell, label in names.items()
    ]
    eps = setting.near(1)
    columns = ("clean", f"pgd@{eps}", f"autoattack@{eps}")
    return judged(setting, "finetuned", "clean pgd autoattack", rows, (eps,), columns, "clean, robust (ResNet-18)")


def blends(setting: Setting) -> Table:
    """Table 6.2: between two normalisations."""
    ends = {"bn_adversarial": "bn_to_natural", "bn_natural": "bn_to_adversarial"}
    names = {"bn_adversarial": "adversarial", "bn_natural": "natural"}
    alone = {row.cell: row for row in finetuned(setting).rows}
    rows = []
    for cell, other in ends.items():
        for share, paper in zip(SHARES, BLENDS_PAPER[cell], strict=True):
            label = f"{names[cell]}, p = {share:g}"
            if share in (0, 1):
                end = alone[cell if share else other]
                rows.append(replace(end, label=label, of=f"{setting.prefix}finetuned", paper=paper))
                continue
            options = f"--pgd_steps 100 --blend_name_or_path {net(setting, other, True)} --blend_share {share:g}"
            rows.append(judge_row(setting, f"{cell}-{share:g}", label, net(setting, cell, True), options, paper))
    eps = setting.near(1)
    columns = ("clean", f"pgd@{eps}", f"autoattack@{eps}")
    return judged(setting, "blends", "clean pgd autoattack", rows, (eps,), columns, "clean, robust (ResNet-18)")


def strengths(setting: Setting) -> tuple[Table, Table]:
    """Table 6.5: RobMask's robust net among others, within the two smaller and the two larger distances."""
    nets = {
        "adversarial": ("adversarial training", net(setting, "bn_adversarial", True)),
        "advprop": ("AdvProp", net(setting, "advprop", True) + "/adversarial"),
        "robmask": ("RobMask", net(setting, "robmask", True) + "/adversarial"),
        "robmask_wide": ("RobMask, 1.25 eps", net(setting, "robmask_wide", True) + "/adversarial"),
    }
    rows = [
        judge_row(setting, cell, label, folder, "--pgd_steps 100", STRENGTH_PAPER[cell])
        for cell, (label, folder) in nets.items()
    ]
    found = []
    for name, shares in (("strengths_near", (0.25, 0.5)), ("strengths", (0.75, 1.0))):
        near = [setting.near(share) for share in shares]
        columns = ("clean", *(f"{judge}@{eps}" for judge in ("pgd", "autoattack") for eps in near))
        paper = "clean, PGD; AutoAttack, within a quarter to all of 8/255 (ResNet-18)"
        found.append(judged(setting, name, "clean pgd autoattack", rows, near, columns, paper))
    return found[0], found[1]


def wide() -> tuple[Table, Table]:
    """Tables 4.3, 4.4 and 5.2: the full setting's methods on a wide ResNet."""
    nets, setting = plain_nets(FULL), FULL
    folder = f"{RUNS}/{FULL.prefix}wide_nets"
    kept = tuple(row for row in nets.rows if row.cell in (*PAPER_WIDE, AGAIN))
    kept = tuple(
        replace(row, options=row.options.replace(nets.name, f"{FULL.prefix}wide_nets"), paper="") for row in kept
    )
    on = nets.on.replace(setting.plain, WIDE)
    surrogate = f"--pgd_steps 20 --surrogate_name_or_path {folder}/{AGAIN}"
    rows = tuple(
        judge_row(setting, row.cell, row.label, f"{folder}/{row.cell}-{{seed}}", surrogate, PAPER_WIDE[row.cell])
        for row in kept
        if row.cell != AGAIN
    )
    eps = setting.near(1)
    judges = ("pgd", "margin", "transfer", "autoattack")
    columns = ("clean", *(f"{judge}@{eps}" for judge in judges))
    return (
        replace(nets, name=f"{FULL.prefix}wide_nets", on=on, rows=kept),
        judged(setting, "wide", f"clean {' '.join(judges)}", rows, (eps,), columns, "clean, PGD, C&W, transfer (WRN)"),
    )


def mnist() -> tuple[Table, Table]:
    """A net that is trained by PGD on MNIST; all test images under PGD-40, and AutoAttack on some."""
    data, folder, eps = "--dataset_name $TEXTADV_DATA/mnist", f"{RUNS}/mnist_nets/adversarial", "0.3"
    training = f"--model cnn7 --method adversarial --train_eps {eps} --method_options steps=10 step_size=0.2 "
    training += "--per_device_train_batch_size 128 --num_train_epochs 12 --save_steps 469"
    net = Row("adversarial training", "adversarial", training, script="train_classifier", precision="bf16")
    judges = {
        "pgd": ("all images", "--judges clean pgd --max_samples 10000", "PGD-40: 92.76 % (Madry et al.)"),
        "autoattack": ("the first 1,000", "--judges clean pgd autoattack --max_samples 1000", ""),
    }
    rows = tuple(
        Row(label, cell, f"--model_name_or_path {folder} {options}", paper, "evaluate_robustness")
        for cell, (label, options, paper) in judges.items()
    )
    on = f"{data} --test_eps {eps} --pgd_steps 40 --pgd_step_size 0.0333"  # steps of 0.01, as Madry et al. judge
    columns = ("clean", f"pgd@{eps}", f"autoattack@{eps}")
    return (
        Table("visionadv", "mnist_nets", data, (net,), ("accuracy", "cpu_minutes")),
        Table("visionadv", "mnist", on, rows, columns, paper="robust"),
    )


def trained(
    setting: Setting,
    name: str,
    net_options: str,
    nets: dict[str, tuple[str, str]],
    figures: dict[str, str],
    paper: str,
    columns: tuple[str, ...] = ("accuracy", "cpu_minutes"),
) -> Table:
    """Nets by their cells: label and options of each; and the paper's figures, by cells too."""
    rows = tuple(
        Row(label, cell, f"{options} --seed {{seed}}", figures.get(cell, ""), "train_classifier", setting.seeds)
        for cell, (label, options) in nets.items()
    )
    on = f"{setting.data} {setting.train} {net_options}"
    return Table("visionadv", f"{setting.prefix}{name}", on, rows, columns, paper, setting.page)


def judge_row(setting: Setting, cell: str, label: str, folder: str, options: str = "", paper: str = "") -> Row:
    """A net that is judged."""
    words = " ".join(filter(None, [f"--model_name_or_path {folder}", options]))
    return Row(label, cell, words, paper, "evaluate_robustness", setting.seeds)


def judged(
    setting: Setting,
    name: str,
    judges: str,
    rows: Sequence[Row],
    eps: Sequence[str],
    columns: Sequence[str],
    paper: str = "",
    images: int | None = None,
) -> Table:
    """Nets that are judged alike, on so many images."""
    on = f"{setting.data} --max_samples {images or setting.judged} --judges {judges}"
    on += f" --test_eps {' '.join(eps)}" if eps else ""
    on += f" --test_l2_eps {' '.join(f'{eps:g}' for eps in setting.l2_eps)}" if "_l2" in judges else ""
    return Table("visionadv", f"{setting.prefix}{name}", on, tuple(rows), tuple(columns), paper, setting.page)


FIGURES = figures_of(SMALL) | {f"{FULL.prefix}{name}": options for name, options in figures_of(FULL).items()}
TABLES = (*tables_of(SMALL), *mnist(), *tables_of(FULL), *wide())
