"""What several tests share: the real Omniglot, where there is one."""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # before PyTorch is imported, as the command line does

from collections.abc import Iterator
from pathlib import Path

import pytest

from headstart.datasets.image_classes import ImageClasses
from headstart.datasets.omniglot import load_omniglot

collect_ignore = ["cli/extension.py"]  # which registers what it holds as soon as it is imported


@pytest.fixture(autouse=True, scope="session")
def no_user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the cache of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def omniglot_root() -> Path:
    """The folder with Omniglot's two archives; the test is skipped where there is none."""
    named = os.environ.get("HEADSTART_DATA")
    root = Path(named) if named else Path(__file__).parents[2] / "shared" / "omniglot"
    if not named and not root.is_dir():
        pytest.skip("no Omniglot: set HEADSTART_DATA to the folder with its two archives")
    return root


@pytest.fixture(scope="session")
def omniglot_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache that ``omniglot`` fills; tests may read it, and copy it before they change it."""
    return tmp_path_factory.mktemp("omniglot-cache")


@pytest.fixture(scope="session")
def omniglot(omniglot_root: Path, omniglot_cache: Path) -> ImageClasses:
    """Omniglot at 28 x 28, read once per session."""
    return load_omniglot(omniglot_root, cache=omniglot_cache)
