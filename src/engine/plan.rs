use crate::geometry::{Region, Size};
use crate::tensor::Preprocess;

/// Which parts of a frame the model sees, one after the other. A plan is one file here, and one line in [`plan_of`];
/// what the views of a frame gave is merged by [`Proposals`](crate::Proposals) before it is assembled and judged.
pub(crate) trait Plan: Send + Sync {
    /// Adds the views of a frame of this size to `views`, which is empty: at least one, and each pixel in one of them.
    fn views(&self, frame: Size, views: &mut Vec<Region>);
}

/// The plan that a manifest asks for.
pub(crate) fn plan_of(_input: &Preprocess) -> Box<dyn Plan> {
    Box::new(Whole)
}

/// The whole frame is one view.
struct Whole;

impl Plan for Whole {
    fn views(&self, frame: Size, views: &mut Vec<Region>) {
        views.push(Region::whole(frame));
    }
}
