//! How often memory is asked for once the buffers have grown. Counted on this thread only, by an allocator of its own.

use allocation_counter::measure;
use image::{DynamicImage, GrayImage};
use panelqc::{
    Batch, Channels, Decoded, Frame, Inspector, Kernel, Model, Outputs, Panel, PixelFormat, Preprocess, Proposals,
    Region, Size, Step, White,
};

use crate::util::{board, cell, project};

fn frame(image: GrayImage) -> Frame<'static> {
    let (width, height) = image.dimensions();
    Frame::new(Size::new(width, height), PixelFormat::Mono8, image.into_raw()).unwrap()
}

/// Three panels of each model: what is reported on them differs.
fn panels(model: &str) -> Vec<Panel<'static>> {
    let panel = |seed: u32| match model {
        "pcb" => {
            let (test, template) = board(seed);
            Panel::new("board", frame(test)).with_reference(frame(template))
        }
        _ => Panel::new("cell", frame(cell(seed, seed % 2 == 1))),
    };
    (0..3).map(panel).collect()
}

fn push(batch: &mut Batch, panel: &Panel<'_>) {
    batch.clear();
    batch.push(&panel.frames()[0], panel.reference()).unwrap();
}

#[test]
fn preprocessing_allocates_nothing() {
    for name in ["pcb", "solar-cell"] {
        let model = Model::load(project("models").join(name)).unwrap();
        let panels = panels(name);
        let mut batch = model.manifest().batch(1);
        push(&mut batch, &panels[0]);
        let counted = measure(|| panels.iter().for_each(|panel| push(&mut batch, panel)));
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0), "{name}");
    }
}

/// Allocations of one more frame of 480x270 pixels.
fn resizing(kernel: Kernel, channels: usize) -> u64 {
    let values: Vec<u8> = (0..480 * 270 * channels).map(|i| (i % 251) as u8).collect();
    let format = if channels == 1 { PixelFormat::Mono8 } else { PixelFormat::Rgb8 };
    let panel = Panel::new("large", Frame::new(Size::new(480, 270), format, values).unwrap());
    let mut config = Preprocess::new(Size::new(160, 160));
    config.channels = if channels == 1 { Channels::Gray } else { Channels::Rgb };
    config.resize = kernel;
    let mut batch = Batch::new(&config, 1);
    push(&mut batch, &panel);
    measure(|| push(&mut batch, &panel)).count_total
}

#[test]
fn resizing_allocates_nothing() {
    for channels in [1, 3] {
        for kernel in [
            Kernel::Nearest,
            Kernel::Bilinear,
            Kernel::Bicubic,
            Kernel::Area,
            Kernel::TorchBilinear,
            Kernel::OpencvLinear,
            Kernel::OpencvArea,
            Kernel::PillowBilinear,
            Kernel::TorchvisionBicubic,
        ] {
            assert_eq!(resizing(kernel, channels), 0, "{kernel:?}, {channels} channels");
        }
    }
}

#[test]
fn parts_of_a_padded_frame_allocate_nothing() {
    let values: Vec<u16> = (0..512 * 270).map(|i| (i % 4096) as u16).collect();
    let frame = Frame::strided(Size::new(480, 270), PixelFormat::Mono12, &values, 512).unwrap();
    let config = Preprocess::new(Size::new(160, 160));
    let mut batch = Batch::new(&config, 1).with_steps(&[Step::White(White::new(4095))]);
    let mut push = |x| {
        batch.clear();
        batch.push_region(&frame, None, Region::new(x, 10, Size::new(240, 200))).unwrap();
    };
    push(0);
    assert_eq!(measure(|| [1, 100, 240].into_iter().for_each(&mut push)).count_total, 0);
}

/// Decodes what the model makes of a panel twice, and gives the second time's result and allocations.
fn decoding(model: &Model, panel: &Panel, floor: f32, scratch: &mut Proposals) -> (Decoded, u64) {
    let decoder = model.decoder().with_floors(|_| floor);
    let mut batch = Batch::new(&model.manifest().input, 1);
    push(&mut batch, panel);
    let mut outputs = Outputs::default();
    model.run(batch.view(), &mut outputs).unwrap();
    let mut decode = || decoder.decode(&outputs, 0, &batch.placements()[0], scratch).unwrap();
    decode();
    let mut decoded = None;
    let counted = measure(|| decoded = Some(decode()));
    (decoded.unwrap(), counted.count_total)
}

#[test]
fn a_file_is_read_into_memory_that_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let inspector = Inspector::builder(Model::load(project("models/solar-cell")).unwrap()).threads(1).build().unwrap();
    let (width, height) = (960, 600);
    for (name, image) in [
        ("colour.png", DynamicImage::new_rgb8(width, height)),
        ("deep.png", DynamicImage::new_luma16(width, height)),
        ("colour.bmp", DynamicImage::new_rgb8(width, height)),
    ] {
        let path = folder.path().join(name);
        image.save(&path).unwrap();
        let inspect = || inspector.inspect_file(&path).unwrap();
        inspect();
        let counted = measure(|| drop(inspect()));
        // The decoder of PNG asks for 0.4 MB of its own, the smallest of these pictures has 1.1.
        let most = u64::from(width * height);
        assert!(counted.bytes_total < most, "{name}: {} bytes, not less than {most}", counted.bytes_total);
    }
}

#[test]
fn decoding_allocates_the_defects_alone() {
    for name in ["pcb", "solar-cell"] {
        let model = Model::load(project("models").join(name)).unwrap();
        let mut scratch = Proposals::default();
        let (mut empty, mut found) = (0, 0);
        for panel in panels(name) {
            for floor in [1.1, 0.3, 0.0] {
                let (decoded, count) = decoding(&model, &panel, floor, &mut scratch);
                // The vector of defects, if there is any, and the run lengths of each mask.
                let masks = decoded.defects.iter().filter(|defect| defect.mask.is_some()).count();
                let owned = usize::from(!decoded.defects.is_empty()) + masks;
                assert_eq!(count, owned as u64, "{name}: {} defects, {masks} masks", decoded.defects.len());
                empty += usize::from(decoded.defects.is_empty());
                found += decoded.defects.len();
            }
        }
        assert!(empty >= 3 && found >= 3, "{name}: {empty} without a defect, {found} defects");
    }
}
