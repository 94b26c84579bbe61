use std::io::{self, BufWriter, Write};
use std::path::Path;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};
use panelqc::{Defect, Error, Frame, PanelReport, Result, Size, Verdict, replace_file_quickly};

/// Draws results into a copy of the frame: a banner with the verdict above the picture, a box around each defect, and
/// a label with kind and confidence. Boxes are bright with a dark rim and labels lie on a dark plate, so both can be
/// read on dark and on light panels.
pub struct Overlay {
    font: FontRef<'static>,
}

const DARK: Rgb<u8> = Rgb([24, 24, 28]);
const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const PASS: Rgb<u8> = Rgb([64, 200, 96]);
const REVIEW: Rgb<u8> = Rgb([255, 190, 40]);
const FAIL: Rgb<u8> = Rgb([255, 84, 72]);
/// Box colours, one per kind in order of appearance: distinct for colour-blind people too (Okabe and Ito 2008).
const KINDS: [Rgb<u8>; 6] = [
    Rgb([255, 170, 0]),
    Rgb([86, 200, 255]),
    Rgb([0, 220, 150]),
    Rgb([250, 240, 80]),
    Rgb([255, 120, 60]),
    Rgb([235, 140, 200]),
];

impl Overlay {
    /// Gets the font ready, which is part of this library (DejaVu Sans Bold).
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](panelqc::ErrorKind::Internal) when the font cannot be read: a fault of this library.
    pub fn new() -> Result<Self> {
        let font = FontRef::try_from_slice(dejavu::sans::bold()).map_err(|e| Error::internal(e.to_string()))?;
        Ok(Overlay { font })
    }

    /// Draws the defects of frame `index` of a panel onto that frame, which is as bright as
    /// [`Frame::shown_white`] says.
    pub fn draw(&self, frame: &Frame<'_>, index: usize, report: &PanelReport) -> RgbImage {
        let (width, height) = (frame.width(), frame.height());
        // Line and text sizes grow with the picture, so that they can be read when it is fitted to a screen.
        let unit = (width.max(height) as f32 / 640.0).max(1.0);
        let text = (13.0 * unit).max(11.0);
        let line = (1.5 * unit).round().max(1.0) as i64;
        let banner = (text * 1.7).round() as u32;
        let mut canvas = RgbImage::from_pixel(width, height + banner, DARK);
        paste(&mut canvas, frame, banner);

        let mut kinds: Vec<&str> = Vec::new();
        let mut labels = Vec::new();
        for defect in report.defects.iter().filter(|d| d.frame.unwrap_or(0) == index) {
            let number = kinds.iter().position(|k| *k == defect.kind.as_str()).unwrap_or_else(|| {
                kinds.push(defect.kind.as_str());
                kinds.len() - 1
            });
            let colour = KINDS[number % KINDS.len()];
            self.outline(&mut canvas, defect, banner, line, colour);
            labels.push((defect, colour));
        }
        let mut taken: Vec<Plate> = Vec::new();
        for (defect, colour) in labels {
            self.label(&mut canvas, defect, banner, text, line, colour, &mut taken);
        }
        let colour = match report.verdict {
            Verdict::Pass => PASS,
            Verdict::Review => REVIEW,
            Verdict::Fail => FAIL,
        };
        let baseline = (banner as f32 + text * 0.7) / 2.0;
        let start = text * 0.5;
        let end = self.write(&mut canvas, &report.verdict.as_str().to_uppercase(), start, baseline, text * 1.1, colour);
        let reasons = report.reasons.join("; ");
        let note = if reasons.is_empty() { report.panel.clone() } else { format!("{}: {reasons}", report.panel) };
        self.write(&mut canvas, &note, end + text * 0.8, baseline, text * 0.9, WHITE);
        canvas
    }

    /// Draws as [`Overlay::draw`] and writes a PNG, whole or not at all ([`replace_file_quickly`]).
    ///
    /// # Errors
    /// [`ErrorKind::Io`](panelqc::ErrorKind::Io) when the file cannot be written.
    pub fn save(&self, frame: &Frame, index: usize, report: &PanelReport, path: &Path) -> Result<()> {
        let picture = self.draw(frame, index, report);
        replace_file_quickly(path, |file| {
            let mut out = BufWriter::new(file);
            picture.write_to(&mut out, image::ImageFormat::Png).map_err(|e| match e {
                image::ImageError::IoError(e) => e,
                other => io::Error::other(other),
            })?;
            out.flush()
        })
    }

    fn outline(&self, canvas: &mut RgbImage, defect: &Defect, top: u32, line: i64, colour: Rgb<u8>) {
        // The runs of a mask of another image, which can be of any size, have no place here.
        let (width, height) = (canvas.width(), canvas.height() - top);
        if let Some(mask) = defect.mask.as_ref().filter(|mask| mask.size() == Size::new(width, height)) {
            for (x, y, length) in mask.runs() {
                for y in y..y + length {
                    if let Some(pixel) = canvas.get_pixel_mut_checked(x, y + top) {
                        // A quarter of the colour over three quarters of the panel.
                        for (p, c) in pixel.0.iter_mut().zip(colour.0) {
                            *p = ((u16::from(*p) * 3 + u16::from(c)) / 4) as u8;
                        }
                    }
                }
            }
        }
        if let Some(corners) = defect.corners {
            let corners = corners.map(|[x, y]| [x, y + top as f32]);
            for (width, colour) in [(line + 2, DARK), (line, colour)] {
                for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
                    segment(canvas, *from, *to, width, colour);
                }
            }
            return;
        }
        let (x0, y0, x1, y1) = sides(defect, top);
        frame_rect(canvas, x0 - line - 1, y0 - line - 1, x1 + line + 1, y1 + line + 1, line + 2, DARK);
        frame_rect(canvas, x0 - line, y0 - line, x1 + line, y1 + line, line, colour);
    }

    #[allow(clippy::too_many_arguments)] // a drawing routine: what, where, how large, which colour
    fn label(
        &self,
        canvas: &mut RgbImage,
        defect: &Defect,
        top: u32,
        text: f32,
        line: i64,
        colour: Rgb<u8>,
        taken: &mut Vec<Plate>,
    ) {
        let words = format!("{} {:.2}", defect.kind, defect.confidence.get());
        let width = (self.width(&words, text) + text * 0.6).ceil() as i64;
        let height = (text * 1.3).ceil() as i64;
        let (x0, y0, _, y1) = sides(defect, top);
        let (right, bottom) = (i64::from(canvas.width()) - width, i64::from(canvas.height()) - height);
        let x = (x0 - line).min(right).max(0);
        // Above the box, below it, or further down, wherever no other label lies.
        let ys = [y0 - line - height, y1 + line].into_iter().chain((1..12).map(|i| y1 + line + i * height));
        let free = |y: &i64| {
            let plate = Plate { x, y: *y, width, height };
            *y >= i64::from(top) && *y <= bottom && !taken.iter().any(|t| t.overlaps(&plate))
        };
        let y = ys.clone().find(free).unwrap_or(y0.max(i64::from(top)).min(bottom.max(0)));
        taken.push(Plate { x, y, width, height });
        fill_rect(canvas, x, y, x + width, y + height, DARK);
        self.write(canvas, &words, x as f32 + text * 0.3, y as f32 + text, text, colour);
    }

    fn width(&self, words: &str, size: f32) -> f32 {
        let font = self.font.as_scaled(PxScale::from(size));
        words.chars().map(|c| font.h_advance(font.glyph_id(c))).sum()
    }

    /// Writes one line of text on its baseline and gives the x where it ends.
    fn write(&self, canvas: &mut RgbImage, words: &str, x: f32, baseline: f32, size: f32, colour: Rgb<u8>) -> f32 {
        let font = self.font.as_scaled(PxScale::from(size));
        let mut x = x;
        for c in words.chars() {
            let id = font.glyph_id(c);
            let glyph = id.with_scale_and_position(PxScale::from(size), point(x, baseline));
            x += font.h_advance(id);
            let Some(outlined) = self.font.outline_glyph(glyph) else { continue };
            let bounds = outlined.px_bounds();
            outlined.draw(|gx, gy, cover| {
                let (px, py) = (bounds.min.x + gx as f32, bounds.min.y + gy as f32);
                if px < 0.0 || py < 0.0 {
                    return;
                }
                if let Some(pixel) = canvas.get_pixel_mut_checked(px as u32, py as u32) {
                    for (p, c) in pixel.0.iter_mut().zip(colour.0) {
                        *p = (f32::from(*p) * (1.0 - cover) + f32::from(c) * cover) as u8;
                    }
                }
            });
        }
        x
    }
}

