use super::config::Names;
use crate::dataset::Truth;
use crate::dataset::text::quote;
use crate::dataset::truth::polygon;

/// A line of a label file, read as numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    class: usize,
    /// Shares of the image.
    numbers: Vec<f64>,
}

/// Expected, found.
type Problem = (String, String);

impl Row {
    pub(super) fn parse(line: &str) -> Result<Self, Problem> {
        let mut words = line.split_whitespace();
        // Tools that keep labels in arrays of numbers write `0.0`.
        let class = words.next().and_then(|word| word.parse::<f64>().ok());
        let class = class.filter(|class| *class >= 0.0 && class.fract() == 0.0 && *class < f64::from(u32::MAX));
        let numbers: Option<Vec<f64>> = words.map(|word| word.parse().ok()).collect();
        match (class, numbers) {
            (Some(class), Some(numbers)) => Ok(Row { class: class as usize, numbers }),
            _ => Err(form(line)),
        }
    }

    /// The defect in an image of `size`, and whether its box was clipped there.
    pub(super) fn truth(&self, line: &str, names: &Names, size: (u32, u32)) -> Result<(Truth, bool), Problem> {
        let Row { class, numbers } = self;
        let unknown = || (format!("a class of the {} that are named", names.len()), class.to_string());
        let kind = names.get(class).ok_or_else(unknown)?;
        let (width, height) = (f64::from(size.0), f64::from(size.1));
        if is_pose(numbers) {
            let expected = "a box, a polygon or an oriented box".to_owned();
            return Err((
                expected,
                format!("a row of a pose (a box and points with their visibility): {}", quote(line)),
            ));
        }
        match numbers[..] {
            [x, y, w, h] => {
                let half = (w / 2.0, h / 2.0);
                let sides = [(x - half.0) * width, (y - half.1) * height, (x + half.0) * width, (y + half.1) * height];
                Truth::checked(kind.clone(), sides, size)
            }
            _ if numbers.len() >= 6 && numbers.len().is_multiple_of(2) => {
                let points: Vec<[f64; 2]> = numbers.chunks_exact(2).map(|p| [p[0] * width, p[1] * height]).collect();
                let side = |axis: usize, pick: fn(f64, f64) -> f64| {
                    // `f64::min` would pass over NaN.
                    points
                        .iter()
                        .map(|p| p[axis])
                        .reduce(|a, b| if b.is_nan() { b } else { pick(a, b) })
                        .unwrap_or(f64::NAN)
                };
                let sides = [side(0, f64::min), side(1, f64::min), side(0, f64::max), side(1, f64::max)];
                let (mut truth, clipped) = Truth::checked(kind.clone(), sides, size)?;
                let points: Vec<f32> = points.iter().flatten().map(|side| *side as f32).collect();
                truth.mask = Some(polygon(&points, size)?);
                Ok((truth, clipped))
            }
            _ => Err(form(line)),
        }
    }

    /// Whether two rows are the same label.
    pub(super) fn key(&self) -> (usize, Vec<u64>) {
        (self.class, self.numbers.iter().map(|number| number.to_bits()).collect())
    }
}

fn form(line: &str) -> Problem {
    ("`class x y width height` or `class x1 y1 x2 y2 x3 y3 ...` in 0 to 1".to_owned(), quote(line))
}

/// Whether the numbers after the class are a box, and points `x y visibility` with a visibility of 0, 1 or 2.
fn is_pose(numbers: &[f64]) -> bool {
    let Some((&[x, y, w, h], points)) = numbers.split_first_chunk() else { return false };
    let is_box =
        w > 0.0 && h > 0.0 && x - w / 2.0 > -0.01 && x + w / 2.0 < 1.01 && y - h / 2.0 > -0.01 && y + h / 2.0 < 1.01;
    let visible = |point: &[f64]| point.get(2).is_some_and(|v| [0.0, 1.0, 2.0].contains(v));
    is_box && !points.is_empty() && points.len().is_multiple_of(3) && points.chunks(3).all(visible)
}
