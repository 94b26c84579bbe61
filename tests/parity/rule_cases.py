#!/usr/bin/env python3
"""Cases of exporters whose packages were not installed beside the others: YOLOX, YOLO-NAS, RT-DETR's own exporter, TensorFlow's
Object Detection API, class maps.

    numpy==2.4.6  pillow==13.0.0  onnx==1.23.2  onnxruntime==1.32.0

    rule_cases.py                  # writes every folder below
    rule_cases.py --only yolox

The graphs are written here, in the form that the exporters give theirs, with random weights. What is expected is the
rule of the repository, written anew in numpy: YOLOX's `demo_postprocess` and `multiclass_nms` (each kind by itself),
`PPYoloEPostPredictionCallback` of super-gradients, `RTDETRPostProcessor`, the detections of the Object Detection API,
and `semantic/predict.py` of Ultralytics, whose nearest cell is measured here at the centres of pixels. Pictures are
resized as Pillow does; boxes come back by the size that a picture was resized to, where YOLOX takes the ratio before it
rounds. Seeds are tried in order until no result hangs on the last digits.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import record

KINDS = ["open", "short", "spur"]
WIDTH, HEIGHT = 128, 96
STRIDES = [8, 16, 32]
CONFIDENCE, IOU, TOP = 0.5, 0.5, 20
MARGIN = 1e-3


class Graph:
    """Nodes and weights in the making."""

    def __init__(self, seed):
        self.random, self.nodes, self.weights = np.random.default_rng(seed), [], []

    def node(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output] if isinstance(output, str) else output, **attributes))
        return output

    def constant(self, name, values):
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def patches(self, stride, scale, bias):
        """One number of each channel a cell of `stride` pixels: [1, channels, rows, columns]."""
        channels = len(bias)
        weight = self.random.normal(size=(channels, 3, 1, 1)) + 0.3 * self.random.normal(size=(channels, 3, stride, stride))
        weight -= weight.mean((1, 2, 3), keepdims=True)
        weight *= 40 * np.reshape(scale, (-1, 1, 1, 1)) / (3 * stride * stride)
        weight, bias = weight.astype(np.float32), np.asarray(bias, np.float32)
        inputs = ["images", self.constant(f"weight{stride}", weight), self.constant(f"bias{stride}", bias)]
        return self.node("Conv", inputs, f"cells{stride}", strides=[stride, stride])

    def rows(self, scale, bias):
        """All cells, level by level, each level row by row: [1, N, channels]."""
        levels = []
        for stride in STRIDES:
            cells = self.patches(stride, scale, bias)
            shape = self.constant(f"shape{stride}", np.array([1, len(bias), -1], np.int64))
            levels.append(self.node("Reshape", [cells, shape], f"level{stride}"))
        return self.node("Transpose", [self.node("Concat", levels, "levels", axis=2)], "rows", perm=[0, 2, 1])

    def part(self, rows, start, end, output):
        ends = [self.constant(f"{output} {end}", np.array([n], np.int64)) for end, n in (("from", start), ("to", end))]
        return self.node("Slice", [rows, *ends, self.constant(f"{output} axis", np.array([2], np.int64))], output)

    def save(self, path, outputs, more=()):
        inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH]), *more]
        values = [helper.make_tensor_value_info(*output) for output in outputs]
        graph = helper.make_graph(self.nodes, path.parent.name, inputs, values, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def cells():
    """Column and row of each cell, and its stride: [N, 3]."""
    grids = [np.mgrid[0:HEIGHT // s, 0:WIDTH // s][::-1].reshape(2, -1).T for s in STRIDES]
    return np.concatenate([np.column_stack([g, np.full(len(g), s)]) for g, s in zip(grids, STRIDES)]).astype(np.float32)


def nms(boxes, scores):
    """The boxes that stay, most confident first, and the overlap that is nearest to the limit."""
    order, kept, near = list(np.argsort(-scores, kind="stable")), [], 1.0
    while order:
        first, *order = order
        kept.append(first)
        if order:
            shared = record.overlap(boxes[[first]], boxes[order])[0]
            near = min(near, np.abs(shared - IOU).min())
            order = [i for i, s in zip(order, shared) if s <= IOU]
    return kept, near


def suppressed(boxes, scores):
    """[(kind, confidence, box)] of boxes [N, 4] with scores [N, K], each kind by itself, and the smallest margin."""
    found, margin = [], np.abs(scores - CONFIDENCE).min()
    for kind in range(scores.shape[1]):
        sure = np.flatnonzero(scores[:, kind] >= CONFIDENCE)
        kept, near = nms(boxes[sure], scores[sure, kind])
        margin = min(margin, near)
        found += [(kind, scores[sure[i], kind], boxes[sure[i]]) for i in kept]
    return found, margin


def yolox(graph, path):
    rows = graph.rows([0.3] * 2 + [0.3] * 2 + [1.5] * 4, [0.5, 0.5, 0.4, 0.4, -0.5, -0.3, -0.3, -0.3])
    raw = graph.part(rows, 0, 4, "raw")
    sure = graph.node("Sigmoid", [graph.part(rows, 4, 8, "logits")], "sure")
    graph.node("Concat", [raw, sure], "output", axis=2)
    graph.save(path, [("output", TensorProto.FLOAT, [1, len(cells()), 8])])

    def rule(outputs):
        row, cell = outputs[0][0], cells()
        centre, size = (row[:, :2] + cell[:, :2]) * cell[:, 2:], np.exp(row[:, 2:4]) * cell[:, 2:]
        boxes, scores = np.concatenate([centre - size / 2, centre + size / 2], 1), row[:, 4:5] * row[:, 5:]
        best = np.where(scores == scores.max(1, keepdims=True), scores, 0)
        return suppressed(boxes, best)

    return rule


def distances(graph, scale, bias):
    """Corners of boxes around the centres of cells, in pixels: [1, N, 4]."""
    rows = graph.rows(scale, bias)
    cell = cells()
    stride = graph.constant("strides", cell[None, :, 2:])
    reach = graph.node("Mul", [graph.node("Softplus", [graph.part(rows, 0, 4, "reach logits")], "reach"), stride], "far")
    centre = graph.constant("centres", np.tile((cell[None, :, :2] + 0.5) * cell[None, :, 2:], (1, 1, 2)))
    sign = graph.constant("signs", np.array([-1, -1, 1, 1], np.float32))
    return rows, graph.node("Add", [centre, graph.node("Mul", [reach, sign], "away")], "corners")


def yolo_nas(graph, path):
    rows, corners = distances(graph, [0.3] * 4 + [1.5] * 3, [0.5] * 4 + [-2.5] * 3)
    graph.node("Identity", [corners], "graph2_pred_bboxes")
    graph.node("Sigmoid", [graph.part(rows, 4, 7, "logits")], "graph2_pred_scores")
    count = len(cells())
    graph.save(path, [("graph2_pred_bboxes", TensorProto.FLOAT, [1, count, 4]),
                      ("graph2_pred_scores", TensorProto.FLOAT, [1, count, 3])])
    return lambda outputs: suppressed(outputs[0][0], outputs[1][0])


def selected(graph):
    """The highest of all numbers, and their boxes in parts: scores [1, TOP], numbers of kinds, corners."""
    rows, corners = distances(graph, [0.3] * 4 + [1.5] * 3, [0.5] * 4 + [-2.5] * 3)
    size = graph.constant("size", np.array([WIDTH, HEIGHT] * 2, np.float32))
    parts = graph.node("Div", [corners, size], "parts")
    sure = graph.node("Sigmoid", [graph.part(rows, 4, 7, "logits")], "sure")
    flat = graph.node("Reshape", [sure, graph.constant("flat", np.array([1, -1], np.int64))], "all")
    scores, places = graph.node("TopK", [flat, graph.constant("top", np.array([TOP], np.int64))], ["highest", "places"])
    kinds = graph.constant("kinds", np.array(3, np.int64))
    number, row = graph.node("Mod", [places, kinds], "number"), graph.node("Div", [places, kinds], "row")
    one = graph.constant("one", np.array([0], np.int64))
    boxes = graph.node("Gather", [graph.node("Squeeze", [parts, one], "list"), row], "chosen", axis=0)
    return scores, number, boxes


def rt_detr(graph, path):
    scores, number, boxes = selected(graph)
    graph.node("Identity", [scores], "scores")
    graph.node("Identity", [number], "labels")
    real = graph.node("Cast", ["orig_target_sizes"], "sizes", to=TensorProto.FLOAT)
    twice = graph.node("Concat", [real, real], "twice", axis=1)
    one = graph.constant("second", np.array([1], np.int64))
    graph.node("Mul", [boxes, graph.node("Unsqueeze", [twice, one], "scale")], "boxes")
    sizes = helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [1, 2])
    graph.save(path, [("labels", TensorProto.INT64, [1, TOP]), ("boxes", TensorProto.FLOAT, [1, TOP, 4]),
                      ("scores", TensorProto.FLOAT, [1, TOP])], [sizes])

    def rule(outputs):
        labels, boxes, scores = (o[0] for o in outputs)
        found = [(int(k), s, b) for k, s, b in zip(labels, scores, boxes) if s >= CONFIDENCE]
        return found, np.abs(scores - CONFIDENCE).min()

    return rule


def tensorflow(graph, path):
    scores, number, boxes = selected(graph)
    graph.node("Identity", [scores], "detection_scores")
    one = graph.constant("first", np.array(1, np.float32))
    graph.node("Add", [graph.node("Cast", [number], "real", to=TensorProto.FLOAT), one], "detection_classes")
    order = graph.constant("rows first", np.array([1, 0, 3, 2], np.int64))
    graph.node("Gather", [boxes, order], "detection_boxes", axis=2)
    graph.node("Identity", [graph.constant("count", np.array([TOP], np.float32))], "num_detections")
    graph.save(path, [("detection_boxes", TensorProto.FLOAT, [1, TOP, 4]),
                      ("detection_classes", TensorProto.FLOAT, [1, TOP]),
                      ("detection_scores", TensorProto.FLOAT, [1, TOP]), ("num_detections", TensorProto.FLOAT, [1])])

    def rule(outputs):
        boxes, classes, scores, count = (o[0] for o in outputs)
        scale = np.array([HEIGHT, WIDTH] * 2, np.float32)
        rows = list(zip(classes, scores, boxes * scale))[:int(count)]
        found = [(int(k) - 1, s, b[[1, 0, 3, 2]]) for k, s, b in rows if s >= CONFIDENCE]
        return found, np.abs(scores - CONFIDENCE).min()

    return rule


def class_map(graph, path):
    cells = graph.patches(16, [1.0] * 4, [1.0, 0, 0, 0])
    graph.node("ArgMax", [cells], "output", axis=1, keepdims=0)
    graph.save(path, [("output", TensorProto.INT64, [1, HEIGHT // 16, WIDTH // 16])])
    return None


def regions(numbers, size):
    """[(kind, 1, box, mask)] of a map of numbers over a picture: connected by sides or corners; 0 is no defect."""
    width, height = size
    columns = ((np.arange(width) + 0.5) * numbers.shape[1] / width).astype(int)
    lines = ((np.arange(height) + 0.5) * numbers.shape[0] / height).astype(int)
    large, found = numbers[lines][:, columns], []
    left = large > 0
    while left.any():
        start = tuple(np.argwhere(left)[0])
        mask, open_ = np.zeros_like(left), [start]
        left[start] = False
        while open_:
            y, x = open_.pop()
            mask[y, x] = True
            for v in range(max(y - 1, 0), min(y + 2, height)):
                for u in range(max(x - 1, 0), min(x + 2, width)):
                    if left[v, u] and large[v, u] == large[start]:
                        left[v, u] = False
                        open_.append((v, u))
        ys, xs = np.nonzero(mask)
        found.append((large[start] - 1, 1.0, [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], mask))
    return found


def find(path, rule):
    """The defects of each picture, and the smallest margin."""
    run, images, margin = record.session(path), {}, 1.0
    for name, picture in record.pictures().items():
        # YOLOX keeps the proportions and pads at the right and bottom; the others are fed the whole picture, stretched.
        ratio = min(WIDTH / picture.width, HEIGHT / picture.height)
        corner = int(picture.width * ratio), int(picture.height * ratio)
        width, height = corner if path.parent.name == "yolox" else (WIDTH, HEIGHT)
        small = np.full((HEIGHT, WIDTH, 3), 114, np.float32)
        small[:height, :width] = picture.resize((width, height), Image.Resampling.BILINEAR)
        fed = {"images": small.transpose(2, 0, 1)[None] / np.float32(255)}
        if len(run.get_inputs()) > 1:
            fed["orig_target_sizes"] = np.array([[WIDTH, HEIGHT]], np.int64)
        outputs = run.run(None, fed)
        if rule is None:
            entries = [record.defect(KINDS[k], s, b, m) for k, s, b, m in regions(outputs[0][0], picture.size)]
        else:
            found, near = rule(outputs)
            margin = min(margin, near)
            scale = np.array([picture.width / width, picture.height / height] * 2)
            found.sort(key=lambda f: -f[1])
            entries = [record.defect(KINDS[k], s, b * scale) for k, s, b in found]
        images[name] = {"defects": entries}
    return images, margin


def make(case, write):
    folder = record.fresh(case)
    for seed in range(1000):
        rule = write(Graph(seed), folder / "model.onnx")
        images, margin = find(folder / "model.onnx", rule)
        counts = [len(image["defects"]) for image in images.values()]
        if margin >= MARGIN and np.count_nonzero(counts) >= 3 and 5 <= sum(counts) <= 80:
            break
    else:
        raise SystemExit(f"{case}: no seed is sure enough")
    header = {"exporter": "a graph of its form", "confidence": CONFIDENCE, "iou": IOU, "seed": seed}
    record.write_expected(folder / "expected.json", header, images)
    record.describe(folder / "model.onnx")


CASES = {"yolox": yolox, "yolo-nas": yolo_nas, "rt-detr-own": rt_detr, "tf-detections": tensorflow, "class-map": class_map}

if __name__ == "__main__":
    record.run({name: lambda case, write=write: make(case, write) for name, write in CASES.items()})
