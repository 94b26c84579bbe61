use std::io::{self, Write};

use panelqc::{Kind, PanelRecord, printable_json};
use serde::Serialize;

use crate::writer::ReportWriter;

/// Writes COCO detection results: one JSON array with one object per defect, as `loadRes` of the COCO API reads it.
///
/// `image_id` counts the panels from 1 in input order, `category_id` the model's kinds from 1; `bbox` is x, y, width,
/// height. `panel` and `kind` are added for people; the COCO API does not look at them. A panel without defects, or
/// that could not be inspected, has no entry but its number.
pub struct CocoWriter<W: Write> {
    out: W,
    kinds: Vec<Kind>,
    images: u64,
    entries: u64,
}

#[derive(Serialize)]
struct Entry<'a> {
    image_id: u64,
    category_id: usize,
    bbox: [f32; 4],
    score: f32,
    area: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    segmentation: Option<&'a panelqc::Mask>,
    panel: &'a str,
    kind: &'a Kind,
}

impl<W: Write> CocoWriter<W> {
    /// A writer to `out` for a model of these kinds.
    pub fn new(out: W, kinds: &[Kind]) -> Self {
        CocoWriter { out, kinds: kinds.to_vec(), images: 0, entries: 0 }
    }

    /// Writes the defects of one panel.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&mut self, record: &PanelRecord) -> io::Result<()> {
        self.images += 1;
        for defect in record.defects() {
            let b = defect.bbox;
            let entry = Entry {
                image_id: self.images,
                category_id: self.kinds.iter().position(|k| *k == defect.kind).map_or(0, |i| i + 1),
                bbox: [b.x0, b.y0, b.width(), b.height()],
                score: defect.confidence.get(),
                area: defect.area_px,
                segmentation: defect.mask.as_ref(),
                panel: record.panel(),
                kind: &defect.kind,
            };
            let before = if self.entries == 0 { "[\n" } else { ",\n" };
            let entry = serde_json::to_string(&entry)?;
            self.out.write_all(format!("{before}{}", printable_json(&entry)).as_bytes())?;
            self.entries += 1;
        }
        Ok(())
    }

    /// Closes the array and flushes the writer.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.write_all(if self.entries == 0 { b"[]\n" } else { b"\n]\n" })?;
        self.out.flush()
    }
}

impl<W: Write> ReportWriter for CocoWriter<W> {
    fn write(&mut self, record: &PanelRecord) -> io::Result<()> {
        CocoWriter::write(self, record)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        CocoWriter::finish(*self)
    }
}
