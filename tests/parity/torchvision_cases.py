#!/usr/bin/env python3
"""Parity cases of models exported from torchvision: three detectors, a classifier and two segmentation nets.

Python 3.11 or newer and these packages:

    torch==2.15.0  torchvision==0.29.2  numpy==2.4.6  pillow==13.0.0  onnx==1.23.2  onnxruntime==1.32.0

    torchvision_cases.py                     # writes every folder below
    torchvision_cases.py --only torchvision-ssd

The networks are torchvision's own classes around a backbone of a few channels, with random weights
(see `weights.py`). Seeds are tried in order until no result hangs on the last digits. What is expected comes from torchvision in eager mode, never from the exported
graph; the graph is then checked against it in onnxruntime.
"""

import json
import warnings

import numpy as np
import torch
import torchvision
from torch import nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.ssd import SSD
from torchvision.models.segmentation.fcn import FCN, FCNHead
from torchvision.ops import MultiScaleRoIAlign, boxes as box_ops
from torchvision.transforms import v2
from torchvision.transforms._presets import ImageClassification

import record
from weights import settle, stretch

torch.set_num_threads(1)
warnings.filterwarnings("ignore")

KINDS = ["open", "short", "spur"]  # label 1, 2, 3; label 0 is the background
EXPORTER = f"torchvision {torchvision.__version__.split('+')[0]}, torch {torch.__version__.split('+')[0]}"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
OPSET = 17
CONFIDENCE = 0.5


def conv(inputs, outputs, stride):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU())


class Backbone(nn.Sequential):
    """Stride 8, `out_channels` channels."""

    def __init__(self, channels=16):
        super().__init__(conv(3, 8, 2), conv(8, 12, 2), conv(12, channels, 2), conv(channels, channels, 1))
        self.out_channels = channels


def tensor(picture):
    """float32 [3, height, width], 0 to 1: all that a torchvision detector wants done outside."""
    return v2.functional.to_dtype(v2.functional.pil_to_tensor(picture), torch.float32, scale=True)


class Overlaps:
    """Watches the NMS calls and keeps the smallest distance of an overlap that matters from the limit."""

    def __enter__(self):
        self.margin, self.original = float("inf"), box_ops.batched_nms

        def watched(boxes, scores, labels, limit):
            kept = self.original(boxes, scores, labels, limit)
            b, s, l = boxes.numpy(), scores.numpy(), labels.numpy()
            first = kept.numpy()
            # only a kept box suppresses, only one of the same kind, and what is far below the confidence never shows
            iou = record.overlap(b[first], b)
            matters = (l[first][:, None] == l[None]) & (s[first][:, None] > s[None]) & (s[None] > 0.9 * CONFIDENCE)
            if limit == self.limit and matters.any():
                self.margin = min(self.margin, float(np.abs(iou - limit)[matters].min()))
            return kept

        box_ops.batched_nms = watched
        return self

    def __call__(self, limit):
        self.limit = limit
        return self

    def __exit__(self, *_):
        box_ops.batched_nms = self.original


def detections(model, images, limit, back=None):
    """Runs the model on each picture's tensor; {name: output}, and the margins. `back` scales boxes [x, y] a picture."""
    found, scores_margin = {}, float("inf")
    with Overlaps()(limit) as overlaps:
        for name, image in images.items():
            out = model([image])[0]
            if back:
                out = {**out, "boxes": out["boxes"] * torch.tensor([*back[name]] * 2)}
            scores_margin = min([scores_margin, *(out["scores"] - CONFIDENCE).abs().tolist()])
            found[name] = {k: v.numpy() for k, v in out.items()}
    return found, scores_margin, overlaps.margin


def spread(found, fewest=1, most=9):
    """A handful of results a picture, more than one kind in all, and not all of the same score."""
    sure = [f["scores"][f["scores"] > CONFIDENCE] for f in found.values()]
    labels = np.concatenate([f["labels"][f["scores"] > CONFIDENCE] for f in found.values()])
    return all(fewest <= len(s) <= most for s in sure) and len(set(labels.tolist())) == len(KINDS) and np.std(np.concatenate(sure)) > 0.08


def defects(out):
    """As a user of torchvision reads them: score above the confidence, mask probability at least 0.5."""
    rows = []
    for i in np.flatnonzero(out["scores"] > CONFIDENCE):
        mask = out["masks"][i, 0] >= 0.5 if "masks" in out else None
        rows.append(record.defect(KINDS[out["labels"][i] - 1], out["scores"][i], out["boxes"][i], mask))
    return rows


