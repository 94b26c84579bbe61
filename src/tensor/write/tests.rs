use proptest::prelude::*;

use crate::error::{ErrorKind, Fault};
use crate::frame::PixelFormat::{self, Bgr8, Mono8, Mono10, Mono12, Mono14, Mono16, Rgb8, Rgb16};
use crate::frame::{Frame, Samples};
use crate::geometry::{Region, Size};
use crate::tensor::{Batch, Channels, Fit, Kernel, Preprocess, Step, White};

fn write(config: &Preprocess, frame: &Frame<'_>) -> Vec<f32> {
    part(config, frame, Region::whole(frame.size()))
}

fn part(config: &Preprocess, frame: &Frame<'_>, region: Region) -> Vec<f32> {
    let mut batch = Batch::new(config, 1);
    batch.push_region(frame, config.reference.then_some(frame), region).unwrap();
    batch.view().iter().copied().collect()
}

fn frame<'a>(width: u32, height: u32, format: PixelFormat, samples: impl Into<Samples<'a>>) -> Frame<'a> {
    Frame::new(Size::new(width, height), format, samples).unwrap()
}

fn config(height: u32, width: u32, channels: Channels, fit: Fit) -> Preprocess {
    Preprocess { channels, fit, scale: 1.0, ..Preprocess::new(Size::new(width, height)) }
}

/// An image with flat parts at black and at white, where kernels overshoot, and noise.
fn picture(samples: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..samples)
        .map(|_| match random() % 4 {
            0 => 0,
            1 => 255,
            _ => (random() >> 20) as u8,
        })
        .collect()
}

/// The same image at another depth.
fn deepened(values: &[u8], format: PixelFormat) -> Vec<u16> {
    let white = u32::from(format.white());
    values.iter().map(|&value| ((u32::from(value) * white + 127) / 255) as u16).collect()
}

const KERNELS: [Kernel; 11] = [
    Kernel::Nearest,
    Kernel::Bilinear,
    Kernel::Bicubic,
    Kernel::Area,
    Kernel::PillowBilinear,
    Kernel::PillowBicubic,
    Kernel::TorchvisionBilinear,
    Kernel::TorchvisionBicubic,
    Kernel::TorchBilinear,
    Kernel::OpencvLinear,
    Kernel::OpencvArea,
];

#[test]
fn padding_and_pixels_lie_where_the_placement_says() {
    let c = Preprocess { pad: 7, ..config(4, 4, Channels::Gray, Fit::Letterbox) };
    let out = write(&c, &frame(4, 2, Mono8, (1..=8).collect::<Vec<u8>>()));
    assert_eq!(out, [7., 7., 7., 7., 1., 2., 3., 4., 5., 6., 7., 8., 7., 7., 7., 7.]);
}

#[test]
fn crop_keeps_the_middle() {
    let c = config(2, 2, Channels::Gray, Fit::Crop);
    let out = write(&c, &frame(4, 2, Mono8, (1..=8).collect::<Vec<u8>>()));
    assert_eq!(out, [2., 3., 6., 7.]);
}

#[test]
fn channel_order_and_normalisation() {
    let rgb = frame(1, 1, Rgb8, vec![10u8, 20, 30]);
    let mut c = config(1, 1, Channels::Bgr, Fit::Stretch);
    c.scale = 0.1;
    c.mean = vec![1.0, 2.0, 3.0];
    c.std = vec![2.0];
    assert_eq!(write(&c, &rgb), [(30. * 0.1 - 1.) / 2., (20. * 0.1 - 2.) / 2., (10. * 0.1f32 - 3.) / 2.]);
    let gray = frame(1, 1, Mono8, vec![40u8]);
    assert_eq!(write(&config(1, 1, Channels::Rgb, Fit::Stretch), &gray), [40., 40., 40.]);
}

#[test]
fn colour_becomes_gray_as_pil_rounds_it() {
    // PIL 11: Image.fromarray([[[10, 200, 30]]]).convert("L") is 124; pure green 255 is 150.
    let c = config(1, 2, Channels::Gray, Fit::Stretch);
    assert_eq!(write(&c, &frame(2, 1, Rgb8, vec![10u8, 200, 30, 0, 255, 0])), [124., 150.]);
}

#[test]
fn sixteen_bits_keep_their_own_white() {
    let c = config(1, 3, Channels::Gray, Fit::Stretch);
    let out = write(&c, &frame(3, 1, Mono16, vec![0u16, 257, 65_535]));
    assert_eq!(out, [0., 1., 255.], "dark and bright frames alike: white is 65,535");
}

#[test]
fn a_reference_of_another_size_is_refused() {
    let mut c = config(2, 2, Channels::Gray, Fit::Stretch);
    c.reference = true;
    let a = frame(2, 2, Mono8, vec![0u8; 4]);
    let b = frame(2, 1, Mono8, vec![0u8; 2]);
    let mut batch = Batch::new(&c, 1);
    assert!(batch.push(&a, Some(&b)).is_err());
    assert!(batch.push(&a, None).is_err());
    assert!(batch.is_empty());
    assert!(batch.push(&a, Some(&a)).is_ok());
}

