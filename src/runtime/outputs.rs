use std::sync::Arc;

use half::f16;
use ndarray::{ArrayViewD, IxDyn};
use ort::value::{DynValue, PrimitiveTensorElementType, Shape, TensorElementType as Type, ValueType};

use super::input::InputScratch;

/// What a graph returned, in memory reused from run to run. Numbers of any type are `f32` here.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Names of the graph's outputs, in its order.
    pub(super) names: Arc<[String]>,
    pub(super) tensors: Vec<Tensor>,
    pub(super) input: InputScratch,
}

#[derive(Debug, Default)]
pub(super) struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Outputs {
    /// Outputs of given names, shapes and numbers in standard order: for tests of a [`Head`](crate::Head).
    pub fn from_tensors<N: Into<String>>(tensors: impl IntoIterator<Item = (N, Vec<usize>, Vec<f32>)>) -> Self {
        let mut outputs = Outputs::default();
        let mut names = Vec::new();
        for (name, shape, data) in tensors {
            names.push(name.into());
            outputs.tensors.push(Tensor { shape, data });
        }
        outputs.names = names.into();
        outputs
    }

    /// The output at `index` among the graph's outputs; `None` when it was not read.
    pub fn get(&self, index: usize) -> Option<ArrayViewD<'_, f32>> {
        let tensor = self.tensors.get(index)?;
        ArrayViewD::from_shape(IxDyn(&tensor.shape), &tensor.data).ok()
    }

    /// The name of the output at `index`; `?` where there is none.
    pub fn name(&self, index: usize) -> &str {
        self.names.get(index).map_or("?", String::as_str)
    }
}

impl Tensor {
    /// Takes over the numbers of an output, as `f32`.
    pub(super) fn copy(&mut self, value: &DynValue) -> Result<(), ort::Error> {
        let shape = match value.dtype() {
            ValueType::Tensor { ty: Type::Float16, .. } => self.convert::<f16>(value, f16::to_f32)?,
            ValueType::Tensor { ty: Type::Int64, .. } => self.convert::<i64>(value, |v| v as f32)?,
            ValueType::Tensor { ty: Type::Int32, .. } => self.convert::<i32>(value, |v| v as f32)?,
            ValueType::Tensor { ty: Type::Uint8, .. } => self.convert::<u8>(value, f32::from)?,
            ValueType::Tensor { ty: Type::Int8, .. } => self.convert::<i8>(value, f32::from)?,
            ValueType::Tensor { ty: Type::Uint16, .. } => self.convert::<u16>(value, f32::from)?,
            ValueType::Tensor { ty: Type::Int16, .. } => self.convert::<i16>(value, f32::from)?,
            ValueType::Tensor { ty: Type::Bool, .. } => self.convert::<bool>(value, f32::from)?,
            ValueType::Tensor { ty: Type::Float64, .. } => self.convert::<f64>(value, |v| v as f32)?,
            _ => {
                let (shape, data) = value.try_extract_tensor::<f32>()?;
                self.data.clear();
                self.data.extend_from_slice(data);
                shape
            }
        };
        self.shape.clear();
        self.shape.extend(shape.iter().map(|&d| usize::try_from(d).unwrap_or(0)));
        Ok(())
    }

    fn convert<'v, T: PrimitiveTensorElementType + Copy + 'v>(
        &mut self,
        value: &'v DynValue,
        to_f32: impl Fn(T) -> f32,
    ) -> Result<&'v Shape, ort::Error> {
        let (shape, data) = value.try_extract_tensor::<T>()?;
        self.data.clear();
        self.data.extend(data.iter().map(|&v| to_f32(v)));
        Ok(shape)
    }
}
