#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/optim/torch.txt: what PyTorch's optimisers, schedules and clipping do in 50 steps, for torch_test.cpp.

    tests/optim/make_torch.py > tests/optim/torch.txt          needs PyTorch: pip install torch numpy

Three tensors: weight 3 x 4, h 4 x 1, W_tilde 3 x 3. The gradient of entry i, row by row, of tensor n in step t is
2^(t mod 3 - 1) ((7 i + 13 t + 5 n) mod 17 - 8) / 16 + p / 4: exact but for the sum, which is rounded once. The start is
((5 i + 3 n) mod 9 - 4) / 8. A projected case clamps h to [0, 1] and zeroes the diagonal of W_tilde after each step.
Quantities are named case.scalar.tensor.steps; case.scalar.norms and case.rates are of all 50 steps. Numbers are
hexadecimal: exact.
"""

import torch
from torch.optim import lr_scheduler

STEPS, AFTER = 50, (1, 2, 10, 50)
SHAPES = {"weight": (3, 4), "h": (4, 1), "W_tilde": (3, 3)}


def steps_at(optimiser):
    return lr_scheduler.MultiStepLR(optimiser, [10, 30], gamma=0.2)


def warmed_up(then):
    def both(optimiser):
        first = lr_scheduler.LinearLR(optimiser, start_factor=0.1, total_iters=8)
        return lr_scheduler.ChainedScheduler([first, then(optimiser)])

    return both


def cosine(last):
    return lambda optimiser: lr_scheduler.CosineAnnealingLR(optimiser, T_max=STEPS, eta_min=last)


def sgd(rate=0.125, **how):
    return lambda parameters: torch.optim.SGD(parameters, lr=rate, **how)


def adamw(rate=0.01, **how):
    return lambda parameters: torch.optim.AdamW(parameters, lr=rate, **how)


# name: optimiser, schedule, norm of clipping, whether projected
CASES = {
    "sgd": (sgd(), None, None, False),
    "momentum": (sgd(momentum=0.9), None, None, False),
    "nesterov": (sgd(momentum=0.9, nesterov=True), None, None, False),
    "decay": (sgd(momentum=0.5, weight_decay=0.05), None, None, False),
    "nesterov_decay": (sgd(momentum=0.5, weight_decay=0.05, nesterov=True), None, None, False),
    "adamw": (adamw(), None, None, False),
    "adamw_decay": (adamw(0.02, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.5), None, None, False),
    "adamw_no_mean": (adamw(0.02, betas=(0.0, 0.99), weight_decay=0), None, None, False),
    "clip": (sgd(momentum=0.9), None, 1.5, False),
    "clip_nesterov": (sgd(momentum=0.9, weight_decay=0.05, nesterov=True), None, 1.5, False),
    "clip_adamw": (adamw(0.02), None, 1.5, False),
    "steps": (sgd(momentum=0.9), steps_at, None, False),
    "cosine": (sgd(momentum=0.9), cosine(0.01), None, False),
    "warm_up_steps": (sgd(momentum=0.9), warmed_up(steps_at), None, False),
    "warm_up_cosine": (adamw(0.02), warmed_up(cosine(0)), None, False),
    "projected": (sgd(momentum=0.9, weight_decay=0.05), None, None, True),
    "projected_nesterov": (sgd(momentum=0.9, nesterov=True), None, 1.5, True),
    "projected_adamw": (adamw(0.05), None, None, True),
}


def write(name, matrix):
    print(name, *matrix.shape)
    for row in matrix.tolist():
        print(*(float(entry).hex() for entry in row))


def run(name, case, dtype, scalar):
    make, schedule, norm, projected = case
    theta = {}
    for n, (tensor, (rows, cols)) in enumerate(SHAPES.items()):
        entries = [((5 * i + 3 * n) % 9 - 4) / 8 for i in range(rows * cols)]
        theta[tensor] = torch.tensor(entries, dtype=dtype).reshape(rows, cols).requires_grad_()
    optimiser = make(list(theta.values()))
    scheduler = schedule(optimiser) if schedule else None
    norms, rates = [], []
    for t in range(STEPS):
        for n, p in enumerate(theta.values()):
            entries = [2.0 ** (t % 3 - 1) * ((7 * i + 13 * t + 5 * n) % 17 - 8) / 16 for i in range(p.numel())]
            p.grad = torch.tensor(entries, dtype=dtype).reshape(p.shape) + p.detach() / 4
        if norm is not None:
            norms.append(torch.nn.utils.clip_grad_norm_(theta.values(), norm).item())
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if scheduler:
            scheduler.step()
        if projected:
            with torch.no_grad():
                theta["h"].clamp_(0, 1)
                theta["W_tilde"].fill_diagonal_(0)
        if t + 1 in AFTER:
            for tensor, p in theta.items():
                write(f"{name}.{scalar}.{tensor}.{t + 1}", p.detach())
    if norm is not None:
        write(f"{name}.{scalar}.norms", torch.tensor([norms], dtype=torch.float64))
    if scheduler and scalar == "double":
        write(f"{name}.rates", torch.tensor([rates], dtype=torch.float64))


def main():
    print("# SPDX-License-Identifier: Apache-2.0")
    print(f"# by tests/optim/make_torch.py with PyTorch {torch.__version__.split('+')[0]}")
    for name, case in CASES.items():
        run(name, case, torch.float64, "double")
        run(name, case, torch.float32, "float")


if __name__ == "__main__":
    main()
