//! Pictures that tests are made of: no real image is in the repository.

use image::{GrayImage, Luma};

/// A rendered bare board of 640x640 pixels, black copper on white, and the same with defects: an interrupted trace
/// (open), two joined ones (short), and a hole in a pad (pin-hole).
pub(crate) fn board(seed: u32) -> (GrayImage, GrayImage) {
    let mut template = GrayImage::from_pixel(640, 640, Luma([255]));
    let shift = seed % 7 * 5;
    for i in 0..12 {
        rect(&mut template, 20, 30 + i * 50 + shift, 600, 14, 0);
    }
    for i in 0..5 {
        disc(&mut template, 80.0 + 120.0 * i as f32, 87.0 + shift as f32, 16.0, 0);
    }
    let mut test = template.clone();
    rect(&mut test, 200 + shift, 128 + shift, 12, 18, 255);
    rect(&mut test, 400, 194 + shift, 10, 36, 0);
    disc(&mut test, 320.0, 87.0 + shift as f32, 5.0, 255);
    (test, template)
}

fn rect(image: &mut GrayImage, x: u32, y: u32, width: u32, height: u32, value: u8) {
    for y in y..(y + height).min(image.height()) {
        for x in x..(x + width).min(image.width()) {
            image.put_pixel(x, y, Luma([value]));
        }
    }
}

fn disc(image: &mut GrayImage, cx: f32, cy: f32, radius: f32, value: u8) {
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        if (x as f32 + 0.5 - cx).hypot(y as f32 + 0.5 - cy) <= radius {
            pixel.0 = [value];
        }
    }
}

/// A rendered solar cell of 300x300 pixels: busbars, and a dark part when `dark`.
pub(crate) fn cell(seed: u32, dark: bool) -> GrayImage {
    GrayImage::from_fn(300, 300, |x, y| {
        let noise = (x * 7 + y * 13 + seed * 31) % 11;
        let bar = if y % 100 > 92 { 40 } else { 0 };
        let shade = if dark && x > 120 && x < 200 + seed % 40 && y > 60 && y < 240 { 90 } else { 0 };
        Luma([(170 + noise - bar - shade) as u8])
    })
}
