//! Image files as they come: formats, depth, orientation, damage.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, RgbImage, RgbaImage};
use panelqc::{ErrorKind, Fault, Frame, FrameLimits, PixelFormat, PixelView, Samples, Size, find_images};

use crate::util::shared;

const FORMATS: [(ImageFormat, &str); 5] = [
    (ImageFormat::Png, "png"),
    (ImageFormat::Jpeg, "jpg"),
    (ImageFormat::Tiff, "tif"),
    (ImageFormat::Bmp, "bmp"),
    (ImageFormat::WebP, "webp"),
];

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn decode(bytes: &[u8]) -> panelqc::Result<Frame<'static>> {
    Frame::from_bytes(bytes, "test", &FrameLimits::default())
}

/// Whether the frame has these pixels.
fn same<'a>(frame: &Frame<'_>, format: PixelFormat, samples: impl Into<Samples<'a>>) -> bool {
    frame.pixels() == Frame::new(Size::new(frame.width(), frame.height()), format, samples).unwrap().pixels()
}

fn gray() -> GrayImage {
    GrayImage::from_fn(37, 23, |x, y| Luma([(x * 5 + y * 3) as u8]))
}

fn rgb() -> RgbImage {
    RgbImage::from_fn(37, 23, |x, y| image::Rgb([(x * 5) as u8, (y * 9) as u8, 200]))
}

#[test]
fn every_format_is_told_by_its_content() {
    for (format, name) in FORMATS {
        let frame = decode(&encode(rgb(), format)).unwrap();
        assert_eq!((frame.width(), frame.height(), frame.channels()), (37, 23, 3), "{name}");
        if format != ImageFormat::Jpeg {
            assert!(same(&frame, PixelFormat::Rgb8, rgb().into_raw()), "{name} is lossless");
        }
        let sum = frame.sha256().unwrap();
        assert_eq!(sum.len(), 64);
    }
}

#[test]
fn gray_stays_gray_and_depth_is_kept() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff] {
        assert_eq!(decode(&encode(gray(), format)).unwrap().channels(), 1, "{format:?}");
    }
    let deep = ImageBuffer::from_fn(5, 4, |x, y| Luma([(x * 10_000 + y) as u16]));
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let frame = decode(&encode(deep.clone(), format)).unwrap();
        assert!(same(&frame, PixelFormat::Mono16, deep.clone().into_raw()), "{format:?}");
    }
}

#[test]
fn an_alpha_channel_is_dropped_only_when_opaque() {
    let mut image = RgbaImage::from_pixel(3, 2, image::Rgba([1, 2, 3, 255]));
    let opaque = decode(&encode(image.clone(), ImageFormat::Png)).unwrap();
    assert!(same(&opaque, PixelFormat::Rgb8, [1u8, 2, 3].repeat(6)));
    image.get_pixel_mut(2, 1).0[3] = 254;
    let error = decode(&encode(image, ImageFormat::Png)).unwrap_err();
    assert!(error.to_string().contains("transparent"), "{error}");
}

/// A big-endian EXIF block that states `orientation` and nothing else.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    block
}

#[test]
fn exif_orientation_is_honoured() {
    // Orientation 6: the picture has to be turned by 90 degrees clockwise to be upright (EXIF 2.32, tag 0x0112).
    let mut wide = GrayImage::new(16, 8);
    wide.put_pixel(0, 0, Luma([255]));
    let mut png = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.write_image(&wide, 16, 8, image::ExtendedColorType::L8).unwrap();
    let frame = decode(&png).unwrap();
    assert_eq!((frame.width(), frame.height()), (8, 16));
    let PixelView::Eight(view) = frame.pixels() else { panic!("8 bits") };
    assert_eq!(view.row(0).iter().position(|&v| v == 255), Some(7), "the first pixel is now at the top right");

    let mut jpeg = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
    encoder.set_exif_metadata(exif(8)).unwrap();
    encoder.write_image(&wide, 16, 8, image::ExtendedColorType::L8).unwrap();
    assert_eq!(decode(&jpeg).unwrap().height(), 16);
}

