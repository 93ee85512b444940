"""AdamW whose weights are averaged instead of its rate being lowered: training without a last step in mind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor


class ScheduleFree(torch.optim.Optimizer):
    """Schedule-free AdamW.

    Three sequences of weights: z takes the steps, x is the mean of all z so far, and gradients are taken at y, which
    lies between them. The parameters hold y while they train; x is what validates and is kept (see `averages`).
    With step n = 1, 2, ... and the rate r, which rises linearly over `warmup` steps and then stays:

        v = beta2 v + (1 - beta2) g^2
        z = z - r (g / (sqrt(v / (1 - beta2^n)) + eps) + weight_decay y)
        x = (1 - c) x + c z,  c = w_n / (w_1 + ... + w_n),  w_n = min(1, n / warmup)^2
        y = (1 - beta1) z + beta1 x

    Unlike the package `schedulefree`, which computes x from y and z whenever it validates, this keeps x: what y is then
    does not depend on when a run validates or is interrupted.

    Args:
        groups: "params" and "weight_decay" of each, as `Trainable.parameter_groups` gives them.
        lr: The rate; assign to the groups' "lr" before each step, warmed up.
        betas: beta1 in [0, 1), how near y is to x, and beta2.
        warmup: Steps of the warm-up, whose z weigh less in the mean. 0 is none.
        eps: Added to the root.

    Source: Defazio, Yang, Mehta, Mishchenko, Khaled & Cutkosky (2024), "The road less scheduled", NeurIPS 37, algorithm
    1 with the weights of section 4.2; the correction of v is where Adam has it, as in the authors' code.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
        warmup: int,
        eps: float = 1e-8,
    ):
        super().__init__(groups, {"lr": lr, "betas": betas, "warmup": warmup, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_step: dict[int, list[Tensor]] = {}  # all the same, unless some parameter had no gradient before
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros(())
                    state["x"], state["z"] = parameter.detach().clone(), parameter.detach().clone()
                    state["exp_avg_sq"] = torch.zeros_like(parameter)
                state["step"] += 1
                by_step.setdefault(int(state["step"]), []).append(parameter)
            for step, parameters in by_step.items():
                self._step(group, step, parameters)
        return loss

    def _step(self, group: dict[str, Any], step: int, parameters: list[Tensor]) -> None:
        beta1, beta2 = group["betas"]
        gradients = [cast(Tensor, parameter.grad) for parameter in parameters]
        x, z, v = ([self.state[p][name] for p in parameters] for name in ("x", "z", "exp_avg_sq"))
        torch._foreach_mul_(v, beta2)
        torch._foreach_addcmul_(v, gradients, gradients, value=1 - beta2)
        roots = torch._foreach_div(v, 1 - beta2**step)
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, group["eps"])
        updates = torch._foreach_div(gradients, roots)
        if group["weight_decay"]:
            torch._foreach_add_(updates, parameters, alpha=group["weight_decay"])
        torch._foreach_add_(z, updates, alpha=-group["lr"])
        torch._foreach_lerp_(x, z, share(step, group["warmup"]))
        torch._foreach_copy_(parameters, z)
        torch._foreach_lerp_(parameters, x, beta1)

    def averages(self) -> list[tuple[Tensor, Tensor]]:
        """Each parameter that has made a step, and its x."""
        groups = self.param_groups
        return [(p, self.state[p]["x"]) for group in groups for p in group["params"] if self.state.get(p)]


def share(step: int, warmup: int) -> float:
    """Of z in the mean, c in the equations, at step 1, 2, ..."""
    if step <= warmup:
        return 6 * step / ((step + 1) * (2 * step + 1))
    warming = (warmup + 1) * (2 * warmup + 1) / (6 * warmup) if warmup else 0.0
    return 1 / (warming + step - warmup)
