//! Vector instructions, through the safe wrappers of `pulp`.

use pulp::Arch;
#[cfg(target_arch = "x86_64")]
use pulp::{NullaryFnOnce, x86::V3};

/// Runs a loop that the compiler has turned into vector instructions, in the version for this processor. The results
/// are the same on all of them: nothing here sums in another order or fuses a product with a sum.
#[inline(always)]
pub(crate) fn vectorised<R>(run: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(run)
}

/// Runs `op`, a loop that the compiler makes slow code of and that is written by hand, with AVX2 switched on; `None`
/// where the processor has no AVX2.
#[cfg(target_arch = "x86_64")]
pub(super) fn avx2<Op: NullaryFnOnce>(op: impl FnOnce(V3) -> Op) -> Option<Op::Output> {
    let simd = V3::try_new()?;
    Some(simd.vectorize(op(simd)))
}
