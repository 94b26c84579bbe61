use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use panelqc::{Error, FrameInfo, JsonlReader, PanelFiles, PanelInput, PanelRecord, Trace, replace_file, sha256_hex};
use panelqc_report::OverlayPaths;

use super::Failure;
use super::lines::{Lines, copy, whole};
use super::output::{reading, writing};

/// What an interrupted run has written, and is still true.
pub(super) struct Earlier {
    /// The lines, to which those of this run are added.
    pub(super) lines: Lines,
    /// Numbers of the lines of panels whose files are those that were inspected, by id.
    pub(super) kept: HashMap<String, usize>,
    /// Lines of panels that are not among the images now.
    pub(super) others: Vec<usize>,
    /// Lines that were not of these files, lack their overlay, or are tried again: they are gone.
    pub(super) outdated: usize,
    /// Lines, of those that are left, of panels that could not be inspected.
    pub(super) errors: u64,
}

/// What else a line needs to be left as it is.
pub(super) struct Wanted<'a> {
    /// What a result of this run is made with.
    pub(super) trace: &'a Trace,
    /// Panels that could not be inspected are tried again.
    pub(super) retry: bool,
    /// Each panel has its picture.
    pub(super) overlays: Option<&'a OverlayPaths>,
}

/// A line, and what its files were.
struct Candidate {
    line: usize,
    id: String,
    failed: bool,
    /// Files with the hashes that they had; `None` for a line that is not left as it is in any case.
    files: Option<Vec<(PathBuf, Arc<str>)>>,
}

impl Earlier {
    /// Nothing, where a run begins with empty `lines`.
    pub(super) fn none(lines: Lines) -> Self {
        Earlier { lines, kept: HashMap::new(), others: Vec::new(), outdated: 0, errors: 0 }
    }

    /// Reads the lines of `path`. Those that are of other files than `panels`' now, and one that was not finished, are
    /// cut out.
    ///
    /// Results of another model, manifest, policy, provider or version are an error: a file holds what one run would
    /// have written.
    pub(super) fn read(path: &Path, panels: &[PanelInput], wanted: &Wanted<'_>) -> Result<Self, Failure> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::none(Lines::create(path)?)),
            Err(e) => return Err(reading(path, e).into()),
        };
        let end = whole(&mut file).map_err(|e| reading(path, e))?;
        let torn = end < file.metadata().map_err(|e| reading(path, e))?.len();
        file.seek(SeekFrom::Start(0)).map_err(|e| reading(path, e))?;

        let inputs: HashMap<&str, &PanelInput> = panels.iter().map(|panel| (panel.id(), panel)).collect();
        let mut spans: Vec<Range<u64>> = Vec::new();
        let mut stays: Vec<bool> = Vec::new();
        let (mut candidates, mut others, mut errors) = (Vec::new(), Vec::new(), 0);
        let mut reader = JsonlReader::new(BufReader::new(&file).take(end), path);
        loop {
            let start = reader.bytes();
            let Some(record) = reader.next() else { break };
            let record = record.map_err(|e| format!("--resume: {e}"))?;
            if let Some(difference) = record.trace().difference(wanted.trace) {
                let expected = "a result of this model, manifest, policy, provider and version";
                let bad = Error::results(path, Some(reader.line()), expected, format!("one of another {difference}"));
                return Err(format!("--resume: {bad} (--overwrite begins anew)").into());
            }
            let (line, failed) = (spans.len(), !record.is_inspected());
            spans.push(start..reader.bytes());
            stays.push(false);
            match inputs.get(record.panel()) {
                None => {
                    stays[line] = true;
                    others.push(line);
                    errors += u64::from(failed);
                }
                Some(input) => {
                    let files = files_of(&record, input).filter(|_| wanted.has(&record));
                    candidates.push(Candidate { line, id: record.panel().to_owned(), failed, files });
                }
            }
        }
        drop(reader);

