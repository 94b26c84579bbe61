//! The results of many panels as one self-contained page: no network, no other file.

#[cfg(feature = "eval")]
mod label;
mod picture;
mod record;

use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use base64::prelude::{BASE64_STANDARD, Engine};
use panelqc::{Error, Guarantee, Kind, Limits, OutputConfig, PanelRecord, PixelBox, Policy, Result, replace_file};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use self::picture::{HtmlPicture, PictureEdge};
use self::record::ShownRecord;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPTS: [&str; 3] = [include_str!("data.js"), include_str!("charts.js"), include_str!("page.js")];

/// Long edge, in pixels, that pictures are not made smaller than; where these do not fit either, panels have none.
const MIN_EDGE: u32 = 64;

/// What the page shows besides the panels.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HtmlOptions {
    /// Most bytes of the page; the pictures are made as large as it allows. Default 9,500,000. What the page says about
    /// a panel is never left out, so with many thousand panels it becomes larger, without pictures of the last ones.
    pub max_bytes: u64,
    /// Long edge of a picture in pixels, at most; a smaller image keeps its size. Default 640.
    pub max_edge: u32,
    /// The kinds of defect that a person may choose from, in the order of the keys 1 to 9. Default none.
    pub kinds: Vec<Kind>,
    /// Defects below this confidence are hidden until they are asked for. Default 0.
    pub confidence: f32,
    /// The confidence from which a panel is for review. Default unknown.
    pub review_limit: Option<f32>,
    /// The confidence from which a panel fails. Default unknown.
    pub fail_limit: Option<f32>,
    /// What the policy promises. Default nothing.
    pub guarantee: Option<Guarantee>,
}

impl HtmlOptions {
    /// The options for results of a model with these outputs: the kinds that are defects, and what the policy that
    /// judged says: the lowest limits of any kind, below which results are hidden, and its guarantee. With another
    /// judge than a policy the limits are unknown, and results are hidden below the manifest's confidence.
    pub fn new(output: &OutputConfig, policy: Option<&Policy>) -> Self {
        let kinds: Vec<Kind> = output.kinds.iter().filter(|kind| !output.good.contains(kind)).cloned().collect();
        let lowest = |limit: fn(Limits) -> f32| {
            let limits = kinds.iter().filter_map(|kind| Some(limit(policy?.limits(kind))));
            limits.min_by(f32::total_cmp)
        };
        let (review_limit, fail_limit) = (lowest(|l| l.review), lowest(|l| l.fail));
        let confidence = review_limit.unwrap_or(output.confidence);
        let guarantee = policy.and_then(Policy::guarantee).cloned();
        HtmlOptions { kinds, confidence, review_limit, fail_limit, guarantee, ..Self::default() }
    }
}

impl Default for HtmlOptions {
    fn default() -> Self {
        HtmlOptions {
            max_bytes: 9_500_000,
            max_edge: 640,
            kinds: Vec::new(),
            confidence: 0.0,
            review_limit: None,
            fail_limit: None,
            guarantee: None,
        }
    }
}

/// What a person says about a panel, for the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HtmlLabel {
    /// Whether it is defective.
    pub defective: bool,
    /// How the label puts it, where that is more than good or defective.
    pub text: Option<String>,
    /// The defects marked on the first frame, in its pixels.
    pub boxes: Vec<(Kind, PixelBox)>,
}

impl HtmlLabel {
    /// Good or defective.
    pub fn new(defective: bool) -> Self {
        HtmlLabel { defective, text: None, boxes: Vec::new() }
    }
}

/// Writes one HTML page with the results of many panels: figures, charts, a gallery with boxes and masks, and a review
/// queue whose decisions `panelqc_eval::dataset::Decisions` reads.
///
/// The page is one file that loads nothing (its content security policy forbids it). Only compressed pictures are held
/// in memory, [`HtmlOptions::max_bytes`] at most. Every name is data on the page, never markup.
pub struct HtmlReport {
    title: String,
    options: HtmlOptions,
    panels: Vec<Entry>,
    trace: Value,
    evaluation: Value,
    /// Long edge of the pictures at present, and the bytes of all entries.
    edge: PictureEdge,
    bytes: u64,
}

