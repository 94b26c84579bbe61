#!/usr/bin/env python3
"""Parity cases of anomaly models: two exported by anomalib, and a bare heat map without score or normalisation.

Python 3.11 or newer and these packages:

    torch==2.15.0  torchvision==0.29.2  anomalib==2.7.0  lightning==2.6.6  numpy==2.4.6  pillow==13.0.0  onnx==1.23.2
    onnxruntime==1.32.0  onnxscript==0.7.2

    anomalib_cases.py                        # writes every folder below
    anomalib_cases.py --only anomalib-padim

The backbone has three layers of a few channels with random weights (see `weights.py`): nothing is fetched. anomalib's
own engine fits the models on a few rendered pictures in a temporary folder, sets thresholds and normalisation on
others, and exports. What is expected comes from the fitted module in eager mode, which is what anomalib's
TorchInferencer calls; the exported graph is then checked against it in onnxruntime.
"""

import logging
import os
import shutil
import tempfile
import warnings
from collections import OrderedDict
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # a missing file is to be an error, not a download

import anomalib
import lightning
import numpy as np
import onnx
import torch
from anomalib.data import Folder
from anomalib.deploy import ExportType
from anomalib.engine import Engine
from anomalib.models import EfficientAd, Padim, Patchcore
from PIL import Image
from torch import nn
from torchvision.transforms import v2

import record
from images import render
from weights import settle

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
for name in ("anomalib", "lightning", "lightning.pytorch", "torch.onnx"):
    logging.getLogger(name).setLevel(logging.ERROR)

EXPORTER = f"anomalib {anomalib.__version__}, torch {torch.__version__.split('+')[0]}"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def tensor(picture):
    return v2.functional.to_dtype(v2.functional.pil_to_tensor(picture), torch.float32, scale=True)


def backbone(size):
    def layer(inputs, outputs, stride):
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU())

    torch.manual_seed(7)
    model = nn.Sequential(OrderedDict(layer1=layer(3, 8, 2), layer2=layer(8, 8, 2), layer3=layer(8, 12, 2))).eval()
    prepare = v2.Compose([v2.Resize(size, antialias=True), v2.Normalize(MEAN, STD)])
    with torch.no_grad():
        batch = torch.stack([prepare(tensor(p)) for p in record.pictures().values()])
        settle(model, lambda: model(batch))
    return model


def folders(root):
    """Good pictures are like the shared ones; bad ones have a checkered patch as well, and a mask of it."""
    rng = np.random.default_rng(11)
    for part, count in (("mask", 0), ("train", 12), ("good", 6), ("bad", 6)):
        (root / part).mkdir(parents=True)
        for i in range(count):
            width, height = int(rng.integers(100, 200)), int(rng.integers(100, 200))
            picture = render(width, height, True, 1000 + 100 * len(part) + i)
            if part == "bad":
                side, pitch = min(width, height) // 3, 3
                x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
                rows, columns = np.mgrid[0:side, 0:side] // pitch
                picture[y : y + side, x : x + side] = np.where((rows + columns) % 2, 255, 0)[..., None]
                mask = np.zeros((height, width), np.uint8)
                mask[y : y + side, x : x + side] = 255
                Image.fromarray(mask).save(root / "mask" / f"{i}.png")
            Image.fromarray(picture).save(root / part / f"{i}.png")


def fit(model, root, batch=4, **options):
    folders(root / "data")
    lightning.seed_everything(5)
    data = Folder(
        name="plates", root=root / "data", normal_dir="train", abnormal_dir="bad", normal_test_dir="good", mask_dir="mask",
        train_batch_size=batch, eval_batch_size=1, num_workers=0, val_split_mode="same_as_test", seed=5,
    )
    engine = Engine(default_root_dir=root / "runs", accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, **options)
    engine.fit(model=model, datamodule=data)
    return engine


def keep(source, target, beside=False):
    """Copies the exported model; the weights that the exporter put beside it go into it unless `beside`."""
    print("  as exported:", {p.name: p.stat().st_size for p in sorted(source.parent.iterdir())})
    model = record.without_sources(onnx.load(source, load_external_data=not beside))
    if beside:
        for file in source.parent.glob("*.data"):
            shutil.copy(file, target.parent / file.name)
    onnx.save(model, target)