        let hashes = hashes(candidates.iter().flat_map(|candidate| candidate.files.iter().flatten()));
        let mut kept = HashMap::new();
        for Candidate { line, id, failed, files } in candidates {
            let same = files.is_some_and(|files| {
                files.iter().all(|(path, hash)| hashes.get(path).and_then(Option::as_deref) == Some(&**hash))
            });
            if same && !kept.contains_key(&id) {
                stays[line] = true;
                errors += u64::from(failed);
                kept.insert(id, line);
            }
        }
        let outdated = stays.iter().filter(|stays| !**stays).count();
        if outdated > 0 || torn {
            let left: Vec<&Range<u64>> =
                spans.iter().zip(&stays).filter_map(|(span, stays)| stays.then_some(span)).collect();
            let mut end = 0;
            let moved = left.iter().map(|span| {
                let start = end;
                end += span.end - span.start;
                start..end
            });
            let moved: Vec<Range<u64>> = moved.collect();
            replace_file(path, move |new| copy(&mut file, left.into_iter(), new))?;
            spans = moved;
        }
        // Lines have other numbers after some were cut out.
        let mut number = 0;
        let numbers: Vec<usize> = stays
            .iter()
            .map(|stays| {
                number += usize::from(*stays);
                number - usize::from(*stays)
            })
            .collect();
        kept.values_mut().chain(&mut others).for_each(|line| *line = numbers[*line]);
        Ok(Earlier { lines: Lines::append(path, spans)?, kept, others, outdated, errors })
    }
}

impl Wanted<'_> {
    /// Whether there is nothing to do for a result of the same files.
    fn has(&self, record: &PanelRecord) -> bool {
        let Some(paths) = self.overlays.filter(|_| record.is_inspected()) else {
            return record.is_inspected() || !self.retry;
        };
        let frames = record.frames().len();
        (0..frames).all(|frame| is_whole_png(&paths.of(record.panel(), (frames > 1).then_some(frame))))
    }
}

/// The files that a result is of, with their hashes; `None` where they are not those of the input, or not known.
fn files_of(record: &PanelRecord, input: &PanelInput) -> Option<Vec<(PathBuf, Arc<str>)>> {
    let PanelInput::Files(PanelFiles { frames, reference, .. }) = input else { return None };
    let mut files = Vec::with_capacity(frames.len() + 1);
    match record.report() {
        Some(report) if report.frames().len() == frames.len() => {
            for (was, path) in report.frames().iter().zip(frames) {
                files.push(same(was, path)?);
            }
        }
        // Of what could not be read to its end nothing is known, and of several images not which one it was.
        None if frames.len() == 1 && is_path(record.image()?, &frames[0]) => {
            files.push((frames[0].clone(), record.trace().image.clone()?));
        }
        _ => return None,
    }
    match (reference, record.reference()) {
        (None, None) => {}
        (Some(path), Some(was)) => files.push(same(was, path)?),
        _ => return None,
    }
    Some(files)
}

/// The file with the hash that it had, if it is the same path.
fn same(was: &FrameInfo, path: &Path) -> Option<(PathBuf, Arc<str>)> {
    let hash = was.sha256.clone()?;
    is_path(was.image.as_deref()?, path).then(|| (path.to_path_buf(), hash))
}

fn is_path(was: &str, path: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    was == path.display().to_string() || real(Path::new(was)).is_some_and(|was| real(path) == Some(was))
}

/// The hashes of files now, on all processors; `None` for one that cannot be read.
fn hashes<'f>(files: impl Iterator<Item = &'f (PathBuf, Arc<str>)>) -> HashMap<PathBuf, Option<String>> {
    let files: Vec<&Path> = files.map(|(path, _)| path.as_path()).collect::<HashSet<_>>().into_iter().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let is_file = fs::metadata(path).is_ok_and(|kind| kind.is_file());
            let bytes = is_file.then(|| fs::read(path).ok()).flatten();
            done.push((path.to_path_buf(), bytes.map(|bytes| sha256_hex(&bytes))));
        }
        done
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    })
}

/// Whether a picture was written to its end.
fn is_whole_png(path: &Path) -> bool {
    const END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82];
    let mut last = [0; END.len()];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::End(-(END.len() as i64)))?;
        file.read_exact(&mut last)
    });
    read.is_ok() && last == END
}

/// Takes the pictures of panels away that are inspected again, or for the first time.
pub(super) fn remove_overlays<'a>(paths: &OverlayPaths, panels: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    if !paths.folder().exists() {
        return Ok(());
    }
    let remove = |path: &Path| match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(_) if !path.is_file() => Ok(false),
        Err(e) => Err(writing(path, e)),
    };
    for id in panels {
        remove(&paths.of(id, None))?;
        let mut frame = 0;
        while remove(&paths.of(id, Some(frame)))? {
            frame += 1;
        }
    }
    Ok(())
}
