#!/usr/bin/env python3
"""Trains, exports and measures the bare-board defect detector of `models/pcb`.

Python 3.11 or newer and these packages:

    torch==2.15.0  numpy==2.4.6  scipy==1.17.1  pillow==13.0.0  onnx==1.23.2  onnxruntime==1.32.0

The data is DeepPCB: pairs of 640x640 pictures, `X_test.jpg` (inspected) and `X_temp.jpg` (defect-free, aligned),
and one label file a pair, `x1 y1 x2 y2 type` a line. All folders are options; nothing is read from elsewhere.

    train.py --data DIR splits                     # writes splits/*.txt beside this script
    train.py --data DIR --work DIR train --start FIRST.onnx   # resumes from --work/last.pt where there is one
    train.py --work DIR export                     # averaged weights -> model.onnx, model.toml
    train.py --data DIR evaluate --part validation # measured through onnxruntime, as the Rust side decodes
    train.py --data DIR choose                     # limits for model.toml, on the validation part
    train.py --data DIR reference                  # writes reference.jsonl
"""

import argparse
import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent
KINDS = ["open", "short", "mousebite", "spur", "copper", "pin-hole"]
SIZE, STRIDE, CROP = 640, 8, 448
WIDTHS = (16, 32, 64, 96, 128)  # channels at strides 2, 4, 8, 16, 32
DRAWN = 0.4  # share of crops that show a board turned and scaled at will, with drawn defects only
PARTS = {
    "train": ["group00041", "group13000", "group77000", "group92000"],
    "validation": ["group50600"],
    "calibration": ["group20085", "group44000"],
}
IOU_RIGHT = 0.33  # a detection is right above this overlap (the data set's own script)


# ---------------------------------------------------------------- data

def label_path(data, panel):
    folder, name = (Path(data) / panel).parent, Path(panel).name.removesuffix("_test")
    return folder.with_name(folder.name + "_not") / f"{name}.txt"


def read_labels(data, panel):
    """Boxes [n, 4] (x1 y1 x2 y2, pixels) and kinds [n] of one panel."""
    rows = [list(map(int, line.replace(",", " ").split())) for line in label_path(data, panel).read_text().splitlines() if line.strip()]
    rows = np.array(rows, np.int64).reshape(-1, 5)
    return rows[:, :4].astype(np.float32), rows[:, 4] - 1


def read_pair(data, panel):
    """uint8 [2, 640, 640]: the test picture, then its template."""
    test = Path(data) / f"{panel}.jpg"
    temp = test.with_name(test.name.replace("_test.jpg", "_temp.jpg"))
    return np.stack([np.asarray(Image.open(p).convert("L"), np.uint8) for p in (test, temp)])


