use std::collections::HashMap;
use std::path::Path;

use panelqc::{Error, JsonlReader, PanelRecord, Result, Trace};

use super::Sample;

/// Most panels that a message names.
const NAMED: usize = 5;

/// The stored results of `samples`, in their order, from a file of JSON lines, to be measured without running a model.
/// They have to be those of these panels and of no others, and made with the model, manifest and policy of `setup`.
///
/// # Errors
/// [`ErrorKind::Results`](panelqc::ErrorKind::Results) that names the line of a result that cannot be read, of one that
/// was made with something else, or of a second one for a panel, or that names panels which only the file or only
/// `samples` have; [`ErrorKind::Io`](panelqc::ErrorKind::Io) when the file cannot be read.
pub fn read_results(path: &Path, samples: &[Sample], setup: &Trace) -> Result<Vec<PanelRecord>> {
    let mut lines = JsonlReader::open(path)?;
    let mut records: HashMap<String, PanelRecord> = HashMap::new();
    let mut order = Vec::new();
    while let Some(record) = lines.next() {
        let record = record?;
        let line = Some(lines.line());
        let trace = record.trace();
        for (what, expected, found) in [
            ("model", Some(&setup.model), Some(&trace.model)),
            ("manifest", Some(&setup.manifest), Some(&trace.manifest)),
            ("policy", setup.policy.as_ref(), trace.policy.as_ref()),
        ] {
            if expected != found {
                let hash = |hash: Option<&std::sync::Arc<str>>| match hash {
                    Some(hash) => format!("the {what} {hash}"),
                    None => format!("no {what}"),
                };
                return Err(Error::results(path, line, format!("a result of {}", hash(expected)), hash(found)));
            }
        }
        let id = record.panel().to_owned();
        order.push(id.clone());
        if records.insert(id, record).is_some() {
            let found = format!("a second one for {}", order.last().map_or("", String::as_str));
            return Err(Error::results(path, line, "one result per panel", found));
        }
    }
    let found: Vec<Option<PanelRecord>> = samples.iter().map(|sample| records.remove(&sample.files.id)).collect();
    let missing: Vec<&str> =
        samples.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(s, _)| s.files.id.as_str()).collect();
    let all = samples.len();
    if !missing.is_empty() {
        let expected = format!("a result for each of the {all} labelled panels");
        return Err(Error::results(path, None, expected, format!("none for {}", names(&missing))));
    }
    let strange: Vec<&str> = order.iter().filter(|id| records.contains_key(*id)).map(String::as_str).collect();
    if !strange.is_empty() {
        let expected = format!("results for the {all} labelled panels only");
        return Err(Error::results(path, None, expected, format!("some for {}, without a label", names(&strange))));
    }
    Ok(found.into_iter().flatten().collect())
}

fn names(ids: &[&str]) -> String {
    let shown = ids[..ids.len().min(NAMED)].join(", ");
    match ids.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use panelqc::{ErrorKind, FrameInfo, JsonlWriter, PanelReport, Size};

    use super::*;
    use crate::dataset::Label;

    #[test]
    fn results_have_to_be_those_of_the_panels_and_of_the_model() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        let sample = |id: &str| Sample::of_image(id.to_owned(), format!("{id}.png"), Label::Probability(1.0));
        let samples: Vec<Sample> = ["a", "b"].map(sample).into();
        let setup = Trace::new("m", "f").with_policy("p");
        let read = |records: &[(&str, Trace)]| {
            let mut writer = JsonlWriter::new(std::fs::File::create(&path).unwrap());
            for (id, trace) in records {
                let report = PanelReport::new(*id, FrameInfo::new(Size::new(8, 8)), trace.clone());
                writer.write(&report.into()).unwrap();
            }
            read_results(&path, &samples, &setup)
        };
        let same = || setup.clone().with_image("i").with_version("0");
        let found = read(&[("b", same()), ("a", same())]).unwrap();
        assert_eq!(found.iter().map(PanelRecord::panel).collect::<Vec<_>>(), ["a", "b"], "in the order of the samples");
        for (records, says) in [
            (vec![("a", same())], "expected a result for each of the 2 labelled panels, found none for b"),
            (vec![("a", same()), ("b", same()), ("c", same())], "found some for c, without a label"),
            (
                vec![("a", same()), ("a", same())],
                "results.jsonl:2: expected one result per panel, found a second one for a",
            ),
            (
                vec![("a", same()), ("b", Trace::new("n", "f"))],
                "results.jsonl:2: expected a result of the model m, found the model n",
            ),
            (vec![("a", Trace::new("m", "g"))], "expected a result of the manifest f, found the manifest g"),
            (vec![("a", Trace::new("m", "f"))], "expected a result of the policy p, found no policy"),
        ] {
            let error = read(&records).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Results);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
