#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attacks a checkpoint of PlainNet-3, ResNet or their twins with others' programs, and with ours.

    compare_attacks.py PROGRAM MODEL DATA [--images N] [--universal N]

PROGRAM is detrame-experiment, MODEL a model.safetensors trained on CIFAR-10, DATA the folder cifar-10-batches-bin. For
the first N test images: the accuracy under APGD of pyautoattack and of ours, by cross-entropy and DLR, in l_inf and l2; the
mean length of what changes a label, by foolbox's C&W and DDN, within [0, 1], and by our DeepFool. With --universal, the
rate on these images of a universal perturbation of N training images, by ART and by ours. Ends with status 1 where
accuracies differ by more than a point. Needs torch, numpy, safetensors, pyautoattack, foolbox;
adversarial-robustness-toolbox for --universal."""

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from load_in_torch import Network, cifar10
from safetensors import safe_open
from safetensors.numpy import load_file

RESTARTS, STEPS = 1, 100
REGIONS = (("inf", "Linf", 1 / 255), ("2", "L2", 36 / 255))
UNIVERSAL = {"xi": 10 / 255, "passes": 3}


class OnPixels(torch.nn.Module):
    """The network that a file holds, of pixels in [0, 1], in single precision."""

    def __init__(self, model):
        super().__init__()
        with safe_open(model, "np") as file:
            metadata = file.metadata()
        parameters = {name: torch.tensor(value, dtype=torch.float32) for name, value in load_file(model).items()}
        self.network = Network(metadata, parameters)
        self.mean, self.deviation = (
            torch.tensor([float(t) for t in metadata[key].split()], dtype=torch.float32).reshape(1, -1, 1, 1)
            for key in ("mean", "deviation"))

    def forward(self, x):
        return self.network((x - self.mean) / self.deviation)


def labels(model, x):
    with torch.no_grad():
        return torch.cat([model(part).argmax(1) for part in x.split(256)])


def ours(program, model, data, count, **options):
    """The row that our program writes of an attack."""
    with tempfile.TemporaryDirectory() as out:
        words = [word for name, value in options.items() for word in ("--" + name.replace("_", "-"), str(value))]
        subprocess.run([program, "attack", "--checkpoint", model, "--data", data, "--limit", str(count), "--out", out, *words],
                       check=True, stdout=subprocess.DEVNULL)
        with open(Path(out) / "attack.csv", encoding="utf-8") as file:
            return next(csv.DictReader(file))


def lengths(model, x, attack):
    """Of what changes the label, right or wrong: for how many it is found, and its mean length."""
    import foolbox

    _, attacked, success = attack(foolbox.PyTorchModel(model, bounds=(0, 1)), x, labels(model, x), epsilons=None)
    norms = (attacked - x).flatten(1).double().norm(dim=1)[success]
    return len(norms) / len(x), float(norms.mean())


def universal(model, x_train, x):
    from art.attacks.evasion import UniversalPerturbation
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(model=model, loss=torch.nn.CrossEntropyLoss(), input_shape=(3, 32, 32), nb_classes=10,
                                   clip_values=(0, 1), device_type="cpu")
    attack = UniversalPerturbation(classifier, attacker="deepfool", attacker_params={"max_iter": 10, "verbose": False},
                                   delta=0.01, max_iter=UNIVERSAL["passes"], eps=UNIVERSAL["xi"], norm=np.inf, verbose=False)
    attack.generate(x_train.numpy())
    v = torch.tensor(attack.noise).reshape(1, 3, 32, 32)
    return float((labels(model, x + v) != labels(model, x)).float().mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "model", "data"):
        parser.add_argument(name)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--universal", type=int, default=0)
    asked = parser.parse_args()
    from pyautoattack import AutoAttack
    import foolbox

    torch.manual_seed(1)
    model = OnPixels(asked.model).eval()
    x, y = cifar10(asked.data, "test_batch.bin", asked.images)
    run = lambda **options: ours(asked.program, asked.model, asked.data, asked.images, **options)  # noqa: E731

    print(f"{asked.images} images, clean accuracy {100 * float((labels(model, x) == y).float().mean()):.2f} %", flush=True)
    worst = 0.0
    for p, norm, epsilon in REGIONS:
        for loss, name in (("cross-entropy", "apgd-ce"), ("dlr", "apgd-dlr")):
            theirs = AutoAttack(model, norm=norm, eps=epsilon, version="custom", attacks=[name], seed=1)
            theirs.apgd.n_restarts = RESTARTS
            attacked, _ = theirs.run_standard_evaluation(x, y, batch_size=256)
            a = float((labels(model, attacked) == y).float().mean())
            b = float(run(method="apgd", p=p, xi=repr(epsilon), loss=loss, steps=STEPS, restarts=RESTARTS)["accuracy_clipped"])
            worst = max(worst, abs(a - b))
            print(f"{name:9} l_{p:3} {255 * epsilon:5.1f}/255: accuracy {100 * a:.2f} % by pyautoattack, {100 * b:.2f} % by ours",
                  flush=True)

    for name, attack in (("C&W", foolbox.attacks.L2CarliniWagnerAttack(steps=300)), ("DDN", foolbox.attacks.DDNAttack(steps=100))):
        found, mean = lengths(model, x, attack)
        print(f"{name} of foolbox: |v|_2 {mean:.4f} in the mean, of {100 * found:.1f} %", flush=True)
    row = run(method="deepfool", p="2")
    print(f"DeepFool of ours: |v|_2 {float(row['l2']):.4f} in the mean, of {100 - 100 * float(row['discarded']):.1f} %", flush=True)

    if asked.universal:
        x_train, _ = cifar10(asked.data, "data_batch_1.bin", asked.universal)
        theirs = universal(model, x_train, x)
        row = run(method="universal", p="inf", xi=repr(UNIVERSAL["xi"]), passes=UNIVERSAL["passes"], images=asked.universal,
                  delta=0.01)
        print(f"universal, xi = {UNIVERSAL['xi']:.4f}, of {asked.universal} images: {100 * theirs:.1f} % by ART, "
              f"{100 * float(row['changed']):.1f} % by ours, {100 * float(row['changed_random']):.1f} % by random signs", flush=True)
    if worst > 0.01:
        sys.exit(1)


if __name__ == "__main__":
    main()
