#!/usr/bin/env python3
"""A careful Python loop: OpenCV and onnxruntime, one process per core, one thread per process, NumPy without loops.

    python_loop.py MODEL CASES.json

MODEL is a package of panelqc's; its manifest says what preprocessing and decoding have to do. Hashes, traces and
result lines, which panelqc makes as well, are left out. Where the manifest asks for antialiasing, INTER_AREA shrinks.
"""

import multiprocessing
import os
import sys
import tomllib
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import numpy as np
import onnxruntime

from serve import Cases, loop, serve


class Pipeline:
    def __init__(self, model):
        model = Path(model)
        graph = model / "model.onnx" if model.is_dir() else model
        manifest = tomllib.loads(graph.with_suffix(".toml").read_text())
        if model.is_dir() and manifest.get("precision") == "int8":
            graph = graph.with_suffix(".int8.onnx")
        self.input, self.output = manifest["input"], manifest["output"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name
        self.outputs = [o.name for o in self.session.get_outputs()]
        self.height, self.width = self.input["size"]
        self.gray = self.input.get("channels", "rgb") == "gray"
        scale = self.input.get("scale", 1 / 255)
        mean, std = self.input.get("mean", [0.0])[0], self.input.get("std", [1.0])[0]
        self.factor, self.mean = scale / std, mean / scale
        exact = self.input.get("resize", "bilinear") == "opencv-linear" or not self.input.get("antialias", True)
        self.shrink = cv2.INTER_LINEAR if exact else cv2.INTER_AREA
        self.decode = {"grid": self.grid, "scores": self.scores}.get(self.output.get("format"), self.yolo)
        self.confidence, self.iou = self.output.get("confidence", 0.25), self.output.get("iou", 0.5)

    def read(self, file):
        return cv2.imread(str(file), cv2.IMREAD_GRAYSCALE if self.gray else cv2.IMREAD_COLOR)

    def prepare(self, picture):
        height, width = picture.shape[:2]
        if self.input.get("fit", "letterbox") == "stretch":
            if (height, width) != (self.height, self.width):
                kernel = self.shrink if width > self.width else cv2.INTER_LINEAR
                picture = cv2.resize(picture, (self.width, self.height), interpolation=kernel)
            self.back = (width / self.width, height / self.height, 0, 0)
        else:
            ratio = min(self.width / width, self.height / height)
            w, h = round(width * ratio), round(height * ratio)
            if (w, h) != (width, height):
                picture = cv2.resize(picture, (w, h), interpolation=self.shrink if ratio < 1 else cv2.INTER_LINEAR)
            left, top = round((self.width - w) / 2 - 0.1), round((self.height - h) / 2 - 0.1)
            if (w, h) != (self.width, self.height):
                pad = self.input.get("pad", 114)
                picture = cv2.copyMakeBorder(
                    picture, top, self.height - h - top, left, self.width - w - left, cv2.BORDER_CONSTANT, value=(pad,) * 3
                )
            self.back = (1 / ratio, 1 / ratio, left, top)
        self.size = (width, height)
        return cv2.dnn.blobFromImage(picture, self.factor, mean=(self.mean,) * 3, swapRB=not self.gray)

    def inspect(self, picture, reference=None):
        blob = self.prepare(picture)
        if reference is not None:
            blob = np.concatenate([blob, self.prepare(reference)], axis=1)
        return self.decode(dict(zip(self.outputs, self.session.run(None, {self.name: blob}))))

    def boxes(self, corners, scores, kinds):
        """Suppresses within a kind, then across; boxes in pixels of the source."""
        if not len(scores):
            return []
        sized = corners.copy()
        sized[:, 2:] -= sized[:, :2]
        kept = np.asarray(cv2.dnn.NMSBoxesBatched(sized, scores, kinds, self.confidence, self.iou)).ravel()
        if across := self.output.get("iou_across"):
            again = np.asarray(cv2.dnn.NMSBoxes(sized[kept], scores[kept], self.confidence, across)).ravel()
            kept = kept[again]
        sx, sy, left, top = self.back
        found = (corners[kept] - (left, top, left, top)) * (sx, sy, sx, sy)
        np.clip(found, 0, self.size * 2, out=found)
        names = self.output["kinds"]
        return [(names[k], float(s), box) for k, s, box in zip(kinds[kept], scores[kept], found.tolist())]

    def grid(self, out):
        scores, distances = (out[name][0] for name in self.outputs)
        kind, row, column = np.nonzero(scores >= self.confidence)
        sides = distances[:, row, column]
        cx = (column + 0.5) * (self.width / scores.shape[2])
        cy = (row + 0.5) * (self.height / scores.shape[1])
        corners = np.stack([cx - sides[0], cy - sides[1], cx + sides[2], cy + sides[3]], 1).astype(np.float32)
        return self.boxes(corners, scores[kind, row, column], kind.astype(np.int32))

    def yolo(self, out):
        rows = out[self.outputs[0]][0]
        best = rows[4:].max(0)
        rows = rows[:, best > self.confidence]
        kinds = rows[4:].argmax(0).astype(np.int32)
        centre, half = rows[:2].T, rows[2:4].T / 2
        return self.boxes(np.concatenate([centre - half, centre + half], 1), rows[4:].max(0), kinds)

    def scores(self, out):
        logits = out[self.outputs[0]][0]
        found = []
        for kind, confidence in enumerate(1 / (1 + np.exp(-logits))):
            if confidence < self.confidence:
                continue
            cam = cv2.resize(out[self.output["cam"]][0, kind], self.size, interpolation=cv2.INTER_LINEAR)
            low, high, _, peak = cv2.minMaxLoc(cam)
            mask = (cam >= low + self.output.get("cam_threshold", 0.5) * (high - low)).astype(np.uint8)
            _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            label = labels[peak[1], peak[0]]
            found.append((self.output["kinds"][kind], float(confidence), stats[label].tolist(), labels == label))
        return found


def work(model, cases, index, requests):
    cv2.setNumThreads(1)
    cases, pipeline, memory = Cases(cases), Pipeline(model), {}
    requests.send(None)
    while True:
        try:
            name, seconds = requests.recv()
        except EOFError:  # the parent is done
            return
        case = cases[name]
        pairs = list(zip(case["files"], case.get("references") or [None] * len(case["files"])))
        if case.get("memory") and name not in memory:
            memory = {name: [[f and pipeline.read(f) for f in pair] for pair in pairs]}

        def step(number):
            at = (index + number) % len(pairs)
            pair = memory[name][at] if case.get("memory") else [f and pipeline.read(f) for f in pairs[at]]
            return 1, len(pipeline.inspect(*pair))

        requests.send(loop(seconds, step))


def main():
    _, model, cases = sys.argv
    context = multiprocessing.get_context("spawn")
    pipes = []
    for index in range(Cases(cases).workers):
        here, there = context.Pipe()
        context.Process(target=work, args=(model, cases, index, there), daemon=True).start()
        pipes.append(here)
    for pipe in pipes:
        pipe.recv()

    def measure(case, seconds):
        for pipe in pipes:
            pipe.send((case, seconds))
        answers = [pipe.recv() for pipe in pipes]
        return {
            "images_per_s": sum(images / elapsed for images, elapsed, _ in answers),
            "images": sum(a[0] for a in answers), "defects": sum(a[2] for a in answers),
        }

    serve({"onnxruntime": onnxruntime.__version__, "opencv": cv2.__version__, "python": sys.version.split()[0]}, measure)


if __name__ == "__main__":
    main()
