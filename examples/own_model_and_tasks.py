"""Your own model and your own tasks: learn where to start on lines, when each task shows three points of one.

python examples/own_model_and_tasks.py
"""

import torch

import headstart as hs


class LineTasks:
    """``y = slope * x + offset``: any class with this one method is a task distribution."""

    def sample(self, count: int, generator: torch.Generator) -> hs.Episodes:
        """``count`` tasks of 3 support and 20 query points."""
        slope, offset = torch.randn(2, count, 1, 1, generator=generator) + 2
        x = torch.rand(count, 23, 1, generator=generator) * 4 - 2
        y = slope * x + offset
        return hs.Episodes(hs.Examples(x[:, :3], y[:, :3]), hs.Examples(x[:, 3:], y[:, 3:]))


torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
learner = hs.MAML(model, inner_lr=0.05, inner_steps=3)
print("before", hs.evaluate(learner, LineTasks(), count=200))
hs.train(learner, LineTasks(), meta_steps=300, optimizer=lambda params: torch.optim.Adam(params, lr=1e-2))
print("after ", hs.evaluate(learner, LineTasks(), count=200))
