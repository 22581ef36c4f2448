# SPDX-License-Identifier: Apache-2.0
"""Patches of pictures, for the scripts that compare codes: of a test card that is drawn here, or of gray CIFAR-10 images."""
import numpy as np


def test_card(n=512):
    """Rings, wedges, stripes of growing frequency, steps, disks, smooth shading and a little grain, in [0, 1]."""
    y, x = np.mgrid[0:n, 0:n] / n
    card = .5 + .2 * np.sin(3 * x + 5 * y * y)
    card += .3 * np.where(y < .25, np.sign(np.sin(40 * np.exp(2.5 * x))), 0)
    radius = np.hypot(x - .3, y - .6)
    card += .3 * np.where(radius < .22, np.cos(900 * radius * radius), 0)
    angle = np.arctan2(y - .6, x - .75)
    card += .3 * np.where(np.hypot(x - .75, y - .6) < .22, np.sign(np.sin(18 * angle)), 0)
    card += np.where((y > .86) & (y < .96), np.floor(12 * x) / 12 - .5, 0)
    random = np.random.default_rng(0)
    for cx, cy, r, v in random.random((60, 4)):
        card[np.hypot(x - cx, y - cy) < .03 * r] = v
    return card + .01 * random.standard_normal(card.shape)


def pictures(folder=None):
    """The test card, or the images of the binary version of CIFAR-10 in that folder."""
    if folder is None:
        return test_card()[None]
    raw = np.fromfile(folder / "data_batch_1.bin", dtype=np.uint8).reshape(-1, 3073)[:, 1:]
    return np.tensordot(raw.reshape(-1, 3, 32, 32), [.299, .587, .114], axes=(1, 0)) / 255


def patches(images, side, count, random):
    """side^2 x count: means removed, unit norm."""
    chosen = []
    while len(chosen) < count:
        y, x = random.integers(images.shape[1] - side + 1, size=2)
        patch = images[random.integers(len(images)), y:y + side, x:x + side].ravel()
        patch = patch - patch.mean()
        if np.linalg.norm(patch) > 1e-2:
            chosen.append(patch / np.linalg.norm(patch))
    return np.array(chosen).T
