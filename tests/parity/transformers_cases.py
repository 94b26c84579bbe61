#!/usr/bin/env python3
"""Parity cases of models exported from transformers: DETR, RT-DETR, D-FINE, RF-DETR.

Python 3.11 or newer and these packages:

    torch==2.15.0  torchvision==0.29.2  transformers==5.24.0  numpy==2.4.6  pillow==13.0.0  onnx==1.23.2
    onnxruntime==1.32.0  onnxscript==0.7.2

    transformers_cases.py                  # writes every folder below
    transformers_cases.py --only rt-detr

The networks are transformers' own classes with a few channels, layers and queries and random weights (see
`weights.py`). Seeds are tried in order until no result hangs on the last digits. What is expected comes from the
image processor class of each family, before and after the network in eager mode; the exported graph is then checked
against it in onnxruntime. Nothing is fetched.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # a missing file is to be an error, not a download

import warnings

import numpy as np
import onnx
import torch
import transformers
from torch import nn
from torchvision.transforms import v2
from transformers import (
    DetrConfig, DetrForObjectDetection, DetrImageProcessor, DFineConfig, DFineForObjectDetection, HGNetV2Config, ResNetConfig,
    RfDetrConfig, RfDetrDinov2Config, RfDetrForObjectDetection, RfDetrImageProcessor, RTDetrConfig, RTDetrForObjectDetection,
    RTDetrImageProcessor, RTDetrImageProcessorPil, RTDetrResNetConfig,
)

import record
from weights import settle, stretch

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()

KINDS = ["open", "short", "spur"]
LABELS = {"id2label": dict(enumerate(KINDS)), "label2id": {k: i for i, k in enumerate(KINDS)}}
EXPORTER = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"
CONFIDENCE, OPSET = 0.5, 17
# A reader that rounds to 8 bits where the processor does not may be this far off, in score and in pixels.
ROUNDED_SCORE, ROUNDED_BOX = 8e-3, 1.0


class Tensors(nn.Module):
    """What those who export these models keep of the output object."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        out = self.model(pixel_values)
        return out.logits, out.pred_boxes


def spread(found):
    sure = [f["scores"] for f in found.values()]
    labels = np.concatenate([f["labels"] for f in found.values()])
    return all(1 <= len(s) <= 9 for s in sure) and len(set(labels.tolist())) == len(KINDS) and np.std(np.concatenate(sure)) > 0.08


def outcome(model, processor, inputs):
    """The processor's results a picture, and the smallest distance of any score from the confidence."""
    found, margin = {}, float("inf")
    for (name, x), picture in zip(inputs.items(), record.pictures().values()):
        out = model(x)
        size = [(picture.height, picture.width)]
        every = processor.post_process_object_detection(out, threshold=0.0, target_sizes=size)[0]
        margin = min(margin, float((every["scores"] - CONFIDENCE).abs().min()))
        sure = processor.post_process_object_detection(out, threshold=CONFIDENCE, target_sizes=size)[0]
        found[name] = {k: v.numpy() for k, v in sure.items()}
    return found, margin


def moved(found, other):
    """How far results move, in score and in pixels of the box, or None where they are not the same ones."""
    scores, pixels = 0.0, 0.0
    for name, a in found.items():
        b = other[name]
        if sorted(a["labels"].tolist()) != sorted(b["labels"].tolist()):
            return None
        iou = record.overlap(a["boxes"].astype(np.float64), b["boxes"].astype(np.float64))
        iou[a["labels"][:, None] != b["labels"][None]] = -1
        twin = iou.argmax(1)
        if len(set(twin.tolist())) < len(twin):
            return None
        scores = max(scores, float(np.abs(a["scores"] - b["scores"][twin]).max()))
        pixels = max(pixels, float(np.abs(a["boxes"] - b["boxes"][twin]).max()))
    return scores, pixels


