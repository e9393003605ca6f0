"""Who may import whom, and what packages may not do: global randomness, printing, making an Accelerator.

The sources are read, not run; names are followed through `import ... as ...` and `from ... import ...`.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("textadv", "dialogue", "visionadv")
MAY_IMPORT = {"textadv": set(), "dialogue": {"textadv"}, "visionadv": set()}
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]

TORCH_GLOBAL = {
    "manual_seed",
    "manual_seed_all",
    "seed",
    "set_rng_state",
    "rand_like",
    "randn_like",
    "randint_like",
}
TORCH_GENERATOR = {"rand", "randn", "randint", "randperm", "multinomial", "bernoulli", "normal", "poisson"}
IN_PLACE = {
    "normal_",
    "uniform_",
    "bernoulli_",
    "random_",
    "exponential_",
    "cauchy_",
    "geometric_",
    "log_normal_",
}
NUMPY_SEEDED = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox"}


def imported(tree: ast.AST) -> set[str]:
    """The top-level modules that a source imports; relative imports stay at home."""
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level
    ]
    return {name.split(".")[0] for name in names}


def aliases(tree: ast.AST) -> dict[str, str]:
    """What local names stand for: {"np": "numpy", "shuffle": "random.shuffle"}."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def full_name(node: ast.expr, known: dict[str, str]) -> str:
    """`np.random.rand` as "numpy.random.rand"; what isn't a plain name becomes "?"."""
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value, known)}.{node.attr}"
    return known.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def why_banned(call: ast.Call, name: str) -> str | None:
    *path, last = name.split(".")
    module = ".".join(path)
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    generator = given.get("generator")
    seeded = generator is not None and not (isinstance(generator, ast.Constant) and generator.value is None)
    if name == "print":
        return "packages do not print"
    if last in ("set_seed", "Accelerator"):
        return f"{last} is for scripts"
    if module in ("torch", "torch.random", "torch.cuda", "torch.cuda.random") and last in TORCH_GLOBAL:
        return "global randomness"
    if (module == "torch" and last in TORCH_GENERATOR) or (last in IN_PLACE and path and path[-1] != "init"):
        return None if seeded else "no generator"
    if name.startswith("torch.distributions.") or last == "gumbel_softmax":
        return "takes no generator"
    if module == "numpy.random":
        return None if last in NUMPY_SEEDED and (call.args or call.keywords) else "global randomness"
    if module == "random":
        return None if last == "Random" and call.args else "global randomness"
    return None


def banned(source: str) -> list[str]:
    """ "line: call: why" for every call that a package may not make."""
    tree = ast.parse(source)
    known = aliases(tree)
    calls = [(node, full_name(node.func, known)) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    reasons = [(call.lineno, name, why_banned(call, name)) for call, name in calls]
    return [f"{line}: {name}: {why}" for line, name, why in sorted(reasons, key=str) if why]


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_imports_follow_the_arrow(path):
    package = path.relative_to(ROOT).parts[0]
    forbidden = {*PACKAGES, "scripts", "_run", "tests"} - MAY_IMPORT[package] - {package}
    assert imported(ast.parse(path.read_text(encoding="utf-8"))) & forbidden == set()


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_packages_are_pure(path):
    assert banned(path.read_text(encoding="utf-8")) == []


def test_all_packages_are_read():
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(PACKAGES)


BAD = [
    "import torch\ntorch.manual_seed(0)",
    "import torch\ntorch.cuda.manual_seed_all(0)",
    "import torch as t\nt.randn(3)",
    "import torch\ntorch.rand(3, generator=None)",
    "from torch import randint\nrandint(3, (2,))",
    "import torch\ntorch.randperm(3, device='cpu')",
    "import torch\ntorch.multinomial(p, 1)",
    "import torch\ntorch.bernoulli(p)",
    "import torch\ntorch.randn_like(p)",
    "x.normal_()",
    "model.weight.data.uniform_(-1, 1)",
    "f(x)[0].bernoulli_(0.5)",
    "import torch.nn.functional as F\nF.gumbel_softmax(x)",
    "from torch.distributions import Categorical\nCategorical(logits=x).sample()",
    "import numpy as np\nnp.random.rand(3)",
    "import numpy as np\nnp.random.default_rng()",
    "import numpy\nnumpy.random.seed(0)",
    "from numpy import random as npr\nnpr.shuffle(x)",
    "from numpy.random import permutation\npermutation(3)",
    "import random\nrandom.shuffle(x)",
    "from random import choice\nchoice(x)",
    "import random\nrandom.Random()",
    "from transformers import set_seed\nset_seed(0)",
    "from accelerate import Accelerator\nAccelerator()",
    "def f():\n    print('x')",
]
GOOD = [
    "import torch\ntorch.rand(3, generator=generator)\ntorch.zeros(3)\ntorch.Generator().manual_seed(0)",
    "import torch\ntorch.multinomial(p, 1, generator=g)",
    "x.normal_(generator=g)",
    "from torch import nn\nnn.init.normal_(w, std=0.02)\nnn.init.uniform_(w)",
    "from torch.nn import init\ninit.normal_(w)",
    "import numpy as np\nnp.random.default_rng(0).normal(size=3)\nnp.random.default_rng(seed=[1, 2])",
    "import random\nrandom.Random(0).shuffle(x)",
    "rng.shuffle(x)\nlog.print(x)",
]


@pytest.mark.parametrize("source", BAD)
def test_bad_snippets_are_caught(source):
    assert len(banned(source)) == 1


@pytest.mark.parametrize("source", GOOD)
def test_good_snippets_pass(source):
    assert banned(source) == []


def test_imports_are_found():
    source = "import a.b as c, d\nfrom e.f import g\nfrom . import h\nfrom .i import j\ndef k():\n    import l"
    assert imported(ast.parse(source)) == {"a", "d", "e", "l"}


def test_configs_are_quick_to_import():
    """`--help` needs the packages and their configs, and must not wait for the heavy libraries."""
    modules = [
        *PACKAGES,
        *(f"{package}.configs" for package in PACKAGES if (ROOT / package / "configs.py").exists()),
    ]
    heavy = {"torch", "transformers", "datasets", "evaluate", "accelerate", "scipy", "sklearn", "matplotlib"}
    code = f"import sys, {', '.join(modules)}; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
