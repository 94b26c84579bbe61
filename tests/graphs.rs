//! What belongs to a graph, and what a graph may not ask for.

use std::fs;
use std::path::Path;

use panelqc::{Manifest, Model, ModelInfo, OutputConfig, Policy, Preprocess, Size, Task, sha256_hex};

use crate::util::onnx::{F32, I64, Onnx, floats, longs};
use crate::util::{Program, cell};

const MANIFEST: &str = "schema = 1\nname = \"m\"\ntask = \"classify\"\n[input]\nsize = [8, 8]\nchannels = \"gray\"\n\
                        [output]\nkinds = [\"ok\", \"dirt\"]\ngood = [\"ok\"]\n";

/// The mean of a gray picture, once for each of two kinds, times `w`, which `more` adds.
fn weighted(more: impl FnOnce(Onnx) -> Onnx) -> Onnx {
    let graph = Onnx::new()
        .input("x", F32, &[1, 1, 8, 8])
        .node("GlobalAveragePool", &["x"], &["g"])
        .node("Flatten", &["g"], &["f"])
        .node_with("Concat", &["f", "f"], &["p"], &[("axis", 1)]);
    more(graph).node("Mul", &["p", "w"], &["q"]).output("q", F32, &[1, 2])
}

/// A package with these files beside `model.onnx` and `model.toml`.
fn package(graph: Vec<u8>, files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.onnx"), graph).unwrap();
    fs::write(folder.path().join("model.toml"), MANIFEST).unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn refusal(folder: &Path) -> String {
    Model::load(folder).unwrap_err().to_string()
}

/// Whatever the file is called and wherever in the graph it is named, other weights are another model.
#[test]
fn weights_in_any_file_are_part_of_the_model() {
    let weights = floats(&[1.0, 0.5]);
    let named = |file: &str| weighted(|graph| graph.tensor_in(file, "w", F32, &[2])).bytes();
    for file in ["model.onnx.data", "model.onnx_data", "w.bin", "./w.bin", "weights/of/w.bin"] {
        let folder = package(named(file), &[(file, weights.clone())]);
        let hash = || Model::load(folder.path()).unwrap().sha256().to_string();
        let before = hash();
        let whole = [fs::read(folder.path().join("model.onnx")).unwrap(), weights.clone()].concat();
        assert_eq!(before, sha256_hex(&whole), "{file}: the graph, then the file");
        assert_eq!(*ModelInfo::load(folder.path(), None).unwrap().sha256, before, "{file}");
        fs::write(folder.path().join(file), floats(&[0.0, 0.0])).unwrap();
        assert_ne!(hash(), before, "{file}");
        // A manifest that states the hash refuses the other weights, and so does a policy.
        let policy = Policy::parse(
            &format!("schema = 1\nname = \"p\"\nmodel = \"{before}\"\n[default]\nreview = 0.3\nfail = 0.6\n"),
            Path::new("p.toml"),
        );
        assert!(policy.unwrap().check(&Model::load(folder.path()).unwrap()).is_err(), "{file}");
        fs::write(
            folder.path().join("model.toml"),
            MANIFEST.replacen("[input]", &format!("sha256 = \"{before}\"\n[input]"), 1),
        )
        .unwrap();
        assert!(refusal(folder.path()).contains(&before), "{file}");
        fs::write(folder.path().join(file), &weights).unwrap();
        assert_eq!(hash(), before, "{file}");
        fs::remove_file(folder.path().join(file)).unwrap();
        assert!(refusal(folder.path()).contains("expected files of the package that can be read"), "{file}");
    }
    let folder = package(named("w.bin"), &[("w.bin", weights.clone())]);
    let alone = sha256_hex(&fs::read(folder.path().join("model.onnx")).unwrap());
    let stated = MANIFEST.replacen("[input]", &format!("sha256 = \"{alone}\"\n[input]"), 1);
    fs::write(folder.path().join("model.toml"), stated).unwrap();
    assert!(refusal(folder.path()).contains("found that of the graph alone"));
    // In the value of a node.
    let constant = weighted(|graph| graph.constant_in("c.bin", "w", F32, &[2])).bytes();
    let hash = |weights: &[u8]| {
        let folder = package(constant.clone(), &[("c.bin", weights.to_vec())]);
        ModelInfo::load(folder.path(), None).unwrap().sha256
    };
    assert_ne!(hash(&weights), hash(&floats(&[0.0, 0.0])));
}

/// No number moves from one file to the next without a trace, though the files one after the other stay the same.
#[test]
fn each_of_several_files_counts_by_itself() {
    let graph = weighted(|graph| {
        graph.tensor_in("a.bin", "v", F32, &[2]).tensor_in("b.bin", "u", F32, &[2]).node("Add", &["v", "u"], &["w"])
    });
    let graph = graph.bytes();
    let hash = |a: &[f32], b: &[f32]| {
        let folder = package(graph.clone(), &[("a.bin", floats(a)), ("b.bin", floats(b))]);
        ModelInfo::load(folder.path(), None).unwrap().sha256
    };
    let before = hash(&[1.0, 2.0], &[3.0, 4.0]);
    assert_eq!(before, hash(&[1.0, 2.0], &[3.0, 4.0]));
    assert_ne!(before, hash(&[3.0, 4.0], &[1.0, 2.0]));
    assert_ne!(before, hash(&[1.0, 2.0, 3.0], &[4.0]));
}

/// Results of the earlier weights are not taken for those of the new ones.
#[test]
fn a_run_is_not_resumed_with_other_weights() {
    let graph = weighted(|graph| graph.tensor_in("w.bin", "w", F32, &[2])).bytes();
    let folder = package(graph, &[("w.bin", floats(&[1.0, 1.0]))]);
    let (images, out) = (folder.path().join("images"), folder.path().join("out"));
    fs::create_dir(&images).unwrap();
    cell(1, true).save(images.join("a.png")).unwrap();
    let go = || Program::new("inspect").arg("--resume").model(folder.path()).option("--out", &out).arg(&images).run();
    let line = || fs::read_to_string(out.join("results.jsonl")).unwrap();
    let (status, _, err) = go();
    assert_eq!(status, 0, "{err}");
    let before = line();
    assert_eq!(go().0, 0);
    assert_eq!(line(), before);
    fs::write(folder.path().join("w.bin"), floats(&[0.0, 0.0])).unwrap();
    let (status, _, err) = go();
    assert!(status == 2 && err.contains("found one of another model"), "{status} {err}");
    assert_eq!(line(), before);
}

#[test]
fn a_graph_reads_files_of_its_package_only() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.bin");
    fs::write(&secret, floats(&[1.0, 1.0])).unwrap();
    let named = |file: &str| package(weighted(|graph| graph.tensor_in(file, "w", F32, &[2])).bytes(), &[]);
    let away = format!("../{}/secret.bin", outside.path().file_name().unwrap().to_str().unwrap());
    for file in [&away, secret.to_str().unwrap(), "..", "", "a/../../b"] {
        let message = refusal(named(file).path());
        assert!(message.contains("a path inside the package, without `..`"), "{file}: {message}");
    }
    let message = refusal(named("*/_ORT_MEM_ADDR_/*").path());
    assert!(message.contains("an address in memory"), "{message}");
    let folder = named("folder");
    fs::create_dir(folder.path().join("folder")).unwrap();
    assert!(refusal(folder.path()).contains("no file"));
    // From memory there is no folder at all.
    let graph = weighted(|graph| graph.tensor_in("w.bin", "w", F32, &[2])).bytes();
    let output = OutputConfig::new(vec!["ok".into(), "dirt".into()]);
    let manifest = Manifest::new("m", Task::Classify, Preprocess::new(Size::new(8, 8)), output);
    let message = Model::from_bytes(graph, manifest).unwrap_err().to_string();
    assert!(message.contains("the file `w.bin`"), "{message}");
}

