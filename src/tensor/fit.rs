use serde::{Deserialize, Serialize};

use super::preprocess::Preprocess;
use crate::geometry::{Placement, Region, Size};

/// How a frame is fitted into a model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Fit {
    /// The whole frame, proportions kept, centred, padded; sizes and offsets rounded as Ultralytics does.
    #[default]
    Letterbox,
    /// The whole frame, proportions kept, at the top left corner, padded at the right and at the bottom; sizes rounded
    /// down as YOLOX does.
    Corner,
    /// The whole frame, proportions not kept.
    Stretch,
    /// The shorter side becomes [`shorter`](Preprocess::shorter) pixels, and the middle is cut out; sizes and offsets
    /// rounded as torchvision's `Resize` and `CenterCrop` do. What is cut off is not inspected.
    Crop,
    /// The frame as it is: the graph takes any size, and resizes by itself (torchvision's detectors). One frame at a
    /// time.
    Source,
}

impl Preprocess {
    /// Where a whole frame of size `frame` lies in the input.
    pub fn placement(&self, frame: Size) -> Placement {
        self.placement_of(frame, Region::whole(frame))
    }

    /// Where the part `region` of a frame of size `frame` lies in the input: as a frame of that part's size would.
    pub fn placement_of(&self, frame: Size, region: Region) -> Placement {
        let model = if self.fit == Fit::Source { region.size } else { self.size };
        let (w, h) = (f64::from(region.size.width), f64::from(region.size.height));
        let (rx, ry) = (f64::from(model.width) / w, f64::from(model.height) / h);
        let scaled = |ratio: f64| {
            let side = |s: f64| (s * ratio).round_ties_even().max(1.0) as u32;
            (side(w), side(h))
        };
        let (model, resized, offset) = match self.fit {
            Fit::Stretch | Fit::Source => (model, model, (0, 0)),
            Fit::Letterbox => {
                let (rw, rh) = scaled(rx.min(ry));
                let resized = Size::new(rw.min(model.width), rh.min(model.height));
                let cut = |model: u32, side: u32| match self.stride {
                    Some(stride) => side + (model - side) % stride,
                    None => model,
                };
                let model = Size::new(cut(model.width, resized.width), cut(model.height, resized.height));
                // Ultralytics' LetterBox: half of the rest, rounded a little to the left.
                let lead = |model: u32, side: u32| (f64::from(model - side) / 2.0 - 0.1).round_ties_even() as i64;
                (model, resized, (lead(model.width, resized.width), lead(model.height, resized.height)))
            }
            Fit::Corner => {
                let ratio = rx.min(ry);
                // The ratio's own rounding must not cut a whole pixel off.
                let side = |s: f64, model: u32| ((s * ratio + 1e-9).floor().max(1.0) as u32).min(model);
                (model, Size::new(side(w, model.width), side(h, model.height)), (0, 0))
            }
            Fit::Crop => {
                let ratio = match self.shorter {
                    Some(shorter) => f64::from(shorter) / w.min(h),
                    None => rx.max(ry),
                };
                // torchvision's Resize cuts the longer side's fraction off.
                let side = |s: f64, model: u32| ((s * ratio + 1e-9).floor() as u32).max(model);
                let resized = Size::new(side(w, model.width), side(h, model.height));
                // torchvision's center_crop.
                let cut = |side: u32, model: u32| -((f64::from(side - model) / 2.0).round_ties_even() as i64);
                (model, resized, (cut(resized.width, model.width), cut(resized.height, model.height)))
            }
        };
        Placement::new(frame, region, model, resized, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn letterbox_pads_as_ultralytics() {
        // LetterBox((640, 640)) on 1333x800: r = 640/1333, new = (640, 384), dh = 128; on 641x480 at 640: 480 * r =
        // 479.25 -> 479, dh = 80.5 -> top round(80.4) = 80.
        let c = Preprocess::new(Size::new(640, 640));
        assert_eq!(
            (c.placement(Size::new(1333, 800)).resized(), c.placement(Size::new(1333, 800)).offset()),
            (Size::new(640, 384), (0, 128))
        );
        assert_eq!(
            (c.placement(Size::new(641, 480)).resized(), c.placement(Size::new(641, 480)).offset()),
            (Size::new(640, 479), (0, 80))
        );
        assert_eq!(
            (c.placement(Size::new(640, 640)).resized(), c.placement(Size::new(640, 640)).offset()),
            (Size::new(640, 640), (0, 0))
        );
        // LetterBox((640, 640), auto=True, stride=32): 1333x800 needs no padding; 641x480 becomes 640x479, and 161 rows
        // of padding leave 1; 300x640 is 300 wide, and 340 columns leave 20.
        let c = Preprocess { stride: Some(32), ..c };
        let of = |w, h| {
            (
                c.placement(Size::new(w, h)).model(),
                c.placement(Size::new(w, h)).resized(),
                c.placement(Size::new(w, h)).offset(),
            )
        };
        assert_eq!(of(1333, 800), (Size::new(640, 384), Size::new(640, 384), (0, 0)));
        assert_eq!(of(641, 480), (Size::new(640, 480), Size::new(640, 479), (0, 0)));
        assert_eq!(of(300, 640), (Size::new(320, 640), Size::new(300, 640), (10, 0)));
    }

    #[test]
    fn corner_pads_as_yolox() {
        // int(233 * 128 / 233), int(141 * 128 / 233) = 77 (77.46).
        let c = Preprocess { fit: Fit::Corner, ..Preprocess::new(Size::new(128, 96)) };
        let placement = c.placement(Size::new(233, 141));
        let of = |p: &Placement| (p.model(), p.resized(), p.offset());
        assert_eq!(of(&placement), (Size::new(128, 96), Size::new(128, 77), (0, 0)));
        assert_eq!(of(&c.placement(Size::new(10_000, 1))), (Size::new(128, 96), Size::new(128, 1), (0, 0)));
    }

    #[test]
    fn crop_rounds_as_torchvision() {
        // Resize(160) of 640x360 is 284x160 (284.4), CenterCrop(160) begins at round(62.0); Resize(144) of 233x141 is
        // 237x144 (237.96), CenterCrop(128) begins at round(54.5) = 54 and round(8.0) = 8.
        let c = Preprocess { fit: Fit::Crop, ..Preprocess::new(Size::new(160, 160)) };
        assert_eq!(
            (c.placement(Size::new(640, 360)).resized(), c.placement(Size::new(640, 360)).offset()),
            (Size::new(284, 160), (-62, 0))
        );
        let c = Preprocess { fit: Fit::Crop, shorter: Some(144), ..Preprocess::new(Size::new(128, 128)) };
        assert_eq!(
            (c.placement(Size::new(233, 141)).resized(), c.placement(Size::new(233, 141)).offset()),
            (Size::new(237, 144), (-54, -8))
        );
        assert!(Preprocess { shorter: Some(127), ..c }.problem().unwrap().contains("shorter: expected 128"));
    }

    proptest! {
        #[test]
        fn placement_round_trip(
            w in 1u32..5000, h in 1u32..5000, mw in 1u32..1500, mh in 1u32..1500,
            fit in prop::sample::select(&[Fit::Letterbox, Fit::Corner, Fit::Stretch, Fit::Crop, Fit::Source][..]),
            stride in proptest::option::of(1u32..64),
            x in 0.0..1.0f64, y in 0.0..1.0f64,
        ) {
            let p = Preprocess { fit, stride, ..Preprocess::new(Size::new(mw, mh)) }.placement(Size::new(w, h));
            let (x, y) = (x * f64::from(w), y * f64::from(h));
            let (mx, my) = p.to_model(x, y);
            let (bx, by) = p.to_frame(mx, my);
            prop_assert!((bx - x).abs() < 1e-6 && (by - y).abs() < 1e-6);
            match fit {
                Fit::Letterbox | Fit::Corner | Fit::Stretch | Fit::Source => {
                    prop_assert!(mx >= -1e-9 && my >= -1e-9 && mx <= f64::from(p.model().width) + 1e-9 && my <= f64::from(p.model().height) + 1e-9);
                }
                Fit::Crop => prop_assert!(p.resized().width >= mw && p.resized().height >= mh),
            }
        }
    }
}