def make(case, family, build, processor, size, notes, tries=300, dynamo=False, extra=None, rounded=None):
    """`rounded`: the inputs of a reader that rounds to 8 bits after the resize, where the processor does not."""
    inputs = {n: processor(images=p, return_tensors="pt")["pixel_values"] for n, p in record.pictures().items()}
    for x in inputs.values():
        assert tuple(x.shape) == (1, 3, *size), x.shape
    batch = torch.cat(list(inputs.values()))
    with torch.no_grad():
        for seed in range(tries):
            model = build(seed, batch)
            found, margin = outcome(model, processor, inputs)
            if os.environ.get("PARITY_VERBOSE"):
                print(seed, margin, {n: (len(f["scores"]), f["labels"][:5].tolist()) for n, f in found.items()})
            if not spread(found) or margin < record.SCORE_MARGIN:
                continue
            if rounded is None:
                break
            move = moved(found, outcome(model, processor, rounded)[0])
            print(f"  seed {seed}, moved by rounding (score, px): {move}", flush=True)
            if move and move[0] < ROUNDED_SCORE and move[1] < ROUNDED_BOX:
                extra["tolerance"] = {"confidence": ROUNDED_SCORE, "box": ROUNDED_BOX}
                notes += f" With the resized picture rounded to 8 bits, scores move by up to {move[0]:.4f} and boxes by up to {move[1]:.2f} source pixels."
                break
        else:
            raise SystemExit("no seed fits")
        print(f"  seed {seed}", {n: len(f["scores"]) for n, f in found.items()})
        folder = record.fresh(case)
        names = {"input_names": ["pixel_values"], "output_names": ["logits", "pred_boxes"]}
        if dynamo:
            torch.onnx.export(Tensors(model).eval(), (batch[:1],), folder / "model.onnx", dynamo=True, opset_version=18, external_data=False, verbose=False, **names)
            onnx.save(record.without_sources(onnx.load(folder / "model.onnx")), folder / "model.onnx")
        else:
            shape = {"pixel_values": {0: "batch"}, "logits": {0: "batch"}, "pred_boxes": {0: "batch"}}
            torch.onnx.export(Tensors(model).eval(), (batch[:1],), folder / "model.onnx", dynamo=False, opset_version=OPSET, dynamic_axes=shape, **names)
        record.describe(folder / "model.onnx")
        graph = record.session(folder / "model.onnx")
        worst, images = 0.0, {}
        for name, x in inputs.items():
            out = model(x)
            logits, boxes = graph.run(None, {"pixel_values": x.numpy()})
            difference = max(np.abs(logits - out.logits.numpy()).max(), np.abs(boxes - out.pred_boxes.numpy()).max())
            worst = max(worst, float(difference))
            f = found[name]
            images[name] = {"defects": [record.defect(KINDS[l], s, b) for l, s, b in zip(f["labels"], f["scores"], f["boxes"])]}
        print("  graph against eager:", worst)
        assert worst < 2e-3, worst
    notes += f" Seed {seed}. Smallest distance of a score from the confidence {margin:.4f}."
    record.write_expected(
        folder / "expected.json",
        {"exporter": EXPORTER, "family": family, "task": "detect", "format": "detr", "recipe": "transformers_cases.py",
         "confidence": CONFIDENCE, "kinds": KINDS, **extra, "notes": notes},
        images,
    )


RESIZED = (
    "RGB; stretched to {w}x{h} by torchvision's bilinear on 8-bit tensors, antialiased (PIL's differs by at most {gap} grey "
    "step here); / 255; {norm}. "
)
SIGMOID = (
    "Scores are the sigmoid of the logits; of all queries x classes together the first {q} (the number of queries) by score, "
    "so that one query may give several kinds; label = index % {c}, query = index // {c}; score > confidence; boxes from "
    "relative cx, cy, w, h to source pixels; neither clipped nor suppressed."
)


