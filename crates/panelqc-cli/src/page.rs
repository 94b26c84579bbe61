use std::path::PathBuf;

use panelqc::{Frame, FrameLimits, Inspector, Manifest, Panel, PanelRecord, Policy, Result};
use panelqc_report::{HtmlOptions, HtmlPicture, HtmlReport, PictureEdge};

/// An empty page for the results of this inspector.
pub(super) fn page(inspector: &Inspector, title: String) -> HtmlReport {
    page_of(inspector.model().manifest(), inspector.policy(), title)
}

/// An empty page for results of a model with this manifest under this policy.
pub(super) fn page_of(manifest: &Manifest, policy: Option<&Policy>, title: String) -> HtmlReport {
    HtmlReport::new(title, HtmlOptions::new(&manifest.output, policy))
}

/// The pictures of a panel in memory.
pub(super) fn pictures(panel: &Panel<'_>, edge: &PictureEdge) -> Result<Vec<HtmlPicture>> {
    panel.frames().iter().map(|frame| HtmlPicture::new(frame, edge.get())).collect()
}

/// The pictures of a result of another run, where its files are still those that were inspected; otherwise none.
pub(super) fn pictures_again(record: &PanelRecord, files: &[PathBuf], edge: &PictureEdge) -> Vec<HtmlPicture> {
    let Some(report) = record.report() else { return Vec::new() };
    let again = files.iter().zip(report.frames()).map(|(file, was)| {
        let frame = Frame::load(file, &FrameLimits::default()).ok()?;
        // The boxes of one picture do not belong on another.
        let same = was.sha256.is_none() || frame.sha256() == was.sha256.as_ref();
        same.then(|| HtmlPicture::new(&frame, edge.get()).ok()).flatten()
    });
    again.collect::<Option<_>>().unwrap_or_default()
}
