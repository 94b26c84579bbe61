use std::fmt;

use half::f16;
use ndarray::ArrayView4;
use ort::session::SessionInputValue;
use ort::value::{PrimitiveTensorElementType, TensorRef};

use super::signature::{Mismatch, Port, Signature, list};
use crate::tensor::{Preprocess, SizeOrder};

/// How a graph wants its input: the engine fills `[N, C, H, W]` in `f32`, and this turns it into what the graph takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InputForm {
    element: Element,
    /// `[N, H, W, C]` instead of `[N, C, H, W]`.
    channels_last: bool,
    /// The batch that the graph is fixed to.
    batch: Option<usize>,
    /// Whether the graph has a batch axis at all.
    batched: bool,
    /// How it wants the size of the input as a second one.
    sizes: Option<Sizes>,
}

/// A second input `[N, 2]`: the size to which the graph scales its boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    element: SizeElement,
    order: SizeOrder,
    /// Whether it comes before the image.
    first: bool,
    /// The batch that it is fixed to.
    batch: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SizeElement {
    I64,
    I32,
    F32,
}

/// What a graph is run on.
pub(super) enum Inputs<'v> {
    Image([SessionInputValue<'v>; 1]),
    Two([SessionInputValue<'v>; 2]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    F32,
    F16,
    U8,
}

/// Inputs that have to be turned, in memory reused from run to run.
#[derive(Debug, Default)]
pub(super) struct InputScratch {
    image: ImageScratch,
    sizes: SizesScratch,
}

#[derive(Debug, Default)]
struct ImageScratch {
    f32: Vec<f32>,
    f16: Vec<f16>,
    u8: Vec<u8>,
}

#[derive(Debug, Default)]
struct SizesScratch {
    i64: Vec<i64>,
    i32: Vec<i32>,
    f32: Vec<f32>,
}

impl InputForm {
    /// Checks the graph's input against the manifest's `[input]` table.
    pub(super) fn find(input: &Preprocess, signature: &Signature) -> Result<Self, Mismatch> {
        let [height, width] = match input.any_size() {
            true => [None, None],
            false => [input.size.height, input.size.width].map(|side| Some(side as usize)),
        };
        let channels = Some(input.tensor_channels());
        let (port, sizes) = match &signature.inputs[..] {
            [port] if input.target_sizes.is_none() => (port, None),
            _ => Sizes::find(input.target_sizes, signature)?,
        };
        let wanted = |shape: &[Option<usize>]| {
            let port = Port { name: "any".to_owned(), element: "f32".to_owned(), shape: shape.to_vec() };
            format!("one input {port} (f16 or u8 instead of f32, or channels last, will do too)")
        };
        let first = [None, channels, height, width];
        let element = match &*port.element {
            "f32" => Element::F32,
            "f16" => Element::F16,
            "u8" => Element::U8,
            _ => return Err(Mismatch::new(wanted(&first), port.to_string())),
        };
        let (channels_last, batched) = if port.fits(&first) {
            (false, true)
        } else if port.fits(&[None, height, width, channels]) {
            (true, true)
        } else if port.fits(&first[1..]) {
            (false, false)
        } else {
            return Err(Mismatch::new(wanted(&first), port.to_string()));
        };
        if input.any_size() {
            let (rows, columns) = match (channels_last, port.shape.len()) {
                (true, n) => (port.shape[n - 3], port.shape[n - 2]),
                (false, n) => (port.shape[n - 2], port.shape[n - 1]),
            };
            if rows.is_some() || columns.is_some() {
                return Err(Mismatch::new(
                    "an input of any height and width, for fit `source` or a stride".to_owned(),
                    port.to_string(),
                ));
            }
        }
        let plain = |values: &[f64], is: f64| values.iter().all(|&v| v == is);
        if element == Element::U8 && !(input.scale == 1.0 && plain(&input.mean, 0.0) && plain(&input.std, 1.0)) {
            return Err(Mismatch::new(
                format!("scale 1, mean 0 and std 1 in the manifest, since the input {port} takes whole gray values"),
                format!("scale {}, mean {:?}, std {:?}", input.scale, input.mean, input.std),
            ));
        }
        let batch = if batched { port.shape[0] } else { Some(1) };
        // Where only the sizes are of a fixed batch, so is the image.
        let batch = match (batch, sizes.and_then(|sizes| sizes.batch)) {
            (None, other) => other,
            (Some(own), Some(other)) if own != other => {
                return Err(Mismatch::new("two inputs of one batch", list(&signature.inputs)));
            }
            (batch, _) => batch,
        };
        if batch == Some(0) {
            return Err(Mismatch::new("a batch of at least 1", list(&signature.inputs)));
        }
        Ok(InputForm { element, channels_last, batch, batched, sizes })
    }

    /// The batch that the graph is fixed to; `None` when the axis is dynamic.
    pub(crate) fn batch(&self) -> Option<usize> {
        self.batch
    }

    /// The values for the graph. A batch that is smaller than `full`, or than the graph's fixed one, is padded with
    /// zeros.
    pub(super) fn values<'v>(
        &self,
        input: ArrayView4<'v, f32>,
        full: usize,
        scratch: &'v mut InputScratch,
    ) -> Result<Inputs<'v>, ort::Error> {
        let InputScratch { image, sizes: of_sizes } = scratch;
        let (n, _, height, width) = input.dim();
        let image = self.image(input, full, image)?;
        Ok(match self.sizes {
            None => Inputs::Image([image]),
            Some(sizes) => {
                let value = sizes.value(self.batch.unwrap_or(full).max(n), (height, width), of_sizes)?;
                Inputs::Two(if sizes.first { [value, image] } else { [image, value] })
            }
        })
    }

    fn image<'v>(
        &self,
        input: ArrayView4<'v, f32>,
        full: usize,
        scratch: &'v mut ImageScratch,
    ) -> Result<SessionInputValue<'v>, ort::Error> {
        let (n, c, h, w) = input.dim();
        let frames = self.batch.unwrap_or(full).max(n);
        let ready = self.element == Element::F32 && !self.channels_last && self.batched && frames == n;
        if ready {
            return Ok(TensorRef::from_array_view(input)?.into());
        }
        let shape = match (self.batched, self.channels_last) {
            (false, _) => vec![c, h, w],
            (true, false) => vec![frames, c, h, w],
            (true, true) => vec![frames, h, w, c],
        };
        let size = frames * c * h * w;
        let ordered = if self.channels_last { input.permuted_axes([0, 2, 3, 1]) } else { input };
        // `Iter` of a standard array is a slice's; of channels-last it walks in the graph's order.
        let values = ordered.iter();
        Ok(match self.element {
            Element::F32 => tensor(shape, fill(&mut scratch.f32, values.copied(), size))?,
            Element::F16 => tensor(shape, fill(&mut scratch.f16, values.map(|&v| f16::from_f32(v)), size))?,
            Element::U8 => {
                let whole = |&v: &f32| v.round_ties_even().clamp(0.0, 255.0) as u8;
                tensor(shape, fill(&mut scratch.u8, values.map(whole), size))?
            }
        })
    }
}

