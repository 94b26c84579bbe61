#!/usr/bin/env python3
"""Makes `model.int8.onnx` beside a model: QDQ, static, weights int8 per channel, activations uint8.

Python 3.11 or newer and these packages:

    numpy==2.4.6 pillow==13.0.0 onnx==1.23.2 onnxruntime==1.32.0

    quantize.py pcb --data DIR          # DIR as for models/pcb/train.py
    quantize.py solar-cell --data DIR   # DIR with images/ (elpv_dataset/data)

The ranges are the lowest and highest values of each activation on some training images (the list and the seed are fixed).
Weights take 7 bits of their 8: on processors without VNNI a sum of two products of 8-bit numbers would overflow
16 bits, and the results would differ between machines. Reads no image of another part than the training part.
"""

import argparse
import hashlib
import logging
import re
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

HERE = Path(__file__).resolve().parent
SEED = 0


def gray(path):
    return np.asarray(Image.open(path).convert("L"), np.float32)


def pair(data, panel):
    test = data / f"{panel}.jpg"
    pictures = [test, test.with_name(test.name.replace("_test", "_temp"))]
    return {"pair": np.stack([gray(path) / 255 for path in pictures])[None]}


def cell(data, panel):
    return {"image": ((gray(data / "images" / f"{panel}.png") - 127) / 128)[None, None]}


# Name: reader, number of images, operators, convolutions from the start that stay in float, whether the last stays too.
MODELS = {
    "pcb": (pair, 64, ["Conv", "Relu", "Add", "Resize", "Concat"], 0, False),
    "solar-cell": (cell, 128, ["Conv", "Clip", "Add"], 6, True),
}


class Images(CalibrationDataReader):
    def __init__(self, inputs):
        self.left = iter(inputs)

    def get_next(self):
        return next(self.left, None)


def outputs(path, inputs, name):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run([name], x)[0].ravel() for x in inputs])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    reader, count, operators, first, last = MODELS[args.model]
    folder = HERE / args.model

    lines = (folder / "splits/train.txt").read_text().splitlines()
    panels = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    chosen = np.random.default_rng(SEED).choice(len(panels), count, replace=False)
    inputs = [reader(args.data, panels[i]) for i in sorted(chosen)]

    source, target = folder / "model.onnx", folder / "model.int8.onnx"
    with tempfile.TemporaryDirectory() as work:
        prepared = Path(work) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        convolutions = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
        quantize_static(
            prepared,
            target,
            Images(inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=operators,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=convolutions[:first] + (convolutions[-1:] if last else []),
        )
    graph = onnx.load(target)
    if last:
        # What rounding shifts the mean output by, on the same images, goes into the last convolution's bias.
        name = graph.graph.output[0].name
        shift = np.mean(outputs(source, inputs, name) - outputs(target, inputs, name))
        node = [node for node in graph.graph.node if node.op_type == "Conv"][-1]
        bias = next(t for t in graph.graph.initializer if t.name == node.input[2])
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(shift), bias.name))
        print(f"mean output shifted by {shift:.4f}")
    graph.producer_name = "panelqc"
    onnx.checker.check_model(graph)
    onnx.save(graph, target)

    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    manifest = folder / "model.toml"
    text, found = re.subn(r'(?m)^int8 = ".*"$', f'int8 = "{digest}"', manifest.read_text())
    if not found:
        text = re.sub(r'(?m)^(sha256 = ".*")$', rf'\1\nint8 = "{digest}"\nprecision = "int8"', text)
    manifest.write_text(text)
    print(f"{target.name}: {target.stat().st_size} bytes, SHA-256 {digest}")


if __name__ == "__main__":
    main()
