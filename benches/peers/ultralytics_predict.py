#!/usr/bin/env python3
"""Ultralytics' `predict` on an ONNX file of its own: ultralytics_predict.py MODEL.onnx CASES.json

The ways a user would try are tried in each case, and the fastest counts: a call an image, a stream of files, and
batches of 8 with MODEL-b8.onnx, the same network exported for that batch. ONNX Runtime uses all cores, as
Ultralytics sets it up.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp()
os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")

import cv2
import onnxruntime
import ultralytics
from ultralytics import YOLO

from serve import Cases, loop, serve

SETTINGS = dict(imgsz=640, conf=0.25, iou=0.7, device="cpu", verbose=False, save=False)


def main():
    _, model, cases = sys.argv
    cases, best, memory = Cases(cases), {}, {}
    one = YOLO(model, task="detect")
    batched = Path(model).with_name(Path(model).stem + "-b8.onnx")
    eight = YOLO(batched, task="detect") if batched.exists() else None

    def calls(model, batch):
        """A call of `predict` for each image, or for each list of images."""
        def run(images, seconds):
            def step(number):
                part = [images[(number + i) % len(images)] for i in range(batch)]
                return batch, sum(len(found.boxes) for found in model.predict(part, **SETTINGS))

            return loop(seconds, step, least=batch)

        return run

    def stream(model, batch):
        """One call for a list of files, which is how `predict` reads them one after another; from memory it takes all at once."""
        def run(images, seconds):
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
                listed.write("\n".join(images * 200))
                listed.flush()
                results = model.predict(listed.name, stream=True, batch=batch, **SETTINGS)
                for _ in range(batch):
                    next(results)  # setting up does not count
                answer = loop(seconds, lambda _: (batch, sum(len(next(results).boxes) for _ in range(batch))), least=batch)
                results.close()
            return answer

        return run

    from_files = {"a call an image": calls(one, 1), "a stream of files": stream(one, 1)}
    from_memory = {"a call an image": calls(one, 1)}
    if eight is not None:
        from_files["a stream of files in batches of 8"] = stream(eight, 8)
        from_memory["a call for 8 images"] = calls(eight, 8)

    def measure(name, seconds):
        nonlocal memory
        case = cases[name]
        if case.get("memory"):
            if name not in memory:
                memory = {name: [cv2.imread(f) for f in case["files"]]}
            images, ways = memory[name], from_memory
        else:
            images, ways = case["files"], from_files
        if name not in best:
            def rate(way):
                ways[way](images, seconds * 0.3)
                images_done, elapsed, _ = ways[way](images, seconds)
                return images_done / elapsed

            best[name] = max(ways, key=rate)
        count, elapsed, defects = ways[best[name]](images, seconds)
        return {"images_per_s": count / elapsed, "images": count, "defects": defects, "way": best[name]}

    serve({"ultralytics": ultralytics.__version__, "onnxruntime": onnxruntime.__version__}, measure)


if __name__ == "__main__":
    main()
