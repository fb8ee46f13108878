"""headstart learns *F*, which is shown a few examples of a new task and picks a good *f* for it.

>>> import headstart as hs
>>> learner = hs.MAML(hs.Conv4(ways=5), inner_lr=0.4, inner_steps=1, order=2)

The names below are imported when they are first used, so that ``headstart --help`` does not wait for PyTorch.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
