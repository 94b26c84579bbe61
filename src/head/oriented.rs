//! Boxes that are turned: overlap, suppression, corners.

use super::proposals::Candidate;
use crate::geometry::PixelBox;

/// The corners (x, y) of a box turned by `angle` (radians, from x towards y) about its centre: top left, top right,
/// bottom right, bottom left.
pub(super) fn corners(b: &PixelBox, angle: f32) -> [[f32; 2]; 4] {
    let (cx, cy) = ((b.x0 + b.x1) / 2.0, (b.y0 + b.y1) / 2.0);
    let (w, h) = ((b.x1 - b.x0) / 2.0, (b.y1 - b.y0) / 2.0);
    let (sin, cos) = angle.sin_cos();
    [(-w, -h), (w, -h), (w, h), (-w, h)].map(|(x, y)| [cx + x * cos - y * sin, cy + x * sin + y * cos])
}

/// Overlap of two turned boxes, 0 to 1, as that of the Gaussians with their covariances (ProbIoU, Llerena et al. 2021).
fn probiou((a, angle_a): (&PixelBox, f32), (b, angle_b): (&PixelBox, f32)) -> f32 {
    const EPS: f64 = 1e-7;
    let covariance = |b: &PixelBox, angle: f32| {
        let (w, h) = (f64::from(b.x1 - b.x0), f64::from(b.y1 - b.y0));
        let (sin, cos) = f64::from(angle).sin_cos();
        let (p, q) = (w * w / 12.0, h * h / 12.0);
        (p * cos * cos + q * sin * sin, p * sin * sin + q * cos * cos, (p - q) * cos * sin)
    };
    let centre = |b: &PixelBox| (f64::from(b.x0 + b.x1) / 2.0, f64::from(b.y0 + b.y1) / 2.0);
    let ((a1, b1, c1), (a2, b2, c2)) = (covariance(a, angle_a), covariance(b, angle_b));
    let ((x1, y1), (x2, y2)) = (centre(a), centre(b));
    let (sa, sb, sc) = (a1 + a2, b1 + b2, c1 + c2);
    let determinant = sa * sb - sc * sc;
    let t1 = (sa * (y1 - y2).powi(2) + sb * (x1 - x2).powi(2)) / (determinant + EPS) * 0.25;
    let t2 = sc * (x2 - x1) * (y1 - y2) / (determinant + EPS) * 0.5;
    let own = ((a1 * b1 - c1 * c1).max(0.0) * (a2 * b2 - c2 * c2).max(0.0)).sqrt();
    let t3 = (determinant / (4.0 * own + EPS) + EPS).ln() * 0.5;
    let distance = (t1 + t2 + t3).clamp(EPS, 100.0);
    (1.0 - (1.0 - (-distance).exp() + EPS).sqrt()) as f32
}

/// [`Suppression::Turned`](super::Suppression::Turned) of candidates in order.
pub(super) fn suppress(candidates: &mut Vec<Candidate>, iou: f32, across: Option<f32>) {
    // From the end, since those that are dropped count for the ones behind them.
    for n in (0..candidates.len()).rev() {
        let candidate = &candidates[n];
        let dropped = candidates[..n].iter().any(|above| {
            let limit = match across {
                Some(across) if above.kind != candidate.kind => across,
                None if above.kind != candidate.kind => return false,
                _ => iou,
            };
            let angle = |candidate: &Candidate| candidate.angle.unwrap_or(0.0);
            probiou((&above.bbox, angle(above)), (&candidate.bbox, angle(candidate))) > limit
        });
        if dropped {
            candidates.remove(n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_that_of_ultralytics() {
        // ultralytics 8.4.190: probiou(tensor([[50, 50, 40, 20, 0.3]]), tensor([[55, 48, 36, 24, -0.2]])).
        let a = PixelBox::new(30.0, 40.0, 70.0, 60.0);
        let b = PixelBox::new(37.0, 36.0, 73.0, 60.0);
        let overlap = probiou((&a, 0.3), (&b, -0.2));
        assert!((overlap - 0.710_733).abs() < 1e-4, "{overlap}");
        assert!(probiou((&a, 0.3), (&a, 0.3)) > 0.999);
    }

    #[test]
    fn what_is_dropped_still_drops_others() {
        // Each overlaps the next one only.
        let at = |x: f32, confidence: f32, rank: usize| {
            Candidate::new(0, confidence, PixelBox::new(x, 0.0, x + 20.0, 20.0)).with_rank(rank)
        };
        let all = vec![at(0.0, 0.9, 0), at(9.0, 0.8, 1), at(18.0, 0.7, 2)];
        let kept = |limit| {
            let mut kept = all.clone();
            suppress(&mut kept, limit, None);
            kept.iter().map(|c| c.rank).collect::<Vec<_>>()
        };
        let near = probiou((&all[0].bbox, 0.0), (&all[1].bbox, 0.0));
        let far = probiou((&all[0].bbox, 0.0), (&all[2].bbox, 0.0));
        assert!(far < near);
        assert_eq!(kept((near + far) / 2.0), [0], "greedy suppression would keep the third");
        assert_eq!(kept(near), [0, 1, 2], "only more than the limit drops");
    }
}