#[test]
fn blue_first_is_red_first_reversed() {
    let values = picture(3 * 40 * 30, 7);
    let reversed: Vec<u8> = values.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [b, g, r]).collect();
    for channels in [Channels::Rgb, Channels::Bgr, Channels::Gray] {
        for side in [40, 17] {
            let c = config(30, side, channels, Fit::Stretch);
            let (rgb, bgr) = (frame(40, 30, Rgb8, &values), frame(40, 30, Bgr8, &reversed));
            assert_eq!(write(&c, &rgb), write(&c, &bgr), "{channels:?}, {side}");
        }
    }
}

/// Every depth gives the levels of 8 bits, but for rounding: half a step where the image is deepened, and one where a
/// kernel rounds to whole steps in each direction.
#[test]
fn every_depth_gives_the_levels_of_eight_bits() {
    let harsh = picture(64 * 48, 3);
    // `bicubic` goes through 8 bits down the columns first and through 16 along the rows: what overshoots in both
    // directions is cut in another order.
    let mild: Vec<u8> = harsh.iter().map(|value| 64 + value / 2).collect();
    for kernel in KERNELS {
        let values = if kernel == Kernel::Bicubic { &mild } else { &harsh };
        for (width, height) in [(64, 48), (40, 30), (90, 70), (32, 24)] {
            let c = Preprocess { resize: kernel, ..config(height, width, Channels::Gray, Fit::Stretch) };
            let eight = write(&c, &frame(64, 48, Mono8, values));
            for format in [Mono10, Mono12, Mono14, Mono16] {
                let deep = write(&c, &frame(64, 48, format, deepened(values, format)));
                let worst = deep.iter().zip(&eight).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst <= 2.0, "{kernel:?} to {width} x {height}, {format}: {worst} levels off");
                let (least, most) = deep.iter().fold((255f32, 0f32), |(l, m), &v| (l.min(v), m.max(v)));
                assert!(least >= 0.0 && most <= 255.0, "{kernel:?}, {format}: {least} to {most}");
                if (width, height) == (64, 48) {
                    assert!(worst <= 0.5 * 255.0 / f32::from(format.white()) + 1e-4, "{format} as it is: {worst}");
                }
            }
        }
    }
}

#[test]
fn an_overshoot_is_cut_at_white() {
    // An edge from black to white, enlarged by a cubic kernel.
    let edge: Vec<u16> = [0u16, 0, 0, 4095, 4095, 4095].repeat(2);
    let c = Preprocess { resize: Kernel::Bicubic, ..config(2, 24, Channels::Gray, Fit::Stretch) };
    let twelve = write(&c, &frame(6, 2, Mono12, &edge));
    assert_eq!(twelve.iter().copied().fold(0.0, f32::max), 255.0);
    // The same samples in a frame whose white lies far above do overshoot: the test sees it.
    let sixteen = write(&c, &frame(6, 2, Mono16, &edge));
    assert!(sixteen.iter().copied().fold(0.0, f32::max) * 257.0 > 4200.0);
    let eight = Frame::new(Size::new(6, 2), Mono8, [0u8, 0, 0, 200, 200, 200].repeat(2)).unwrap();
    let lower = write(&c, &eight.clone().with_white(200).unwrap());
    assert_eq!(lower.iter().copied().fold(0.0, f32::max), 255.0);
    assert!(write(&c, &eight).iter().copied().fold(0.0, f32::max) > 205.0);
}

#[test]
fn a_value_above_white_is_named() {
    let c = config(3, 4, Channels::Gray, Fit::Stretch);
    let mut values = vec![4095u16; 12];
    values[7] = 4096;
    let deep = frame(4, 3, Mono12, &values).with_name("shot 9");
    let mut batch = Batch::new(&c, 1);
    let error = batch.push(&deep, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "image shot 9: expected values up to white, 4095 (Mono12), found 4096 in the pixel (3, 1)"
    );
    assert!(error.fault() == Fault::Image && batch.is_empty());
    let at = Region::new(2, 1, Size::new(2, 2));
    assert!(batch.push_region(&deep, None, at).unwrap_err().to_string().ends_with("in the pixel (3, 1)"));
    assert!(batch.push_region(&deep, None, Region::new(0, 1, Size::new(3, 2))).is_ok(), "it lies outside");
    let colour = frame(2, 1, Rgb16, vec![0u16, 0, 0, 0, 9, 0]).with_white(8).unwrap();
    assert!(batch.push(&colour, None).unwrap_err().to_string().ends_with("found 9 in the pixel (1, 0)"));
    let eight = frame(2, 1, Mono8, vec![0u8, 251]).with_white(250).unwrap();
    assert!(batch.push(&eight, None).unwrap_err().to_string().ends_with("found 251 in the pixel (1, 0)"));
}

