#!/usr/bin/env python3
"""Makes the parity cases of the YOLO family: tiny models as Ultralytics exports them, and what Ultralytics finds with them.

Python 3.11 or newer and these packages:

    ultralytics==8.4.190  torch==2.15.0  torchvision==0.29.2  opencv-python-headless==5.0.0.93  pillow==13.0.0
    numpy==2.4.6  onnx==1.23.2  onnxruntime==1.32.0  onnxslim==0.1.98

    images.py                            # first: the pictures
    ultralytics_cases.py                 # all cases
    ultralytics_cases.py --only CASE     # one of them; some minutes each where many seeds are tried

A case is a folder with `model.onnx` and `expected.json`. Nothing is downloaded and nothing is trained: the graphs are
built from the family's own description with few channels, the weights are random, the batch norms are settled on the
pictures, and the last layers are scaled so that a modest number of boxes is found. Seeds are tried until no decision
of the peer hangs on a rounding error (`MARGIN`) and no result on the last bit of a pixel (`STEADY`); the margins left
are in `expected.json`.

The results are those of `YOLO("model.onnx").predict(...)`, read from the picture files by the peer itself, and never
of a decoder of ours. Ultralytics exports no model with objectness any more: `yolov5-detect` and `yolov5-segment` are
made and run with the package `yolov5` (see `yolov5_family.py`).
"""

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
# no settings of the user's, no installing, no network
os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp()
os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")

import cv2
import numpy as np
import onnx
import torch
import ultralytics
from onnxruntime.transformers import float16
from torch import nn
from ultralytics import RTDETR, YOLO
from ultralytics.data.augment import LetterBox
from ultralytics.engine.model import Model
from ultralytics.nn.autobackend import AutoBackend
from ultralytics.utils import YAML, ops
from ultralytics.utils.metrics import batch_probiou

import record

HERE = Path(__file__).resolve().parent
SIZE, CONFIDENCE, IOU, OPSET = 160, 0.25, 0.5, 17
NAMES = ["open", "short", "spur", "mousebite", "operator's mark"]
# both quotes in one name and a letter outside ASCII: the metadata hold a Python literal
HARD_NAMES = ["open", "short", "spur", "operator's mark", "2\" operator's mark", "Öl"]
# distance that every decision keeps from its limit: confidence, IoU, and the confidences of two boxes or two kinds
MARGIN = {"confidence": 2e-3, "iou": 5e-3, "order": 2e-3}
FEWEST, MOST, LEAST = 3, 30, 50  # boxes a picture, pixels a mask
# share of a mask's pixels whose sum may lie this close to the limit 0, where the order of additions decides
MASK_MARGIN, UNSURE = 1e-4, 2e-3
# how far the confidences and the boxes (pixels of the model) found may move where half the pixels are off by one step
# of 255, which is more than a resize that rounds otherwise changes; also in `expected.json`, as `noise`
STEADY = {"confidence": 3e-2, "box": 1.0}
DATE = "2026-01-01T00:00:00+00:00"  # in place of the day of the export, so that a second run gives the same bytes
STRIDES = (8, 16, 32)
IN_GRAPH = ("end2end", "end2end-obb", "rtdetr")  # formats with one confidence and one kind a row

CASES = {
    "yolov8-detect": {"yaml": "v8/yolov8", "family": "yolov8", "format": "yolo"},
    "yolo11-detect": {"yaml": "11/yolo11", "family": "yolo11", "format": "yolo", "export": {"dynamic": True}},
    "yolo11-detect-half": {"yaml": "11/yolo11", "family": "yolo11", "format": "yolo", "export": {"half": True}},
    "yolo11-detect-nms": {"yaml": "11/yolo11", "family": "yolo11", "format": "end2end",
                          "export": {"nms": True, "conf": CONFIDENCE, "iou": IOU, "max_det": 100}},
    # in this version the one-to-one head is exported only where nms is False, not where it is left out
    "yolo26-detect": {"yaml": "26/yolo26", "family": "yolo26", "format": "end2end", "export": {"nms": False}},
    "rtdetr-detect": {"yaml": "v8/yolov8-rtdetr", "family": "rtdetr", "format": "rtdetr", "decoder": [32, 60, 4, 4, 2, 64]},
    "yolo11-segment": {"yaml": "11/yolo11-seg", "family": "yolo11", "format": "yolo", "task": "segment"},
    "yolo26-segment": {"yaml": "26/yolo26-seg", "family": "yolo26", "format": "end2end", "task": "segment",
                       "export": {"nms": False}},
    "yolo11-obb": {"yaml": "11/yolo11-obb", "family": "yolo11", "format": "yolo", "task": "obb", "names": HARD_NAMES},
    "yolo11-obb-nms": {"yaml": "11/yolo11-obb", "family": "yolo11", "format": "end2end-obb", "task": "obb", "names": HARD_NAMES,
                       "export": {"nms": True, "conf": CONFIDENCE, "iou": IOU, "max_det": 100}},
    "yolo11-classify": {"yaml": "11/yolo11-cls", "family": "yolo11", "format": "scores", "task": "classify"},
    "yolov5-detect": {"yaml": "yolov5n", "family": "yolov5", "format": "yolo-v5", "names": NAMES},
    "yolov5-segment": {"yaml": "segment/yolov5n-seg", "family": "yolov5", "format": "yolo-v5", "task": "segment", "names": NAMES},
}