#[test]
fn a_file_cut_off_anywhere_is_an_error_that_names_it() {
    for (format, name) in FORMATS {
        let bytes = encode(rgb(), format);
        assert!(decode(&bytes).is_ok(), "{name}");
        // The last bytes of PNG, TIFF and WebP may be trailers without pixels; cut well into the data.
        for cut in (0..bytes.len() * 9 / 10).step_by(7) {
            let error = decode(&bytes[..cut]).expect_err(&format!("{name} cut at {cut} of {}", bytes.len()));
            assert_eq!(error.fault(), Fault::Image);
            assert!(error.to_string().starts_with("image test: expected "), "{error}");
        }
    }
    let jpeg = encode(rgb(), ImageFormat::Jpeg);
    for cut in 0..jpeg.len() - 1 {
        assert!(decode(&jpeg[..cut]).is_err(), "JPEG cut at {cut} of {}", jpeg.len());
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let mut state = 7u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    for (format, _) in FORMATS {
        let bytes = encode(rgb(), format);
        for _ in 0..300 {
            let mut broken = bytes.clone();
            for _ in 0..1 + random() % 8 {
                let at = random() as usize % broken.len();
                broken[at] = random() as u8;
            }
            let _ = decode(&broken);
        }
    }
}

#[test]
fn what_is_no_image_says_what_it_is() {
    for (bytes, says) in [
        (&b""[..], "an empty file"),
        (b"hello world", "the text \"hello wo\""),
        (&[0, 1, 2, 3], "the bytes [00, 01, 02, 03]"),
        (b"GIF89a\x01\0\x01\0\0\0\0", "a gif file"),
    ] {
        let message = decode(bytes).unwrap_err().to_string();
        assert!(message.contains(says) && message.contains("a PNG, JPEG, TIFF, BMP or WebP image"), "{message}");
    }
}

#[test]
fn limits_hold_before_pixels_are_decoded() {
    let png = encode(gray(), ImageFormat::Png);
    let limits = FrameLimits::default().with_max_width(36);
    let message = Frame::from_bytes(&png, "wide.png", &limits).unwrap_err().to_string();
    assert_eq!(message, "image wide.png: expected at most 36 x 1048576 pixels, found a PNG of 37 x 23 pixels");
    let limits = FrameLimits::default().with_max_bytes(37 * 23 - 1);
    assert!(
        Frame::from_bytes(&png, "large.png", &limits).unwrap_err().to_string().contains("at most 850 bytes of pixels")
    );
}

#[test]
fn what_a_decoder_takes_beside_the_pixels_counts() {
    // Four bytes a pixel, and three where opacity is taken off; a WebP is decoded into four bytes first.
    let opaque = RgbaImage::from_pixel(100, 10, image::Rgba([1, 2, 3, 255]));
    for (format, needed) in [(ImageFormat::Png, 7_000), (ImageFormat::WebP, 11_000)] {
        let bytes = encode(opaque.clone(), format);
        let of = |bytes_: u64| Frame::from_bytes(&bytes, "x", &FrameLimits::default().with_max_bytes(bytes_));
        assert!(of(needed).is_ok(), "{format:?}");
        let error = of(needed - 1).unwrap_err();
        assert!(error.kind() == ErrorKind::Limits && error.to_string().contains("memory to decode"), "{error}");
    }
    // A file of some bytes that claims 13,000 x 13,000 pixels in the head of a lossless WebP.
    let mut webp = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f".to_vec();
    webp.extend((12_999u32 | 12_999 << 14).to_le_bytes());
    webp.extend([0; 9]);
    assert_eq!(decode(&webp).unwrap_err().kind(), ErrorKind::Limits);
}

#[test]
fn pictures_of_line_cameras_are_long() {
    let long = GrayImage::from_fn(8, 70_000, |x, y| Luma([(x * 5 + y) as u8]));
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let frame = decode(&encode(long.clone(), format)).unwrap();
        assert_eq!((frame.width(), frame.height()), (8, 70_000), "{format:?}");
    }
    let error = decode(&encode(long, ImageFormat::Bmp)).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("65,535"), "{error}");
}