/// One panel: what is said of it, as JSON without the closing brace, and its pictures.
struct Entry {
    record: String,
    pictures: Vec<HtmlPicture>,
}

impl HtmlReport {
    /// A page with that title.
    pub fn new(title: impl Into<String>, options: HtmlOptions) -> Self {
        let edge = PictureEdge::new(options.max_edge);
        HtmlReport {
            title: title.into(),
            options,
            panels: Vec::new(),
            trace: Value::Null,
            evaluation: Value::Null,
            edge,
            bytes: 0,
        }
    }

    /// The size that pictures have on the page now, for callers that [make](HtmlPicture::new) them.
    pub fn picture_edge(&self) -> PictureEdge {
        self.edge.clone()
    }

    /// Adds a panel with its label and the pictures of its frames, both if there are any. Pictures larger than
    /// those already on the page are scaled down.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](panelqc::ErrorKind::Internal) when a picture cannot be compressed: a fault of this
    /// library.
    pub fn add(
        &mut self,
        record: &PanelRecord,
        label: Option<&HtmlLabel>,
        mut pictures: Vec<HtmlPicture>,
    ) -> Result<()> {
        self.take_trace(record)?;
        let shown = ShownRecord::new(record, label)?;
        let mut record = escape_json(&serde_json::to_string(&shown).map_err(internal)?);
        record.pop();
        for picture in &mut pictures {
            picture.shrink(self.edge.get())?;
        }
        let entry = Entry { record, pictures };
        self.bytes += entry.bytes();
        self.panels.push(entry);
        self.fit()
    }

    /// Adds what was measured against labels: an object with the keys that `panelqc eval --json` writes. Without it the
    /// page counts by itself, over the panels that have a label.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](panelqc::ErrorKind::Internal) when it has no JSON form.
    pub fn evaluation(&mut self, evaluation: &impl Serialize) -> Result<()> {
        self.evaluation = serde_json::to_value(evaluation).map_err(internal)?;
        if let Some(evaluation) = self.evaluation.as_object_mut() {
            // The page has the panels already.
            evaluation.remove("panels");
        }
        Ok(())
    }