#[cfg(unix)]
#[test]
fn links_that_leave_the_package_are_refused() {
    use std::os::unix::fs::symlink;

    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("w.bin"), floats(&[1.0, 1.0])).unwrap();
    let graph = |file: &str| weighted(|graph| graph.tensor_in(file, "w", F32, &[2])).bytes();
    let folder = package(graph("w.bin"), &[]);
    symlink(outside.path().join("w.bin"), folder.path().join("w.bin")).unwrap();
    let message = refusal(folder.path());
    assert!(message.contains("files inside the package's folder") && message.contains("a link to"), "{message}");
    let folder = package(graph("sub/w.bin"), &[]);
    symlink(outside.path(), folder.path().join("sub")).unwrap();
    assert!(refusal(folder.path()).contains("a link to"));
    // A link to another file of the package stays inside.
    let folder = package(graph("w.bin"), &[("real.bin", floats(&[1.0, 1.0]))]);
    symlink(folder.path().join("real.bin"), folder.path().join("w.bin")).unwrap();
    assert!(Model::load(folder.path()).is_ok());
}

/// A few bytes that ask for gigabytes are refused before anything is computed.
#[test]
fn a_graph_that_expands_is_refused() {
    let sum = |graph: Onnx| graph.node("ReduceSum", &["z"], &["s"]).node("Add", &["p", "s"], &["v"]);
    let ones = |graph: Onnx| graph.tensor("w", F32, &[2], &floats(&[1.0, 1.0]));
    let huge = 1 << 31;
    let constant = |graph: Onnx| {
        sum(graph.tensor("shape", I64, &[2], &longs(&[1, huge])).node("ConstantOfShape", &["shape"], &["z"]))
    };
    let tiled = |graph: Onnx| sum(graph.tensor("n", I64, &[2], &longs(&[1, huge])).node("Tile", &["p", "n"], &["z"]));
    let expanded =
        |graph: Onnx| sum(graph.tensor("n", I64, &[3], &longs(&[huge, 1, 2])).node("Expand", &["p", "n"], &["z"]));
    // Both sides are long, and their product is longer.
    let product = |graph: Onnx| {
        let shapes = graph
            .tensor("column", I64, &[2], &longs(&[1 << 16, 1]))
            .tensor("line", I64, &[2], &longs(&[1, 1 << 16]))
            .node("ConstantOfShape", &["column"], &["c"])
            .node("ConstantOfShape", &["line"], &["l"]);
        sum(shapes.node("MatMul", &["c", "l"], &["z"]))
    };
    let grown: [(&str, &dyn Fn(Onnx) -> Onnx); 4] =
        [("constant", &constant), ("tiled", &tiled), ("expanded", &expanded), ("product", &product)];
    for (what, grow) in grown {
        let folder = package(weighted(|graph| ones(grow(graph))).bytes(), &[]);
        let message = refusal(folder.path());
        assert!(message.contains("values of at most 4 GiB") && message.contains("`z` f32["), "{what}: {message}");
    }
    // A tensor of the file itself that says more than it holds.
    let folder = package(weighted(|graph| graph.tensor("w", F32, &[1 << 40, 2], &[])).bytes(), &[]);
    assert!(refusal(folder.path()).contains("more than the 2 GiB that one can hold"));
}