# ---------------------------------------------------------------- models

def family5():
    """Only where it is wanted: it changes settings of other packages."""
    import yolov5_family

    cv2.setNumThreads(1)
    torch.set_printoptions(profile="default")
    return yolov5_family


def build(case, seed):
    """The peer's object (`YOLO`), or a module of the package `yolov5`; random weights."""
    torch.manual_seed(seed)
    names = case.get("names", NAMES)
    if case["family"] == "yolov5":
        return family5().build(case)
    source = Path(ultralytics.__file__).parent / "cfg/models" / f"{case['yaml']}.yaml"
    description = YAML.load(source)
    description.update(nc=len(names), scales={"n": [0.33, 0.125, 192]})  # depth, width, most channels
    if "decoder" in case:
        description["head"][-1][-1] = ["nc", *case["decoder"]]  # width, queries, points, heads, layers, inner width
    description.setdefault("reg_max", 8)  # 16 in a model of normal size; decoded inside the graph, so no one sees it
    stem = source.stem.split("-")
    file = Path("-".join([f"{stem[0]}n", *stem[1:]]) + ".yaml")
    YAML.save(file, description)
    model = (RTDETR if "decoder" in case else YOLO)(file, **({} if "decoder" in case else {"task": case.get("task", "detect")}))
    model.model.names = dict(enumerate(names))
    return model


def settle(net, pictures):
    """Batch norms get the statistics of the pictures; without, random layers put out next to nothing."""
    smooth = torch.tensor([1.0, 2.0, 1.0]) / 4
    for m in net.modules():
        # smooth kernels, for the same reason as the norms below
        if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3):
            grain = torch.randn_like(m.weight) * 0.3
            m.weight.data = (torch.randn(*m.weight.shape[:2], 1, 1) + grain) * torch.outer(smooth, smooth)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        # where the activation is nearly straight: a deep random network is chaotic otherwise, and the last bit of a
        # pixel moves a confidence by a half
        norm.weight.data.fill_(0.6)
        norm.bias.data.fill_(0.8)
    net.train()
    with torch.no_grad():
        net(pictures)
    net.eval()
    for norm in norms:
        norm.momentum = 0.03


def inputs_of(layers, net, pictures):
    """What each layer is given, [n, channels]: for the pictures, and for a plain one."""
    kept = {}
    rows = lambda x: (x.flatten(2).permute(0, 2, 1) if x.ndim == 4 else x).flatten(0, -2)
    hooks = [layer.register_forward_pre_hook(lambda _, x, i=i: kept.__setitem__(i, x[0])) for i, layer in enumerate(layers)]
    with torch.no_grad():
        net(pictures)
        seen = [rows(kept[i]) for i in range(len(layers))]
        net(torch.full_like(pictures[:1], 114 / 255))
        plain = [rows(kept[i]) for i in range(len(layers))]
    for hook in hooks:
        hook.remove()
    return list(zip(layers, seen, plain))


