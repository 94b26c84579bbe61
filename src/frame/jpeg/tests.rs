use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, FrameLimits, PixelView};
use crate::geometry::Size;

/// How a file is written.
#[derive(Debug, Clone, Copy)]
struct Written {
    size: Size,
    colour: bool,
    sampling: SamplingFactor,
    /// Number of scans, for a progressive one.
    scans: Option<u8>,
    restart: u16,
    quality: u8,
}

const PLAIN: Written = Written {
    size: Size { width: 83, height: 61 },
    colour: false,
    sampling: SamplingFactor::F_1_1,
    scans: None,
    restart: 0,
    quality: 80,
};

impl Written {
    /// A picture with smooth parts, edges and noise.
    fn picture(&self) -> Vec<u8> {
        let (width, channels) = (self.size.width as usize, if self.colour { 3 } else { 1 });
        let mut random = fastrand::Rng::with_seed(7);
        let value = |at: usize, random: &mut fastrand::Rng| {
            let (x, y, channel) = (at / channels % width, at / channels / width, at % channels);
            let edge = if x / 20 % 2 == 0 { 60 } else { 0 };
            let noise = if y > x { random.u32(0..40) as usize } else { 0 };
            ((x * 2 + y + 30 * channel + edge + noise) % 256) as u8
        };
        (0..self.size.area() as usize * channels).map(|at| value(at, &mut random)).collect()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.quality);
        encoder.set_sampling_factor(self.sampling);
        if let Some(scans) = self.scans {
            encoder.set_progressive_scans(scans);
        }
        if self.restart > 0 {
            encoder.set_restart_interval(self.restart);
        }
        let colour = if self.colour { ColorType::Rgb } else { ColorType::Luma };
        encoder.encode(&self.picture(), self.size.width as u16, self.size.height as u16, colour).unwrap();
        bytes
    }
}

/// Files of all kinds that are read.
fn all() -> Vec<Written> {
    use SamplingFactor::*;
    let mut all = Vec::new();
    for (width, height) in [(83, 61), (1, 1), (16, 16), (17, 70), (200, 3)] {
        for (colour, sampling) in
            [(false, F_1_1), (true, F_1_1), (true, F_2_1), (true, F_1_2), (true, F_2_2), (true, F_4_1)]
        {
            for scans in [None, Some(2), Some(5)] {
                for restart in [0, 1, 7] {
                    // The encoder writes a scan for each component here.
                    if scans.is_none() && matches!(sampling, F_4_1) {
                        continue;
                    }
                    let size = Size::new(width, height);
                    all.push(Written { size, colour, sampling, scans, restart, ..PLAIN });
                }
            }
        }
    }
    all
}

fn decode(bytes: &[u8]) -> Result<Frame<'static>> {
    Frame::from_bytes(bytes, "test", &FrameLimits::default())
}

fn refusal(bytes: &[u8]) -> Error {
    decode(bytes).expect_err("a refusal")
}

fn values(frame: &Frame<'_>) -> Vec<u8> {
    let PixelView::Eight(view) = frame.pixels() else { panic!("8 bits") };
    view.to_tight().into_owned()
}

/// The parts of a file's entropy-coded data, without markers.
fn data(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut parts = Vec::new();
    let mut at = 2;
    while at + 4 <= bytes.len() {
        assert_eq!(bytes[at], 0xFF, "{at}");
        let marker = bytes[at + 1];
        if marker == 0xD9 {
            break;
        }
        if !(0xD0..=0xD7).contains(&marker) {
            at += usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        }
        at += 2;
        if marker == 0xDA || (0xD0..=0xD7).contains(&marker) {
            let end = (at..bytes.len() - 1).find(|&i| bytes[i] == 0xFF && bytes[i + 1] != 0).unwrap();
            parts.push(at..end);
            at = end;
        }
    }
    parts
}

/// Where a marker stands.
fn markers(bytes: &[u8], of: impl Fn(u8) -> bool) -> Vec<usize> {
    (0..bytes.len() - 1).filter(|&at| bytes[at] == 0xFF && of(bytes[at + 1])).collect()
}

