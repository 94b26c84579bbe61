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
FLOAT = "flat"  # the node that reads the input itself, not its 8 bits


def gray(path):
    return np.asarray(Image.open(path).convert("L"), np.float32)


def pair(data, panel):
    test = data / f"{panel}.jpg"
    pictures = [test, test.with_name(test.name.replace("_test", "_temp"))]
    return {"pair": np.stack([gray(path) / 255 for path in pictures])[None]}


def cell(data, panel):
    return {"image": ((gray(data / "images" / f"{panel}.png") - 127) / 128)[None, None]}


class Graph:
    """Writes a graph anew, node by node. What a node makes has the node's name; shapes leave out the batch."""

    def __init__(self, graph):
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.graph, self.nodes = graph, []

    def add(self, kind, inputs, name, **attributes):
        self.nodes.append(onnx.helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, values, name):
        self.graph.initializer.append(numpy_helper.from_array(np.array(values), name))
        return name

    def view(self, x, name, *shape):
        return self.add("Reshape", [x, self.constant((0, *shape), f"{name}_shape")], name)

    def move(self, x, name, *axes):
        return self.add("Transpose", [x], name, perm=(0, *axes))

    def last(self, x):
        """Channels last. In 8 bits the runtime holds them so: neither this nor its opposite then moves anything."""
        return self.move(x, f"{x}_last", 2, 3, 1)

    def first(self, x, name):
        return self.move(x, name, 3, 1, 2)

    def change(self, convolution, change):
        tensors = [self.tensors[name] for name in convolution.input[1:]]
        for tensor, values in zip(tensors, change(*map(numpy_helper.to_array, tensors))):
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))


def blocks(model):
    """The boards' graph in a form that is quicker in 8 bits and computes the same."""
    old, new = list(model.graph.node), Graph(model.graph)
    makers = {output: node for node in old for output in node.output}
    users = {name: node for node in old for name in node.input}
    at = next(i for i, node in enumerate(old) if node.op_type == "Conv")
    stem, pair = old[at], model.graph.input[0].name

    # The milliseconds are a whole panel's, each change measured with those above it.
    # Blocks of 2x2 pixels, channels last, by moves of rows and then of bytes, no longer of single floating-point pixels. Only the
    # difference is computed in floating point; as a product it needs no copy of either picture (6.6 ms became 6.35).
    flat = new.view(pair, FLOAT, 2, 640 * 640)
    signed = new.add("MatMul", [new.constant(np.array([[[1, -1]]], np.float32), "minus"), flat], "signed")
    difference = new.view(new.add("Abs", [signed], "absolute"), "difference", 1, 640, 640)
    planes = new.view(new.add("Concat", [pair, difference], "planes", axis=1), "pairs_of_rows", 3, 320, 2 * 640)
    rows = new.view(new.move(planes, "rows", 2, 1, 3), "six_rows", 320, 3 * 2, 640)
    stem.input[0] = new.first(new.view(new.move(rows, "pixels", 1, 3, 2), "blocks_last", 320, 320, 2 * 3 * 2), "blocks")

    # The first convolution, 6x6 at stride 2 over 3 channels, is 3x3 at stride 1 over a block's 12, which takes a third of the time; and
    # 3x4 at stride 1x2 for two columns of results at once: 32 channels fill the vector units, 16 do not (6.35 ms became 6.15).
    def columns(weights, bias):
        one = weights.reshape(16, 3, 3, 2, 3, 2).transpose(0, 5, 1, 3, 2, 4).reshape(16, 12, 3, 3)
        two = np.zeros((2, 16, 12, 3, 4), np.float32)
        two[0, ..., :3] = two[1, ..., 1:] = one
        return two.reshape(32, 12, 3, 4), np.tile(bias, 2)

    new.change(stem, columns)
    sizes = {"kernel_shape": [3, 4], "pads": [1, 1, 1, 1], "strides": [1, 2]}
    for attribute in stem.attribute:
        attribute.ints[:] = sizes.get(attribute.name, attribute.ints)

    used = {name for node in old[at:] for name in node.input}
    new.nodes += [node for node in old[:at] if node.op_type == "Constant" and node.output[0] in used]
    sides, done = iter((20, 40)), []
    for node in old[at:]:
        x, name = next(iter(node.input), None), node.output[0]
        if node in done or node.op_type == "Constant" and users[name].op_type == "Resize":
            continue
        if node.op_type == "Relu" and makers[x] is stem:
            new.first(new.view(new.last(new.add("Relu", [x], "columns")), "columns_apart", 320, 320, 16), name)
        elif node.op_type == "Resize":
            # No copy is made that is twice as large: the convolution before it makes two equal columns, and each row is added to two
            # (6.15 ms became 5.85).
            convolution, addition = makers[x], users[name]
            relu = users[addition.output[0]]
            done += [addition, relu]
            new.change(convolution, lambda weights, bias: (np.tile(weights, (2, 1, 1, 1)), np.tile(bias, 2)))
            side, channels = next(sides), len(numpy_helper.to_array(new.tensors[convolution.input[2]])) // 2
            once = new.view(new.last(x), f"{name}_once", side, 1, 2 * side * channels)
            twice = new.view(new.last(addition.input[0]), f"{name}_twice", side, 2, 2 * side * channels)
            added = new.add("Relu", [new.add("Add", [twice, once], addition.output[0])], f"{name}_relu")
            new.first(new.view(added, f"{name}_last", 2 * side, 2 * side, channels), relu.output[0])
        elif node.op_type == "Softplus":
            # The same to 1e-6, as no input is below -1 in 8 bits, of operators that are in vector instructions (5.85 ms became 5.6).
            logarithm = new.add("Log", [new.add("Sigmoid", [x], "sigmoid")], "logarithm")
            new.add("Sub", [x, logarithm], name)
        else:
            new.nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(new.nodes)


# Name: reader, change of the graph that computes the same, number of images, operators, convolutions from the start that stay in float, whether the last stays too.
MODELS = {
    "pcb": (pair, blocks, 64, ["Conv", "Relu", "Add", "Concat", "Reshape", "Transpose"], 0, False),
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
            nodes_to_exclude=[FLOAT] + convolutions[:first] + (convolutions[-1:] if last else []),
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
    for node in graph.graph.node:
        if node.name == FLOAT:  # the quantizer lets all nodes read what it made of the input
            node.input[0] = graph.graph.input[0].name
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