def gap(size):
    """Largest difference in grey steps between the processors of torchvision and PIL."""
    wanted = {"size": {"height": size[0], "width": size[1]}, "do_normalize": False}
    a, b = RTDetrImageProcessor(**wanted), RTDetrImageProcessorPil(**wanted)
    return max(
        round(float((torch.as_tensor(np.asarray(a(images=p, return_tensors="pt")["pixel_values"])) -
                     torch.as_tensor(np.asarray(b(images=p, return_tensors="pt")["pixel_values"]))).abs().max()) * 255)
        for p in record.pictures().values()
    )


def detr(case):
    size, queries = (160, 192), 16
    processor = DetrImageProcessor(size={"height": size[0], "width": size[1]})

    def build(seed, batch):
        torch.manual_seed(seed)
        config = DetrConfig(
            backbone_config=ResNetConfig(embedding_size=8, hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]),
            use_timm_backbone=False, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
            encoder_ffn_dim=48, decoder_ffn_dim=48, num_queries=queries, **LABELS,
        )
        model = DetrForObjectDetection(config).eval()
        model.model.query_position_embeddings.weight *= 3
        settle(model, lambda: model(batch))
        stretch(2.0, [0.0, 0.0, 0.0, 2.0], model.class_labels_classifier)
        return model

    notes = RESIZED.format(h=size[0], w=size[1], gap=gap(size), norm="ImageNet mean and std (the class default)") + (
        "The class default of size is shortest edge 800, longest 1333; here a fixed one. The graph takes pixel_values alone, no "
        "pixel_mask. Scores are the softmax over 3 classes and `no object`, which is the last; score and label of a query are the "
        "largest of the first 3; score > confidence; in the order of queries, not of scores; boxes from relative cx, cy, w, h to "
        "source pixels; neither clipped nor suppressed."
    )
    make(case, "detr", build, processor, size, notes, extra={"input": {"size": list(size), "fit": "stretch", "mean": processor.image_mean, "std": processor.image_std}})