def spread(layer, seen, plain, deviation):
    """Random weights; outputs of about the given deviation (one number, or one an output), near 0 where all is plain."""
    weight = torch.randn(layer.weight.shape[0], seen.shape[1])
    middle = plain[len(plain) // 2]
    # the directions in which a plain picture varies, which it does towards its edges, count for nothing
    _, _, edge = torch.linalg.svd(plain - middle, full_matrices=False)
    weight -= weight @ edge[:4].T @ edge[:4]
    # much of a picture is plain: what lies outside the middle 97 % says more than the standard deviation does
    reach = ((seen - middle) @ weight.T).abs().quantile(0.97, 0) / 2.17
    weight *= (torch.as_tensor(deviation) / reach.clamp(min=1e-6)).view(-1, 1)
    layer.weight.data = weight.view(layer.weight.shape)
    layer.bias.data = -(weight @ middle)


def tune(model, pictures):
    """Scales the last layers, and returns the biases, [..., kinds], that set how much is found."""
    if not isinstance(model, Model):
        settle(model, pictures)
        layers, outs, before = family5().heads(model)
        for layer, seen, plain in inputs_of(layers, model, pictures):
            deviations = [0.4] * 4 + [1.5] + [2.0] * (before - 5) + [0.4] * (outs - before)
            spread(layer, seen, plain, torch.tensor(deviations * 3))
            layer.bias.data.view(3, outs)[:, before:] += 0.2  # masks that fill most of their box, as below
        return [layer.bias.data.view(3, outs)[:, 5:before] for layer in layers]
    net = model.model
    if hasattr(net, "end2end") and getattr(net.model[-1], "one2one_cv2", None) is not None:
        net.end2end = True
    settle(net, pictures)
    head = net.model[-1]
    if hasattr(head, "dec_score_head"):
        return tune_decoder(head, net, pictures)
    if hasattr(head, "linear"):
        (layer, seen, plain), = inputs_of([head.linear], net, pictures)
        spread(layer, seen, plain, 1.5)
        return []
    biases = []
    parts = [head.one2many, head.one2one] if getattr(head, "one2one_cv2", None) is not None else [head.one2many]
    for part in parts:
        for name, modules in part.items():
            for level, (layer, seen, plain) in enumerate(inputs_of([m[-1] for m in modules], net, pictures)):
                reach = (2.6, 1.9, 1.3)[level]  # from the middle to a side, in strides
                if name == "cls_head":
                    spread(layer, seen, plain, 3.0)
                    biases.append(layer.bias.data)
                elif name == "box_head" and head.reg_max == 1:
                    spread(layer, seen, plain, 0.25 * reach)
                    layer.bias.data += reach
                elif name == "box_head":
                    spread(layer, seen, plain, 1.0)
                    bins = torch.arange(head.reg_max).float()
                    layer.bias.data += (-((bins - reach) ** 2) / 1.5).repeat(4)
                else:
                    spread(layer, seen, plain, 1.2)
                    if name == "mask_head":
                        layer.bias.data += 0.3  # prototypes are positive mostly: masks that fill most of their box
    return biases


def tune_decoder(head, net, pictures):
    """The same for RT-DETR: boxes somewhat larger than the proposals, confidences that differ, [1, kinds] of biases."""
    with torch.no_grad():
        for heads, deviation in ((head.dec_bbox_head, 0.3), ([head.enc_bbox_head], 0.3)):
            for box in heads:
                nn.init.normal_(box.layers[-1].weight, std=deviation / box.layers[-1].in_features ** 0.5)
        head.enc_bbox_head.layers[-1].bias[2:] += 1.0
        layers = [head.enc_score_head, head.dec_score_head[-1]]
        for layer in layers:
            (layer, seen, plain), = inputs_of([layer], net, pictures)
            layer.weight.data = torch.randn_like(layer.weight)
            layer.weight.data *= (3.0 / ((seen - seen.mean(0)) @ layer.weight.T).std(0)).view(-1, 1)
            layer.bias.data = -(seen.mean(0) @ layer.weight.T)
    return [layers[-1].bias.data]


# ---------------------------------------------------------------- how firm each decision is

def overlaps(a):
    """IoU of all pairs of float64 [n, 4] x0 y0 x1 y1."""
    lt, rb = np.maximum(a[:, None, :2], a[None, :, :2]), np.minimum(a[:, None, 2:], a[None, :, 2:])
    inter = np.clip(rb - lt, 0, None).prod(-1)
    area = (a[:, 2:] - a[:, :2]).prod(-1)
    return inter / np.maximum(area[:, None] + area[None] - inter, 1e-9)


def corners_of(box):
    return np.concatenate([box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2], 1)


def scores_of(case, raw, shift=None):
    """Confidences [..., n, kinds] (of an end-to-end model [..., n]) in a model's output [..., n, values].

    `shift`, [kinds] or [n, kinds], is what would be added to the biases that `tune` returns.
    """
    kinds = len(case.get("names", NAMES))
    move = lambda p, by: p if shift is None else 1 / (1 + np.exp(-by) * (1 / np.clip(p, 1e-12, 1 - 1e-9) - 1))
    if case["format"] in IN_GRAPH:
        return move(raw[..., 4], None if shift is None else shift[raw[..., 5].astype(int)])
    if case["format"] == "yolo-v5":
        return raw[..., 4:5] * move(raw[..., 5:5 + kinds], shift)
    return move(raw[..., 4:4 + kinds], shift)


def firmness(case, raw, scores):
    """Number found in one picture and the distance of its nearest decision."""
    if case["format"] in IN_GRAPH:
        score = scores
        return {"found": int((score > CONFIDENCE).sum()), "boxes": raw[score > CONFIDENCE, :4],
                "kinds": set(raw[score > CONFIDENCE, 5].astype(int)), "confidence": abs(score - CONFIDENCE).min()}
    best = scores.max(1)
    margin = {"confidence": abs(best - CONFIDENCE).min()}
    order = np.argsort(-best, kind="stable")
    order = order[best[order] > CONFIDENCE]
    best, kind, scores, raw = best[order], scores.argmax(1)[order], scores[order], raw[order]
    rotated = case.get("task") == "obb"
    boxes = raw[:, [0, 1, 2, 3, -1]] if rotated else corners_of(raw[:, :4])
    overlap = batch_probiou(torch.from_numpy(boxes), torch.from_numpy(boxes)).numpy() if rotated else overlaps(boxes)
    overlap = overlap * (kind[:, None] == kind[None])
    ranked = np.sort(scores, 1)
    gap = (ranked[:, -1] - ranked[:, -2]).min() if len(order) else 1.0
    kept, iou = [], 1.0
    for j in range(len(order)):
        # the peer's rotated suppression lets suppressed boxes suppress, its plain one does not
        above = np.arange(j) if rotated else np.array(kept, int)
        if (overlap[above, j] > IOU).any():
            # one firm reason to drop it is enough
            firm = above[best[above] - best[j] >= MARGIN["order"]]
            iou = min(iou, max(overlap[firm, j] - IOU, default=0.0))
        else:
            rivals = np.nonzero(abs(best - best[j]) < MARGIN["order"])[0] if rotated else above
            rivals = np.union1d(above, rivals[rivals != j]).astype(int)
            iou = min(iou, min(abs(IOU - overlap[rivals, j]), default=1.0))
            kept.append(j)
    return {"found": len(kept), "boxes": boxes[kept], "kinds": set(kind[kept]), **margin, "iou": iou, "order": gap}


def slim_boxes(case, boxes, picture, shape):
    """Whether a box is nearly nothing once it is clipped to the picture: the peer reports it all the same."""
    if case.get("task") == "obb" or not len(boxes):
        return False
    height, width = picture.shape[:2]
    if case["format"] == "rtdetr":
        clipped = np.clip(boxes / SIZE, 0, 1) * [width, height, width, height]
    else:
        clipped = ops.scale_boxes(shape, boxes.copy(), (height, width))
    return bool(((clipped[:, 2:] - clipped[:, :2]) < 1).any())


def firm_enough(case, reports, pictures, shapes=None):
    """The worst margins over all pictures relative to `MARGIN`, or 0 where a picture does not suit at all.

    `shapes` are heights and widths of the model's inputs where they are not square: another look at a model that has
    been found good, for which the numbers of boxes do not count.
    """
    margin = min(r[key] / limit for r in reports for key, limit in MARGIN.items() if key in r)
    if shapes:
        return 0.0 if any(slim_boxes(case, r["boxes"], p, s) for r, p, s in zip(reports, pictures, shapes)) else margin
    if any(not FEWEST <= r["found"] <= MOST for r in reports):
        return 0.0
    if any(slim_boxes(case, r["boxes"], p, (SIZE, SIZE)) for r, p in zip(reports, pictures)):
        return 0.0
    names = case.get("names", NAMES)
    seen = set().union(*(r["kinds"] for r in reports))
    if len(seen) < len(names) - 1 or any("'" in name and i not in seen for i, name in enumerate(names)):
        return 0.0
    return margin


def rows_last(case, raw):
    """float64 [..., n, values], whichever way round the exporter puts them; boxes of RT-DETR as of `end2end`."""
    rows = case["format"] in (*IN_GRAPH, "yolo-v5")
    raw = (raw if rows else np.swapaxes(raw, -1, -2)).astype(np.float64)
    if case["format"] == "rtdetr":
        centre, half = raw[..., :2] * SIZE, raw[..., 2:4] * SIZE / 2
        raw = np.concatenate([centre - half, centre + half, raw[..., 4:]], -1)
    return raw


def run(case, model, tensors):
    """The model's own numbers, [pictures, n, values], before any export."""
    net = model.model if isinstance(model, Model) else model
    with torch.no_grad():
        raw = net(tensors)
    while isinstance(raw, tuple):
        raw = raw[0]
    return rows_last(case, raw.numpy())


def search(case, model, pictures, tensors, seed):
    """Moves the biases of each kind to where all decisions are firmest; whether that is firm and steady enough."""
    biases = tune(model, tensors)
    if not biases:
        return True
    # the export with suppression inside is looked at without, as the margins lie before it
    plain = {**case, "format": "yolo"} if case.get("export", {}).get("nms") else case
    raw = run(plain, model, tensors)
    kinds, rng, limit = len(case.get("names", NAMES)), np.random.default_rng(seed), 2
    end2end = case["format"] in IN_GRAPH and plain is case
    most = MOST if end2end else 2 * MOST

    def scores_at(shift):
        per = raw.shape[1] // 21  # of 16 + 4 + 1 parts that are the three levels
        return scores_of(plain, raw, shift[0] if end2end else np.repeat(shift, [16 * per, 4 * per, per], 0))

    def worth(shift):
        """The greater the better: counts first, then the margin of confidence, which is cheap, then all margins."""
        scores = scores_at(shift)
        top = scores if end2end else scores.max(2)
        count = (top > CONFIDENCE).sum(1)
        wrong = np.clip(FEWEST + 2 - count, 0, None).sum() + np.clip(count - most, 0, None).sum()
        firm = abs(top - CONFIDENCE).min() / MARGIN["confidence"]
        if wrong or firm < limit:
            return -float(wrong) if wrong else firm / limit
        reports = [firmness(plain, r, s) for r, s in zip(raw, scores)]
        return 1 + max(firm_enough(plain, reports, pictures), 0.0)

    starts = []
    for _ in range(40):
        shift, wanted = rng.normal(0, 0.7, (1 if end2end else 3, kinds)), rng.uniform(FEWEST + 5, most / 2)
        low, high = -16.0, 0.0
        for _ in range(7):
            middle = (low + high) / 2
            scores = scores_at(shift + middle)
            count = ((scores if end2end else scores.max(2)) > CONFIDENCE).sum(1).mean()
            low, high = (middle, high) if count < wanted else (low, middle)
        starts.append((worth(shift + middle), len(starts), shift + middle))
    value, _, shift = max(starts)
    for step in range(400):
        near = shift + rng.normal(0, 0.3, shift.shape) * (rng.random(shift.shape) < 0.3)
        better = worth(near)
        if better >= value:
            value, shift = better, near
        if value > 1 + 2 * limit or (step == 150 and value <= 1):
            break
    if value < 1 + limit:
        return False
    case["reports"] = [firmness(plain, r, s) for r, s in zip(raw, scores_at(shift))]
    for i, bias in enumerate(biases):
        bias += torch.from_numpy(shift[i % len(shift)]).float()
    noise = np.random.default_rng(0).choice([-1, 0, 0, 1], tensors.shape) / 255
    raw, moved = run(plain, model, tensors), run(plain, model, tensors + torch.from_numpy(noise).float())
    if end2end:  # in order of confidence, which moves: the rows of the same kind and place
        apart = abs(raw[:, :, None, :4] - moved[:, None, :, :4]).max(3) + SIZE * (raw[:, :, None, 5] != moved[:, None, :, 5])
        moved = np.take_along_axis(moved, apart.argmin(2)[..., None], 1)
    scores, moved_scores = scores_of(plain, raw), scores_of(plain, moved)
    found = (scores if end2end else scores.max(2)) > CONFIDENCE - STEADY["confidence"]
    case["steady"] = {"confidence": abs(scores - moved_scores)[found].max(), "box": abs(raw - moved)[..., :4][found].max()}
    return all(case["steady"][k] <= limit for k, limit in STEADY.items())


# ---------------------------------------------------------------- export

def export(case, model, path):
    if not isinstance(model, Model):
        family5().export(model, path, SIZE, OPSET)
        made, metadata = path, {}
    else:
        options = {"opset": OPSET, "simplify": True, "dynamic": False, **case.get("export", {})}
        convert = float16.convert_float_to_float16
        if options.get("half"):
            # exported on a CPU the peer keeps float32 at both ends; on a GPU all is float16, which is the case wanted
            float16.convert_float_to_float16 = lambda m, keep_io_types: convert(m, keep_io_types=False)
        try:
            made = Path(model.export(format="onnx", imgsz=SIZE, device="cpu", **options))
        finally:
            float16.convert_float_to_float16 = convert
        metadata = {"date": DATE}
    graph = onnx.load(made)
    kept = {p.key: p.value for p in graph.metadata_props} | {k: str(v) for k, v in metadata.items()}
    del graph.metadata_props[:], graph.graph.value_info[:]  # shapes inside the graph: long, and never twice the same
    onnx.helper.set_model_props(graph, kept)
    onnx.save(graph, path)


# ---------------------------------------------------------------- results

def rounded(values, digits=4):
    return [round(float(v), digits) + 0.0 for v in values]


@contextlib.contextmanager
def listening():
    """What the peer feeds its model and what that gives back."""
    heard, forward, scale_masks = {"sums": []}, AutoBackend.forward, ops.scale_masks

    def listen(self, im, *args, **kwargs):
        out = forward(self, im, *args, **kwargs)
        heard["in"] = im.clone()
        heard["out"] = (out[0] if isinstance(out, (list, tuple)) else out).clone()
        return out

    def listen_masks(masks, *args, **kwargs):
        """The sums that `process_mask_native` cuts at 0, [masks, height, width]."""
        out = scale_masks(masks, *args, **kwargs)
        heard["sums"] += list(out[0].numpy().copy())
        return out

    AutoBackend.forward, ops.scale_masks = listen, listen_masks
    try:
        yield heard
    finally:
        AutoBackend.forward, ops.scale_masks = forward, scale_masks


def boxed(case, picture):
    """The picture as the model gets it, [160, 160, 3] of 8 bits."""
    return LetterBox((SIZE, SIZE), scale_fill=case["format"] == "rtdetr")(image=picture)


def fed(case, tensor, picture, rect=False):
    """Where the picture lies in the tensor that the model was fed; checked, not believed."""
    height, width = picture.shape[:2]
    task = case.get("task", "detect")
    if task == "classify":
        short = min(width, height)
        size = [SIZE if side == short else int(SIZE * side / short) for side in (width, height)]
        where = {"resized": size, "cropped": [round((side - SIZE) / 2) for side in size]}
    elif case["format"] == "rtdetr":
        where = {"resized": [SIZE, SIZE], "pad": [0, 0]}
    else:
        box = LetterBox((SIZE, SIZE), auto=rect, stride=max(STRIDES)).get_params({"img": picture})
        where = {"resized": list(box["new_unpad"]), "pad": [box["left"], box["top"]]}
        outside = np.ones(tensor.shape[2:], bool)
        outside[box["top"]:box["top"] + where["resized"][1], box["left"]:box["left"] + where["resized"][0]] = False
        assert (abs(tensor[0].float().numpy()[:, outside] - 114 / 255) < 1e-3).all()
    mean = tensor.double().mean((0, 2, 3))
    return {"size": [width, height], "tensor": list(tensor.shape), **where, "tensor_mean": rounded(mean, 6)}


def find(case, path, files, pictures, rect=False):
    """{picture: what the peer did and found}, and what its model put out for each.

    With `rect`, the peer's default, a graph of dynamic size is fed the smallest multiple of the stride and not a square.
    """
    if case["family"] == "yolov5":
        return family5().find(case, path, files, pictures, fed, (CONFIDENCE, IOU, SIZE, MASK_MARGIN))
    task = case.get("task", "detect")
    model = RTDETR(path) if "decoder" in case else YOLO(path, task=task)
    images, raws = {}, []
    case["least"], case["unsure"] = SIZE * SIZE, 0.0
    for file, picture in zip(files, pictures):
        with listening() as heard:
            result, = model.predict(str(file), imgsz=SIZE, conf=CONFIDENCE, iou=IOU, agnostic_nms=False, device="cpu",
                                    rect=rect, retina_masks=task == "segment", save=False, verbose=False)
        image = fed(case, heard["in"], picture, rect)
        assert rect or image["tensor"] == [1, 3, SIZE, SIZE]
        raws.append(heard["out"][0].float().numpy())
        if task == "classify":
            images[file.name] = {**image, "probabilities": rounded(result.probs.data, 6)}
            continue
        defects = []
        found = result.obb if task == "obb" else result.boxes
        for i in range(len(found)):
            defect = {"kind": result.names[int(found.cls[i])], "confidence": round(float(found.conf[i]), 6),
                      "box": rounded(found.xyxy[i])}
            if task == "obb":
                defect["corners"] = [rounded(point) for point in found.xyxyxyxy[i]]
                defect["xywhr"] = rounded(found.xywhr[i], 6)
            if task == "segment":
                mask = result.masks.data[i].numpy()
                assert mask.shape == picture.shape[:2]
                case["least"] = min(case["least"], mask.sum())
                x0, y0, x1, y1 = found.xyxy[i].round().int().tolist()
                near = abs(heard["sums"][i][max(y0 - 1, 0):y1 + 1, max(x0 - 1, 0):x1 + 1]) < MASK_MARGIN
                case["unsure"] = max(case["unsure"], near.sum() / max(mask.sum(), 1))
                defect["mask"] = record.rle(mask)
            defects.append(defect)
        images[file.name] = {**image, "defects": defects}
    return images, raws


NOTES = {
    "": "in the peer's order, most certain first; kept where confidence > 0.25; resize is OpenCV's 8-bit INTER_LINEAR, "
        "pad 114, colours RGB, a gray file is read as three equal channels",
    "stretched": "in the peer's order, most certain first; kept where confidence > 0.25; resize is OpenCV's 8-bit INTER_LINEAR, "
        "colours RGB, a gray file is read as three equal channels; boxes are not clipped to the picture",
    "boxes": "; boxes are clipped to the picture",
    "yolov8-detect": "static input",
    "yolo11-detect": "dynamic input (batch, height, width); predicted with rect=False, so that a 160x160 square is fed",
    "yolo11-detect-rect": "dynamic input; predicted as the peer does by default: padded to multiples of the stride only",
    "yolo11-detect-half": "float16 weights, input and outputs, as exported on a GPU (on a CPU the peer keeps float32 at both "
        "ends); coordinates above 64 come in steps of 1/16 pixel of the model and above 128 in steps of 1/8; the same network "
        "as yolo11-detect, whose confidences differ by up to 0.02",
    "yolo11-detect-nms": "suppression inside the graph, at the same confidence and IoU; rows without a detection are 0; "
        "the margin of IoU is that of the same network without suppression",
    "yolo26-detect": "one-to-one head, no suppression anywhere: several rows may be nearly the same box, and one place "
        "may give several kinds",
    "rtdetr-detect": "RTDETR(\"model.onnx\").predict: the picture is stretched; boxes in parts of the input, no suppression anywhere: "
        "one place may give several kinds",
    "yolo26-segment": "one-to-one head, mask coefficients in the last 32 numbers of a row; masks as for yolo11-segment",
    "yolo11-segment": "masks are those of retina_masks=True: prototypes combined, enlarged to the source's size, limited "
        "at 0 and cut to the box. With retina_masks=False the peer's masks are in pixels of the model, not of the source",
    "yolo11-obb": "corners start at (+w/2, +h/2) of the box and go on to (+w/2, -h/2); box is the hull of the corners; "
        "neither is clipped. The suppression is the peer's probiou one, where a suppressed box still suppresses",
    "yolo11-obb-nms": "suppression inside the graph, at the same confidence and IoU; corners as for yolo11-obb; the margin of IoU "
        "is that of the same network without suppression",
    "yolo11-classify": "shorter side to 160 by Pillow's antialiased BILINEAR on 8 bits, longer side rounded down, middle "
        "160x160 cut out",
    "yolov5-detect": "static input. `box` undoes the letterbox that was applied; `box_yolov5` is the package's scale_boxes, which "
        "leaves out that the letterbox rounds to whole pixels",
    "yolov5-segment": "boxes as for yolov5-detect. Masks by the package's process_mask_native (prototypes combined, made "
        "probabilities, enlarged, above 0.5, cut to the box) where the padding is a multiple of 4; elsewhere that function "
        "cuts cells at int(padding), up to a cell beside the picture, and they are enlarged first",
}


def make(name, case):
    files = sorted((HERE / "images").glob("*.png"))
    assert len(files) == 5, "images.py first"
    pictures = [cv2.imread(str(file), cv2.IMREAD_COLOR) for file in files]
    inputs = np.stack([boxed(case, p) for p in pictures])
    tensors = torch.from_numpy(inputs[..., ::-1].transpose(0, 3, 1, 2).copy()).float() / 255
    task = case.get("task", "detect")
    with tempfile.TemporaryDirectory() as work, contextlib.chdir(work):
        for seed in range(1000):
            model = build(case, seed)
            if not search(case, model, pictures, tensors, seed):
                continue
            path = Path("model.onnx")
            export(case, model, path)
            images, raws = find(case, path, files, pictures)
            if task == "classify":
                top = [sorted(i["probabilities"])[-2:] for i in images.values()]
                margin = {"order": round(min(b - a for a, b in top), 4)}
                break
            # once more, on what the exported graph puts out and the peer makes of it
            raws = [rows_last(case, r) for r in raws]
            reports = [firmness(case, r, scores_of(case, r)) for r in raws]
            firm = firm_enough(case, reports, pictures)
            agree = all(r["found"] == len(i["defects"]) for r, i in zip(reports, images.values()))
            small = None
            if case.get("export", {}).get("dynamic"):
                small, small_raws = find(case, path, files, pictures, rect=True)
                small_reports = [firmness(case, r, scores_of(case, r)) for r in (rows_last(case, r) for r in small_raws)]
                # nothing was moved to make these firm: a third of the margins has to do, still 50 times what is seen
                firm = min(firm, 5 * firm_enough(case, small_reports, pictures, [i["tensor"][2:] for i in small.values()]))
                agree = agree and all(r["found"] == len(i["defects"]) for r, i in zip(small_reports, small.values()))
            # a mask of a few pixels would say little
            agree = agree and case.get("least", LEAST) >= LEAST and case.get("unsure", 0) <= UNSURE
            if firm >= 1.5 and agree:
                if case.get("export", {}).get("nms"):
                    reports = case["reports"]
                margin = {k: round(float(min(r[k] for r in reports)), 4) for k in MARGIN if k in reports[0]}
                if task == "segment":
                    margin |= {"least_mask": int(case["least"]), "unsure_mask": round(float(case["unsure"]), 5)}
                break
            print(f"{name}: seed {seed} found, then refused (firm {firm:.2f}, agree {agree}, least mask {case['least']}, "
                  f"unsure pixels {case['unsure']:.4f})", file=sys.stderr)
        else:
            sys.exit(f"{name}: no seed will do")
        folder = record.fresh(name)
        (folder / "model.onnx").write_bytes(path.read_bytes())
    expected = {
        "exporter": family5().EXPORTER if case["family"] == "yolov5" else f"ultralytics {ultralytics.__version__}",
        "family": case["family"], "task": task, "format": case["format"], "recipe": Path(__file__).name, "seed": seed,
        "confidence": CONFIDENCE, "iou": IOU, "kinds": case.get("names", NAMES), "margin": margin,
        **({"noise": {k: round(float(v), 4) for k, v in case["steady"].items()}} if "steady" in case else {}),
        "notes": NOTES[name] + ("" if task == "classify" else f"; {NOTES['stretched']}" if case["format"] == "rtdetr"
                                else f"; {NOTES['']}{NOTES['boxes'] if task != 'obb' else ''}"),
    }
    record.write_expected(folder / "expected.json", expected, images)
    if task != "classify" and small is not None:
        small_margin = {k: round(float(min(r[k] for r in small_reports)), 4) for k in MARGIN if k in small_reports[0]}
        notes = expected["notes"].replace(NOTES[name], NOTES[f"{name}-rect"])
        record.write_expected(folder / "expected-rect.json", {**expected, "margin": small_margin, "notes": notes}, small)
    counts = [len(i.get("defects", i.get("probabilities"))) for i in images.values()]
    size = (folder / "model.onnx").stat().st_size
    print(f"{name}: seed {seed}, {size} bytes, found {counts}, margin {margin}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Makes the parity cases of the YOLO family.")
    parser.add_argument("--only", choices=CASES, metavar="CASE", help=", ".join(CASES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for name, case in CASES.items():
        if args.only in (None, name):
            make(name, case)


if __name__ == "__main__":
    main()
