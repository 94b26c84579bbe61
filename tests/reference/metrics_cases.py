"""Numbers of other people's implementations on random and on edge cases, for tests/reference.rs.

pycocotools (COCO AP and AR, boxes and masks), scikit-learn (AUROC, AUPR, F1, confusion, Jaccard, calibration curve),
adeval (pixel AUROC, AU-PRO) and scipy (intervals). All coordinates and scores are numbers that 32 bits hold exactly.

The data set DeepPCB publishes a script that is that of ICDAR 2015 "with small modification". It is written for Python 2,
and `deeppcb` below follows its definitions (IoU above 0.33; the truths, in the order of the file, take the first free
detection that fits; average precision as the mean over the truths of the precision at each right detection) in Python 3,
one kind at a time. It was written from the data set's description and from ICDAR's method: the script itself was not at hand.
"""

import contextlib
import io
import json
import pathlib

import numpy as np
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.stats import binomtest
from sklearn import metrics
from sklearn.calibration import calibration_curve

if not hasattr(np, "trapz"):  # adeval 1.1.0 was written for numpy 1
    np.trapz = np.trapezoid
import adeval

SIDE = 256
KINDS = ["a", "b", "c"]
rng = np.random.default_rng(20200604)


def quarter(x):
    return float(np.round(x * 4) / 4)


def random_box(side=SIDE):
    w, h = (quarter(side * rng.choice([0.06, 0.2, 0.5]) * rng.uniform(0.3, 1.0)) for _ in range(2))
    return [quarter(rng.uniform(0, side - w - 1)), quarter(rng.uniform(0, side - h - 1)), max(w, 1.0), max(h, 1.0)]


def near(box, amount):
    x, y, w, h = box
    shift = lambda v, by: quarter(max(0.0, v + rng.normal() * by * amount))
    return [shift(x, w), shift(y, h), max(1.0, shift(w, w)), max(1.0, shift(h, h))]


def ellipse(box, side=SIDE):
    x, y, w, h = box
    rows, columns = np.mgrid[0:side, 0:side] + 0.5
    inside = ((columns - x - w / 2) / (w / 2)) ** 2 + ((rows - y - h / 2) / (h / 2)) ** 2 <= 1
    inside[min(int(y), side - 1), min(int(x), side - 1)] = True  # never empty
    return rle.encode(np.asfortranarray(inside.astype(np.uint8)))["counts"].decode()


