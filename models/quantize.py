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


def blocks(model):
    """The boards' first layers on blocks of 2x2 pixels: the same sums, but the first convolution, 6x6 at stride 2 over 3
    channels, becomes one of 3x3 at stride 1 over 12, which fills the vector units (4.8 ms became 1.7)."""
    graph = model.graph
    convolution = next(node for node in graph.node if node.op_type == "Conv")
    weights = next(t for t in graph.initializer if t.name == convolution.input[1])
    old = numpy_helper.to_array(weights)
    channels = [old[:, c, y::2, x::2] for c in range(3) for y in range(2) for x in range(2)]
    weights.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(np.stack(channels, axis=1)), weights.name))
    for attribute in convolution.attribute:
        sizes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]}
        if attribute.name in sizes:
            attribute.ints[:] = sizes[attribute.name]
    numbers = {"zero": 0, "one": 1, "two": 2, "eight": 8}
    graph.initializer.extend(numpy_helper.from_array(np.array([v], np.int64), k) for k, v in numbers.items())
    make = onnx.helper.make_node
    # Of each pixel of a block the test comes before the template.
    first = [
        make("SpaceToDepth", [graph.input[0].name], ["blocks"], "blocks", blocksize=2),
        make("Slice", ["blocks", "zero", "eight", "one", "two"], ["test"], "test"),
        make("Slice", ["blocks", "one", "eight", "one", "two"], ["template"], "template"),
        make("Sub", ["test", "template"], ["signed"], "signed"),
        make("Abs", ["signed"], ["difference"], "difference"),
        make("Concat", ["test", "template", "difference"], [convolution.input[0]], "stacked", axis=1),
    ]
    at = list(graph.node).index(convolution)
    rest = list(graph.node)[at:]
    used = {name for node in rest for name in node.input}
    kept = [node for node in list(graph.node)[:at] if node.op_type == "Constant" and node.output[0] in used]
    del graph.node[:]
    graph.node.extend(first + kept + rest)


# Name: reader, change of the graph that computes the same, number of images, operators, convolutions from the start that stay in float, whether the last stays too.
MODELS = {
    "pcb": (pair, blocks, 64, ["Conv", "Relu", "Add", "Resize", "Concat"], 0, False),
    "solar-cell": (cell, None, 128, ["Conv", "Clip", "Add"], 6, True),
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
    reader, change, count, operators, first, last = MODELS[args.model]
    folder = HERE / args.model

    lines = (folder / "splits/train.txt").read_text().splitlines()
    panels = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    chosen = np.random.default_rng(SEED).choice(len(panels), count, replace=False)
    inputs = [reader(args.data, panels[i]) for i in sorted(chosen)]

    source, target = folder / "model.onnx", folder / "model.int8.onnx"
    with tempfile.TemporaryDirectory() as work:
        prepared, changed = Path(work) / "prepared.onnx", Path(work) / "changed.onnx"
        model = onnx.load(source)
        if change:
            change(model)
        onnx.save(model, changed)
        quant_pre_process(changed, prepared, skip_symbolic_shape=True)
        panel = inputs[0]
        for name in [output.name for output in model.graph.output]:
            same = np.abs(outputs(source, [panel], name) - outputs(prepared, [panel], name)).max()
            assert same < 1e-3, f"{name} differs by {same}"
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
