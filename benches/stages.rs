//! The single stages: preprocess, decode, and the whole pipeline at batch 1 on one thread.
//!
//! Images are rendered, so that the benches run anywhere. `cargo xtask bench --criterion` runs them.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a bench stops where it cannot go on

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use panelqc::{
    Batch, Channels, Fit, Frame, Inspector, Kernel, Model, Outputs, Panel, PixelFormat, Preprocess, Proposals, Size,
};

fn frame(width: u32, height: u32, channels: u32) -> Frame<'static> {
    let values: Vec<u8> = (0..width * height * channels).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let format = if channels == 1 { PixelFormat::Mono8 } else { PixelFormat::Rgb8 };
    Frame::new(Size::new(width, height), format, values).expect("the right number of values")
}

fn model(name: &str) -> Model {
    Model::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)).expect("a model package")
}

/// A panel as the model `name` wants it.
fn panel(model: &Model) -> Panel<'static> {
    let Size { width, height } = model.manifest().input.size;
    let panel = Panel::new("bench", frame(width, height, 1));
    if model.manifest().input.reference { panel.with_reference(frame(width, height, 1)) } else { panel }
}

fn preprocess(c: &mut Criterion) {
    let mut group = c.benchmark_group("preprocess");
    let cases = [
        ("gray 640x640, as it is", 640, 640, 1, Kernel::Bilinear),
        ("gray 1920x1080, bilinear", 1920, 1080, 1, Kernel::Bilinear),
        ("rgb 1920x1080, bilinear", 1920, 1080, 3, Kernel::Bilinear),
        ("gray 1920x1080, area", 1920, 1080, 1, Kernel::Area),
    ];
    for (name, width, height, channels, kernel) in cases {
        let mut config = Preprocess::new(Size::new(640, 640));
        config.fit = Fit::Letterbox;
        config.resize = kernel;
        config.channels = if channels == 1 { Channels::Gray } else { Channels::Rgb };
        let frame = frame(width, height, channels);
        let mut batch = Batch::new(&config, 1);
        group.throughput(Throughput::Elements(u64::from(width) * u64::from(height)));
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| {
                batch.clear();
                batch.push(black_box(&frame), None).expect("it fits");
            });
        });
    }
    group.finish();
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for name in ["solar-cell", "pcb"] {
        let model = model(name);
        let panel = panel(&model);
        let mut batch = model.manifest().batch(1);
        batch.push(&panel.frames()[0], panel.reference()).expect("it fits");
        let mut outputs = Outputs::default();
        model.run(batch.view(), &mut outputs).expect("it runs");
        let (decoder, mut found) = (model.decoder(), Proposals::default());
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| {
                decoder.decode(black_box(&outputs), 0, &batch.placements()[0], &mut found).expect("finite numbers")
            });
        });
    }
    group.finish();
}

fn pipeline(c: &mut Criterion) {
    let mut group = c.benchmark_group("pipeline, batch 1, one thread");
    group.sample_size(30);
    for name in ["solar-cell", "pcb"] {
        let model = model(name);
        let panel = panel(&model);
        let inspector = Inspector::builder(model).threads(1).build().expect("usable settings");
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| inspector.inspect(black_box(&panel)).expect("an inspected panel"));
        });
    }
    group.finish();
}

criterion_group!(benches, preprocess, decode, pipeline);
criterion_main!(benches);
