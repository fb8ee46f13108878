"""All recipes by name: what papers published, and headstart's own."""

from __future__ import annotations

from headstart.errors import BadInputError
from headstart.experiments.arms import ARMS
from headstart.experiments.own_recipes import OWN
from headstart.experiments.published import PUBLISHED
from headstart.experiments.recipe import Recipe

RECIPES: dict[str, Recipe] = {**PUBLISHED, **OWN, **ARMS}


def recipe_called(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        BadInputError: there is none.

    >>> recipe_called("maml-omniglot-5w1s").published.value
    0.987
    """
    if name not in RECIPES:
        raise BadInputError(f"there is no recipe {name!r}; `headstart recipes` lists them.")
    return RECIPES[name]