# The exported graph resizes with float32 factors, eager mode with float64 ones: hence not closer. Boxes in pixels.
TOLERANCE = {"boxes": 5e-3, "labels": 0, "scores": 2e-4, "masks": 1e-3}


def same(graph, feed, out, names):
    """The exported graph and eager mode agree on one picture; returns the largest differences."""
    results = dict(zip(names, graph.run(None, {graph.get_inputs()[0].name: feed})))
    worst = {}
    for key, value in out.items():
        assert results[key].shape == value.shape, (key, results[key].shape, value.shape)
        worst[key] = float(np.abs(results[key].astype(np.float64) - value).max(initial=0))
        assert worst[key] <= TOLERANCE[key], (key, worst[key])
    return worst


def largest(worsts):
    return {key: max(w[key] for w in worsts) for key in worsts[0]}


def seek(build, views, limit, tries=400):
    """The first seed whose results are a handful and keep clear of the limits, in each view of the pictures."""
    for seed in range(tries):
        model = build(seed)
        results = [detections(model, images, limit, back) for images, back in views]
        if all(spread(found) and s >= record.SCORE_MARGIN and o >= record.IOU_MARGIN for found, s, o in results):
            print(f"  seed {seed}")
            return model, results, seed
    raise SystemExit("no seed fits")


def shrunk(size):
    """The pictures stretched to (height, width) by PIL's bilinear, and the factors back to source pixels."""
    height, width = size
    small = {name: tensor(v2.functional.resize(p, [height, width], antialias=True)) for name, p in record.pictures().items()}
    return small, {name: (p.width / width, p.height / height) for name, p in record.pictures().items()}


def header(case, family, notes, **more):
    return {"exporter": EXPORTER, "family": family, "task": "detect", "format": "boxes", "recipe": "torchvision_cases.py",
            "confidence": CONFIDENCE, "kinds": KINDS, "first_label": 1, **more, "notes": notes}


def counts(found):
    return {name: int((f["scores"] > CONFIDENCE).sum()) for name, f in found.items()}


# ---------------------------------------------------------------- detectors

