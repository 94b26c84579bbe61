use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};

use super::Failure;

/// Folder of the pictures, width and height.
const SIZES: [(&str, u32, u32); 3] = [("160", 160, 160), ("640", 640, 640), ("1080", 1920, 1080)];
const JPEG_QUALITY: u8 = 92;

/// Writes `count` pictures of each size, as JPEG and PNG, gray and RGB: `DIR/jpeg-640-rgb/00.jpg` and, of the same
/// board without its defects, `DIR/jpeg-640-rgb/template/00.jpg`. The same bytes whenever it is called.
pub(super) fn write(folder: &str, count: u32) -> Result<(), Failure> {
    for (name, width, height) in SIZES {
        for number in 0..count {
            for defects in [true, false] {
                let board = Board::new(width, height, number);
                let colour = board.photograph(defects);
                let gray = GrayImage::from_fn(width, height, |x, y| Luma([colour.get_pixel(x, y).0[1]]));
                for (suffix, picture) in [("", DynamicImage::from(gray)), ("-rgb", DynamicImage::from(colour))] {
                    for format in ["jpeg", "png"] {
                        let mut path = Path::new(folder).join(format!("{format}-{name}{suffix}"));
                        if !defects {
                            path.push("template");
                        }
                        fs::create_dir_all(&path)?;
                        let path = path.join(format!("{number:02}.{}", if format == "jpeg" { "jpg" } else { "png" }));
                        if format == "jpeg" {
                            let file = BufWriter::new(File::create(path)?);
                            picture.write_with_encoder(JpegEncoder::new_with_quality(file, JPEG_QUALITY))?;
                        } else {
                            picture.save(path)?;
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

/// A rendered bare board: dark traces and pads on a light ground, with the unevenness of light and lens, texture and
/// sensor noise that make a photograph expensive to decode.
struct Board {
    width: u32,
    height: u32,
    number: u32,
}

impl Board {
    fn new(width: u32, height: u32, number: u32) -> Self {
        Board { width, height, number }
    }

    fn photograph(&self, defects: bool) -> RgbImage {
        // Two exposures of one board share the board but not the noise.
        let noise = self.number * 2 + u32::from(defects);
        let (w, h) = (self.width as f32, self.height as f32);
        RgbImage::from_fn(self.width, self.height, |x, y| {
            let copper = self.coverage(x as f32 + 0.5, y as f32 + 0.5, defects);
            let texture = 5.0 * self.texture(x as f32 / 23.0, y as f32 / 23.0)
                + 3.0 * self.texture(x as f32 / 5.0, y as f32 / 5.0);
            let (u, v) = (x as f32 / w - 0.5, y as f32 / h - 0.5);
            let light = 1.0 - 0.12 * (u * u + v * v);
            let ground = [212.0, 228.0, 205.0];
            let metal = [44.0, 26.0, 18.0];
            Rgb(std::array::from_fn(|channel| {
                let tone = ground[channel] + (metal[channel] - ground[channel]) * copper + texture;
                let grain =
                    3.5 * (unit(x, y, noise * 3 + channel as u32) + unit(y, x, noise * 7 + channel as u32) - 1.0);
                (tone * light + grain).round().clamp(0.0, 255.0) as u8
            }))
        })
    }

    /// Share of a pixel that copper covers, edges soft as a lens makes them.
    fn coverage(&self, x: f32, y: f32, defects: bool) -> f32 {
        let soft = |distance: f32| (0.5 - distance / 1.5).clamp(0.0, 1.0);
        let shift = (self.number % 7 * 5) as f32;
        let pitch = 52.0;
        let row = ((y - shift) / pitch).floor();
        let middle = (row + 0.5) * pitch + shift;
        let trace = soft((y - middle).abs() - 7.0).min(soft(20.0 - x)).min(soft(x - (self.width as f32 - 20.0)));
        let step = 130.0;
        let pad = (((x / step).floor() + 0.5) * step, middle + pitch / 2.0);
        let mut copper = trace.max(soft((x - pad.0).hypot(y - pad.1) - 13.0));
        if defects {
            for (i, across) in [0.23f32, 0.61, 0.8].into_iter().enumerate() {
                let cx = across * self.width as f32 + shift;
                let line = ((i as f32 + 0.6) * 0.3 * self.height as f32 / pitch).floor() * pitch + 0.5 * pitch + shift;
                let near = (x - cx).abs().max((y - line).abs());
                copper = match i {
                    // An interrupted trace, a bridge to the next one, a bite out of an edge.
                    0 => copper.min(1.0 - soft(near - 9.0)),
                    1 => copper.max(soft((x - cx).abs() - 5.0).min(soft((y - line - pitch / 2.0).abs() - pitch / 2.0))),
                    _ => copper.min(1.0 - soft((x - cx).hypot(y - line - 7.0) - 5.0)),
                };
            }
        }
        copper
    }

    /// Smooth noise of -1 to 1: random values on a grid, interpolated.
    fn texture(&self, x: f32, y: f32) -> f32 {
        let (i, j) = (x.floor(), y.floor());
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        let (u, v) = (smooth(x - i), smooth(y - j));
        let at = |dx: u32, dy: u32| unit(i as u32 + dx, j as u32 + dy, self.number);
        let top = at(0, 0) + (at(1, 0) - at(0, 0)) * u;
        let bottom = at(0, 1) + (at(1, 1) - at(0, 1)) * u;
        2.0 * (top + (bottom - top) * v) - 1.0
    }
}

/// A number of 0 to 1 that looks random (a multiply-and-shift hash).
fn unit(x: u32, y: u32, seed: u32) -> f32 {
    let mut n = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ seed.wrapping_mul(0xC2B2_AE3D);
    n = (n ^ (n >> 15)).wrapping_mul(0x2C1B_3C6D);
    n = (n ^ (n >> 12)).wrapping_mul(0x297A_2D39);
    ((n ^ (n >> 15)) >> 8) as f32 / 16_777_216.0
}
