use std::path::PathBuf;

use panelqc::{Frame, FrameLimits, Inspector, PanelReport, Status};
use panelqc_report::{HtmlLabel, HtmlOptions, HtmlReport};

use super::Failure;

/// An empty page for the results of this inspector.
pub(super) fn page(inspector: &Inspector, title: String) -> HtmlReport {
    let options = HtmlOptions::new(&inspector.model().manifest().output, inspector.policy());
    HtmlReport::new(title, options)
}

/// Adds a panel with its pictures, read again from its files; one that could not be inspected has none.
pub(super) fn add(
    page: &mut HtmlReport,
    report: &PanelReport,
    label: Option<&HtmlLabel>,
    files: &[PathBuf],
) -> Result<(), Failure> {
    let frames = if report.status == Status::Ok { frames(files)? } else { Vec::new() };
    Ok(page.add(report, label, &frames)?)
}

pub(super) fn frames(files: &[PathBuf]) -> Result<Vec<Frame<'static>>, Failure> {
    Ok(files.iter().map(|file| Frame::load(file, &FrameLimits::default())).collect::<Result<_, _>>()?)
}