def results(model, graph, folder, inputs):
    images, unsure, worst, closest = {}, 0, 0.0, float("inf")
    post = model.post_processor
    for name, x in inputs.items():
        with torch.no_grad():
            out = model(x)
        wanted = {k: v.numpy() for k, v in out._asdict().items() if v is not None}
        got = dict(zip([o.name for o in graph.get_outputs()], graph.run(None, {graph.get_inputs()[0].name: x.numpy()})))
        assert set(got) == set(wanted), (set(got), set(wanted))
        for key, value in wanted.items():
            assert got[key].shape == value.shape and got[key].dtype == value.dtype, (key, got[key].shape, value.shape, got[key].dtype)
            if value.dtype != bool:
                worst = max(worst, float(np.abs(got[key] - value).max()))
        heat, score = wanted["anomaly_map"][0, 0], float(wanted["pred_score"].item())
        closest = min(closest, abs(score - float(post.normalized_image_threshold)))
        unsure = max(unsure, int((np.abs(heat - float(post.normalized_pixel_threshold)) < record.SCORE_MARGIN).sum()))
        stem = name.removesuffix(".png")
        images[name] = {
            "score": round(score, 6), "label": bool(wanted["pred_label"].item()), "map": record.save_unit_map(folder / f"{stem}.map.png", heat),
            "mask": record.rle(wanted["pred_mask"][0, 0]),
        }
        print(" ", name, images[name]["score"], images[name]["label"], f"map {heat.min():.3f}..{heat.max():.3f}", int(wanted["pred_mask"].sum()))
    print("  graph against eager:", worst, "closest score:", closest, "unsure pixels:", unsure)
    assert worst < 1e-3 and closest >= record.SCORE_MARGIN
    return images, (
        f"Fitted: image min {float(post.image_min):.6g}, max {float(post.image_max):.6g}, threshold {float(post.image_threshold):.6g}; pixel min "
        f"{float(post.pixel_min):.6g}, max {float(post.pixel_max):.6g}, threshold {float(post.pixel_threshold):.6g}. Smallest distance of a score "
        f"from the threshold {closest:.4f}; map pixels within {record.SCORE_MARGIN} of it, at most {unsure} of {heat.size}."
    )


GRAPH = (
    "Inside the graph: {resize}(x - ImageNet mean) / std, network, anomaly map (smoothed, bilinear or nearest to the network's input size "
    "{w}x{h}, never the source's), normalisation v = clip((raw - threshold) / (max - min) + 0.5, 0, 1) for score and map each with their own "
    "numbers, pred_label = score > {label}, pred_mask = map > {mask} (1 - sensitivity). Score and map are final: no sigmoid, no scaling. "
    "`map`: the anomaly map, 16-bit gray PNG (pixel / 65535); `mask`: pred_mask; both {w}x{h}. Expected by the fitted module in eager mode, as "
    "TorchInferencer calls it (Engine.predict differs: it resizes with antialias). "
)


def write(family, folder, images, notes, extra):
    record.write_expected(
        folder / "expected.json",
        {"exporter": EXPORTER, "family": family, "task": "anomaly", "format": "anomaly", "recipe": "anomalib_cases.py", "confidence": 0.5, **extra, "notes": notes},
        images,
    )


def padim(case):
    size = (96, 128)
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        model = Padim(
            backbone=backbone(size), layers=["layer2", "layer3"], pre_trained=False, n_features=8,
            pre_processor=Padim.configure_pre_processor(image_size=size), visualizer=False,
        )
        engine = fit(model, root)
        model = model.cpu().eval()
        path = engine.export(model, ExportType.ONNX, export_root=root / "export")
        folder, twin = record.fresh(case), record.fresh(f"{case}-external")
        keep(path, folder / "model.onnx")
        keep(path, twin / "model.onnx", beside=True)
    record.describe(folder / "model.onnx")
    inputs = {n: tensor(p)[None] for n, p in record.pictures().items()}
    images, fitted = results(model, record.session(folder / "model.onnx"), folder, inputs)
    post = model.post_processor
    notes = "Outside: RGB / 255 in the source's own size, batch of one. " + GRAPH.format(
        resize=f"bilinear resize without antialias to {size[1]}x{size[0]}, ", w=size[1], h=size[0], label=f"{float(post.normalized_image_threshold):g}",
        mask=f"{float(post.normalized_pixel_threshold):g}",
    ) + fitted
    extra = {"threshold": round(float(post.normalized_image_threshold), 6), "input": {"size": "source"}}
    write("padim", folder, images, notes, extra)
    # the same as anomalib leaves it, two files
    results(model, record.session(twin / "model.onnx"), folder, inputs)
    images = {n: {**i, "map": f"../{case}/{i['map']}"} for n, i in images.items()}
    write("padim", twin, images, "Weights in model.onnx.data beside the graph, as anomalib leaves them. " + notes, extra)