struct Plate {
    x: i64,
    y: i64,
    width: i64,
    height: i64,
}

impl Plate {
    fn overlaps(&self, other: &Plate) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}

fn sides(defect: &Defect, top: u32) -> (i64, i64, i64, i64) {
    let b = defect.bbox;
    let top = i64::from(top);
    (b.x0.floor() as i64, b.y0.floor() as i64 + top, b.x1.ceil() as i64, b.y1.ceil() as i64 + top)
}

fn fill_rect(canvas: &mut RgbImage, x0: i64, y0: i64, x1: i64, y1: i64, colour: Rgb<u8>) {
    let (width, height) = (i64::from(canvas.width()), i64::from(canvas.height()));
    for y in y0.clamp(0, height)..y1.clamp(0, height) {
        for x in x0.clamp(0, width)..x1.clamp(0, width) {
            canvas.put_pixel(x as u32, y as u32, colour);
        }
    }
}

/// The rim of a rectangle, `line` pixels wide, inside its sides.
fn frame_rect(canvas: &mut RgbImage, x0: i64, y0: i64, x1: i64, y1: i64, line: i64, colour: Rgb<u8>) {
    fill_rect(canvas, x0, y0, x1, y0 + line, colour);
    fill_rect(canvas, x0, y1 - line, x1, y1, colour);
    fill_rect(canvas, x0, y0, x0 + line, y1, colour);
    fill_rect(canvas, x1 - line, y0, x1, y1, colour);
}