def read_split(part):
    lines = (HERE / "splits" / f"{part}.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def load(data, part):
    panels = read_split(part)
    pairs = np.stack([read_pair(data, p) for p in panels])
    return panels, pairs, [read_labels(data, p) for p in panels]


def command_splits(args):
    (HERE / "splits").mkdir(exist_ok=True)
    for part, groups in PARTS.items():
        ids = []
        for group in groups:
            for path in (Path(args.data) / group).rglob("*_test.jpg"):
                panel = path.relative_to(args.data).with_suffix("").as_posix()
                if label_path(args.data, panel).exists():
                    ids.append(panel)
        (HERE / "splits" / f"{part}.txt").write_text("".join(f"{i}\n" for i in sorted(ids)))
        print(part, len(ids))
    (HERE / "splits" / "test.txt").write_text("# The test part is the data set's public test list. It is kept apart: no id of it was used here.\n")


# ---------------------------------------------------------------- decoding and measure (numpy; the Rust side does the same)

def iou_matrix(a, b):
    lt, rb = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(rb - lt, 0, None).prod(-1)
    area = lambda x: np.clip(x[:, 2:] - x[:, :2], 0, None).prod(-1)
    union = area(a)[:, None] + area(b)[None] - inter
    return np.where(union > 0, inter / np.maximum(union, 1e-9), 0.0)


def decode(scores, boxes, confidence, iou, iou_across=None):
    """scores [6, h, w], boxes [4, h, w] -> rows (x0, y0, x1, y1, score, kind), most certain first."""
    kinds, h, w = scores.shape
    kind, cell = np.nonzero(scores.reshape(kinds, -1) >= confidence)
    score = scores.reshape(kinds, -1)[kind, cell]
    order = np.lexsort((cell, kind, -score))
    kind, cell, score = kind[order], cell[order], score[order]
    cx, cy = (cell % w + 0.5) * STRIDE, (cell // w + 0.5) * STRIDE
    l, t, r, b = boxes.reshape(4, -1)[:, cell]
    box = np.stack([cx - l, cy - t, cx + r, cy + b], 1)
    box = np.stack([np.clip(box[:, i], 0, (w, h)[i % 2] * STRIDE) for i in range(4)], 1).astype(np.float32)
    kept = []
    if len(box):
        overlap = iou_matrix(box, box)
        for i in range(len(box)):
            for j in kept:
                if (kind[i] == kind[j] and overlap[i, j] > iou) or (iou_across is not None and overlap[i, j] > iou_across):
                    break
            else:
                kept.append(i)
    return np.concatenate([box[kept], score[kept, None], kind[kept, None]], 1) if kept else np.zeros((0, 6), np.float32)


def match(found, labels):
    """All detections of all panels, most certain first: columns score, kind, right (1) or not (0)."""
    rows = [(r[4], int(r[5]), p, r[:4]) for p, rs in enumerate(found) for r in rs]
    rows.sort(key=lambda r: -r[0])
    used = [np.zeros(len(k), bool) for _, k in labels]
    out = np.zeros((len(rows), 3), np.float64)
    for n, (score, kind, p, box) in enumerate(rows):
        boxes, kinds = labels[p]
        right = 0
        if len(boxes):
            overlap = iou_matrix(box[None], boxes)[0]
            overlap[(kinds != kind) | used[p]] = -1
            best = int(overlap.argmax())
            if overlap[best] > IOU_RIGHT:
                used[p][best], right = True, 1
        out[n] = score, kind, right
    return out


def average_precision(matched, labels):
    total = np.bincount(np.concatenate([k for _, k in labels]), minlength=len(KINDS))
    ap = []
    for kind in range(len(KINDS)):
        right = matched[matched[:, 1] == kind, 2]
        precision = np.cumsum(right) / np.arange(1, len(right) + 1)
        ap.append(float((precision * right).sum() / total[kind]))
    return ap, total


def f_score(matched, total, confidence):
    m = matched[matched[:, 0] >= confidence]
    right, found = m[:, 2].sum(), len(m)
    p, r = right / max(found, 1), right / total
    return 2 * p * r / max(p + r, 1e-9), p, r, int(right), found


def best_f(matched, total):
    right = np.cumsum(matched[:, 2])
    f = 2 * right / (np.arange(1, len(right) + 1) + total)
    if not len(f):
        return 0.0, 1.0
    n = int(f.argmax())
    return float(f[n]), float(matched[n, 0])


# ---------------------------------------------------------------- network

def build(widths=WIDTHS):
    import torch
    from torch import nn
    import torch.nn.functional as F

    class Conv(nn.Module):
        """3x3 or 1x1 convolution, batch norm, ReLU; with `skip` the input is added before the ReLU."""

        def __init__(self, cin, cout, k=3, stride=1, skip=False, act=True):
            super().__init__()
            self.conv = nn.Conv2d(cin, cout, k, stride, k // 2, bias=False)
            self.bn = nn.BatchNorm2d(cout, momentum=0.03)
            self.skip, self.act = skip, act

        def forward(self, x):
            y = self.bn(self.conv(x))
            if self.skip:
                y = y + x
            return F.relu(y) if self.act else y

        def fold(self):
            """The same as one convolution with bias."""
            scale = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
            conv = nn.Conv2d(self.conv.in_channels, self.conv.out_channels, self.conv.kernel_size, self.conv.stride, self.conv.padding)
            conv.weight.data = self.conv.weight.data * scale.data[:, None, None, None]
            conv.bias.data = (self.bn.bias - self.bn.running_mean * scale).data
            self.conv, self.bn = conv, nn.Identity()

    class Net(nn.Module):
        """Test and template in, kinds and box sides of an 80x80 grid out."""

        def __init__(self):
            super().__init__()
            a, b, c, d, e = widths
            self.stem = Conv(12, a)
            self.s4 = nn.Sequential(Conv(a, b, stride=2), Conv(b, b, skip=True), Conv(b, b, skip=True))
            self.s8 = nn.Sequential(Conv(b, c, stride=2), Conv(c, c, skip=True))
            self.s16 = nn.Sequential(Conv(c, d, stride=2), Conv(d, d, skip=True), Conv(d, d, skip=True))
            self.s32 = nn.Sequential(Conv(d, e, stride=2), Conv(e, e, skip=True))
            self.up16 = Conv(e, d, 1, act=False)
            self.up8 = Conv(d, c, 1, act=False)
            self.head = Conv(c, c)
            self.kinds = nn.Conv2d(c, len(KINDS), 1)
            self.sides = nn.Conv2d(c, 4, 1)
            nn.init.normal_(self.kinds.weight, std=0.01)
            nn.init.constant_(self.kinds.bias, -5.0)
            nn.init.normal_(self.sides.weight, std=0.01)
            nn.init.constant_(self.sides.bias, 2.0)

        def raw(self, pair):
            test, temp = pair[:, 0:1], pair[:, 1:2]
            x = torch.cat([test, temp, (test - temp).abs()], 1)
            if self.stem.conv.stride == (1, 1):
                x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
            x = self.stem(x)
            x8 = self.s8(self.s4(x))
            x16 = self.s16(x8)
            x32 = self.s32(x16)
            x16 = F.relu(x16 + F.interpolate(self.up16(x32), scale_factor=2.0, mode="nearest"))
            x8 = F.relu(x8 + F.interpolate(self.up8(x16), scale_factor=2.0, mode="nearest"))
            x8 = self.head(x8)
            return self.kinds(x8), self.sides(x8)

        def forward(self, pair):
            kinds, sides = self.raw(pair)
            return torch.sigmoid(kinds), F.softplus(sides) * STRIDE

        def fold(self):
            for m in list(self.modules()):
                if isinstance(m, Conv):
                    m.fold()
            # Unshuffle by 2 and 3x3 convolution = one 6x6 convolution of stride 2: the runtime need not transpose.
            old = self.stem.conv
            new = nn.Conv2d(3, old.out_channels, 6, 2, 2)
            new.weight.data = old.weight.data.reshape(-1, 3, 2, 2, 3, 3).permute(0, 1, 4, 2, 5, 3).reshape(-1, 3, 6, 6).contiguous()
            new.bias.data = old.bias.data
            self.stem.conv = new
            return self

    return Net()


def gflop(net):
    """2 x multiply-accumulates of the convolutions at 640x640."""
    import torch
    total, hooks = [0], []

    def count(m, _, out):
        total[0] += 2 * m.weight.numel() * out.shape[-1] * out.shape[-2]
    for m in net.modules():
        if isinstance(m, torch.nn.Conv2d):
            hooks.append(m.register_forward_hook(count))
    with torch.no_grad():
        net.eval()(torch.zeros(1, 2, SIZE, SIZE))
    for h in hooks:
        h.remove()
    return total[0] / 1e9


# ---------------------------------------------------------------- defects pasted onto other boards

def turn(x, how):
    """One of the eight symmetries of the square, on the last two axes."""
    if how & 1:
        x = x[..., ::-1]
    if how & 2:
        x = x[..., ::-1, :]
    return x.swapaxes(-1, -2) if how & 4 else x


class Paste:
    """Copies a defect to a place of another training pair whose template looks the same there.

    The places are found once (correlation of templates at half size, then to the pixel) and kept in a file.
    """

    def __init__(self, path, pairs, labels, share, tries=60, mismatch=0.02):
        self.pairs, self.share = pairs, share
        self.sources = [(p, *map(int, b), int(k)) for p, (bs, ks) in enumerate(labels) for b, k in zip(bs, ks)
                        if (iou_matrix(b[None], bs) > 0).sum() == 1]
        if not path.exists():
            np.savez(path, bank=self.search(labels, tries, mismatch))
        bank = np.load(path)["bank"]
        self.places = [bank[bank[:, 0] == t] for t in range(len(pairs))]
        counts = np.bincount([self.sources[s][5] for s in bank[:, 1]], minlength=len(KINDS))
        print("places to paste", len(bank), dict(zip(KINDS, counts.tolist())), flush=True)

    def search(self, labels, tries, mismatch):
        rng = np.random.default_rng(7)
        half, rows = SIZE // 2, []
        pool = lambda x: x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean((1, 3))
        for target in range(len(self.pairs)):
            copper = (self.pairs[target, 1] > 127).astype(np.float32)
            changed = (self.pairs[target, 0] > 127) != (self.pairs[target, 1] > 127)
            small = pool(copper)
            spectrum = np.fft.rfft2(small)
            square = np.pad((small ** 2).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
            for s in rng.choice(len(self.sources), tries, replace=False):
                p, x0, y0, x1, y1, _ = self.sources[s]
                how = int(rng.integers(8))
                patch = turn((self.pairs[p, 1, y0:y1, x0:x1] > 127), how)
                h, w = patch.shape
                even = patch[:h // 2 * 2, :w // 2 * 2].astype(np.float32)
                tiny = pool(even)
                hh, ww = tiny.shape
                spread = np.zeros((half, half), np.float32)
                spread[:hh, :ww] = tiny
                likeness = np.fft.irfft2(spectrum * np.conj(np.fft.rfft2(spread)), s=(half, half))[:half - hh - 1, :half - ww - 1]
                window = (square[hh:, ww:] - square[:-hh, ww:] - square[hh:, :-ww] + square[:-hh, :-ww])[:half - hh - 1, :half - ww - 1]
                far = (tiny ** 2).sum() + window - 2 * likeness
                ys, xs = np.nonzero(far < 1.5 * mismatch * hh * ww)
                if not len(ys):
                    continue
                uniform = patch.all() or not patch.any()
                for n in rng.permutation(len(ys))[:2 if uniform else 12]:
                    best = None
                    for dy in (-1, 0, 1):
                        for dx in (-1, 0, 1):
                            y, x = 2 * ys[n] + dy, 2 * xs[n] + dx
                            if y < 0 or x < 0 or y + h > SIZE or x + w > SIZE:
                                continue
                            wrong = (copper[y:y + h, x:x + w] != patch).mean()
                            if best is None or wrong < best[0]:
                                best = wrong, x, y
                    if best and best[0] <= mismatch:
                        _, x, y = best
                        b = np.array([[x - 4, y - 4, x + w + 4, y + h + 4]], np.float32)
                        if iou_matrix(b, labels[target][0]).max(initial=0) == 0 and changed[y:y + h, x:x + w].mean() < 0.03:
                            rows.append((target, s, how, x, y))
        return np.array(rows, np.int64)

    def __call__(self, pair, boxes, kinds, rng, target):
        places = self.places[target]
        if not len(places) or rng.random() > self.share:
            return pair, boxes, kinds
        kind_of = np.array([self.sources[s][5] for s in places[:, 1]])
        weight = 1.0 / np.bincount(kind_of, minlength=len(KINDS))[kind_of]      # rare kinds as often as common ones
        for n in rng.choice(len(places), min(len(places), int(rng.integers(1, 9))), replace=False, p=weight / weight.sum()):
            _, s, how, x, y = places[n]
            p, x0, y0, x1, y1, kind = self.sources[s]
            patch = turn(self.pairs[p, 0, y0:y1, x0:x1], how)
            h, w = patch.shape
            box = np.array([[x, y, x + w, y + h]], np.float32)
            if iou_matrix(box + np.array([-4, -4, 4, 4], np.float32), boxes).max(initial=0) > 0:
                continue
            pair[0, y:y + h, x:x + w] = patch
            boxes, kinds = np.concatenate([boxes, box]), np.append(kinds, kind)
        return pair, boxes, kinds


# ---------------------------------------------------------------- drawn defects

DRAW = 160  # side of the window that a drawn defect has


def stroke(points, width):
    """A brush stroke through `points` (x, y) of the window: bool."""
    image = Image.new("L", (DRAW, DRAW))
    draw = ImageDraw.Draw(image)
    points, r = [tuple(map(float, p)) for p in points], width / 2
    draw.line(points, fill=1, width=width)
    for x, y in points:
        draw.ellipse([x - r, y - r, x + r, y + r], fill=1)
    return np.asarray(image, bool)


def scribble(rng, start, direction, length, bend):
    """Points of a bent path of about `length` px."""
    n = max(int(length / 4), 1)
    angle, p, out = direction, np.array(start, float), [start]
    for _ in range(n):
        angle += rng.normal(0, bend)
        p = p + length / n * np.array([np.cos(angle), np.sin(angle)])
        out.append(tuple(p))
    return out


def way_out(ground, valid, angle, sign):
    """Pixels from the window's middle to the end of `ground` along a direction; None where it does not end in view."""
    t = np.arange(1, DRAW // 2 - 8)
    xs = np.round(DRAW // 2 + sign * t * np.cos(angle)).astype(int)
    ys = np.round(DRAW // 2 + sign * t * np.sin(angle)).astype(int)
    out = np.nonzero(~ground[ys, xs])[0]
    return int(out[0]) + 1 if len(out) and valid[ys[out[0]], xs[out[0]]] else None


def crossing(rng, ground, valid):
    """A path across `ground` where it is narrow: what makes an open or a short. None where it is too wide."""
    half, best = DRAW // 2, None
    for a in rng.uniform(0, np.pi, 6):
        ends = [way_out(ground, valid, a, sign) for sign in (1, -1)]
        if None not in ends and (best is None or sum(ends) < best[0]):
            best = sum(ends), a, ends
    if best is None:
        return None
    total, a, (d1, d2) = best
    if total > rng.uniform(15, 110):
        return None
    p = np.array([half + d1 * np.cos(a), half + d1 * np.sin(a)])
    q = np.array([half - d2 * np.cos(a), half - d2 * np.sin(a)])
    n = max(total // 6, 1)
    t = np.linspace(0, 1, n + 1)[:, None]
    sway = np.cumsum(rng.normal(0, rng.uniform(0, 1.5), (n + 1, 2)), 0)
    sway -= t * sway[-1]
    return [tuple(v) for v in p + t * (q - p) + sway]


def inward(rng, ground, valid):
    """A path from the nearest edge of `ground` into it: what makes a mousebite or a spur. None without an edge."""
    half, best = DRAW // 2, None
    for a in rng.uniform(0, np.pi, 3):
        ends = [(d, s) for s in (1, -1) if (d := way_out(ground, valid, a, s)) is not None]
        if ends and (best is None or min(ends)[0] < best[0]):
            best = min(ends)[0], a, min(ends)[1]
    if best is None:
        return None
    d, a, s = best
    start = (half + s * d * np.cos(a), half + s * d * np.sin(a))
    direction = a + (np.pi if s > 0 else 0) + rng.normal(0, 0.5)
    length = rng.uniform(4, 24) if rng.random() < 0.85 else rng.uniform(20, 45)
    return scribble(rng, start, direction, length, rng.uniform(0.05, 0.8))


def kind_of(mask, ground, erase):
    """The kind of defect that changing `mask`, a part of `ground`, makes; None for what could be called either.

    Copper taken away is a pin-hole when the copper around it stays closed, an open when it falls in two, otherwise a
    mousebite. Copper put on is spurious copper when it touches none, a short when it joins two, otherwise a spur.
    """
    from scipy import ndimage
    ys, xs = np.nonzero(mask)
    near = slice(max(ys.min() - 6, 0), ys.max() + 7), slice(max(xs.min() - 6, 0), xs.max() + 7)
    mask, ground = mask[near], ground[near]
    edge = ndimage.binary_dilation(mask, np.ones((3, 3), bool)) & ~mask
    if not erase:
        around, _ = ndimage.label(~ground)
        met = [i for i in np.unique(around[edge & ~ground]) if i]
        if len(met) > 1 and sorted((around == i).sum() for i in met)[-2] < 30:
            return None
        return 4 if not met else (1 if len(met) > 1 else 3)
    if not (edge & ~ground).any():
        return 5
    parts, _ = ndimage.label(ground & ~mask)
    sizes = [(parts == i).sum() for i in np.unique(parts[edge & ground]) if i]
    before, _ = ndimage.label(ground)
    whole = len([i for i in np.unique(before[mask]) if i])
    if sum(s >= 40 for s in sizes) > whole:
        return 0 if sorted(sizes)[-2] >= 90 else None
    return 2 if sum(s >= 15 for s in sizes) <= whole else None


def draw_defect(test, other, taken, rng):
    """Draws one defect into `test` (uint8 [h, w], copper dark), away from `taken`; gives its box and kind, or None.

    With `other` the same is drawn there.
    """
    from scipy import ndimage
    h, w = test.shape
    half = DRAW // 2
    wanted = int(rng.choice(6, p=[0.26, 0.24, 0.18, 0.16, 0.07, 0.09]))
    erase = wanted in (0, 2, 5)
    for _ in range(12):
        cx, cy = int(rng.integers(16, w - 16)), int(rng.integers(16, h - 16))
        x0, y0 = cx - half, cy - half
        seen = slice(max(y0, 0), min(y0 + DRAW, h)), slice(max(x0, 0), min(x0 + DRAW, w))
        inner = slice(seen[0].start - y0, seen[0].stop - y0), slice(seen[1].start - x0, seen[1].stop - x0)
        window, valid = np.full((DRAW, DRAW), 255, np.uint8), np.zeros((DRAW, DRAW), bool)
        window[inner], valid[inner] = test[seen], True
        copper = (window <= 127) & valid
        ground = copper if erase else (valid & ~copper)       # what the stroke changes
        if not ground[half, half]:
            continue
        width = int(rng.integers(3, 9))
        if wanted in (4, 5):
            path = scribble(rng, (half, half), rng.uniform(0, 2 * np.pi), rng.uniform(2, 26), rng.uniform(0.05, 0.9))
        else:
            path = crossing(rng, ground, valid) if wanted < 2 else inward(rng, ground, valid)
        if path is None:
            continue
        mask = stroke(path, width)
        if rng.random() < 0.25:                               # scribbled over
            mask |= stroke([(x + rng.normal(0, 3), y + rng.normal(0, 3)) for x, y in path], int(rng.integers(2, 7)))
        if rng.random() < 0.3:                                # a ragged edge
            mask &= ~((rng.random(mask.shape) < 0.5) & ~ndimage.binary_erosion(mask))
        mask &= ground
        if mask.sum() < 25:
            continue
        # The data set's boxes are 10 px larger on each side than what changed.
        ys, xs = np.nonzero(mask)
        sides = np.array([xs.min() - 10, ys.min() - 10, xs.max() + 10, ys.max() + 10])
        box = (sides + np.array([x0, y0, x0, y0])).astype(np.float32)
        if (sides[:2] < 0).any() or (sides[2:] > DRAW).any() or (box < 0).any() or box[2] > w or box[3] > h:
            continue
        if len(taken) and (iou_matrix(box[None] + np.array([-6, -6, 6, 6], np.float32), taken) > 0).any():
            continue
        kind = kind_of(mask, ground, erase)
        if kind is None:
            continue
        for picture in (test,) if other is None else (test, other):
            picture[seen][mask[inner]] = 255 if erase else 0
        return box, kind
    return None


def draw_defects(crop, boxes, kinds, ignore, rng, most):
    """Some drawn defects on the test picture of a crop; some on both pictures, which is no defect."""
    taken = np.concatenate([boxes, ignore]).astype(np.float32)
    for _ in range(int(rng.integers(1, most + 1))):
        both = rng.random() < 0.12
        found = draw_defect(crop[0], crop[1] if both else None, taken, rng)
        if found is None:
            continue
        box, kind = found
        taken = np.concatenate([taken, box[None]])
        if not both:
            boxes, kinds = np.concatenate([boxes, box[None]]), np.append(kinds, kind)
    return boxes, kinds


# ---------------------------------------------------------------- training samples

def thicken(x, grow):
    """Copper (dark) grown or shrunk by one pixel."""
    f = np.minimum if grow else np.maximum
    y = x.copy()
    y[:, 1:] = f(y[:, 1:], x[:, :-1])
    y[:, :-1] = f(y[:, :-1], x[:, 1:])
    y[:, :, 1:] = f(y[:, :, 1:], x[:, :, :-1])
    y[:, :, :-1] = f(y[:, :, :-1], x[:, :, 1:])
    return y


def without(pair, boxes):
    """The test picture with its defects replaced by the template's pixels."""
    pair = pair.copy()
    for x0, y0, x1, y1 in boxes.astype(int):
        pair[0, y0:y1, x0:x1] = pair[1, y0:y1, x0:x1]
    return pair


def other_board(pair, rng):
    """A crop turned by any angle, at any scale from half to double, its sides stretched: a board nobody has seen."""
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.6 else rng.integers(0, 4) * np.pi / 2
    zoom = np.exp(rng.uniform(np.log(0.5), np.log(2.0)))
    zx, zy = zoom * np.exp(rng.uniform(-0.2, 0.2, 2))
    u, v = np.meshgrid(np.arange(CROP) + 0.5 - CROP / 2, np.arange(CROP) + 0.5 - CROP / 2)
    cx, cy = rng.uniform(0.25, 0.75, 2) * SIZE
    x = cx + np.cos(angle) * u / zx - np.sin(angle) * v / zy
    y = cy + np.sin(angle) * u / zx + np.cos(angle) * v / zy
    dx, dy = shift(rng)

    def mirrored(i):
        i = np.abs(np.floor(i).astype(int))
        return np.clip(SIZE - 1 - np.abs(SIZE - 1 - i), 0, SIZE - 1)
    return np.stack([pair[0][mirrored(y), mirrored(x)], pair[1][mirrored(y + dy), mirrored(x + dx)]])


def shift(rng):
    """By how many pixels the template is off: nothing for most, up to 6 (the data have up to 5)."""
    off = rng.random()
    if off >= 0.45:
        return 0, 0
    return rng.integers(-2, 3, 2) if off < 0.25 else rng.integers(-6, 7, 2)


def sample(pair, boxes, kinds, rng, paste=None, target=None):
    """One training crop: uint8 [2, 448, 448], boxes, kinds, boxes to ignore."""
    if rng.random() < DRAWN:
        crop = other_board(without(pair, boxes), rng)
        for n in (0, 1):                                  # the etching differs a little between the two, too
            if rng.random() < 0.2:
                crop = thicken(crop, rng.random() < 0.5) if n == 0 else np.stack([thicken(crop[:1], rng.random() < 0.5)[0], crop[1]])
        none = np.zeros((0, 4), np.float32)
        boxes, kinds = draw_defects(crop, none, np.zeros(0, np.int64), none, rng, 10)
        return np.ascontiguousarray(crop), boxes.astype(np.float32), kinds, none
    pair = pair.copy()
    boxes, kinds = boxes.copy(), kinds.copy()
    # Some defects are taken away: the template's pixels in the test picture, or the test picture's in the template
    # (what looks like a defect but is on both is none). Some opens and shorts change places with their template:
    # a gap that the template has and the test picture has not is a short, and the reverse.
    if len(boxes) and rng.random() < 0.4:
        gone = np.zeros(len(boxes), bool)
        for n in np.nonzero(rng.random(len(boxes)) < 0.35)[0]:
            x0, y0, x1, y1 = boxes[n].astype(int)
            if (iou_matrix(boxes[n:n + 1] + np.array([-3, -3, 3, 3], np.float32), boxes) > 0).sum() > 1:
                continue
            test, temp = pair[0, y0:y1, x0:x1].copy(), pair[1, y0:y1, x0:x1].copy()
            if kinds[n] <= 1 and rng.random() < 0.4:
                pair[0, y0:y1, x0:x1], pair[1, y0:y1, x0:x1], kinds[n] = temp, test, 1 - kinds[n]
                continue
            gone[n] = True
            if rng.random() < 0.5:
                pair[0, y0:y1, x0:x1] = temp
            else:
                pair[1, y0:y1, x0:x1] = test
        boxes, kinds = boxes[~gone], kinds[~gone]
    if paste is not None:
        pair, boxes, kinds = paste(pair, boxes, kinds, rng, target)
    # Crop, at another scale for some; the template sometimes off by some pixels (up to 5 in the data).
    zoom = rng.uniform(0.8, 1.25) if rng.random() < 0.4 else 1.0
    side = min(CROP / zoom, SIZE - 4)
    x0, y0 = rng.uniform(0, SIZE - side, 2) if zoom != 1.0 else rng.integers(0, SIZE - CROP + 1, 2)
    zoom = CROP / side
    grid = (np.arange(CROP) + 0.5) / zoom
    index = lambda o, d: np.clip(np.floor(grid + o).astype(int) + d, 0, SIZE - 1)
    dx, dy = shift(rng)
    crop = np.stack([pair[0][index(y0, 0)][:, index(x0, 0)], pair[1][index(y0, dy)][:, index(x0, dx)]])
    if rng.random() < 0.2:
        crop = thicken(crop, rng.random() < 0.5)
    boxes = (boxes - np.array([x0, y0, x0, y0], np.float32)) * zoom
    cut = np.clip(boxes, 0, CROP)
    area = lambda b: np.clip(b[:, 2:] - b[:, :2], 0, None).prod(-1)
    shown = area(cut) / np.maximum(area(boxes), 1e-6)
    keep, ignore = shown > 0.5, (shown > 0.1) & (shown <= 0.5)
    boxes, kinds, ignore = cut[keep], kinds[keep], cut[ignore]
    if rng.random() < 0.4:
        crop = np.ascontiguousarray(crop)
        boxes, kinds = draw_defects(crop, boxes, kinds, ignore, rng, 4)
    # The eight symmetries of the square.
    both = np.concatenate([boxes, ignore])
    if rng.random() < 0.5:
        crop, both = crop[:, :, ::-1], np.stack([CROP - both[:, 2], both[:, 1], CROP - both[:, 0], both[:, 3]], 1)
    if rng.random() < 0.5:
        crop, both = crop[:, ::-1], np.stack([both[:, 0], CROP - both[:, 3], both[:, 2], CROP - both[:, 1]], 1)
    if rng.random() < 0.5:
        crop, both = crop.transpose(0, 2, 1), both[:, [1, 0, 3, 2]]
    return np.ascontiguousarray(crop), both[:len(boxes)].astype(np.float32), kinds, both[len(boxes):]


# ---------------------------------------------------------------- loss

def losses(kinds_raw, sides_raw, targets, topk=5, reach=12.0):
    """Task-aligned assignment: up to `topk` cells a defect, their centres within `reach` px of the defect's centre."""
    import torch
    import torch.nn.functional as F
    b, k, h, w = kinds_raw.shape
    logit = kinds_raw.permute(0, 2, 3, 1).reshape(b, h * w, k)
    side = (F.softplus(sides_raw) * STRIDE).permute(0, 2, 3, 1).reshape(b, h * w, 4)
    ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    centre = (torch.stack([xs, ys], -1).reshape(-1, 2) + 0.5) * STRIDE
    pred = torch.cat([centre - side[..., :2], centre + side[..., 2:]], -1)
    target = torch.zeros_like(logit)
    weight = torch.ones_like(logit)
    picked, wanted, quality = [], [], []
    for i, (boxes, kinds, ignore) in enumerate(targets):
        for x0, y0, x1, y1 in ignore:
            inside = (centre[:, 0] > x0) & (centre[:, 0] < x1) & (centre[:, 1] > y0) & (centre[:, 1] < y1)
            weight[i, inside] = 0
        if not len(boxes):
            continue
        boxes, kinds = torch.from_numpy(boxes), torch.from_numpy(kinds)
        with torch.no_grad():
            p = pred[i]
            lt, rb = torch.maximum(p[None, :, :2], boxes[:, None, :2]), torch.minimum(p[None, :, 2:], boxes[:, None, 2:])
            inter = (rb - lt).clamp(min=0).prod(-1)
            iou = inter / (((p[:, 2:] - p[:, :2]).prod(-1))[None] + (boxes[:, 2:] - boxes[:, :2]).prod(-1)[:, None] - inter)
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2
            near = ((centre[None] - middle[:, None]) ** 2).sum(-1) <= reach ** 2
            inside = (centre[None] > boxes[:, None, :2]).all(-1) & (centre[None] < boxes[:, None, 2:]).all(-1)
            metric = logit[i].sigmoid()[:, kinds].T.clamp(min=1e-4).sqrt() * iou.clamp(min=1e-3) ** 4 * (near & inside)
            top = metric.topk(min(topk, metric.shape[1]), 1)
            chosen = torch.zeros_like(metric).scatter_(1, top.indices, top.values)
            owner = chosen.argmax(0)                                   # a cell serves one defect
            cell = torch.nonzero(chosen.amax(0) > 0).squeeze(1)
            owner = owner[cell]
            m = metric[owner, cell]
            best_m = torch.zeros(len(boxes)).scatter_reduce_(0, owner, m, "amax")
            best_u = torch.zeros(len(boxes)).scatter_reduce_(0, owner, iou[owner, cell], "amax")
            # The best cell of a defect is to say 1 once its box fits well; the others less.
            q = (m / best_m[owner].clamp(min=1e-9)) * (best_u[owner] / 0.7).clamp(0.1, 1)
            target[i, cell, kinds[owner]] = q
            weight[i, cell] = 1
        picked.append(pred[i, cell])
        wanted.append(boxes[owner])
        quality.append(q)
    total = target.sum().clamp(min=1)
    p = logit.sigmoid()
    # Sure negatives count little, so that the many empty cells do not drown the few defects.
    focus = torch.where(target > 0, torch.ones_like(p), 0.25 + 0.75 * p.detach())
    kind_loss = (F.binary_cross_entropy_with_logits(logit, target, reduction="none") * weight * focus).sum() / total
    box_loss = logit.sum() * 0
    if picked:
        a, c, q = torch.cat(picked), torch.cat(wanted), torch.cat(quality)
        inter = (torch.minimum(a[:, 2:], c[:, 2:]) - torch.maximum(a[:, :2], c[:, :2])).clamp(min=0).prod(-1)
        union = (a[:, 2:] - a[:, :2]).prod(-1) + (c[:, 2:] - c[:, :2]).prod(-1) - inter
        hull = (torch.maximum(a[:, 2:], c[:, 2:]) - torch.minimum(a[:, :2], c[:, :2])).prod(-1)
        giou = inter / union - (hull - union) / hull
        box_loss = ((1 - giou) * q).sum() / total
    return kind_loss, box_loss


# ---------------------------------------------------------------- commands

def torch_found(net, pairs, confidence=0.01, iou=0.4, iou_across=0.6):
    import torch
    out = []
    net.eval()
    with torch.no_grad():
        for pair in pairs:
            s, b = net(torch.from_numpy(pair[None]).float() / 255)
            out.append(decode(s[0].numpy(), b[0].numpy(), confidence, iou, iou_across))
    return out


def unfold(net, path, data):
    """Gives `net` the weights of an exported model: batch norms that leave the folded convolutions as they are."""
    import onnx
    import torch
    from onnx import numpy_helper
    given = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in onnx.load(path).graph.initializer}
    hooks = []
    for name, m in net.named_modules():
        if hasattr(m, "bn"):
            weight, bias = given[f"{name}.conv.weight"], given[f"{name}.conv.bias"]
            if name == "stem":                                # 6x6 of stride 2 -> unshuffle by 2 and 3x3
                weight = weight.reshape(-1, 3, 3, 2, 3, 2).permute(0, 1, 3, 5, 2, 4).reshape(-1, 12, 3, 3)
            m.conv.weight.data = weight.contiguous()

            def measure(m, x, bias=bias):
                y = m.conv(x[0])
                mean, var = y.mean((0, 2, 3)), y.var((0, 2, 3))
                m.bn.running_mean.data, m.bn.running_var.data = mean, var
                m.bn.weight.data, m.bn.bias.data = (var + m.bn.eps).sqrt(), bias + mean
            hooks.append(m.register_forward_pre_hook(measure))
    for head in ("kinds", "sides"):
        for part in ("weight", "bias"):
            getattr(getattr(net, head), part).data = given[f"{head}.{part}"]
    _, pairs, _ = load(data, "train")
    with torch.no_grad():
        net.eval()(torch.from_numpy(pairs[::20]).float() / 255)
    for h in hooks:
        h.remove()


def command_train(args):
    import copy
    import torch
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(args.seed)
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    _, pairs, labels = load(args.data, "train")
    _, val_pairs, val_labels = load(args.data, "validation")
    val_total = sum(len(k) for _, k in val_labels)
    net = build(args.widths)
    if args.start and not (work / "last.pt").exists():
        unfold(net, args.start, args.data)
    net = net.to(memory_format=torch.channels_last)
    ema = copy.deepcopy(net)
    print(f"GFLOP {gflop(ema):.3f} parameters {sum(p.numel() for p in net.parameters())}", flush=True)
    decay = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": args.decay}, {"params": plain, "weight_decay": 0.0}], lr=args.rate, betas=(0.9, 0.99))
    per_epoch = len(pairs) // args.batch
    steps = args.epochs * per_epoch

    def rate_at(step):
        """One cycle: up over the first 15 %, then down to a thousandth, on cosines. --epochs may change on resuming."""
        done, up = step / steps, 0.15
        if done < up:
            return args.rate * (0.1 + 0.9 * (1 - np.cos(np.pi * done / up)) / 2)
        return args.rate * (0.001 + 0.999 * (1 + np.cos(np.pi * (done - up) / (1 - up))) / 2)

    step = 0
    if (work / "last.pt").exists():
        state = torch.load(work / "last.pt", weights_only=False)
        net.load_state_dict(state["net"]), ema.load_state_dict(state["ema"]), opt.load_state_dict(state["opt"])
        for group in opt.param_groups:
            group["betas"] = (0.9, 0.99)
        step = state["step"]
        print("resumed at step", step, flush=True)
    paste = Paste(work / "paste.npz", pairs, labels, args.paste) if args.paste > 0 else None
    began, seen = time.time(), [0.0, 0.0, 0]
    while step < steps:
        epoch, n = divmod(step, per_epoch)
        order = np.random.default_rng([args.seed, epoch]).permutation(len(pairs))
        rng = np.random.default_rng([args.seed, epoch, n])
        net.train()
        batch = [sample(pairs[i], *labels[i], rng, paste, i) for i in order[n * args.batch:(n + 1) * args.batch]]
        x = torch.from_numpy(np.stack([b[0] for b in batch])).float() / 255
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            kinds, sides = net.raw(x)
        kind_loss, box_loss = losses(kinds.float(), sides.float(), [b[1:] for b in batch])
        opt.zero_grad(set_to_none=True)
        (kind_loss + 2 * box_loss).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        for group in opt.param_groups:
            group["lr"] = rate_at(step)
        opt.step()
        step += 1
        rate = min(0.998, (1 + step) / (20 + step))
        with torch.no_grad():
            for a, c in zip(ema.state_dict().values(), net.state_dict().values()):
                if a.dtype.is_floating_point:
                    a.lerp_(c, 1 - rate)
        seen = [seen[0] + kind_loss.item(), seen[1] + box_loss.item(), seen[2] + 1]
        if step % per_epoch == 0:
            epoch = step // per_epoch
            line = f"epoch {epoch} kind {seen[0] / seen[2]:.4f} box {seen[1] / seen[2]:.4f} {time.time() - began:.0f}s"
            if epoch % args.every == 0 or step == steps:
                found = match(torch_found(ema, val_pairs), val_labels)
                ap, _ = average_precision(found, val_labels)
                f, at = best_f(found, val_total)
                line += f" | validation mAP {np.mean(ap):.4f} F {f:.4f} at {at:.2f} | " + " ".join(f"{a:.3f}" for a in ap)
                state = {"net": net.state_dict(), "ema": ema.state_dict(), "opt": opt.state_dict(), "step": step}
                torch.save(state, work / "new.pt")
                os.replace(work / "new.pt", work / "last.pt")
            print(line, flush=True)
            began, seen = time.time(), [0.0, 0.0, 0]


def command_export(args):
    import onnx
    import torch
    torch.set_num_threads(1)
    net = build()
    net.load_state_dict(torch.load(Path(args.work) / "last.pt", weights_only=False)["ema"])
    net.eval()
    x = torch.rand(2, 2, SIZE, SIZE)
    before = net(x)
    flop = gflop(net)
    net.fold()
    path = HERE / "model.onnx"
    torch.onnx.export(net, (x,), str(path), dynamo=False, opset_version=17, input_names=["pair"], output_names=["scores", "boxes"],
                      dynamic_axes={n: {0: "batch"} for n in ("pair", "scores", "boxes")})
    model = onnx.load(str(path))
    model.ir_version = 8
    for value, dims in ((model.graph.input[0], (2, SIZE, SIZE)), (model.graph.output[0], (6, 80, 80)), (model.graph.output[1], (4, 80, 80))):
        for d, n in zip(value.type.tensor_type.shape.dim[1:], dims):
            d.dim_value = n
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    after = session().run(None, {"pair": x.numpy()})
    worst = max(float(np.abs(a.detach().numpy() - b).max()) for a, b in zip(before, after))
    print(f"GFLOP {flop:.3f} bytes {path.stat().st_size} largest difference from torch {worst:.2e} ops {sorted({n.op_type for n in model.graph.node})}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = HERE / "model.toml"
    text = manifest.read_text() if manifest.exists() else MANIFEST
    manifest.write_text(re.sub(r'^sha256 = ".*"', f'sha256 = "{digest}"', text, flags=re.M))


MANIFEST = """schema = 1
name = "pcb"
task = "detect"
sha256 = ""

[input]
size = [640, 640]
channels = "gray"
fit = "letterbox"
resize = "bilinear"
scale = 0.00392156862745098
mean = [0.0]
std = [1.0]
reference = true

[output]
format = "grid"
kinds = ["open", "short", "mousebite", "spur", "copper", "pin-hole"]
confidence = 0.38
iou = 0.4
iou_across = 0.6
"""


def session():
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(HERE / "model.onnx"), options, providers=["CPUExecutionProvider"])


def limits():
    import tomllib
    output = tomllib.loads((HERE / "model.toml").read_text())["output"]
    return output["confidence"], output["iou"], output.get("iou_across")


def raw_outputs(pairs):
    run = session()
    return [tuple(o[0] for o in run.run(None, {"pair": p[None].astype(np.float32) / 255})) for p in pairs]


def command_evaluate(args):
    confidence, iou, across = limits()
    panels, pairs, labels = load(args.data, args.part)
    raw = raw_outputs(pairs)
    total = sum(len(k) for _, k in labels)
    found = [decode(s, b, args.floor, iou, across) for s, b in raw]
    matched = match(found, labels)
    ap, count = average_precision(matched, labels)
    f, p, r, right, n = f_score(matched, total, confidence)
    limited, _ = average_precision(matched[matched[:, 0] >= confidence], labels)
    print(f"{args.part}: {len(panels)} pairs, {total} defects, iou {iou}, across {across}")
    print(f"mAP {np.mean(ap):.4f} (detections from {args.floor}); {np.mean(limited):.4f} (from {confidence})")
    print(f"at confidence {confidence}: F {f:.4f}  precision {p:.4f} ({right}/{n})  recall {r:.4f} ({right}/{total})")
    top, at = best_f(matched, total)
    print(f"best F {top:.4f} at {at:.3f}")
    for k, name in enumerate(KINDS):
        m = matched[(matched[:, 1] == k) & (matched[:, 0] >= confidence)]
        print(f"  {name:9} AP {ap[k]:.4f}  precision {int(m[:, 2].sum())}/{len(m)}  recall {int(m[:, 2].sum())}/{count[k]}")


def command_choose(args):
    """Limits on the validation part. F of one limit jumps by single detections, so it is averaged over limits near by."""
    _, pairs, labels = load(args.data, "validation")
    raw = raw_outputs(pairs)
    total = sum(len(k) for _, k in labels)
    grid = np.arange(0.2, 0.9, 0.01)
    for iou in (0.3, 0.4, 0.5, 0.6):
        for across in (0.4, 0.5, 0.6, 0.7, 0.8, None):
            matched = match([decode(s, b, 0.01, iou, across) for s, b in raw], labels)
            f = np.array([f_score(matched, total, c)[0] for c in grid])
            smooth = np.convolve(np.pad(f, 10, "edge"), np.ones(21) / 21, "valid")
            # The middle of the limits that are as good as the best: one detection more or less does not decide.
            best = np.nonzero(smooth >= smooth.max() - 5e-4)[0]
            at = int(best[len(best) // 2])
            print(f"iou {iou} across {across}: mAP {np.mean(average_precision(matched, labels)[0]):.4f} F {f[at]:.4f} (near by {smooth[at]:.4f}) at {grid[at]:.2f}")


def command_reference(args):
    confidence, iou, across = limits()
    panels, pairs, _ = load(args.data, "validation")
    with open(HERE / "reference.jsonl", "w") as out:
        for panel, (s, b) in zip(panels, raw_outputs(pairs)):
            defects = [{"kind": KINDS[int(d[5])], "confidence": round(float(d[4]), 6), "box": [round(float(v), 3) for v in d[:4]]}
                       for d in decode(s, b, confidence, iou, across)]
            out.write(json.dumps({"panel": panel, "defects": defects}, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the DeepPCB groups")
    parser.add_argument("--work", help="folder for checkpoints and caches")
    sub = parser.add_subparsers(dest="command", required=True)
    sub.add_parser("splits").set_defaults(run=command_splits)
    p = sub.add_parser("train")
    p.add_argument("--epochs", type=int, default=170)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--decay", type=float, default=0.02)
    p.add_argument("--every", type=int, default=6, help="epochs between checkpoints")
    p.add_argument("--paste", type=float, default=0.6, help="share of crops that get pasted defects")
    p.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--start", help="exported model whose weights to begin with (default: random weights)")
    p.add_argument("--widths", type=int, nargs=5, default=WIDTHS, help="channels at strides 2, 4, 8, 16, 32")
    p.set_defaults(run=command_train)
    sub.add_parser("export").set_defaults(run=command_export)
    p = sub.add_parser("evaluate")
    p.add_argument("--part", default="validation", choices=["train", "validation", "calibration"])
    p.add_argument("--floor", type=float, default=0.01, help="lowest confidence that counts for mAP")
    p.set_defaults(run=command_evaluate)
    sub.add_parser("choose").set_defaults(run=command_choose)
    sub.add_parser("reference").set_defaults(run=command_reference)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