#[test]
fn sound_files_of_all_kinds_are_read_as_another_decoder_reads_them() {
    for written in all() {
        let bytes = written.bytes();
        let frame = decode(&bytes).unwrap_or_else(|error| panic!("{written:?}: {error}"));
        let mut other = jpeg_decoder::Decoder::new(&*bytes);
        let expected = other.decode().unwrap();
        let found = values(&frame);
        assert_eq!((frame.size(), found.len()), (written.size, expected.len()), "{written:?}");
        let differences = || found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
        // Colours that pixels share are spread by other rules.
        let shared = written.colour && written.sampling != SamplingFactor::F_1_1;
        let (most, mean) = if shared { (110, 9.0) } else { (4, 0.7) };
        let sum: f64 = differences().map(f64::from).sum();
        assert!(differences().max().unwrap() <= most, "{written:?}: {:?}", differences().max());
        assert!(sum / found.len() as f64 <= mean, "{written:?}: {}", sum / found.len() as f64);
    }
}

#[test]
fn a_scan_that_ends_early_before_an_end_marker_is_damaged() {
    for written in all() {
        let bytes = written.bytes();
        for part in data(&bytes) {
            // In the last byte there may be nothing but filling.
            for end in (part.start..part.end.saturating_sub(1)).step_by(1 + part.len() / 4) {
                let cut = [&bytes[..end], b"\xff\xd9"].concat();
                let error = decode(&cut).expect_err(&format!("{written:?} that ends at {end} of {part:?}"));
                assert_eq!(error.kind(), ErrorKind::Damaged, "{written:?}: {error}");
            }
        }
    }
}

/// A part of one block can be missing so that the rest of it still ends in its place; of several blocks it cannot.
#[test]
fn data_that_are_left_out_are_damaged() {
    for written in all().into_iter().filter(|written| written.size.area() > 2000) {
        let bytes = written.bytes();
        for part in data(&bytes).into_iter().filter(|part| part.len() > 300) {
            for from in (part.start..part.end - 200).step_by(150) {
                let gap = [&bytes[..from], &bytes[from + 200..]].concat();
                assert!(decode(&gap).is_err(), "{written:?}: 200 bytes left out at {from} of {part:?}");
            }
        }
    }
}

#[test]
fn lost_sectors_are_damaged() {
    // Fine noise, whose blocks take about as many bits as those that zeros would make.
    let large = Written { size: Size::new(640, 480), ..PLAIN };
    let fine = Written { quality: 97, ..large };
    let progressive = Written { scans: Some(4), ..large };
    let mut random = fastrand::Rng::with_seed(3);
    let other: Vec<u8> = std::iter::repeat_with(|| random.u8(0..255)).take(512).collect();
    for written in [large, fine, progressive, Written { restart: 40, ..large }] {
        let bytes = written.bytes();
        let (start, end) = (data(&bytes)[0].start, data(&bytes).last().unwrap().end);
        for from in (start..end - 512).step_by(2100) {
            for fill in [&[0; 512][..], &[0xFF; 512], &[0x55; 512], &[0xAA; 512], &other] {
                let mut lost = bytes.clone();
                lost[from..from + 512].copy_from_slice(fill);
                assert!(decode(&lost).is_err(), "{written:?}: sector of {:?} at {from}", &fill[..4]);
            }
        }
    }
}

#[test]
fn runs_of_one_byte_in_sound_files_are_no_loss() {
    // Flat areas: with tables made for the picture, they are zeros over many bytes.
    for colour in [ColorType::Luma, ColorType::Rgb] {
        for (optimised, scans) in [(true, None), (false, None), (true, Some(4))] {
            let channels = if matches!(colour, ColorType::Luma) { 1 } else { 3 };
            let mut picture = vec![200; 800 * 600 * channels];
            picture[40 * 800 * channels..][..50].fill(10);
            let mut bytes = Vec::new();
            let mut encoder = Encoder::new(&mut bytes, 90);
            encoder.set_optimized_huffman_tables(optimised);
            encoder.set_sampling_factor(SamplingFactor::F_1_1);
            if optimised && scans.is_none() && channels == 3 {
                // The encoder writes a scan for each component here.
                continue;
            }
            if let Some(scans) = scans {
                encoder.set_progressive_scans(scans);
            }
            encoder.encode(&picture, 800, 600, colour).unwrap();
            let frame = decode(&bytes).unwrap_or_else(|error| panic!("{optimised} {scans:?} {channels}: {error}"));
            assert_eq!(values(&frame)[..60], picture[..60]);
        }
    }
}