def patchcore(case):
    size = (96, 96)
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        model = Patchcore(
            backbone=backbone(size), layers=["layer2", "layer3"], pre_trained=False, coreset_sampling_ratio=0.02, num_neighbors=5,
            pre_processor=Patchcore.configure_pre_processor(image_size=size), visualizer=False,
        )
        engine = fit(model, root)
        model = model.cpu().eval()
        # the exporter's default makes the batch a fixed 2 for this model; without dynamic shapes it is a fixed 1
        path = engine.export(model, ExportType.ONNX, export_root=root / "export", input_size=size, onnx_kwargs={"dynamic_shapes": None})
        folder = record.fresh(case)
        keep(path, folder / "model.onnx")
    record.describe(folder / "model.onnx")
    inputs = {n: tensor(v2.functional.resize(p, list(size), antialias=True))[None] for n, p in record.pictures().items()}
    images, fitted = results(model, record.session(folder / "model.onnx"), folder, inputs)
    post = model.post_processor
    notes = f"Outside: PIL's bilinear (antialiased, 8 bits) stretches the picture to {size[1]}x{size[0]}, RGB / 255. " + GRAPH.format(
        resize=f"resize to {size[1]}x{size[0]} (nothing to do), ", w=size[1], h=size[0], label=f"{float(post.normalized_image_threshold):g}",
        mask=f"{float(post.normalized_pixel_threshold):g}",
    ) + fitted
    write("patchcore", folder, images, notes, {"threshold": round(float(post.normalized_image_threshold), 6), "input": {"size": list(size), "fit": "stretch"}})


class SmallEfficientAd(EfficientAd):
    """EfficientAD with a sixteenth of its channels and a teacher of random weights: anomalib fetches a trained one."""

    def __init__(self, **options):
        super().__init__(teacher_out_channels=384, visualizer=False, **options)
        torch.manual_seed(3)
        self.narrow(self.model)
        self.model.teacher_out_channels = self.model.teacher.conv4.out_channels
        with torch.no_grad():
            batch = torch.stack([v2.functional.resize(tensor(p), [256, 256], antialias=True) for p in record.pictures().values()])
            settle(self.model.teacher, lambda: self.model.teacher(batch))

    @classmethod
    def narrow(cls, module, by=16):
        """Fewer channels everywhere but at the picture; the number of values a place goes with them."""
        few = lambda n: n if n == 3 else max(n // by, 4)
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d):
                setattr(module, name, nn.Conv2d(few(child.in_channels), few(child.out_channels), child.kernel_size, child.stride, child.padding))
            else:
                cls.narrow(child, by)

    def prepare_pretrained_model(self):
        """The teacher stays as it is."""


