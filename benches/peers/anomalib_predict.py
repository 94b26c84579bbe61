#!/usr/bin/env python3
"""anomalib's inferencer for exported models on the same ONNX file: anomalib_predict.py MODEL CASES.json

That is OpenVINOInferencer, which runs in OpenVINO on all cores, one image a call: anomalib has none for ONNX Runtime.
"""

import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import anomalib
import cv2
import openvino
from anomalib.deploy import OpenVINOInferencer

from serve import Cases, loop, serve


def main():
    _, model, cases = sys.argv
    cases, memory = Cases(cases), {}
    inferencer = OpenVINOInferencer(Path(model) / "model.onnx", device="CPU")

    def measure(name, seconds):
        nonlocal memory
        case = cases[name]
        images = case["files"]
        if case.get("memory"):
            if name not in memory:
                memory = {name: [cv2.cvtColor(cv2.imread(f), cv2.COLOR_BGR2RGB) for f in case["files"]]}
            images = memory[name]

        def step(number):
            found = inferencer.predict(images[number % len(images)])
            return 1, int(bool(found.pred_label.item()))

        count, elapsed, defects = loop(seconds, step)
        return {"images_per_s": count / elapsed, "images": count, "defects": defects}

    serve({"anomalib": anomalib.__version__, "openvino": openvino.__version__.split("-")[0]}, measure)


if __name__ == "__main__":
    main()
