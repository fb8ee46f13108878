"""One way for the data to flow: a room imports only from those before it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import headstart

SOURCE = Path(headstart.__file__).parent
ROOMS = """
    errors episodes params randomness
    system datasets tasks models update_rules learners distributed engine evaluation runs training
    problems experiments trained estimators reports cli __main__
""".split()  # noqa: SIM905

STUB = ast.parse((SOURCE / "__init__.pyi").read_text())
HOMES = {alias.name: node.module for node in STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names}
"""The module of every public name."""


def modules(source: Path) -> dict[str, ast.Module]:
    """Every module with content, by its name within the package; ``__init__.py`` of the package only names others."""
    files = {".".join(path.relative_to(source).with_suffix("").parts): path for path in source.rglob("*.py")}
    return {name: ast.parse(path.read_text()) for name, path in files.items() if not name.endswith("__init__")}


def room(name: str) -> str:
    """The room of a module, which is the module itself where it stands at the root."""
    return name.partition(".")[0]


def rooms_of_imports(module: ast.Module) -> set[str]:
    """The rooms that ``module`` imports from anywhere, inside of functions and by public names as well."""
    found = set()
    for node in ast.walk(module):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("hs", "headstart")
        ):
            found.add(f"headstart.{HOMES[node.attr]}")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the package in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {room(name.removeprefix("headstart.")) for name in found if name.startswith("headstart.")} & {*ROOMS}


def imported_modules(module: ast.Module) -> set[str]:
    """The modules of the package that ``module`` imports, by their names within it."""
    found = {node.module or "" for node in ast.walk(module) if isinstance(node, ast.ImportFrom)}
    return {name.removeprefix("headstart.") for name in found if name.startswith("headstart.")}


def violations(parsed: dict[str, ast.Module]) -> list[str]:
    """Which module imports from a room below its own."""
    return [
        f"{name} imports {other}"
        for name, module in parsed.items()
        for other in sorted(rooms_of_imports(module))
        if ROOMS.index(other) > ROOMS.index(room(name))
    ]


def test_every_module_is_in_a_room() -> None:
    assert {room(name) for name in modules(SOURCE)} == {*ROOMS}


def test_no_room_imports_from_one_below_it() -> None:
    assert violations(modules(SOURCE)) == []


def test_no_module_of_a_room_imports_one_that_imports_it() -> None:
    graph = {name: sorted(imported_modules(module)) for name, module in modules(SOURCE).items()}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize(
    "line",
    [
        "from headstart.cli.main import main",
        "from headstart import cli",
        "import headstart.cli.main",
        "import headstart as hs\nhs.register_method",
        "import headstart\nheadstart.register_method",
        "def f():\n    from headstart.cli.main import main",
        "if TYPE_CHECKING:\n    from headstart.cli.main import main",
    ],
)
def test_a_violation_is_seen_in_each_of_its_forms(line: str) -> None:
    (violation,) = violations({"tasks.sinusoid": ast.parse(line)})
    assert violation in ("tasks.sinusoid imports cli", "tasks.sinusoid imports experiments")


def test_the_packages_themselves_import_nothing_but_names_on_first_use() -> None:
    for path in SOURCE.rglob("__init__.py"):
        imported = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import)]
        names = {alias.name for node in imported for alias in node.names}
        assert names <= {"lazy_loader"}, path


@pytest.mark.parametrize(
    "code",
    [
        "import headstart, headstart.errors; headstart.BadInputError",
        "import headstart.cli.main as cli; cli.parse(['train', '--method', 'reptile'])",
        "import headstart.cli.main as cli; cli.parse(['train', '--help'])",
        "import headstart.cli.main as cli; cli.parse(['resume', '--help'])",
        "import headstart.cli.main as cli; cli.parse(['evaluate', '--help'])",
        "import headstart.cli.main as cli; cli.parse(['compare', '--help'])",
        "import headstart.cli.main as cli; cli.parse(['report', '--help'])",
        "import headstart.cli.main as cli; cli.parse(['adapt', '--help'])",
        "import headstart.cli.main as cli; cli.parse(['predict', '--help'])",
        "import headstart.cli.main as cli; cli.parse(['data', 'sheet', '--help'])",
        "import headstart.cli.main as cli; cli.main([])",
        "import headstart.cli.main as cli; cli.main(['train', '--bogus'])",
    ],
)
def test_neither_the_package_nor_the_command_line_waits_for_pytorch(code: str) -> None:
    heavy = "sorted({'torch', 'numpy', 'PIL', 'safetensors', 'matplotlib'} & set(sys.modules))"
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
