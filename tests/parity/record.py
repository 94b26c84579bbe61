"""What the recipes `*_cases.py` of this folder share: reading the pictures, run lengths, margins, writing a case.

    numpy==2.4.6  pillow==13.0.0  onnx==1.23.2  onnxruntime==1.32.0

A case is a folder with `model.onnx`, `expected.json` and, where a result is a map, one array a picture. Maps of
values from 0 to 1 are 16-bit gray PNG (value = pixel / 65535), which is both smaller and finer than float16; maps of
any other scale are float32 `.npy`.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx
import onnxruntime
from PIL import Image

HERE = Path(__file__).resolve().parent
PICTURES = ["gray-160x160", "wide-233x141", "tall-97x211", "large-640x360", "small-64x48"]
# No result may hang on the last digits: scores keep this distance from the limit, overlaps from the NMS limit.
SCORE_MARGIN, IOU_MARGIN = 2e-3, 5e-3


def pictures():
    """{file name: PIL picture, three channels (a gray one has three equal channels)}."""
    return {f"{name}.png": Image.open(HERE / "images" / f"{name}.png").convert("RGB") for name in PICTURES}


def rle(mask):
    """COCO's compressed run lengths of a bool [height, width], as `rleToString` of its maskApi.c writes them."""
    flat = np.asarray(mask, bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    if flat[0]:
        runs.insert(0, 0)
    text = ""
    for i, run in enumerate(runs):
        value = run - (runs[i - 2] if i > 2 else 0)
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + (bits | (32 if more else 0)))
    return {"size": list(np.shape(mask)), "counts": text}


def defect(kind, confidence, box, mask=None):
    entry = {"kind": kind, "confidence": round(float(confidence), 6), "box": [round(float(v), 4) for v in box]}
    return entry if mask is None else {**entry, "mask": rle(mask)}


def overlap(a, b):
    """IoU of each box of a [n, 4] with each of b [m, 4]."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), -1)
    area = [np.prod(x[:, 2:] - x[:, :2], -1) for x in (a, b)]
    return both / np.maximum(area[0][:, None] + area[1][None] - both, 1e-12)


def save_unit_map(path, values):
    """Values 0 to 1, [height, width] or [classes, height, width] (stacked from top to bottom), as 16-bit gray PNG."""
    values = np.asarray(values, np.float64)
    values = values.reshape(-1, values.shape[-1])
    assert 0 <= values.min() and values.max() <= 1
    Image.fromarray(np.round(values * 65535).astype(np.uint16)).save(path, optimize=True)
    return path.name


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def describe(path):
    """Prints what a reader of the graph sees."""
    model = onnx.load(path)

    def line(value):
        kind = value.type.tensor_type
        shape = [d.dim_param or d.dim_value or "?" for d in kind.shape.dim] if kind.HasField("shape") else "no shape"
        return f"{value.name} {onnx.TensorProto.DataType.Name(kind.elem_type)} {shape}"

    print(f"  {path.parent.name}/{path.name}: {path.stat().st_size} bytes, {model.producer_name} {model.producer_version}, "
          f"opset {[(o.domain, o.version) for o in model.opset_import]}")
    print("  in ", "; ".join(line(v) for v in model.graph.input))
    print("  out", "; ".join(line(v) for v in model.graph.output))
    print("  metadata", {p.key: p.value[:200] for p in model.metadata_props})


def without_sources(model):
    """Takes out of an ONNX model the notes of source lines that torch's newer exporter leaves: they name this machine's folders."""
    for graph in (model.graph, *model.functions):
        items = [graph, *graph.node]
        if isinstance(graph, onnx.GraphProto):
            items += [*graph.value_info, *graph.input, *graph.output, *graph.initializer]
        for item in items:
            item.ClearField("metadata_props")
            item.ClearField("doc_string")
    return model


def compact(text):
    """One picture a line of defects would be one long line; one entry a line reads and diffs well."""
    return json.dumps(text, ensure_ascii=True)


def write_expected(path, header, images):
    lines = [f"{compact(key)}: {compact(value)}" for key, value in header.items()]
    rows = []
    for name, result in images.items():
        body = dict(result)
        defects = body.pop("defects", None)
        parts = [f"{compact(key)}: {compact(value)}" for key, value in body.items()]
        if defects is not None:
            entries = ",\n".join("    " + compact(d) for d in defects)
            parts.insert(0, '"defects": [' + (f"\n{entries}\n   " if defects else "") + "]")
        rows.append(f"  {compact(name)}: {{{', '.join(parts)}}}")
    lines.append('"images": {\n' + ",\n".join(rows) + "\n }")
    text = "{\n " + ",\n ".join(lines) + "\n}\n"
    json.loads(text)
    path.write_text(text)


def fresh(case):
    """The folder of a case, empty but for the manifest, which is written by hand."""
    folder = HERE / case
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        if file.name != "model.toml":
            file.unlink()
    return folder


def run(cases):
    """The command line of a recipe: all cases, or one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=sorted(cases), help="write this case alone")
    only = parser.parse_args().only
    for case, make in cases.items():
        if only in (None, case):
            print(case, flush=True)
            make(case)
            folder = HERE / case
            print(f"  {sum(f.stat().st_size for f in folder.iterdir())} bytes in {folder.name}/", flush=True)
