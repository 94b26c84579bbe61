#!/usr/bin/env python3
"""Renders the pictures that the parity cases share, `images/*.png`.

Python 3.11 or newer and these packages:

    numpy==2.4.6  pillow==13.0.0

    images.py          # writes images/*.png beside this script, always the same bytes

Plain backgrounds with dark and bright shapes, a grating and mild noise, in few colours so that the files stay small.
The sizes are chosen for what a letterbox to 160x160 has to do with them: nothing, shrink by an odd factor with an odd
margin on either axis, shrink much, grow.
"""

from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
# name: (width, height, colour, seed)
PICTURES = {
    "gray-160x160": (160, 160, False, 1),
    "wide-233x141": (233, 141, True, 2),
    "tall-97x211": (97, 211, True, 3),
    "large-640x360": (640, 360, True, 4),
    "small-64x48": (64, 48, True, 5),
}
STEP = 8  # every value is a multiple of this, which is what keeps a noisy picture small


def disc(x, y, cx, cy, r):
    return (x - cx) ** 2 + (y - cy) ** 2 < r * r


def bar(x, y, cx, cy, length, width, angle):
    """A rectangle of any direction."""
    c, s = np.cos(angle), np.sin(angle)
    u, v = (x - cx) * c + (y - cy) * s, (y - cy) * c - (x - cx) * s
    return (abs(u) < length / 2) & (abs(v) < width / 2)


def render(width, height, colour, seed):
    """uint8 [height, width] or [height, width, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    side = min(width, height)
    depth = 3 if colour else 1

    def tone(low, high):
        return rng.integers(low, high, depth).astype(float)

    picture = np.empty((height, width, depth))
    picture[:] = tone(88, 152)
    # a grating in one corner, so that the resize kernel shows
    gx, gy = rng.uniform(0.1, 0.5) * width, rng.uniform(0.1, 0.5) * height
    within = (x > gx) & (x < gx + 0.4 * width) & (y > gy) & (y < gy + 0.3 * height)
    picture[within & (np.floor(x / max(2, side // 40)) % 2 == 0)] = tone(40, 80)
    for i in range(9):
        cx, cy = rng.uniform(0.08, 0.92) * width, rng.uniform(0.08, 0.92) * height
        size = side * rng.uniform(0.05, 0.2)
        value = tone(0, 64) if i % 2 else tone(190, 255)
        if i % 3 == 0:
            shape = disc(x, y, cx, cy, size)
        elif i % 3 == 1:
            shape = bar(x, y, cx, cy, 3.5 * size, 0.8 * size, rng.uniform(0, np.pi))
        else:
            shape = disc(x, y, cx, cy, size) & ~disc(x, y, cx, cy, 0.6 * size)
        picture[shape] = value
    # one pixel in twelve is off by two steps: noise that PNG still packs well
    noise = rng.choice([-2 * STEP, 0, 2 * STEP], (height, width, 1), p=[1 / 24, 11 / 12, 1 / 24])
    picture = np.clip(np.round((picture + noise) / STEP) * STEP, 0, 255).astype(np.uint8)
    return picture if colour else picture[..., 0]


def main():
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    for name, (width, height, colour, seed) in PICTURES.items():
        path = folder / f"{name}.png"
        Image.fromarray(render(width, height, colour, seed)).save(path, optimize=True)
        print(f"{path.name:20} {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