    /// Writes the page and flushes the writer.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(self, mut out: impl Write) -> io::Result<()> {
        let script = SCRIPTS.concat();
        let mut rest = PAGE;
        // Each name stands on the page once, in this order.
        for name in ["{TITLE}", "{POLICY}", "{STYLE}", "{DATA}", "{SCRIPT}"] {
            let (before, after) = rest.split_once(name).unwrap_or((rest, ""));
            out.write_all(before.as_bytes())?;
            rest = after;
            match name {
                "{TITLE}" => out.write_all(escape_html(&self.title).as_bytes())?,
                "{POLICY}" => write!(
                    out,
                    "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
                    hash_source(STYLE),
                    hash_source(&script)
                )?,
                "{STYLE}" => out.write_all(STYLE.as_bytes())?,
                "{DATA}" => self.write_data(&mut out)?,
                _ => out.write_all(script.as_bytes())?,
            }
        }
        out.write_all(rest.as_bytes())?;
        out.flush()
    }

    /// Writes the page into a file, whole or not at all ([`replace_file`]).
    ///
    /// # Errors
    /// [`ErrorKind::Io`](panelqc::ErrorKind::Io) when it cannot be written.
    pub fn save(self, path: impl AsRef<Path>) -> Result<()> {
        replace_file(path, |file| self.finish(io::BufWriter::new(file)))
    }

    /// The hashes are those of the whole page but for the image's.
    fn take_trace(&mut self, record: &PanelRecord) -> Result<()> {
        if self.trace.is_null() {
            self.trace = serde_json::to_value(record.trace()).map_err(internal)?;
            if let Some(trace) = self.trace.as_object_mut() {
                trace.remove("image");
            }
        }
        Ok(())
    }

    /// Makes the pictures smaller until the page fits.
    fn fit(&mut self) -> Result<()> {
        let fixed = (PAGE.len() + STYLE.len() + SCRIPTS.iter().map(|s| s.len()).sum::<usize>()) as u64;
        while fixed + self.bytes > self.options.max_bytes {
            let edge = self.edge.get();
            if edge <= MIN_EDGE {
                if let Some(last) = self.panels.last_mut() {
                    self.bytes -= last.bytes();
                    last.pictures.clear();
                    self.bytes += last.bytes();
                }
                break;
            }
            let edge = (edge * 4 / 5).max(MIN_EDGE);
            self.edge.set(edge);
            for picture in self.panels.iter_mut().flat_map(|panel| &mut panel.pictures) {
                picture.shrink(edge)?;
            }
            self.bytes = self.panels.iter().map(Entry::bytes).sum();
        }
        Ok(())
    }

    fn write_data(&self, out: &mut impl Write) -> io::Result<()> {
        let made = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let head = json!({
            "schema": 1,
            "title": self.title,
            "made": made,
            "kinds": self.options.kinds,
            "confidence": self.options.confidence,
            "review_limit": self.options.review_limit,
            "fail_limit": self.options.fail_limit,
            "trace": self.trace,
            "guarantee": self.options.guarantee.as_ref().map(shown).transpose()?,
            "evaluation": self.evaluation,
        });
        let mut head = escape_json(&head.to_string());
        head.pop();
        out.write_all(head.as_bytes())?;
        out.write_all(b",\"panels\":[")?;
        for (number, panel) in self.panels.iter().enumerate() {
            out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
            out.write_all(panel.record.as_bytes())?;
            out.write_all(b",\"pictures\":[")?;
            for (number, picture) in panel.pictures.iter().enumerate() {
                let comma = if number == 0 { "" } else { "," };
                let (width, height) = (picture.width, picture.height);
                let jpeg = Base64Display::new(&picture.jpeg, &STANDARD);
                write!(out, "{comma}{{\"width\":{width},\"height\":{height},\"jpeg\":\"{jpeg}\"}}")?;
            }
            out.write_all(b"]}")?;
        }
        out.write_all(b"\n]}")
    }
}

impl Entry {
    /// Its size on the page, rounded up.
    fn bytes(&self) -> u64 {
        let pictures = self.pictures.iter().map(|p| p.jpeg.len().div_ceil(3) as u64 * 4 + 60);
        self.record.len() as u64 + 20 + pictures.sum::<u64>()
    }
}

fn internal(error: serde_json::Error) -> Error {
    Error::internal(error.to_string())
}

