"""One way for the data to flow: a module imports only from those to its left."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import headstart

SOURCE = Path(headstart.__file__).parent
ORDER = """
    errors environment atomic randomness episodes params ranks
    datasets.image_classes datasets.sinusoid datasets.quadratics datasets.resizing datasets.download
    datasets.omniglot_alphabets datasets.omniglot_source datasets.omniglot datasets.glyphs datasets.sheet
    datasets.splits
    tasks
    models.normalization models.conv4 models.mlp models.low_rank models.searchable models.transformer
    update_rules.base update_rules.sgd update_rules.adam
    update_rules.meta_sgd update_rules.layer_step_rates update_rules.meta_curvature
    update_rules.learned_optimizer
    recomputation inner_loop conjugate_gradient
    learners.base learners.maml learners.maml_plus_plus learners.learning_to_optimize learners.reptile
    learners.structure_search learners.any_ways learners.pretraining learners.unicorn_maml learners.implicit_maml
    learners.cavia learners.metric learners.prototypes learners.matching learners.proto_maml
    patches precision compilation programs recording work planning meta_gradient
    evaluation
    runs progress
    training_state validation
    training
    recipes.methods config recipes.defaults commands
    launching
    building experiment
    running
    cli __main__
""".split()  # noqa: SIM905


def modules(source: Path) -> dict[str, ast.Module]:
    """Every module with content, by its name within the package; ``__init__.py`` of the package only names others."""
    files = {".".join(path.relative_to(source).with_suffix("").parts): path for path in source.rglob("*.py")}
    return {name: ast.parse(path.read_text()) for name, path in files.items() if not name.endswith("__init__")}


def imports(module: ast.Module, known: list[str]) -> set[str]:
    """The modules of the package that ``module`` imports anywhere, inside of functions as well."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the package in full"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.removeprefix("headstart.") for name in found} & set(known)


def violations(parsed: dict[str, ast.Module], order: list[str]) -> list[str]:
    place = {name: position for position, name in enumerate(order)}
    return [
        f"{name} imports {other}"
        for name, module in parsed.items()
        for other in sorted(imports(module, order))
        if place[other] >= place[name]
    ]


def test_every_module_has_one_place_in_the_order() -> None:
    assert sorted(ORDER) == sorted(modules(SOURCE))


def test_no_module_imports_from_its_right() -> None:
    assert violations(modules(SOURCE), ORDER) == []


@pytest.mark.parametrize(
    "line",
    [
        "from headstart.cli import main",
        "from headstart import cli",
        "import headstart.cli",
        "def f():\n    from headstart.cli import main",
        "if TYPE_CHECKING:\n    from headstart.cli import main",
    ],
)
def test_a_violation_is_seen_in_each_of_its_forms(line: str) -> None:
    parsed = {**modules(SOURCE), "tasks": ast.parse(line)}
    assert violations(parsed, ORDER) == ["tasks imports cli"]


def test_the_packages_themselves_import_nothing_but_names_on_first_use() -> None:
    for path in SOURCE.rglob("__init__.py"):
        imported = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import)]
        names = {alias.name for node in imported for alias in node.names}
        assert names <= {"lazy_loader"}, path


@pytest.mark.parametrize(
    "code",
    [
        "import headstart, headstart.errors; headstart.BadInputError",
        "import headstart.cli as cli; cli.parse(['train', '--method', 'reptile'])",
        "import headstart.cli as cli; cli.parse(['train', '--help'])",
        "import headstart.cli as cli; cli.parse(['resume', '--help'])",
        "import headstart.cli as cli; cli.parse(['evaluate', '--help'])",
        "import headstart.cli as cli; cli.parse(['data', '--help'])",
        "import headstart.cli as cli; cli.main([])",
        "import headstart.cli as cli; cli.main(['train', '--bogus'])",
    ],
)
def test_neither_the_package_nor_the_command_line_waits_for_pytorch(code: str) -> None:
    heavy = "sorted({'torch', 'numpy', 'PIL', 'safetensors'} & set(sys.modules))"
    program = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('heavy:', {heavy})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_every_public_name_resolves_to_what_the_stub_says() -> None:
    stub = ast.parse((SOURCE / "__init__.pyi").read_text())
    lines = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    assert len(lines) >= 20
    for node in lines:
        for alias in node.names:
            assert alias.asname == alias.name, "an explicit re-export"
            public = getattr(headstart, alias.name)
            assert alias.name in dir(headstart)
            if isinstance(public, type) or callable(public):
                assert getattr(public, "func", public).__module__ == f"headstart.{node.module}"  # of a partial too


def test_the_version_is_that_of_the_project() -> None:
    project = (SOURCE.parents[1] / "pyproject.toml").read_text()
    assert re.search(r'^version = "(.*)"$', project, re.MULTILINE)[1] == headstart.__version__  # type: ignore[index]