#[test]
fn restart_markers_come_in_their_order() {
    for scans in [None, Some(4)] {
        let bytes = Written { restart: 4, scans, ..PLAIN }.bytes();
        let marks = markers(&bytes, |m| (0xD0..=0xD7).contains(&m));
        assert!(marks.len() > 9);
        // A part from one to the next is missing.
        let gap = [&bytes[..marks[2]], &bytes[marks[3]..]].concat();
        assert!(refusal(&gap).to_string().contains("restart marker 3 after 12 of"), "{}", refusal(&gap));
        // Eight parts are missing: the numbers go on as if nothing were.
        let gap = [&bytes[..marks[0]], &bytes[marks[8]..]].concat();
        assert_eq!(refusal(&gap).kind(), ErrorKind::Damaged);
        // Two change places.
        let mut swapped = bytes.clone();
        (swapped[marks[1] + 1], swapped[marks[2] + 1]) = (0xD2, 0xD1);
        assert_eq!(refusal(&swapped).kind(), ErrorKind::Damaged);
        // The interval is not stated, or another one is.
        let interval = markers(&bytes, |m| m == 0xDD)[0];
        let silent = [&bytes[..interval], &bytes[interval + 6..]].concat();
        assert_eq!(refusal(&silent).kind(), ErrorKind::Damaged);
        let mut other = bytes.clone();
        other[interval + 5] = 3;
        assert_eq!(refusal(&other).kind(), ErrorKind::Damaged);
    }
    // Some encoders write one more behind the last block.
    let bytes = Written { restart: 8, size: Size::new(64, 64), ..PLAIN }.bytes();
    let last = markers(&bytes, |m| (0xD0..=0xD7).contains(&m)).len();
    let end = bytes.len() - 2;
    let mark = [0xFF, 0xD0 + (last % 8) as u8];
    let more = [&bytes[..end], &mark, &bytes[end..]].concat();
    assert_eq!(values(&decode(&more).unwrap()), values(&decode(&bytes).unwrap()));
}

#[test]
fn a_progressive_file_without_its_last_scans_is_damaged() {
    let bytes = Written { scans: Some(5), ..PLAIN }.bytes();
    let scans = markers(&bytes, |m| m == 0xDA);
    for &end in &scans[1..] {
        let short = [&bytes[..end], b"\xff\xd9"].concat();
        let message = refusal(&short).to_string();
        assert!(message.contains("before all coefficients"), "{message}");
    }
}

/// A gray picture of 24 x 24 as libjpeg writes it: coefficients come in several scans, the lower bits later.
const REFINED: &str = "\
    ffd8ffe000104a46494600010100000100010000ffdb004300080606070605080707070909080a0c140d0c0b0b0c1912130f\
    141d1a1f1e1d1a1c1c20242e2720222c231c1c2837292c30313434341f27393d38323c2e333432ffc2000b08001800180101\
    1100ffc40017000101010100000000000000000000000006050304ffda0008010100000001908fa24d91e9f713ffc4001c10\
    00020202030000000000000000000000020301040011051221ffda0008010100010502a011b81117a9fddd403db1b5aebb01\
    3c7d3d061320a81867ffc4002510000103020407010000000000000000000100021121310304329122234151618182f0ffda\
    0008010100063f02e9a54f622c256635f2e225869331c37fded7cac67b285ad9063c2ccd40c4780c6d3752eb5b7309e5c5a4\
    bc384b49209836d8a6517fffc4001e100100010403010100000000000000000001110021314151618171a1ffda0008010100\
    013f211bda92a169171ae284f33802f22c02c938b4712bd81f829392ae8124359b7eb351589d467cdc56dc202f603f52a0ea\
    7db1193af0d14937b2d7ffda0008010100000010ff00ff00ffc4001f10010101000104030100000000000000000111213100\
    41516181e1f091ffda0008010100013f10cdb4785553f93f7a940a15205280559d815e279569015216c22511206f5c0066ad\
    3d5bfbec0189e8c8091d0e7ebab0a64e4388511d617969d23289c3b499ad07cefa1ecb443286f38b801122d4bde1cab0997a\
    ffd9";

#[test]
fn scans_that_refine_earlier_ones_are_read_and_checked() {
    let digit = |at: usize| u8::from_str_radix(&REFINED[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..REFINED.len()).step_by(2).map(digit).collect();
    let found = values(&decode(&bytes).unwrap());
    let expected = jpeg_decoder::Decoder::new(&*bytes).decode().unwrap();
    assert!(found.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 2));
    let parts = data(&bytes);
    assert_eq!(parts.len(), 6);
    for part in parts {
        for end in part.start..part.end - 1 {
            let cut = [&bytes[..end], b"\xff\xd9"].concat();
            assert!(decode(&cut).is_err(), "ends at {end} of {part:?}");
            let short = [&bytes[..end], &bytes[part.end..]].concat();
            assert!(decode(&short).is_err(), "the scan ends at {end} of {part:?}");
        }
    }
}

