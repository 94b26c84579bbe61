#!/usr/bin/env python3
"""Makes the two models that `cargo xtask bench` measures beside the project's own: models.py FOLDER PICTURES_FOLDER

    FOLDER/yolo11n.onnx       Ultralytics' yolo11n at 640x640 as `export(format="onnx")` writes it; yolo11n-b8.onnx is
                              the same network for batches of 8
    FOLDER/padim/model.onnx   anomalib's PaDiM on ResNet-18 at 256x256 as its engine exports it

Nothing is downloaded: weights are random, batch norms are settled on the pictures, and the detector's class scores are
scaled so that a modest number of boxes is found. Speed does not depend on what the weights are, but decoding does on
how much is found.
"""

import logging
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp()
os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false", HF_HUB_OFFLINE="1")

import cv2
import numpy as np
import onnx
import torch
from torch import nn

warnings.filterwarnings("ignore")
BOXES = 60  # places of 8,400 above the confidence limit in a typical picture, before suppression


def letterboxed(file, size):
    picture = cv2.imread(str(file))
    ratio = size / max(picture.shape[:2])
    picture = cv2.resize(picture, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    rest = size - picture.shape[0]
    return cv2.copyMakeBorder(picture, rest // 2, rest - rest // 2, 0, 0, cv2.BORDER_CONSTANT, value=(114,) * 3)


def batch_of(pictures, size):
    """Square pictures and wide ones, each in colour and gray, as the cases are."""
    wide = [p.parent.with_name("jpeg-1080-rgb") / p.name for p in pictures]
    images = np.stack([letterboxed(p, size)[..., ::-1] for p in pictures + wide])
    batch = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 255
    return torch.cat([batch, batch[:, 1:2].expand(-1, 3, -1, -1)])


def yolo(folder, pictures):
    from ultralytics import YOLO

    torch.manual_seed(0)
    model = YOLO("yolo11n.yaml", task="detect")
    net, batch = model.model, batch_of(pictures[::2], 640)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        # where the activation is nearly straight: else a deep random network tells one picture from the next by chance
        norm.weight.data.fill_(0.6)
        norm.bias.data.fill_(0.8)
    with torch.no_grad():
        net.train()
        net(batch)
        net.eval()
        head = net.model[-1]
        layers = [modules[-1] for modules in head.cv3]
        logits = []
        hooks = [layer.register_forward_hook(lambda _, __, out: logits.append(out.flatten(2))) for layer in layers]
        net(batch)
        for hook in hooks:
            hook.remove()
        # logits of deviation 2, and a bias that lets the wanted number of places over the limit
        scales = [2 / level.std() for level in logits]
        best = torch.cat([(level - layer.bias.view(1, -1, 1)) * s for level, layer, s in zip(logits, layers, scales)], 2).amax(1)
        limit = best.topk(BOXES).values[:, -1].median()
        for layer, scale in zip(layers, scales):
            layer.weight *= scale
            layer.bias.fill_(float(np.log(0.25 / 0.75) - limit))
    for batch_size, name in ((8, "yolo11n-b8.onnx"), (1, "yolo11n.onnx")):
        with tempfile.TemporaryDirectory() as place:
            model.model.pt_path = str(Path(place) / "yolo11n.pt")
            model.ckpt_path = model.model.pt_path
            exported = model.export(format="onnx", imgsz=640, batch=batch_size, dynamic=False, device="cpu", verbose=False)
            shutil.move(exported, folder / name)


def padim(folder, pictures):
    from anomalib.data import Folder
    from anomalib.deploy import ExportType
    from anomalib.engine import Engine
    from anomalib.models import Padim
    from lightning import seed_everything
    import timm

    for name in ("anomalib", "lightning", "lightning.pytorch", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    size = (256, 256)
    seed_everything(5)
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        for part in ("train", "good", "bad", "mask"):
            (root / "data" / part).mkdir(parents=True)
        for i, file in enumerate(pictures):
            picture = cv2.imread(str(file))
            part = "train" if i < len(pictures) - 4 else "good"
            cv2.imwrite(str(root / "data" / part / file.name), picture)
            if part == "good":
                mask = np.zeros(picture.shape[:2], np.uint8)
                mask[200:300, 200:320] = 255
                picture[200:300, 200:320] = np.where(np.add(*np.mgrid[0:100, 0:120] // 6) % 2, 255, 0)[..., None]
                cv2.imwrite(str(root / "data/bad" / file.name), picture)
                cv2.imwrite(str(root / "data/mask" / file.name), mask)
        model = Padim(
            backbone="resnet18", layers=["layer1", "layer2", "layer3"], pre_trained=False, n_features=50,
            pre_processor=Padim.configure_pre_processor(image_size=size), visualizer=False,
        )
        data = Folder(
            name="boards", root=root / "data", normal_dir="train", abnormal_dir="bad", normal_test_dir="good", mask_dir="mask",
            train_batch_size=4, eval_batch_size=1, num_workers=0, val_split_mode="same_as_test", seed=5,
        )
        engine = Engine(default_root_dir=root / "runs", accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
        engine.fit(model=model, datamodule=data)
        path = engine.export(model.cpu().eval(), ExportType.ONNX, export_root=root / "export")
        target = folder / "padim"
        target.mkdir(exist_ok=True)
        onnx.save(onnx.load(path), target / "model.onnx")  # the weights that lie beside it go into it
    (target / "model.toml").write_text(
        'schema = 1\nname = "padim"\ntask = "anomaly"\n\n[input]\nsize = [256, 256]\nfit = "source"\n\n'
        '[output]\nkinds = ["anomaly"]\nconfidence = 0.5\n'
    )


def main():
    folder, pictures = Path(sys.argv[1]), sorted(Path(sys.argv[2]).glob("*.jpg"))
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "yolo11n.onnx").exists():
        yolo(folder, pictures)
    if not (folder / "padim/model.toml").exists():
        padim(folder, pictures)


if __name__ == "__main__":
    main()
