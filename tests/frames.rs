//! Image files as they come: formats, depth, orientation, damage.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, RgbImage, RgbaImage};
use panelqc::{Fault, Frame, FrameLimits, PixelFormat, PixelView, Samples, Size};

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
    assert_eq!(message, "image wide.png: expected at most 36 x 32768 pixels, found a PNG of 37 x 23 pixels");
    let limits = FrameLimits::default().with_max_bytes(37 * 23 - 1);
    assert!(
        Frame::from_bytes(&png, "large.png", &limits).unwrap_err().to_string().contains("at most 850 bytes of pixels")
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = Frame::load("no/such.png", &FrameLimits::default()).unwrap_err();
    assert_eq!(error.fault(), Fault::System);
    assert!(error.to_string().starts_with("reading no/such.png: "), "{error}");
}
