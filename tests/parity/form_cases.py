#!/usr/bin/env python3
"""Writes `forms/`: the graph of `torchvision-classify` with other forms of input and output around it.

    numpy==2.4.6  onnx==1.23.2

`f16.onnx` takes and gives half precision, `nhwc.onnx` channels last, `u8.onnx` gray values of 8 bits, `u8-nhwc.onnx`
both, `batch4.onnx` four frames at a time, `size.onnx` pictures of any size. All give what the graph itself gives.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
SIZE = 128
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def around(core, before, inputs, cast_out=None):
    """`core` with nodes in front of its input, and its output cast."""
    graph = onnx.ModelProto()
    graph.CopyFrom(core)
    g = graph.graph
    first, last = g.input[0].name, g.output[0].name
    for node in g.node:
        for i, name in enumerate(node.input):
            if name == first:
                node.input[i] = "core_input"
    nodes, weights = before(first, "core_input")
    for n, node in enumerate(nodes):
        g.node.insert(n, node)
    g.initializer.extend(weights)
    element, shape = inputs
    g.input[0].CopyFrom(helper.make_tensor_value_info(first, element, shape))
    if cast_out is not None:
        for node in g.node:
            for i, name in enumerate(node.output):
                if name == last:
                    node.output[i] = "core_output"
        g.node.append(helper.make_node("Cast", ["core_output"], [last], to=cast_out))
        g.output[0].type.tensor_type.elem_type = cast_out
    del g.value_info[:]
    onnx.checker.check_model(graph)
    return graph


def main():
    core = onnx.load(HERE / "torchvision-classify" / "model.onnx")
    out = HERE / "forms"
    out.mkdir(exist_ok=True)
    n = core.graph.input[0].type.tensor_type.shape.dim[0]
    batch = n.dim_param or n.dim_value

    def numbers(name, values):
        return numpy_helper.from_array(np.array(values, np.float32).reshape(1, 3, 1, 1), name)

    def cast(a, b):
        return [helper.make_node("Cast", [a], [b], to=TensorProto.FLOAT)], []

    def last(a, b):
        return [helper.make_node("Transpose", [a], [b], perm=[0, 3, 1, 2])], []

    def levels(a, b):
        return [
            helper.make_node("Cast", [a], ["levels"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["levels", "level_mean"], ["centred"]),
            helper.make_node("Div", ["centred", "level_std"], [b]),
        ], [numbers("level_mean", [m * 255 for m in MEAN]), numbers("level_std", [s * 255 for s in STD])]

    def levels_last(a, b):
        nodes, weights = levels("first", b)
        return [helper.make_node("Transpose", [a], ["first"], perm=[0, 3, 1, 2])] + nodes, weights

    def nothing(a, b):
        return [helper.make_node("Identity", [a], [b])], []

    first, channels_last = [batch, 3, SIZE, SIZE], [batch, SIZE, SIZE, 3]
    cases = {
        "f16": around(core, cast, (TensorProto.FLOAT16, first), TensorProto.FLOAT16),
        "nhwc": around(core, last, (TensorProto.FLOAT, channels_last)),
        "u8": around(core, levels, (TensorProto.UINT8, first)),
        "u8-nhwc": around(core, levels_last, (TensorProto.UINT8, channels_last)),
        "batch4": around(core, nothing, (TensorProto.FLOAT, [4, 3, SIZE, SIZE])),
        "size": around(core, nothing, (TensorProto.FLOAT, [batch, 3, "height", "width"])),
    }
    for name, model in cases.items():
        onnx.save(model, out / f"{name}.onnx")


if __name__ == "__main__":
    main()