def coco_case(name, images, masks=False):
    """`images`: for each (truths, detections); a truth is (kind, box, crowd), a detection (kind, box, score)."""
    truth, found = [], []
    for number, (truths, detections) in enumerate(images):
        for kind, box, crowd in truths:
            entry = {"id": len(truth) + 1, "image_id": number + 1, "category_id": kind + 1, "bbox": box, "iscrowd": crowd}
            entry["area"] = box[2] * box[3]
            if masks:
                entry["segmentation"] = {"size": [SIDE, SIDE], "counts": ellipse(box)}
                entry["area"] = float(rle.area(entry["segmentation"]))
            truth.append(entry)
        for kind, box, score in detections:
            entry = {"image_id": number + 1, "category_id": kind + 1, "bbox": box, "score": score}
            if masks:
                entry = {**entry, "segmentation": {"size": [SIDE, SIDE], "counts": ellipse(box)}}
            found.append(entry)
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = {
            "images": [{"id": i + 1, "width": SIDE, "height": SIDE} for i in range(len(images))],
            "categories": [{"id": i + 1, "name": kind} for i, kind in enumerate(KINDS)],
            "annotations": [dict(entry) for entry in truth],
        }
        gt.createIndex()
        results = [dict(entry) for entry in found]
        if masks:
            for entry in results:
                entry.pop("bbox")  # loadRes takes results with a box for boxes
        if results:
            dt = gt.loadRes(results)
        else:  # loadRes wants at least one
            dt = COCO()
            dt.dataset = {**gt.dataset, "annotations": []}
            dt.createIndex()
        run = COCOeval(gt, dt, "segm" if masks else "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    precision = run.eval["precision"][:, :, :, 0, 2]
    per_kind = {}
    for i, kind in enumerate(KINDS):
        valid = precision[:, :, i][precision[:, :, i] > -1]
        if valid.size:
            per_kind[kind] = float(valid.mean())
    place = lambda e: [e["image_id"] - 1, KINDS[e["category_id"] - 1], *e["bbox"]]
    text = lambda e: e["segmentation"]["counts"] if masks else None
    return {
        "name": name,
        "masks": masks,
        "images": len(images),
        "truth": [{"place": place(e), "crowd": bool(e["iscrowd"]), "area": e["area"], "mask": text(e)} for e in truth],
        "found": [{"place": place(e), "score": e["score"], "mask": text(e)} for e in found],
        # -1 where there is no such truth.
        "expected": [float(v) for v in run.stats],
        "per_kind": per_kind,
    }


def random_images(count, crowds=False, steps=64, kinds=3, defects=6):
    images = []
    for _ in range(count):
        truths = [
            (int(rng.integers(kinds)), random_box(), int(crowds and rng.random() < 0.25))
            for _ in range(rng.integers(0, defects))
        ]
        detections = []
        for kind, box, _ in truths:
            for _ in range(rng.integers(0, 3)):
                kind = kind if rng.random() < 0.9 else int(rng.integers(kinds))
                detections.append((kind, near(box, rng.choice([0.0, 0.02, 0.08, 0.2]))))
        detections += [(int(rng.integers(kinds)), random_box()) for _ in range(rng.integers(0, 3))]
        images.append((truths, [(k, b, float(rng.integers(1, steps + 1) / steps)) for k, b in detections]))
    return images


def coco_cases():
    box = [16.0, 16.0, 32.0, 32.0]
    yield coco_case("random", random_images(40))
    yield coco_case("many ties", random_images(30, steps=4))
    yield coco_case("crowds", random_images(30, crowds=True))
    yield coco_case("one kind", random_images(15, kinds=1))
    yield coco_case("no detection", [(truths, []) for truths, _ in random_images(5)])
    yield coco_case("all good", [([], found) for _, found in random_images(8)])
    yield coco_case("good and empty images between", [im for pair in random_images(10) for im in (pair, ([], []), ([], pair[1]))])
    yield coco_case("IoU on the limit", [([(0, box, 0)], [(0, [16.0, 16.0, 32.0, 16.0], 0.5), (0, [16.0, 16.0, 32.0, 24.0], 0.25)])])
    yield coco_case("sizes on the limit", [([(0, box, 0), (1, [0.0, 0.0, 96.0, 96.0], 0)], [(0, box, 0.5), (1, [0.0, 0.0, 96.0, 96.0], 0.75)])])
    crowded = [(0, near(box, 0.5), float(rng.integers(1, 65) / 64)) for _ in range(130)]
    yield coco_case("more than a hundred", [([(0, box, 0), (0, near(box, 0.3), 0)], crowded)])
    yield coco_case("a crowd takes many", [([(0, [0.0, 0.0, 200.0, 200.0], 1), (0, box, 0)], [(0, box, 0.75), (0, near(box, 0.1), 0.5), (0, [100.0, 100.0, 40.0, 40.0], 0.25)])])
    yield coco_case("masks", random_images(8, defects=4), masks=True)
    yield coco_case("masks with crowds and ties", random_images(8, crowds=True, steps=4, defects=4), masks=True)


def iou(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(w, 0.0) * max(h, 0.0)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def deeppcb(name, images, confidence):
    aps, right, detected, marked, per_kind = [], 0, 0, 0, {}
    for number, kind in enumerate(KINDS):
        scores, matches, truths_all = [], [], 0
        for truths, detections in images:
            truths = [box for k, box, _ in truths if k == number]
            # As a detector writes them: most confident first.
            detections = sorted((d for d in detections if d[0] == number), key=lambda d: -d[2])
            free = [True] * len(detections)
            for truth in truths:
                for i, (_, box, _) in enumerate(detections):
                    if free[i] and iou(truth, box) > 0.33:
                        free[i] = False
                        break
            truths_all += len(truths)
            scores += [d[2] for d in detections]
            matches += [not f for f in free]
        ap, correct = 0.0, 0
        for rank, i in enumerate(np.argsort(-np.array(scores), kind="stable")):
            if matches[i]:
                correct += 1
                ap += correct / (rank + 1)
        sure = [m for m, s in zip(matches, scores) if s >= confidence]
        right, detected, marked = right + sum(sure), detected + len(sure), marked + truths_all
        if truths_all:
            per_kind[KINDS[number]] = ap / truths_all
            aps.append(ap / truths_all)
    precision, recall = right / detected if detected else 0.0, right / marked if marked else 0.0
    return {
        "name": name,
        "images": len(images),
        "confidence": confidence,
        "truth": [{"place": [i, KINDS[k], *b]} for i, (t, _) in enumerate(images) for k, b, _ in t],
        "found": [{"place": [i, KINDS[k], *b], "score": s} for i, (_, d) in enumerate(images) for k, b, s in d],
        "map": float(np.mean(aps)) if aps else 0.0,
        "per_kind": per_kind,
        "precision": precision,
        "recall": recall,
        "f_score": 2 * precision * recall / (precision + recall) if right else 0.0,
    }


def score_cases():
    for name, count, steps, share in [("random", 300, 1 << 20, 0.4), ("many ties", 200, 8, 0.3), ("few defective", 400, 64, 0.01), ("two", 2, 2, 0.5)]:
        truth = np.arange(count) < max(1, int(count * share))
        scores = np.clip(np.round((rng.normal(0.35, 0.2, count) + 0.3 * truth) * steps) / steps, 0, 1)
        shares, means = calibration_curve(truth, scores, n_bins=15, strategy="uniform")
        bins = np.bincount(np.searchsorted(np.linspace(0, 1, 16)[1:-1], scores), minlength=15)
        # The same by direct enumeration: mean over the panels of the risk of all that are at least as sure.
        sure, wrong = np.abs(scores - 0.5) / 0.5, (scores >= 0.5) != truth
        yield {
            "name": name,
            "truth": truth.tolist(),
            "scores": scores.tolist(),
            "auroc": float(metrics.roc_auc_score(truth, scores)),
            "aupr": float(metrics.average_precision_score(truth, scores)),
            "ece": float(np.sum(bins[bins > 0] * np.abs(shares - means)) / count),
            "aurc": float(np.mean([wrong[sure >= s].mean() for s in sure])),
        }


def class_cases():
    for name, count, classes in [("random", 200, ["crack", "dirt", "good", "scratch"]), ("never found", 30, ["crack", "good"])]:
        truth = rng.choice(classes, count)
        found = np.where(rng.random(count) < 0.7, truth, rng.choice(classes, count))
        if name == "never found":
            found[:] = "good"
        labels = sorted(set(truth) | set(found))
        scores = np.round(rng.random((count, len(labels))) * 32) / 32 + (truth[:, None] == np.array(labels)) / 4
        indicator = truth[:, None] == np.array(labels)
        yield {
            "name": name,
            "truth": truth.tolist(),
            "found": found.tolist(),
            "labels": labels,
            "accuracy": float(metrics.accuracy_score(truth, found)),
            "f1": metrics.f1_score(truth, found, labels=labels, average=None, zero_division=0).tolist(),
            "macro_f1": float(metrics.f1_score(truth, found, average="macro", zero_division=0)),
            "confusion": metrics.confusion_matrix(truth, found, labels=labels).tolist(),
            "scores": scores.tolist(),
            "auroc": float(metrics.roc_auc_score(indicator, scores, average="macro")),
        }


def pixel_cases():
    height, width = 20, 28
    for name, count, spots in [("random", 6, 3), ("one region", 1, 1), ("large regions", 4, 6)]:
        maps, masks = [], []
        for number in range(count):
            mask = np.zeros((height, width), np.uint8)
            for _ in range(spots if number % 3 < 2 else 0):  # every third image is good
                y, x = rng.integers(0, height - 6), rng.integers(0, width - 6)
                mask[y : y + rng.integers(1, 6), x : x + rng.integers(1, 6)] = 1
            levels = np.clip(np.round(rng.normal(20, 10, mask.shape) + 14 * mask), 0, 62).astype(int)
            maps.append(levels)
            masks.append(mask)
        # adeval's curve begins at the highest score, ours at 0: only a defective pixel has it.
        y, x = np.argwhere(masks[0])[0]
        maps[0][y, x] = 64
        preds = np.stack([levels / 64 for levels in maps]).astype(np.float32)
        targets = np.stack(masks)
        auroc, _, aupro = adeval.auroc_aupr_aupro(preds, targets)
        exact = metrics.roc_auc_score(targets.ravel(), preds.ravel())
        assert abs(auroc - exact) < 1e-9, (auroc, exact)
        yield {
            "name": name,
            "size": [height, width],
            "maps": [levels.ravel().tolist() for levels in maps],
            "masks": ["".join(map(str, mask.ravel())) for mask in masks],
            "auroc": float(auroc),
            "aupro": float(aupro),
        }


def segment_cases():
    for name, count in [("random", 5), ("one", 1)]:
        truth = (rng.random((count, len(KINDS), 9, 11)) < 0.3).astype(int)
        found = np.where(rng.random(truth.shape) < 0.8, truth, 1 - truth)
        found[0, 0] = 0
        flat = lambda a, k: a[:, k].ravel()
        yield {
            "name": name,
            "size": [9, 11],
            "truth": [["".join(map(str, m.ravel())) for m in image] for image in truth],
            "found": [["".join(map(str, m.ravel())) for m in image] for image in found],
            "iou": [float(metrics.jaccard_score(flat(truth, k), flat(found, k))) for k in range(len(KINDS))],
            "dice": [float(metrics.f1_score(flat(truth, k), flat(found, k))) for k in range(len(KINDS))],
        }


def rate_cases():
    for count, of in [(0, 10), (10, 10), (0, 299), (1, 300), (5, 12), (87, 93), (640, 10000)]:
        test = binomtest(count, of)
        wilson, exact = test.proportion_ci(method="wilson"), test.proportion_ci(method="exact")
        yield {"count": count, "of": of, "wilson": [wilson.low, wilson.high], "exact": [exact.low, exact.high]}


images = random_images(30)
cases = {
    "kinds": KINDS,
    "side": SIDE,
    "coco": list(coco_cases()),
    "deeppcb": [
        deeppcb("random", images, 0.5),
        deeppcb("many ties", random_images(30, steps=4), 0.25),
        deeppcb("all good", [([], found) for _, found in images[:8]], 0.5),
        deeppcb("no detection", [(truths, []) for truths, _ in images[:8]], 0.5),
    ],
    "scores": list(score_cases()),
    "classes": list(class_cases()),
    "pixels": list(pixel_cases()),
    "segments": list(segment_cases()),
    "rates": list(rate_cases()),
}
path = pathlib.Path(__file__).with_name("metrics.json")
path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
print(f"{path.name}: {sum(len(v) for v in cases.values() if isinstance(v, list))} cases, {path.stat().st_size // 1024} kB")