#[test]
fn operators_and_outputs_of_others_are_named() {
    let load = |graph: Vec<u8>, change: &dyn Fn(String) -> String| {
        let folder = package(graph, &[]);
        fs::write(folder.path().join("model.toml"), change(MANIFEST.to_owned())).unwrap();
        refusal(folder.path())
    };
    let plain = |graph: Onnx| graph.tensor("w", F32, &[2], &floats(&[1.0, 1.0]));
    let detect = |text: String| text.replace("classify", "detect");
    for operator in ["EfficientNMS_TRT", "BatchedNMSDynamic_TRT"] {
        let graph = weighted(plain).node(operator, &["q"], &["num_dets"]).output("num_dets", I64, &[1, 1]);
        let message = load(graph.bytes(), &detect);
        assert!(message.contains(operator) && message.contains("TensorRT"), "{message}");
    }
    let graph = weighted(plain).node_of("mmdeploy", "Nms", &["q"], &["boxes"]).output("boxes", F32, &[1, 5]);
    let message = load(graph.bytes(), &detect);
    assert!(message.contains("`Nms` of the domain `mmdeploy`"), "{message}");
    // Probabilities as a list of maps, which no format reads.
    let graph = Onnx::new()
        .input("x", F32, &[1, 1, 8, 8])
        .node("GlobalAveragePool", &["x"], &["g"])
        .node("Flatten", &["g"], &["f"])
        .node_with("Concat", &["f", "f"], &["p"], &[("axis", 1)])
        .node_of("ai.onnx.ml", "ZipMap", &["p"], &["probabilities"])
        .output_of_maps("probabilities");
    let message = load(graph.bytes(), &|text| text);
    assert!(message.contains("`probabilities`") && message.contains("ZipMap"), "{message}");
}