impl Sizes {
    /// The image's input and the one of sizes.
    fn find(order: Option<SizeOrder>, signature: &Signature) -> Result<(&Port, Option<Self>), Mismatch> {
        let refused = |expected: &str| Mismatch::new(expected, list(&signature.inputs));
        let several = "a graph with one input, or with a second one `orig_target_sizes` [N, 2] for the size of the \
                       first (one of another name: `target_sizes` in [input] says the order of width and height)";
        let (image, other, first) = match &signature.inputs[..] {
            [_] => return Err(refused("a second input [N, 2], since `target_sizes` in [input] is stated")),
            [a, b] if a.shape.len() == 2 => (b, a, true),
            [a, b] if b.shape.len() == 2 => (a, b, false),
            _ => return Err(refused(several)),
        };
        let order = match order {
            Some(order) => order,
            None if other.name == "orig_target_sizes" => SizeOrder::WidthHeight,
            None => return Err(refused(several)),
        };
        let element = match &*other.element {
            "i64" => SizeElement::I64,
            "i32" => SizeElement::I32,
            "f32" => SizeElement::F32,
            _ => return Err(refused("a second input of i64, i32 or f32 for sizes")),
        };
        if !other.fits(&[None, Some(2)]) {
            return Err(refused("a second input [N, 2] for sizes"));
        }
        Ok((image, Some(Sizes { element, order, first, batch: other.shape[0] })))
    }

    /// The size of the input for each frame of the batch.
    fn value<'v>(
        &self,
        frames: usize,
        (height, width): (usize, usize),
        scratch: &'v mut SizesScratch,
    ) -> Result<SessionInputValue<'v>, ort::Error> {
        let pair = match self.order {
            SizeOrder::WidthHeight => [width, height],
            SizeOrder::HeightWidth => [height, width],
        };
        let numbers = pair.into_iter().cycle().take(2 * frames);
        let shape = vec![frames, 2];
        // Sides of an image fit into any of these types.
        match self.element {
            SizeElement::I64 => tensor(shape, fill(&mut scratch.i64, numbers.map(|side| side as i64), 0)),
            SizeElement::I32 => tensor(shape, fill(&mut scratch.i32, numbers.map(|side| side as i32), 0)),
            SizeElement::F32 => tensor(shape, fill(&mut scratch.f32, numbers.map(|side| side as f32), 0)),
        }
    }
}

/// `values`, and zeros up to `size`, in a reused buffer.
fn fill<T: Copy + Default>(buffer: &mut Vec<T>, values: impl Iterator<Item = T>, size: usize) -> &[T] {
    buffer.clear();
    buffer.extend(values);
    buffer.resize(size.max(buffer.len()), T::default());
    buffer
}

fn tensor<T: PrimitiveTensorElementType + fmt::Debug + Clone + 'static>(
    shape: Vec<usize>,
    values: &[T],
) -> Result<SessionInputValue<'_>, ort::Error> {
    Ok(TensorRef::from_array_view((shape, values))?.into())
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;
    use crate::runtime::init_runtime;

    #[test]
    fn a_small_batch_is_filled_up_with_zeros() {
        init_runtime(None).unwrap();
        let input = Array4::from_shape_vec((2, 1, 1, 2), vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let given = |fixed: Option<usize>, full: usize| {
            let form =
                InputForm { element: Element::F32, channels_last: false, batch: fixed, batched: true, sizes: None };
            let mut scratch = InputScratch::default();
            let Ok(Inputs::Image([value])) = form.values(input.view(), full, &mut scratch) else { panic!("one input") };
            let shape = value.dtype().tensor_shape().unwrap().to_vec();
            drop(value);
            (shape, scratch.image.f32)
        };
        assert_eq!(given(None, 2), (vec![2, 1, 1, 2], vec![]), "as it is, without a copy");
        assert_eq!(given(None, 3), (vec![3, 1, 1, 2], vec![1.0, 2.0, 3.0, 4.0, 0.0, 0.0]));
        assert_eq!(given(Some(4), 3).0, [4, 1, 1, 2], "a graph of a fixed batch");
        assert_eq!(given(None, 1).0, [2, 1, 1, 2], "nothing is left out");
    }
}
