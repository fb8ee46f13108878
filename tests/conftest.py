"""What several tests share: one thread, no user's caches, the real Omniglot, and programs that are only traced.

``pytest`` runs two processes (``-n 2``), which share a folder for what is dear to make. The tests import PyTorch, and
this file does not, since the process that hands them out needs none.
"""

from __future__ import annotations

import functools
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # each of two processes; before PyTorch is imported, as is the next
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from headstart.datasets.image_classes import ImageClasses

collect_ignore = ["cli/extension.py"]  # which registers what it holds as soon as it is imported


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of this run of the tests."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(autouse=True, scope="session")
def no_user_cache(shared_folder: Path) -> Iterator[None]:
    """No test reads or writes the cache of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_folder / "cache"))
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(shared_folder / "compiled"))
        yield


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """Nothing that a test writes has to outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def only_traced() -> Iterator[None]:
    """The graph that would be compiled is run as it is."""
    from methods import not_compiled

    with not_compiled():
        yield


@pytest.fixture(scope="module")
def glyphs_are_drawn_once() -> Iterator[None]:
    """Every command draws the same 500 glyphs or more, which takes longer than all else that it does here."""
    from headstart.datasets import glyphs

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(glyphs.PENS, "one", functools.cache(glyphs.PENS["one"]))
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
def omniglot_cache(shared_folder: Path) -> Path:
    """The cache that ``omniglot`` fills, and where no other is named; tests copy it before they change it."""
    return shared_folder / "cache" / "headstart"


@pytest.fixture(scope="session")
def omniglot(omniglot_root: Path, omniglot_cache: Path) -> ImageClasses:
    """Omniglot at 28 x 28, its pictures read once for all processes."""
    from headstart.datasets.omniglot import load_omniglot

    with FileLock(omniglot_cache.parents[1] / "omniglot.lock"):
        return load_omniglot(omniglot_root, cache=omniglot_cache)
