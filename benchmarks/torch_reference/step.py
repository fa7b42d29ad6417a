"""An update step of a model whose forward pass returns its loss."""

from collections.abc import Callable

import torch

from fdbpl_jax.config import OptimConfig


def make_step(
    model: torch.nn.Module, optim: OptimConfig, compiled: bool = False
) -> Callable[..., torch.Tensor]:
    """Make a step of SGD with momentum; towers run in bfloat16 on a GPU.

    Args:
      model: on its device; called with a batch, it returns a loss.
      optim: learning rate, momentum and weight decay.
      compiled: by `torch.compile`.

    Returns:
      A function of a batch of tensors, on any device, that updates the parameters and
      returns the loss, detached.
    """
    learnable = [p for p in model.parameters() if p.requires_grad]
    place = learnable[0].device
    optimiser = torch.optim.SGD(
        learnable,
        lr=optim.lr,
        momentum=optim.momentum,
        weight_decay=optim.weight_decay,
    )
    loss_of = torch.compile(model) if compiled else model

    def step(*batch: torch.Tensor) -> torch.Tensor:
        there = [tensor.to(place, non_blocking=True) for tensor in batch]
        half = place.type == "cuda"
        with torch.autocast(place.type, torch.bfloat16, enabled=half):
            loss = loss_of(*there)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step