#[test]
fn files_of_many_scans_are_refused_before_they_are_decoded() {
    let many = |scans| Written { colour: true, scans: Some(scans), ..PLAIN }.bytes();
    assert_eq!(markers(&many(10), |m| m == 0xDA).len(), 30);
    assert!(decode(&many(10)).is_ok());
    let error = refusal(&many(16));
    assert_eq!((error.kind(), error.expected()), (ErrorKind::Limits, Some("a JPEG of at most 32 scans")), "{error}");
}

#[test]
fn what_is_not_read_is_named() {
    let bytes = PLAIN.bytes();
    let frame = markers(&bytes, |m| m == 0xC0)[0];
    let of = |marker: u8, precision: u8| {
        let mut other = bytes.clone();
        (other[frame + 1], other[frame + 4]) = (marker, precision);
        refusal(&other)
    };
    for (marker, precision, says) in [
        (0xC9, 8, "arithmetic coding"),
        (0xC3, 8, "lossless JPEG"),
        (0xC5, 8, "hierarchical JPEG"),
        (0xC1, 12, "JPEG of 12 bits a sample"),
    ] {
        let error = of(marker, precision);
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains(says), "{error}");
    }
    for (sampling, size) in [(SamplingFactor::F_4_1, PLAIN.size), (SamplingFactor::F_4_2, Size::new(8, 8))] {
        let apart = Written { colour: true, sampling, size, ..PLAIN }.bytes();
        let error = refusal(&apart);
        assert!(error.to_string().contains("not interleaved"), "{error}");
    }
    let mut no_height = bytes.clone();
    no_height[frame + 5..frame + 7].fill(0);
    assert!(refusal(&no_height).to_string().contains("DNL"));
}

#[test]
fn memory_of_the_decoder_counts() {
    let progressive = Written { scans: Some(4), ..PLAIN }.bytes();
    // 11 x 8 blocks of 64 coefficients of 2 bytes, and 8 bytes for each block.
    let needed = 83 * 61 + 88 * 136;
    let limits = FrameLimits::default().with_max_bytes(needed);
    assert!(Frame::from_bytes(&progressive, "test", &limits).is_ok());
    let error = Frame::from_bytes(&progressive, "test", &limits.with_max_bytes(needed - 1)).unwrap_err();
    assert!(error.kind() == ErrorKind::Limits && error.to_string().contains("memory to decode them"), "{error}");
    assert!(Frame::from_bytes(&PLAIN.bytes(), "test", &limits.with_max_bytes(83 * 61)).is_ok());
}

#[test]
fn several_pictures_are_refused_and_a_preview_is_none() {
    let (picture, preview) = (PLAIN.bytes(), Written { size: Size::new(40, 30), ..PLAIN }.bytes());
    let two = [&picture[..], &[0; 10], &picture].concat();
    let error = refusal(&two);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("2 pictures in one JPEG"), "{error}");
    let three = [&two[..], &picture].concat();
    assert!(refusal(&three).to_string().contains("3 pictures"));
    for behind in [&preview[..], b"a trailer of the camera", b"\xff\xd8\xff\xe0\0\x10", &[0; 300]] {
        let bytes = [&picture[..], behind].concat();
        assert_eq!(values(&decode(&bytes).unwrap()), values(&decode(&picture).unwrap()));
    }
}

#[test]
fn the_orientation_is_read_in_whatever_width_it_is_stored() {
    let bytes = PLAIN.bytes();
    let upright = decode(&bytes).unwrap();
    for (kind, value) in [(3u8, [0u8, 6, 0, 0]), (4, [0, 0, 0, 6]), (1, [6, 0, 0, 0])] {
        let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0".to_vec();
        exif.extend([kind, 0, 0, 0, 1]);
        exif.extend(value);
        exif.extend([0; 4]);
        let length = (exif.len() as u16 + 2).to_be_bytes();
        let turned = [&bytes[..2], b"\xff\xe1", &length, &exif, &bytes[2..]].concat();
        let turned = decode(&turned).unwrap();
        assert_eq!((turned.width(), turned.height()), (upright.height(), upright.width()), "kind {kind}");
        // By 90 degrees clockwise: the last row is the first column.
        assert_eq!(values(&turned)[0], values(&upright)[60 * 83], "kind {kind}");
    }
}