def efficientad(case):
    size = (256, 256)  # the autoencoder takes no other
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        other = root / "other" / "pictures"  # in place of ImageNet's
        other.mkdir(parents=True)
        for i in range(4):
            Image.fromarray(render(300, 300, True, 5000 + i)).save(other / f"{i}.png")
        model = SmallEfficientAd(imagenet_dir=other.parent, pre_processor=EfficientAd.configure_pre_processor(image_size=size))
        engine = fit(model, root, batch=1, max_steps=60)
        model = model.cpu().eval()
        path = engine.export(model, ExportType.ONNX, export_root=root / "export", input_size=size, onnx_kwargs={"dynamic_shapes": None})
        folder = record.fresh(case)
        keep(path, folder / "model.onnx")
    record.describe(folder / "model.onnx")
    inputs = {n: tensor(v2.functional.resize(p, list(size), antialias=True))[None] for n, p in record.pictures().items()}
    images, fitted = results(model, record.session(folder / "model.onnx"), folder, inputs)
    post = model.post_processor
    notes = (
        f"A sixteenth of the channels, random teacher, 60 steps. Outside: PIL's bilinear (antialiased, 8 bits) stretches the picture to {size[1]}x{size[0]}, "
        "RGB / 255. "
    ) + GRAPH.format(
        resize=f"resize to {size[1]}x{size[0]} (nothing to do), ", w=size[1], h=size[0], label=f"{float(post.normalized_image_threshold):g}",
        mask=f"{float(post.normalized_pixel_threshold):g}",
    ) + fitted
    write("efficientad", folder, images, notes, {"threshold": round(float(post.normalized_image_threshold), 6), "input": {"size": list(size), "fit": "stretch"}})


class Difference(nn.Module):
    """How far a gray picture is from a blurred one of itself: a map a quarter of the input's size, of any scale."""

    def __init__(self):
        super().__init__()
        self.blur = nn.Conv2d(1, 1, 9, padding=4, padding_mode="replicate", bias=False)
        nn.init.constant_(self.blur.weight, 1 / 81)

    def forward(self, x):
        return 40 * nn.functional.avg_pool2d((x - self.blur(x)).abs(), 4)


def heatmap(case):
    height, width, threshold = 96, 128, 10.0
    model = Difference().eval()
    folder = record.fresh(case)
    torch.onnx.export(
        model, (torch.rand(1, 1, height, width),), folder / "model.onnx", dynamo=False, opset_version=17, input_names=["image"], output_names=["heatmap"],
        dynamic_axes={"image": {0: "batch"}, "heatmap": {0: "batch"}},
    )
    record.describe(folder / "model.onnx")
    graph = record.session(folder / "model.onnx")
    images, closest, unsure = {}, float("inf"), 0
    for name, picture in record.pictures().items():
        # gray first, then resize, as PIL's convert("L") followed by a transform does
        x = tensor(v2.functional.resize(picture.convert("L"), [height, width], antialias=True))[None]
        with torch.no_grad():
            heat = model(x)[0, 0].numpy()
        assert np.abs(graph.run(None, {"image": x.numpy()})[0][0, 0] - heat).max() < 1e-4
        score = float(heat.max())
        closest = min(closest, abs(score - threshold))
        unsure = max(unsure, int((np.abs(heat - threshold) < 0.02).sum()))
        stem = name.removesuffix(".png")
        np.save(folder / f"{stem}.map.npy", heat.astype(np.float32))
        images[name] = {"score": round(score, 5), "label": score > threshold, "map": f"{stem}.map.npy", "mask": record.rle(heat > threshold)}
        print(" ", name, score, int((heat > threshold).sum()), heat.shape)
    assert closest > 0.02
    notes = (
        f"Outside: PIL's convert('L') (ITU-R 601: (19595 R + 38470 G + 7471 B + 32768) >> 16), PIL's bilinear (antialiased, 8 bits) stretches to "
        f"{width}x{height}, / 255. The graph gives a map alone, {width // 4}x{height // 4}, from 0 up, not normalised; `map`: float32 .npy; `score`: its largest "
        f"value; `label`, `mask`: above the threshold {threshold:g}, in the map's own pixels (one is 4x4 of the input's). Smallest distance of a score from "
        f"the threshold {closest:.4f}; map pixels within 0.02 of it, at most {unsure}."
    )
    record.write_expected(
        folder / "expected.json",
        {"exporter": f"torch {torch.__version__.split('+')[0]}", "family": "heatmap", "task": "anomaly", "format": "anomaly", "recipe": "anomalib_cases.py",
         "threshold": threshold, "input": {"size": [height, width], "fit": "stretch", "channels": "gray"}, "notes": notes},
        images,
    )


if __name__ == "__main__":
    record.run({"anomalib-padim": padim, "anomalib-patchcore": patchcore, "anomalib-efficientad": efficientad, "heatmap": heatmap})