def rt_detr(case):
    size, queries = (160, 160), 20
    processor = RTDetrImageProcessor(size={"height": size[0], "width": size[1]})

    def build(seed, batch):
        torch.manual_seed(seed)
        config = RTDetrConfig(
            backbone_config=RTDetrResNetConfig(embedding_size=8, hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage2", "stage3", "stage4"]),
            encoder_in_channels=[12, 16, 24], encoder_hidden_dim=16, decoder_in_channels=[16, 16, 16], d_model=16, encoder_ffn_dim=24,
            decoder_ffn_dim=24, encoder_attention_heads=2, decoder_attention_heads=2, decoder_layers=2, num_queries=queries,
            hidden_expansion=0.5, num_denoising=0, **LABELS,
        )
        model = RTDetrForObjectDetection(config).eval()
        settle(model, lambda: model(batch), keep=("sampling_offsets", "attention_weights"))
        stretch(0.5, 0.0, *[m.layers[-1] for m in model.model.decoder.bbox_embed], model.model.enc_bbox_head.layers[-1])
        stretch(1.5, -2.2, model.model.decoder.class_embed[-1])
        return model

    notes = RESIZED.format(h=size[0], w=size[1], gap=gap(size), norm="no mean and std (the class default)") + SIGMOID.format(q=queries, c=len(KINDS))
    make(case, "rt-detr", build, processor, size, notes, extra={"input": {"size": list(size), "fit": "stretch"}})


def d_fine(case):
    size, queries = (160, 160), 20
    processor = RTDetrImageProcessor(size={"height": size[0], "width": size[1]})

    def build(seed, batch):
        torch.manual_seed(seed)
        backbone = HGNetV2Config(
            embedding_size=8, stem_channels=[3, 8, 8], depths=[1, 1, 1, 1], hidden_sizes=[8, 12, 16, 24], stage_in_channels=[8, 8, 12, 16],
            stage_mid_channels=[8, 8, 8, 12], stage_out_channels=[8, 12, 16, 24], stage_num_blocks=[1, 1, 1, 1],
            stage_downsample=[False, True, True, True], stage_light_block=[False, False, True, True], stage_kernel_size=[3, 3, 5, 5],
            stage_numb_of_layers=[1, 1, 1, 1], use_learnable_affine_block=True, out_features=["stage2", "stage3", "stage4"],
        )
        config = DFineConfig(
            backbone_config=backbone, encoder_in_channels=[12, 16, 24], encoder_hidden_dim=16, decoder_in_channels=[16, 16, 16], d_model=16,
            encoder_ffn_dim=24, decoder_ffn_dim=24, encoder_attention_heads=2, decoder_attention_heads=2, decoder_layers=2,
            num_queries=queries, hidden_expansion=0.5, depth_mult=0.34, num_denoising=0, lqe_hidden_dim=16, max_num_bins=16, **LABELS,
        )
        model = DFineForObjectDetection(config).eval()
        settle(model, lambda: model(batch), keep=("sampling_offsets", "attention_weights", "lqe_layers"))
        stretch(0.5, 0.0, model.model.enc_bbox_head.layers[-1])
        stretch(1.5, -2.2, model.model.decoder.class_embed[-1])
        return model

    notes = RESIZED.format(h=size[0], w=size[1], gap=gap(size), norm="no mean and std (the class default of RTDetrImageProcessor, which D-FINE uses)") + SIGMOID.format(q=queries, c=len(KINDS))
    make(case, "d-fine", build, processor, size, notes, extra={"input": {"size": list(size), "fit": "stretch"}})


def rf_detr(case):
    size, queries = (128, 128), 20
    processor = RfDetrImageProcessor(size={"height": size[0], "width": size[1]})
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (processor.image_mean, processor.image_std))
    rounded = {}
    for name, picture in record.pictures().items():
        # OpenCV's INTER_LINEAR is this, but for the rounding: two neighbours, whatever the scale
        pixels = v2.functional.resize(v2.functional.pil_to_tensor(picture), list(size), antialias=False)
        rounded[name] = (pixels[None] / 255 - mean) / std

    def build(seed, batch):
        torch.manual_seed(seed)
        backbone = RfDetrDinov2Config(
            hidden_size=24, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=size[0], patch_size=16, num_windows=2,
            out_features=["stage1", "stage2"],
        )
        config = RfDetrConfig(
            backbone_config=backbone, d_model=24, intermediate_size=32, decoder_ffn_dim=32, decoder_layers=2, decoder_self_attention_heads=2,
            decoder_cross_attention_heads=2, decoder_n_points=2, num_queries=queries, group_detr=1, c2f_num_blocks=1, dropout=0.0, **LABELS,
        )
        model = RfDetrForObjectDetection(config).eval()
        # all queries start alike, else a swap of two equal proposals would change the results
        for embedding in (model.model.query_feat, model.model.reference_point_embed):
            embedding.weight.copy_(embedding.weight[:1].expand_as(embedding.weight))
        settle(model, lambda: model(batch), keep=("sampling_offsets", "attention_weights"), smooth=True)
        stretch(0.3, 0.0, model.bbox_embed.layers[-1])
        stretch(1.2, -1.8, model.class_embed)
        return model

    notes = (
        f"RGB / 255 first, then stretched to {size[1]}x{size[0]} by bilinear without antialias, in floating point (unlike the other families); ImageNet "
        "mean and std (the class default). The class default of size is shortest edge 800, longest 1333; here a fixed one. "
    ) + SIGMOID.format(q=queries, c=len(KINDS))
    extra = {"input": {"size": list(size), "fit": "stretch", "antialias": False, "mean": processor.image_mean, "std": processor.image_std}}
    # its position embeddings pass an antialiased bicubic resize that the older exporter cannot write
    make(case, "rf-detr", build, processor, size, notes, dynamo=True, extra=extra, rounded=rounded)


if __name__ == "__main__":
    record.run({"detr": detr, "rt-detr": rt_detr, "d-fine": d_fine, "rf-detr": rf_detr})
