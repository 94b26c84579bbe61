"""What `ultralytics_cases.py` needs of the package `yolov5` (the YOLOv5 repository, release 7.0, as a package).

    yolov5==7.0.14  setuptools==80.10.2  seaborn==0.13.2     (installed with --no-deps: its own pins are of 2023)

Models, export, letterbox, suppression and masks are the package's. Two things are not: boxes are brought back to the
picture through the letterbox that was applied, where the package's `scale_boxes` (kept as `box_yolov5`) and
`process_mask_native` leave out that it rounds to whole pixels; and boxes are not rounded, as its `predict.py` does for
drawing.
"""

import functools
import math
import os
from pathlib import Path

os.environ.update(YOLOv5_AUTOINSTALL="false", YOLOv5_VERBOSE="false", HF_HUB_OFFLINE="1")

import numpy as np
import torch
import yolov5
from torch.nn.functional import interpolate
from ultralytics.utils import YAML, ops
from yolov5.export import export_onnx
from yolov5.models.yolo import Detect, DetectionModel, SegmentationModel
from yolov5.utils.augmentations import letterbox
from yolov5.utils.general import LOGGER, non_max_suppression, scale_boxes
from yolov5.utils.segment.general import crop_mask, process_mask_native

import record

LOGGER.setLevel("ERROR")
EXPORTER = f"yolov5 {yolov5.__version__}"
# as its autoanchor might choose them: YOLOv5's own are made for 640 pixels
ANCHORS = [[34, 40, 40, 56, 60, 43], [50, 71, 72, 55, 60, 90], [68, 76, 78, 99, 110, 80]]
CHANNELS, WIDTH = 192, 0.125  # most channels of the description, and the part of them that is kept


def build(case):
    source = Path(yolov5.__file__).parent / "models" / f"{case['yaml']}.yaml"
    description = YAML.load(source)
    description.update(nc=len(case["names"]), anchors=ANCHORS, width_multiple=WIDTH)
    for *_, module, arguments in description["backbone"] + description["head"]:
        if module in ("Conv", "C3", "SPPF"):
            arguments[0] = min(arguments[0], CHANNELS)
    model = (SegmentationModel if case.get("task") == "segment" else DetectionModel)(description)
    model.names = dict(enumerate(case["names"]))
    return model.eval()


def heads(model):
    """The last layers, and how their outputs lie: numbers an anchor, and those of them before the mask coefficients."""
    head = model.model[-1]
    return list(head.m), head.no, 5 + head.nc


def export(model, path, size, opset):
    for module in model.modules():
        if isinstance(module, Detect):
            module.inplace, module.dynamic, module.export = False, False, True
    exporter = torch.onnx.export
    # what `torch.onnx.export` was when the package was written
    torch.onnx.export = functools.partial(exporter, dynamo=False)
    try:
        file, _ = export_onnx(model, torch.zeros(1, 3, size, size), path, opset, False, False)
    finally:
        torch.onnx.export = exporter
    assert file is not None, "the package's export failed"


def masks_of(prototypes, rows, boxes, picture, placed):
    """float32 [n, height, width], masks where above 0.5: the package's `process_mask_native`, cut where the letterbox
    put the picture.

    The package cuts whole cells of 4 pixels, which is the same where the padding is a multiple of 4. Otherwise the
    cells are enlarged first, as Ultralytics mended it in its own `process_mask_native` of today.
    """
    (width, height), (left, top), (_, rows_high, columns) = *placed, prototypes.shape
    padding = (4 * rows_high - height) | (4 * columns - width)
    step = math.gcd(4, padding | padding // 2)
    cells = (rows @ prototypes.float().view(len(prototypes), -1)).sigmoid().view(-1, rows_high, columns)
    if step < 4:
        cells = interpolate(cells[None], scale_factor=4 // step, mode="bilinear", align_corners=False)[0]
    cells = cells[:, top // step:(top + height) // step, left // step:(left + width) // step]
    found = crop_mask(interpolate(cells[None], picture.shape[:2], mode="bilinear", align_corners=False)[0], boxes)
    if step == 4:
        assert torch.equal(found.gt(0.5), process_mask_native(prototypes, rows, boxes, picture.shape[:2]).bool())
    return found


def find(case, path, files, pictures, fed, limits):
    """As `find` of `ultralytics_cases.py`."""
    confidence, iou, size, margin = limits
    graph, names, segment = record.session(path), case["names"], case.get("task") == "segment"
    images, raws = {}, []
    case["least"], case["unsure"] = size * size, 0.0
    for file, picture in zip(files, pictures):
        boxed = letterbox(picture, size, auto=False)[0]  # auto=False, as for any ONNX
        tensor = torch.from_numpy(np.ascontiguousarray(boxed[None, :, :, ::-1].transpose(0, 3, 1, 2))).float() / 255
        outputs = [torch.from_numpy(o) for o in graph.run(None, {"images": tensor.numpy()})]
        raws.append(outputs[0][0].numpy())
        image = fed(case, tensor, picture)
        rows, = non_max_suppression(outputs[0].clone(), confidence, iou, max_det=300, nm=32 if segment else 0)
        own = scale_boxes((size, size), rows[:, :4].clone(), picture.shape)
        boxes = ops.scale_boxes((size, size), rows[:, :4].clone(), picture.shape)
        masks = [None] * len(rows)
        if segment and len(rows):
            masks = masks_of(outputs[1][0], rows[:, 6:], boxes, picture, (image["resized"], image["pad"]))
            near, masks = (masks - 0.5).abs() < margin, masks > 0.5
            case["least"] = min(case["least"], int(masks.sum((1, 2)).min()))
            case["unsure"] = max(case["unsure"], float((near.sum((1, 2)) / masks.sum((1, 2)).clamp(min=1)).max()))
        defects = []
        for (*_, sure, kind), box, other, mask in zip(rows[:, :6].tolist(), boxes, own, masks):
            defect = record.defect(names[int(kind)], sure, box, None if mask is None else mask.numpy())
            defects.append({**defect, "box_yolov5": [round(float(v), 4) for v in other]})
        images[file.name] = {**image, "defects": defects}
    return images, raws