/// JSON that is safe in a `<script>` element: what could end it, or a line of it, is written as `\uXXXX`.
fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '"' | '\'' => out.push_str(&format!("&#{};", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// What a content security policy calls an inline style or script that it allows.
fn hash_source(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

/// A guarantee with what it says in words.
fn shown(guarantee: &Guarantee) -> io::Result<Value> {
    let mut value = serde_json::to_value(guarantee)?;
    if let Some(table) = value.as_object_mut() {
        table.insert("sentence".to_owned(), guarantee.to_string().into());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use panelqc::{
        Confidence, Defect, ErrorKind, FailedPanel, Frame, FrameInfo, Mask, PanelReport, PixelFormat, Size, Trace,
        Verdict,
    };

    const NASTY: &str = "<script>alert(1)</script>\"&'\u{2028}--><!--";

    fn report(panel: &str) -> PanelReport {
        let frame = FrameInfo::new(Size::new(400, 300)).with_image(format!("{panel}.png"));
        let trace = Trace::new("aa", "bb").with_image("cc").with_version("1");
        PanelReport::new(panel, frame, trace).with_verdict(Verdict::Review, vec!["x >= 0.50".to_owned()])
    }

    fn defect(kind: &str) -> Defect {
        Defect::new(kind.into(), Confidence::new(0.5).unwrap(), PixelBox::new(0.0, 0.0, 500.0, 300.0))
    }

    fn pictures(frames: &[Frame<'_>], edge: u32) -> Vec<HtmlPicture> {
        frames.iter().map(|frame| HtmlPicture::new(frame, edge).unwrap()).collect()
    }

    /// A picture that no compression makes small.
    fn noise(width: u32, height: u32, seed: u32) -> Frame<'static> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let values = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        });
        let values: Vec<u8> = values.take((width * height) as usize).collect();
        Frame::new(Size::new(width, height), PixelFormat::Mono8, values).unwrap()
    }

    fn page(report: HtmlReport) -> String {
        let mut out = Vec::new();
        report.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn data(page: &str) -> Value {
        let start = "<script type=\"application/json\" id=\"data\">";
        let text = page.split_once(start).unwrap().1.split_once("</script>").unwrap().0;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn names_are_data_and_come_back_as_they_were() {
        let rate = json!({"count": 0, "of": 59, "bound": 0.05});
        let guarantee = json!({"date": NASTY, "method": "exact-binomial", "confidence": 0.95, "max_miss": 0.05,
            "errors": 0, "data": "", "manifest": "", "rules": "", "version": "", "miss": rate, "overkill": rate});
        let guarantee = Some(serde_json::from_value(guarantee).unwrap());
        let options = HtmlOptions { kinds: vec![NASTY.into()], guarantee, ..HtmlOptions::default() };
        let mut report = HtmlReport::new(NASTY, options);
        let mut label = HtmlLabel::new(true);
        label.text = Some(NASTY.to_owned());
        let found = self::report(NASTY).with_defects(vec![defect(NASTY)]);
        report.add(&found.into(), Some(&label), Vec::new()).unwrap();
        let failed = FailedPanel::new("b", ErrorKind::Damaged, NASTY, Trace::new("aa", "bb"));
        report.add(&failed.into(), None, Vec::new()).unwrap();
        report.evaluation(&json!({"per_kind": {NASTY: 1}})).unwrap();
        let page = page(report);
        let block = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
        assert!(!block.contains(['<', '>', '&', '\u{2028}']), "{block}");
        assert!(page.contains("<title>&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#38;&#39;"));
        // The scripts of the page itself and the two data in it: nothing opens or closes another.
        assert_eq!(page.matches("<script").count(), 2);
        assert_eq!(page.matches("</script").count(), 2);
        let data = data(&page);
        let panel = &data["panels"][0];
        for value in [
            &data["title"],
            &data["kinds"][0],
            &data["guarantee"]["date"],
            &panel["panel"],
            &data["panels"][1]["error"],
            &panel["label"]["text"],
            &panel["defects"][0]["kind"],
        ] {
            assert_eq!(value, NASTY);
        }
        assert_eq!((&data["trace"]["model"], &panel["sha256"]), (&"aa".into(), &"cc".into()));
        assert!(panel["defects"][0].get("mask").is_none() && panel.get("trace").is_none());
    }

    #[test]
    fn pictures_shrink_until_the_page_fits() {
        let size_of = |data: &Value, at: usize| {
            let picture = &data["panels"][at]["pictures"][0];
            assert_eq!((&picture["width"], &picture["height"]), (&400.into(), &300.into()), "the frame's own size");
            let jpeg = BASE64_STANDARD.decode(picture["jpeg"].as_str().unwrap()).unwrap();
            let image = image::load_from_memory_with_format(&jpeg, image::ImageFormat::Jpeg).unwrap();
            (image.width(), image.height())
        };
        let made = |panels: u32, max_bytes: u64, max_edge: u32| {
            let options = HtmlOptions { max_bytes, max_edge, ..HtmlOptions::default() };
            let mut report = HtmlReport::new("t", options);
            for i in 0..panels {
                let pictures = pictures(&[noise(400, 300, i)], max_edge);
                report.add(&self::report(&format!("p{i}")).into(), None, pictures).unwrap();
            }
            page(report)
        };
        assert_eq!(size_of(&data(&made(1, 9_500_000, 640)), 0), (400, 300), "a small frame keeps its size");
        assert_eq!(size_of(&data(&made(1, 9_500_000, 200)), 0), (200, 150));
        let many = made(40, 600_000, 640);
        assert!((300_000..=600_000).contains(&many.len()), "{} bytes", many.len());
        let data = data(&many);
        let (first, last) = (size_of(&data, 0), size_of(&data, 39));
        assert!(first.0 < 300 && first.0 > 64 && first == last, "all have one size: {first:?}, {last:?}");
        // Where nothing fits any more the panels stay, without pictures.
        let crowded = self::data(&made(40, 10_000, 640));
        let panels = crowded["panels"].as_array().unwrap();
        assert_eq!(panels.len(), 40);
        assert!(panels.iter().all(|panel| panel["pictures"].as_array().unwrap().is_empty()));
    }

    #[test]
    fn frames_of_every_kind_become_pictures() {
        let frames = [
            Frame::new(Size::new(2, 1), PixelFormat::Mono16, vec![0u16, 65_535]).unwrap(),
            Frame::new(Size::new(1, 1), PixelFormat::Rgb8, vec![255u8, 0, 0]).unwrap(),
            Frame::new(Size::new(1000, 1), PixelFormat::Rgb16, vec![30_000u16; 3000]).unwrap(),
            Frame::strided(Size::new(2, 1), PixelFormat::Mono12, vec![0u16, 4095, 9], 3).unwrap(),
            Frame::strided(Size::new(1, 1), PixelFormat::Bgr8, vec![0u8, 0, 255, 9], 4).unwrap(),
            Frame::new(Size::new(2, 1), PixelFormat::Mono16, vec![0u16, 4095]).unwrap(),
        ];
        let mut report = HtmlReport::new("t", HtmlOptions::default());
        report.add(&self::report("p").into(), None, pictures(&frames, 640)).unwrap();
        let data = data(&page(report));
        let shades: Vec<Vec<u8>> = (0..6)
            .map(|at| {
                let jpeg = BASE64_STANDARD.decode(data["panels"][0]["pictures"][at]["jpeg"].as_str().unwrap()).unwrap();
                image::load_from_memory(&jpeg).unwrap().into_rgb8().into_raw()
            })
            .collect();
        assert!(shades[0][0] < 20 && shades[0][3] > 235, "{:?}", shades[0]);
        assert!(shades[1][0] > 235 && shades[1][1] < 20, "{:?}", shades[1]);
        assert!(shades[2].len() == 640 * 3 && shades[2][0].abs_diff(117) < 4, "{:?}", &shades[2][..3]);
        assert_eq!((&shades[3], &shades[4]), (&shades[0], &shades[1]), "12 bits, and blue first");
        assert_eq!(shades[5], shades[0], "12 bits in a frame of 16 are shown as bright");
    }

    #[test]
    fn masks_and_lists_of_defects_have_a_limit() {
        let mask = Mask::from_fn(Size::new(1000, 600), |x, y| x < 500 && y < 300);
        let mut report = HtmlReport::new("t", HtmlOptions::default());
        let found = self::report("p").with_defects(vec![defect("k").with_mask(mask); 130]);
        report.add(&found.into(), None, Vec::new()).unwrap();
        let data = data(&page(report));
        let panel = &data["panels"][0];
        assert_eq!((panel["defects"].as_array().unwrap().len(), &panel["more"]), (100, &30.into()));
        let mask = &panel["defects"][0]["mask"];
        assert_eq!(mask["size"], json!([192, 320]));
        let small = Mask::from_coco_counts(Size::new(320, 192), mask["counts"].as_str().unwrap()).unwrap();
        assert_eq!(small.area(), 160 * 96);
    }

    #[test]
    fn the_policy_of_the_page_allows_its_own_script_and_style_only() {
        let page = page(HtmlReport::new("t", HtmlOptions::default()));
        let policy = page.split_once("Content-Security-Policy\" content=\"").unwrap().1.split_once('"').unwrap().0;
        let inside = |from: &str, to: &str| page.split_once(from).unwrap().1.split_once(to).unwrap().0.to_owned();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"));
        assert!(policy.contains(&format!("style-src {};", hash_source(&inside("<style>", "</style>")))));
        assert!(policy.contains(&format!("script-src {};", hash_source(&inside("<script>", "</script>")))));
        for outside in ["http://", "https://", "url(", " onclick", "innerHTML"] {
            let found = page.replace("http://www.w3.org/2000/svg", "").replace("url(#", "").contains(outside);
            assert!(!found, "{outside} is on the page");
        }
    }
}