/// A straight line, `width` pixels wide, between two points that may lie outside the picture.
fn segment(canvas: &mut RgbImage, [x0, y0]: [f32; 2], [x1, y1]: [f32; 2], width: i64, colour: Rgb<u8>) {
    // Far outside there is nothing to draw, and no reason to walk there.
    let reach = 2.0 * (canvas.width() + canvas.height()) as f32;
    let steps = ((x1 - x0).abs().max((y1 - y0).abs()).ceil()).clamp(1.0, reach) as i64;
    for step in 0..=steps {
        let share = step as f32 / steps as f32;
        let place = |from: f32, to: f32| (from + (to - from) * share).clamp(-1e6, 1e6) as i64 - width / 2;
        let (left, top) = (place(x0, x1), place(y0, y1));
        fill_rect(canvas, left, top, left + width, top + width, colour);
    }
}

fn paste(canvas: &mut RgbImage, frame: &Frame<'_>, top: u32) {
    let row = frame.width() as usize * 3;
    for (y, out) in canvas.chunks_exact_mut(row).skip(top as usize).enumerate() {
        frame.rgb8_row(y, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_bits_in_sixteen_can_be_seen() {
        use panelqc::{FrameInfo, PixelFormat, Size, Trace};
        let frame = Frame::new(Size::new(40, 30), PixelFormat::Mono16, vec![3000u16; 1200]).unwrap();
        let report = PanelReport::new("a", FrameInfo::new(frame.size()), Trace::new("model", "manifest"));
        let drawn = Overlay::new().unwrap().draw(&frame, 0, &report);
        assert_eq!(drawn.get_pixel(39, drawn.height() - 1), &Rgb([187; 3]), "3000 of 4095");
    }

    #[test]
    fn a_line_runs_between_its_ends_and_stops_at_the_border() {
        let red = Rgb([255, 0, 0]);
        let mut canvas = RgbImage::new(20, 20);
        segment(&mut canvas, [2.0, 2.0], [17.0, 12.0], 1, red);
        let at = |x, y| canvas.get_pixel(x, y).0[0];
        assert_eq!((at(2, 2), at(17, 12), at(8, 6), at(8, 12)), (255, 255, 255, 0));
        let before = canvas.clone();
        segment(&mut canvas, [-1e30, -50.0], [1e30, -50.0], 3, red);
        segment(&mut canvas, [f32::NAN, 5.0], [5.0, f32::INFINITY], 3, Rgb([0, 0, 0]));
        assert!(canvas.pixels().zip(before.pixels()).filter(|(a, b)| a != b).count() < 40);
    }
}
