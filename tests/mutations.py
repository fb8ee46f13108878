"""Damage to files, drawn from a seed: what disks, editors and people with bad intentions do."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOSTILE: list[Any] = [
    None, True, -1, 0, 10**12, -1e300, float("inf"), float("nan"), "", "x" * 3000, "١٢", [], {}, [[]], {"a": 1},
    {"@tensor": "x"}, {"@tuple": [1]}, {"@number": "nan"}, {"@items": [[1, 2]]}, {"@new": 3},
]  # fmt: skip
"""Values in the place of others, in JSON."""


def mutated_bytes(content: bytes, draw: random.Random) -> bytes:
    """Flips, cuts, doubles, or overwrites a part."""
    start, stop = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    kind = draw.randrange(6)
    if kind <= 1 and content:
        flipped = bytearray(content)
        for _ in range(1 if kind == 0 else draw.randrange(1, 20)):
            flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
        return bytes(flipped)
    return [
        content[:start],
        content[:start] + content[stop:],
        content[:stop] + content[start:],
        content[:start] + draw.randbytes(stop - start) + content[stop:],
    ][draw.randrange(4)]


def mutated_json(content: bytes, draw: random.Random) -> bytes:
    """Puts something hostile in the place of a value, drops an entry, or nests beyond reason."""
    value = json.loads(content)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(value)
    node, key = draw.choice(places)
    kind = draw.randrange(10)
    if kind == 0:
        del node[key]
    else:
        node[key] = draw.choice(HOSTILE) if kind > 2 else "@@"
    text = json.dumps(value)
    return text.replace('"@@"', "9" * 5000 if kind == 1 else "[" * 100_000).encode()


def mutated_place(path: Path, draw: random.Random) -> None:
    """Puts something else in the place of the file, or of the folder that it is in."""
    kind = draw.randrange(7)
    if kind == 6 and path.parent.name.startswith("step-"):
        names = ["step-x", "step-1e3", "step--5", "step-١٢", "step-9999999", "step-" + "9" * 200]
        path.parent.rename(path.parent.with_name(draw.choice(names)))
        return
    content = path.read_bytes()
    path.unlink()
    if kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to(draw.choice(["/dev/zero", "/dev/full", "/dev/null", path.name, "/nowhere"]))
    elif kind == 3:
        path.mkdir()
    elif kind == 4:
        others = [other for other in sorted(path.parent.iterdir()) if other.is_file()]
        path.symlink_to(draw.choice(others).resolve()) if others else None
    elif kind == 5:
        with path.open("wb") as sparse:
            sparse.write(content)
            sparse.truncate(2**33)


def mutate(path: Path, draw: random.Random) -> str:
    """Damages one file, and says how."""
    kinds: list[Callable[[bytes, random.Random], bytes] | None] = [mutated_bytes, mutated_bytes, None]
    if path.suffix == ".json":
        kinds += [mutated_json, mutated_json]
    change = draw.choice(kinds)
    if change:
        path.write_bytes(change(path.read_bytes(), draw))
    else:
        mutated_place(path, draw)
    return f"{change.__name__ if change else 'mutated_place'} of {path.name}"


def copied(source: Path, target: Path) -> Path:
    """A fresh copy of a folder, in the place of the one before."""
    if target.exists():
        shutil.rmtree(target)
    return Path(shutil.copytree(source, target))
