//! The formats: one file each, and one line here. A new one declares its name and its [`HeadFormat`] as constants in
//! its file, implements [`Head`](super::Head), and is entered below. `rows`, `prototypes` and `cells` are what several
//! of them share.

mod anomaly;
mod boxes;
mod cells;
mod class_map;
mod detections;
mod detr;
mod end2end;
mod grid;
mod mask;
mod prototypes;
mod rows;
mod rtdetr;
mod scores;
mod tf_detections;
mod yolo;
mod yolo_nas;
mod yolo_obb;
mod yolo_v5;
mod yolox;

use super::HeadFormat;

/// Every format of the library. The order is the one in which messages list them.
pub(super) const FORMATS: &[HeadFormat] = &[
    scores::FORMAT,
    grid::FORMAT,
    yolo::FORMAT,
    yolo_v5::FORMAT,
    yolox::FORMAT,
    yolo_nas::FORMAT,
    yolo_obb::FORMAT,
    end2end::FORMAT,
    end2end::ORIENTED,
    rtdetr::FORMAT,
    detr::FORMAT,
    detections::FORMAT,
    tf_detections::FORMAT,
    boxes::FORMAT,
    mask::FORMAT,
    class_map::FORMAT,
    anomaly::FORMAT,
];