#[test]
fn the_manifests_white_goes_before_the_frames() {
    let mut c = config(1, 3, Channels::Gray, Fit::Stretch);
    let file = frame(3, 1, Mono16, vec![0u16, 2048, 4095]);
    assert!(write(&c, &file)[2] < 16.0, "12 bits in a file of 16 are dark unless somebody says so");
    c.white = Some(4095);
    let want = [0.0, 2048.0 * 255.0 / 4095.0, 255.0];
    assert_eq!(write(&c, &file), want);
    let eight = frame(3, 1, Mono8, vec![0u8; 3]);
    let error = Batch::new(&c, 1).push(&eight, None).unwrap_err().to_string();
    assert!(error.ends_with("expected pixels of 16 bits (the manifest's white is 4095), found Mono8"), "{error}");
    c.white = None;
    let mut batch = Batch::new(&c, 1).with_steps(&[Step::White(White::new(4095))]);
    batch.push(&file, None).unwrap();
    assert_eq!(batch.view().iter().copied().collect::<Vec<_>>(), want);
}

#[test]
fn a_part_outside_of_the_frame_is_refused() {
    let c = config(2, 2, Channels::Gray, Fit::Stretch);
    let mut batch = Batch::new(&c, 1);
    let outside = Region::new(3, 0, Size::new(2, 2));
    let error = batch.push_region(&frame(4, 4, Mono8, vec![0u8; 16]), None, outside).unwrap_err();
    assert!(error.kind() == ErrorKind::Argument && error.to_string().contains("found 2 x 2 at (3, 0)"), "{error}");
    assert!(batch.push_region(&frame(4, 4, Mono8, vec![0u8; 16]), None, Region::default()).is_err(), "no pixel");
}

#[test]
fn parts_of_other_sizes_go_into_batches_of_their_own() {
    let c = Preprocess { fit: Fit::Source, ..config(8, 8, Channels::Gray, Fit::Source) };
    let picture = frame(8, 8, Mono8, vec![0u8; 64]);
    let mut batch = Batch::new(&c, 2);
    let half = |x| Region::new(x, 0, Size::new(4, 8));
    batch.push_region(&picture, None, half(0)).unwrap();
    assert!(batch.takes_region(&picture, half(4)) && !batch.takes(&picture));
    batch.push_region(&picture, None, half(4)).unwrap();
    assert_eq!(batch.view().dim(), (2, 1, 8, 4));
    assert_eq!(batch.placements()[1].region(), half(4));
    assert_eq!(batch.placements()[1].to_frame(1.0, 2.0), (5.0, 2.0));
}

proptest! {
    #[test]
    fn a_part_is_a_picture_of_its_own(
        (w, h) in (1u32..70, 1u32..50), (x, y) in (0.0..1.0f64, 0.0..1.0f64), (cw, ch) in (0.0..1.0f64, 0.0..1.0f64),
        to in (1u32..60, 1u32..60), padding in 0usize..20, seed: u64,
        format in prop::sample::select(&[Mono8, Mono10, Mono12, Mono14, Mono16, Rgb8, Rgb16, Bgr8][..]),
        kernel in prop::sample::select(&KERNELS[..]),
        fit in prop::sample::select(&[Fit::Letterbox, Fit::Stretch, Fit::Crop, Fit::Source][..]),
        channels in prop::sample::select(&[Channels::Gray, Channels::Rgb, Channels::Bgr][..]),
        reference: bool, antialias: bool,
    ) {
        let place = |at: f64, side: u32| (at * f64::from(side)) as u32;
        let (left, top) = (place(x, w), place(y, h));
        let size = Size::new(1 + place(cw, w - left), 1 + place(ch, h - top));
        let region = Region::new(left, top, Size::new(size.width.min(w - left), size.height.min(h - top)));
        // Those of PIL and torchvision always widen; they are refused without.
        let antialias = antialias
            || matches!(
                kernel,
                Kernel::PillowBilinear
                    | Kernel::PillowBicubic
                    | Kernel::TorchvisionBilinear
                    | Kernel::TorchvisionBicubic
            );
        let c = Preprocess { resize: kernel, antialias, reference, ..config(to.1, to.0, channels, fit) };
        let stride = w as usize * format.channels() + padding;
        let values = picture(stride * h as usize, seed);
        let own = |values: &[u16]| -> Vec<u16> {
            let rows = values.chunks(stride).skip(top as usize).take(region.size.height as usize);
            let (from, count) = (left as usize, region.size.width as usize);
            rows.flat_map(|row| row[from * format.channels()..][..count * format.channels()].to_vec()).collect()
        };
        let (got, want) = if format.storage_bits() == 8 {
            let wide: Vec<u16> = values.iter().map(|&v| u16::from(v)).collect();
            let own: Vec<u8> = own(&wide).into_iter().map(|v| v as u8).collect();
            let whole = Frame::strided(Size::new(w, h), format, &values, stride).unwrap();
            (part(&c, &whole, region), write(&c, &Frame::new(region.size, format, own).unwrap()))
        } else {
            let deep = deepened(&values, format);
            let whole = Frame::strided(Size::new(w, h), format, &deep, stride).unwrap();
            (part(&c, &whole, region), write(&c, &Frame::new(region.size, format, own(&deep)).unwrap()))
        };
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        prop_assert_eq!(bits(got), bits(want));
    }
}