def rcnn(kind, seed, **more):
    torch.manual_seed(seed)
    backbone = Backbone()
    channels, classes = backbone.out_channels, len(KINDS) + 1
    model = kind(
        backbone,
        rpn_anchor_generator=AnchorGenerator(((16, 32, 64),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 5, 2),
        box_head=TwoMLPHead(channels * 25, 48),
        box_predictor=FastRCNNPredictor(48, classes),
        min_size=160, max_size=256, rpn_pre_nms_top_n_test=200, rpn_post_nms_top_n_test=60, **more,
    ).eval()
    pictures = [tensor(p) for p in record.pictures().values()]
    settle(model, lambda: model(pictures))
    stretch(0.2, 0.0, model.rpn.head.bbox_pred)
    stretch(1.0, [2.2, 0.0, 0.0, 0.0], model.roi_heads.box_predictor.cls_score)
    if kind is MaskRCNN:
        stretch(2.0, 0.5, model.roi_heads.mask_predictor.mask_fcn_logits)
    return model


RCNN_GRAPH = (
    "Inside the graph: (x - ImageNet mean) / std, bilinear resize without antialias to shorter side 160 and longer side at "
    "most 256, padding to a multiple of 32, network, softmax over 4 classes with the background as class 0, scores above "
    "0.05, NMS a class at IoU 0.5, boxes scaled back to the pixels of the graph's input and clipped to it, sorted by score. "
    "Outside: RGB / 255 in the source's own size, and score > confidence."
)


def two_views(kind, size):
    views = [({n: tensor(p) for n, p in record.pictures().items()}, None), shrunk(size)]
    return views


def fasterrcnn(case):
    size = (160, 192)
    views = two_views(FasterRCNN, size)
    with torch.no_grad():
        model, results, seed = seek(lambda s: rcnn(FasterRCNN, s), views, 0.5)
        folder = record.fresh(case)
        names = ["boxes", "labels", "scores"]
        torch.onnx.export(
            model, ([torch.rand(3, 141, 233)],), folder / "model.onnx", dynamo=False, opset_version=OPSET, input_names=["image"],
            output_names=names,
            dynamic_axes={"image": {1: "height", 2: "width"}, **{n: {0: "detections"} for n in names}},
        )
    record.describe(folder / "model.onnx")
    graph = record.session(folder / "model.onnx")
    write_detector(case, folder, graph, "fasterrcnn", names, views, results, seed, size, RCNN_GRAPH, lambda t: t.numpy())


def maskrcnn(case):
    size = (160, 192)
    views = two_views(MaskRCNN, size)

    def build(seed):
        channels = 16
        return rcnn(
            MaskRCNN, seed, mask_roi_pool=MultiScaleRoIAlign(["0"], 7, 2), mask_head=MaskRCNNHeads(channels, (12,), 1),
            mask_predictor=MaskRCNNPredictor(12, 8, len(KINDS) + 1),
        )

    with torch.no_grad():
        model, results, seed = seek(build, views, 0.5)
        folder = record.fresh(case)
        names = ["boxes", "labels", "scores", "masks"]
        torch.onnx.export(
            model, (torch.rand(1, 3, 141, 233),), folder / "model.onnx", dynamo=False, opset_version=OPSET, input_names=["images"],
            output_names=names,
            dynamic_axes={"images": {2: "height", 3: "width"}, **{n: {0: "detections"} for n in names[:3]},
                          "masks": {0: "detections", 2: "height", 3: "width"}},
        )
    record.describe(folder / "model.onnx")
    graph = record.session(folder / "model.onnx")
    notes = RCNN_GRAPH + (
        " Masks: a sigmoid map of 14x14 a detection, padded to 16x16, pasted by bilinear resize into its box (corners cut "
        "to whole pixels) on a canvas of the graph's input size, 0 elsewhere; a pixel belongs to the mask at >= 0.5."
    )
    write_detector(case, folder, graph, "maskrcnn", names, views, results, seed, size, notes, lambda t: t.numpy()[None])


def write_detector(case, folder, graph, family, names, views, results, seed, size, notes, feed):
    (images, _), (small, back) = views
    native, native_scores, native_overlaps = results[0]
    fixed, fixed_scores, fixed_overlaps = results[1]
    worsts = [same(graph, feed(images[n]), out, names) for n, out in native.items()]
    for name, out in fixed.items():
        unscaled = {**out, "boxes": out["boxes"] / np.array([*back[name]] * 2, np.float32)}
        worsts.append(same(graph, feed(small[name]), unscaled, names))
    soft = {}
    if "masks" in names:
        for view, found in (("native", native), ("fixed", fixed)):
            soft[view] = max(int((np.abs(f["masks"][f["scores"] > CONFIDENCE] - 0.5) < 1e-3).sum()) for f in found.values())
        notes += f" Mask pixels within 1e-3 of 0.5, at most in a picture: {soft['native']} in source size, {soft['fixed']} stretched."
    print("  graph against eager:", largest(worsts), counts(native), counts(fixed), soft)
    margin = " Seed {}. Smallest distance of a score from the confidence {:.4f}, of an IoU from the NMS limit {:.4f}."
    task = {"task": "instance"} if "masks" in names else {}
    record.write_expected(
        folder / "expected.json",
        {**header(case, family, notes + margin.format(seed, native_scores, native_overlaps), input={"size": "source"}), **task},
        {n: {"defects": defects(f)} for n, f in native.items()},
    )
    stretched = (
        f" Here the picture is first stretched to {size[1]}x{size[0]} by PIL's bilinear (antialiased, 8 bits), for a caller "
        "that has one input size; boxes are scaled back to source pixels, masks stay in the pixels of the graph's input."
    )
    record.write_expected(
        folder / f"expected-{size[0]}x{size[1]}.json",
        {**header(case, family, notes + stretched + margin.format(seed, fixed_scores, fixed_overlaps),
                  input={"size": list(size), "fit": "stretch"}), **task},
        {n: {"defects": defects(f)} for n, f in fixed.items()},
    )


def ssd(case):
    side = 160
    small, back = shrunk((side, side))

    class Levels(nn.Module):
        def __init__(self):
            super().__init__()
            self.near, self.far = Backbone(), conv(16, 16, 2)

        def forward(self, x):
            near = self.near(x)
            return {"0": near, "1": self.far(near)}

    def build(seed):
        torch.manual_seed(seed)
        anchors = DefaultBoxGenerator([[2], [2]], scales=[0.12, 0.25, 0.45], steps=[8, 16])
        model = SSD(Levels(), anchors, (side, side), len(KINDS) + 1, topk_candidates=100, detections_per_img=50).eval()
        settle(model, lambda: model(list(small.values())))
        stretch(0.8, 0.0, *model.head.regression_head.module_list)
        for layer in model.head.classification_head.module_list:
            places = layer.bias.numel() // (len(KINDS) + 1)
            stretch(1.0, [5.4, 0.0, 0.0, 0.0] * places, layer)
        return model

    views = [(small, back)]
    with torch.no_grad():
        model, [(found, scores, overlaps)], seed = seek(build, views, 0.45)
        folder = record.fresh(case)
        # no names are given, as many users do: the outputs are called by numbers and only rank and type tell them apart
        torch.onnx.export(model, (torch.rand(1, 3, side, side),), folder / "model.onnx", dynamo=False, opset_version=OPSET)
    record.describe(folder / "model.onnx")
    graph = record.session(folder / "model.onnx")
    names = ["boxes", "scores", "labels"]
    worsts = []
    for name, out in found.items():
        unscaled = {**out, "boxes": out["boxes"] / np.array([*back[name]] * 2, np.float32)}
        worsts.append(same(graph, small[name].numpy()[None], unscaled, names))
    print("  graph against eager:", largest(worsts), counts(found))
    notes = (
        "Outside the graph: PIL's bilinear (antialiased, 8 bits) stretches the picture to 160x160, RGB / 255, and boxes are "
        "scaled back to source pixels; score > confidence. Inside: (x - ImageNet mean) / std, resize to 160x160 (nothing to "
        "do), network, softmax over 4 classes with the background as class 0, scores above 0.01, NMS a class at IoU 0.45, "
        "boxes in input pixels, sorted by score. Outputs in the order boxes, scores, labels, and without names. "
        f"Seed {seed}. Smallest distance of a score from the confidence {scores:.4f}, of an IoU from the NMS limit {overlaps:.4f}."
    )
    record.write_expected(
        folder / "expected.json", header(case, "ssd", notes, input={"size": [side, side], "fit": "stretch"}),
        {n: {"defects": defects(f)} for n, f in found.items()},
    )


# ---------------------------------------------------------------- classifier, segmentation

def classify(case):
    torch.manual_seed(1)
    kinds = ["good", *KINDS]
    model = nn.Sequential(Backbone(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, len(kinds))).eval()
    prepare = v2.Compose([
        v2.Resize(144, antialias=True), v2.CenterCrop(128), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
    ])
    preset = ImageClassification(crop_size=128, resize_size=144)
    inputs = {n: prepare(p)[None] for n, p in record.pictures().items()}
    with torch.no_grad():
        settle(model, lambda: model(torch.cat(list(inputs.values()))))
        folder = record.fresh(case)
        torch.onnx.export(
            model, (torch.rand(1, 3, 128, 128),), folder / "model.onnx", dynamo=False, opset_version=OPSET, input_names=["input"],
            output_names=["logits"], dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
        )
        record.describe(folder / "model.onnx")
        graph = record.session(folder / "model.onnx")
        images, closest = {}, 1.0
        for (name, x), picture in zip(inputs.items(), record.pictures().values()):
            assert torch.allclose(x[0], preset(picture), atol=1e-5), "v2 and the weights' own preset differ"
            logits = model(x)
            assert np.abs(graph.run(None, {"input": x.numpy()})[0] - logits.numpy()).max() < 1e-4
            p = logits.softmax(-1)[0].tolist()
            top = sorted(p)[-2:]
            closest = min(closest, top[1] - top[0])
            images[name] = {"label": kinds[int(np.argmax(p))], "probabilities": [round(v, 6) for v in p]}
    print("  smallest lead of the first kind:", closest, {n: i["probabilities"] for n, i in images.items()})
    assert closest > record.SCORE_MARGIN
    notes = (
        "PIL reads RGB; PIL's bilinear (antialiased, 8 bits) resizes the shorter side to 144, the longer side to "
        "int(144 * long / short); centre crop 128x128 at top = round((h - 128) / 2), left likewise, halves to the even "
        "number as Python's round; / 255; ImageNet mean and std. Equal to torchvision's ImageClassification preset. "
        f"The graph gives logits, probabilities are their softmax. Seed 1. Smallest lead of the first kind {closest:.4f}."
    )
    record.write_expected(
        folder / "expected.json",
        {"exporter": EXPORTER, "family": "torchvision", "task": "classify", "format": "scores", "recipe": "torchvision_cases.py",
         "kinds": kinds, "input": {"size": [128, 128], "fit": "crop", "resize": 144, "mean": MEAN, "std": STD}, "notes": notes},
        images,
    )


class Out(nn.Module):
    """torchvision's segmentation nets give a dict; those who export them take its `out`."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)["out"]


def fcn(classes, seed, size):
    torch.manual_seed(seed)

    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = Backbone(24)

        def forward(self, x):
            return {"out": self.body(x)}

    model = Out(FCN(Features(), FCNHead(24, classes))).eval()
    prepare = v2.Compose([
        v2.Resize(size, antialias=True), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD),
    ])
    inputs = {n: prepare(p)[None] for n, p in record.pictures().items()}
    settle(model, lambda: model(torch.cat(list(inputs.values()))))
    return model, inputs


SEGMENT_NOTES = (
    "PIL reads RGB; PIL's bilinear (antialiased, 8 bits) stretches the picture to 96x64; / 255; ImageNet mean and std. The "
    "graph gives logits of its input's size (FCN's own bilinear upsampling from stride 8 is inside). "
)


def export_segment(model, folder, size):
    torch.onnx.export(
        model, (torch.rand(1, 3, *size),), folder / "model.onnx", dynamo=False, opset_version=OPSET, input_names=["input"],
        output_names=["logits"], dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
    )
    record.describe(folder / "model.onnx")
    return record.session(folder / "model.onnx")


def segment(case):
    size, kinds = (64, 96), ["background", *KINDS]
    with torch.no_grad():
        model, inputs = fcn(len(kinds), 3, size)
        stretch(2.0, [2.0, 0.0, 0.0, 0.0], model.net.classifier[-1])
        folder = record.fresh(case)
        graph = export_segment(model, folder, size)
        images, unsure = {}, 0
        for name, x in inputs.items():
            logits = model(x)
            assert np.abs(graph.run(None, {"input": x.numpy()})[0] - logits.numpy()).max() < 1e-3
            p = logits.softmax(1)[0].numpy()
            classes = p.argmax(0)
            top = np.sort(p, 0)
            unsure = max(unsure, int((top[-1] - top[-2] < record.SCORE_MARGIN).sum()))
            stem = name.removesuffix(".png")
            record.Image.fromarray(classes.astype(np.uint8)).save(folder / f"{stem}.classes.png", optimize=True)
            images[name] = {
                "map": record.save_unit_map(folder / f"{stem}.map.png", p), "classes": f"{stem}.classes.png",
                "pixels": np.bincount(classes.ravel(), minlength=len(kinds)).tolist(),
            }
            print(" ", name, images[name]["pixels"])
    notes = SEGMENT_NOTES + (
        "`map`: softmax probabilities, 16-bit gray PNG (pixel / 65535), the 4 classes one below the other, 64 rows each. "
        "`classes`: argmax, 8-bit gray PNG. `pixels`: how many pixels each class has. Both in the pixels of the graph's input. Seed 3. "
        f"Pixels whose first two classes are closer than {record.SCORE_MARGIN}: at most {unsure} of {size[0] * size[1]}."
    )
    record.write_expected(
        folder / "expected.json",
        {"exporter": EXPORTER, "family": "fcn", "task": "segment", "format": "mask", "recipe": "torchvision_cases.py",
         "kinds": kinds, "input": {"size": list(size), "fit": "stretch", "mean": MEAN, "std": STD}, "notes": notes},
        images,
    )


def segment_one(case):
    size = (64, 96)
    with torch.no_grad():
        model, inputs = fcn(1, 5, size)
        stretch(3.0, -2.5, model.net.classifier[-1])
        folder = record.fresh(case)
        graph = export_segment(model, folder, size)
        images, unsure = {}, 0
        for name, x in inputs.items():
            logits = model(x)
            assert np.abs(graph.run(None, {"input": x.numpy()})[0] - logits.numpy()).max() < 1e-3
            p = logits.sigmoid()[0, 0].numpy()
            unsure = max(unsure, int((np.abs(p - CONFIDENCE) < record.SCORE_MARGIN).sum()))
            stem = name.removesuffix(".png")
            images[name] = {"score": round(float(p.max()), 6), "map": record.save_unit_map(folder / f"{stem}.map.png", p), "mask": record.rle(p > CONFIDENCE)}
            print(" ", name, images[name]["score"], int((p > CONFIDENCE).sum()))
    notes = SEGMENT_NOTES + (
        "One class: the probability is the sigmoid of the logit. `map`: 16-bit gray PNG (pixel / 65535); `mask`: probability > "
        "0.5; `score`: the largest probability; all in the pixels of the graph's input. Seed 5. "
        f"Pixels within {record.SCORE_MARGIN} of 0.5: at most {unsure} of {size[0] * size[1]}."
    )
    record.write_expected(
        folder / "expected.json",
        {"exporter": EXPORTER, "family": "fcn", "task": "segment", "format": "mask", "recipe": "torchvision_cases.py",
         "confidence": CONFIDENCE, "kinds": ["defect"], "input": {"size": list(size), "fit": "stretch", "mean": MEAN, "std": STD}, "notes": notes},
        images,
    )


if __name__ == "__main__":
    record.run({
        "torchvision-fasterrcnn": fasterrcnn, "torchvision-ssd": ssd, "torchvision-maskrcnn": maskrcnn,
        "torchvision-classify": classify, "torchvision-segment": segment, "segment-one": segment_one,
    })
