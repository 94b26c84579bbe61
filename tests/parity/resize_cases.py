#!/usr/bin/env python3
"""Writes `resize/`: pictures and what OpenCV, PIL and torchvision make of them when they resize them.

    numpy==2.4.6  opencv-python-headless==5.0.0.93  pillow==13.0.0  torch==2.15.0  torchvision==0.29.2

A picture is `NAME.png`, what became of it `NAME--KERNEL--WIDTHxHEIGHT.png`. `tests/parity.rs` compares the
kernels that the manifest knows with them.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

HERE = Path(__file__).resolve().parent / "resize"


def pictures():
    """A smooth one with edges as a photograph has, a grating, and noise; gray and colour; odd sides."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:61, 0:97].astype(np.float64)
    smooth = 120 + 80 * np.sin(x / 17) * np.cos(y / 11) + 50 * (np.hypot(x - 60, y - 30) < 14) + rng.normal(0, 3, x.shape)
    yield "photo-gray", smooth
    yield "grating-gray", 127.5 + 127.5 * np.sin(x * 1.1 + y * 0.7)
    yield "noise-gray", rng.integers(0, 256, x.shape)
    yield "photo-colour", np.stack([smooth, smooth[::-1], 255 - smooth[:, ::-1]], -1)
    yield "noise-colour", rng.integers(0, 256, (40, 52, 3))
    yield "even-gray", rng.integers(0, 256, (48, 64))


def main():
    HERE.mkdir(exist_ok=True)
    for old in HERE.glob("*.png"):
        old.unlink()
    pil = {"pillow-bilinear": Image.BILINEAR, "pillow-bicubic": Image.BICUBIC}
    torch_modes = {"torchvision-bilinear": v2.InterpolationMode.BILINEAR, "torchvision-bicubic": v2.InterpolationMode.BICUBIC}
    opencv = {"opencv-linear": cv2.INTER_LINEAR, "opencv-area": cv2.INTER_AREA}
    for name, values in pictures():
        a = np.clip(np.round(values), 0, 255).astype(np.uint8)
        Image.fromarray(a).save(HERE / f"{name}.png", optimize=True)
        h, w = a.shape[:2]
        for to in ((33, 25), (w // 2, h // 2), (w // 3, h // 3), (w + 31, h + 18), (w + 20, h - 20), (w, 2 * h)):
            def save(kernel, out):
                Image.fromarray(out).save(HERE / f"{name}--{kernel}--{to[0]}x{to[1]}.png", optimize=True)
            for kernel, mode in pil.items():
                save(kernel, np.asarray(Image.fromarray(a).resize(to, mode)))
            for kernel, mode in opencv.items():
                save(kernel, cv2.resize(a, to, interpolation=mode))
            planes = torch.from_numpy(a[None] if a.ndim == 2 else a.transpose(2, 0, 1).copy())
            for kernel, mode in torch_modes.items():
                out = v2.functional.resize(planes, [to[1], to[0]], interpolation=mode, antialias=True).numpy()
                save(kernel, out[0] if a.ndim == 2 else np.ascontiguousarray(out.transpose(1, 2, 0)))


if __name__ == "__main__":
    main()