#[test]
fn several_pictures_in_one_file_are_refused_with_their_number() {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        // Nobody looks at the checksum before the number of pictures is known.
        [&(data.len() as u32).to_be_bytes()[..], kind, data, &[0; 4]].concat()
    };
    let png = encode(gray(), ImageFormat::Png);
    let animated = |frames: u8| {
        let control = chunk(b"acTL", &[0, 0, 0, frames, 0, 0, 0, 0]);
        [&png[..33], &control, &png[33..]].concat()
    };
    let message = decode(&animated(3)).unwrap_err().to_string();
    assert!(message.contains("one picture in a file") && message.contains("3 pictures in one PNG"), "{message}");
    assert!(!decode(&animated(1)).is_err_and(|error| error.to_string().contains("pictures in one")));

    let part = |kind: &[u8; 4], data: &[u8]| [&kind[..], &(data.len() as u32).to_le_bytes(), data].concat();
    let frames = [part(b"VP8X", &[2, 0, 0, 0, 7, 0, 0, 7, 0, 0]), part(b"ANMF", &[0; 16]), part(b"ANMF", &[0; 16])];
    let webp = [b"RIFF\x4a\0\0\0WEBP".to_vec(), frames.concat()].concat();
    let error = decode(&webp).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("2 pictures in one WebP"), "{error}");
}

#[test]
fn sound_pictures_of_cameras_are_read() {
    for folder in ["deeppcb", "lens", "screen", "screen-scratch"] {
        let Some(folder) = shared(folder) else { continue };
        // Every fourth is enough for a test that runs often.
        for image in find_images(&folder).unwrap().into_iter().step_by(4) {
            let frame = Frame::load(&image.path, &FrameLimits::default());
            assert!(frame.is_ok(), "{}", frame.unwrap_err());
        }
    }
}

/// What tifffile says of the files of other people's decoders: see the README beside them.
#[test]
fn tiff_files_as_the_world_writes_them() {
    use sha2::{Digest, Sha256};
    let Some(folder) = shared("tiff") else { return };
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: std::collections::BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let (mut read, mut refused) = (0, Vec::new());
    for (name, expected) in &expected {
        let frame = match Frame::load(folder.join(name), &FrameLimits::default()) {
            Ok(frame) => frame,
            Err(error) => {
                let sound = expected.get("broken").is_none();
                assert!(!sound || error.kind() == ErrorKind::Unsupported, "a sound file: {error}");
                refused.push(error.to_string());
                continue;
            }
        };
        assert!(expected.get("broken").is_none(), "{name} is broken");
        let number = |key: &str| expected[key].as_u64().unwrap_or(0);
        let size = (number("width") as u32, number("height") as u32);
        let (is_as_stored, is_turned) =
            ((frame.width(), frame.height()) == size, (frame.height(), frame.width()) == size);
        assert!(is_as_stored || is_turned, "{name}");
        read += 1;
        // What was looked up, converted, taken off or turned upright is another matter, and JPEG decoders round
        // differently.
        let photometric = expected["photometric"].as_str().unwrap_or("");
        if expected.get("only").is_some()
            || expected["compression"] == "JPEG"
            || number("channels") != frame.channels() as u64
            || !is_as_stored
        {
            continue;
        }
        let of_file = match photometric {
            "MINISBLACK" | "RGB" => |value: u16, _: u16| value,
            "MINISWHITE" => |value: u16, white: u16| white - value,
            _ => continue,
        };
        let white = frame.white();
        // Less than 8 bits are spread over 0 to 255.
        let most = (1u32 << number("bits").min(8)) - 1;
        let stored = |value: u8| ((u32::from(value) * most + 127) / 255) as u16;
        let bytes: Vec<u8> = match frame.pixels() {
            PixelView::Eight(view) => view.to_tight().iter().map(|&v| of_file(stored(v), most as u16) as u8).collect(),
            PixelView::Sixteen(view) => view.to_tight().iter().flat_map(|&v| of_file(v, white).to_le_bytes()).collect(),
        };
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sum, expected["sha256"].as_str().unwrap(), "{name}");
    }
    assert!(read >= 68, "{read} were read, and {} refused:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn a_missing_file_is_named() {
    let error = Frame::load("no/such.png", &FrameLimits::default()).unwrap_err();
    assert_eq!(error.fault(), Fault::System);
    assert!(error.to_string().starts_with("reading no/such.png: "), "{error}");
}
