//! `cargo xtask page`: the page of `HtmlReport` in a real browser, clicked and typed at. Screenshots go into
//! `target/page`. Pages that are named are only loaded and photographed.

mod browser;
mod fixture;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use browser::{Failure, Page};
use fixture::{Fixture, NASTY};
use panelqc::Verdict;
use panelqc_eval::dataset::Decisions;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let pictures = target.join("page");
    fs::create_dir_all(&pictures)?;
    let named: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    // A machine without a browser is told so before anything is inspected.
    let page = Page::start(&pictures)?;
    if !named.is_empty() {
        for file in &named {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            page.open(file)?;
            photograph(&page, &name)?;
            page.quiet().map_err(|e| format!("{}: {e}", file.display()))?;
        }
        return done(&pictures);
    }

    let fixture = Fixture::new(&root, &pictures)?;
    let file = fixture.boards(pictures.join("boards.html"))?;
    let checks: [(&str, fn(&Page, &Fixture) -> Result<(), Failure>); 8] = [
        ("names stay text", names_stay_text),
        ("filters", filters),
        ("sorting", sorting),
        ("zoom and layers", zoom),
        ("keyboard", keyboard),
        ("review queue", review),
        ("dark and light", colours),
        ("print", print),
    ];
    page.size(1400, 1000)?;
    for (name, check) in checks {
        page.open(&file)?;
        let checked = check(&page, &fixture).and_then(|()| page.quiet());
        if let Err(problem) = checked {
            page.shot("failed")?;
            return Err(format!("{name}: {problem}").into());
        }
        println!("ok  {name}");
    }
    page.open(&file)?;
    photograph(&page, "boards")?;

    let measured = Fixture::measured(&root, &pictures, pictures.join("measured.html"))?;
    page.open(&measured)?;
    page.expect("document.querySelectorAll('#charts svg').length", 4)?;
    page.expect(DOT_ON_CURVE, true)?;
    page.expect("[...document.querySelectorAll('#charts svg path.kind-line')].every((p) => !p.getAttribute('d').includes('NaN'))", true)?;
    page.expect("byId('guarantee').textContent.includes('at most 1 % of defective panels pass (0 of 341')", true)?;
    page.quiet()?;
    page.shot("measured")?;
    println!("ok  measured boards");

    let many = fixture.many(1000, pictures.join("many.html"))?;
    let bytes = fs::metadata(&many)?.len();
    let start = Instant::now();
    page.open(&many)?;
    let seconds = start.elapsed().as_secs_f64();
    page.expect("byId('count').textContent", "1,000 panels, the first 60 below")?;
    page.until("document.querySelector('.card img').naturalWidth > 0")?;
    // Pictures far below the window are not decoded.
    let painted = page.value("document.querySelectorAll('.card img').length")?.as_u64().unwrap_or_default();
    if painted >= 60 {
        return Err(format!("1,000 panels: {painted} of 60 pictures were painted before anybody came near them").into());
    }
    page.click("#all")?;
    page.expect("document.querySelectorAll('.card').length", 1000)?;
    if bytes > 10_000_000 {
        return Err(format!("1,000 panels: expected at most 10,000,000 bytes, found {bytes}").into());
    }
    page.quiet()?;
    println!("ok  1,000 panels: {bytes} bytes, loaded in {seconds:.1} s");
    done(&pictures)
}

fn done(pictures: &Path) -> Result<(), Failure> {
    println!("screenshots in {}", pictures.display());
    Ok(())
}

fn photograph(page: &Page, name: &str) -> Result<(), Failure> {
    page.size(1400, 1900)?;
    page.dark(false)?;
    page.shot(&format!("{name}-light"))?;
    page.dark(true)?;
    page.shot(&format!("{name}-dark"))?;
    page.size(1400, 900)?;
    page.value("byId('panels').scrollIntoView({behavior: 'instant'}) ?? null")?;
    page.until("document.querySelector('.card img')")?;
    page.click(".card")?;
    page.shot(&format!("{name}-zoom-dark"))?;
    page.dark(false)?;
    page.shot(&format!("{name}-zoom-light"))?;
    page.keys(&["Escape"])?;
    page.size(390, 844)?;
    page.value("scrollTo(0, 0) ?? null")?;
    // Nothing is wider than the window, but for what scrolls by itself.
    let wide = "[...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > 390 && !e.closest('.box, .scroll')).map((e) => e.id || e.getAttribute('class') || e.tagName)";
    page.expect(wide, serde_json::json!([]))?;
    page.expect("document.documentElement.scrollWidth", 390)?;
    page.shot(&format!("{name}-phone"))?;
    page.value("byId('panels').scrollIntoView({behavior: 'instant'}) ?? null")?;
    page.shot(&format!("{name}-phone-panels"))?;
    page.value("document.querySelector('.card').click() ?? null")?;
    page.shot(&format!("{name}-phone-zoom"))?;
    page.keys(&["Escape"])?;
    page.size(1400, 1000)
}

/// The number of panels that the library counts.
fn count(fixture: &Fixture, wanted: impl Fn(&Panel) -> bool) -> u64 {
    fixture.panels.iter().filter(|panel| wanted(panel)).count() as u64
}

type Panel = (panelqc::PanelRecord, Option<panelqc_report::HtmlLabel>, Vec<panelqc::Frame<'static>>);

/// The number of panels that the page says it shows.
fn shows(page: &Page, panels: u64) -> Result<(), Failure> {
    page.expect("Number.parseInt(byId('count').textContent)", panels)?;
    page.expect("document.querySelectorAll('.card').length", panels)
}

fn names_stay_text(page: &Page, _: &Fixture) -> Result<(), Failure> {
    // The two scripts of the page, and none out of a name.
    page.expect("document.scripts.length", 2)?;
    page.expect("byId('title').textContent", format!("boards of {NASTY}"))?;
    page.expect("document.title", format!("boards of {NASTY}"))?;
    page.expect(
        "[...document.querySelectorAll('.card .name')].filter((n) => n.textContent === NAME).length"
            .replace("NAME", &format!("{NASTY:?}"))
            .as_str(),
        1,
    )?;
    page.expect(
        &format!(
            "[...byId('by-kind').options].some((o) => o.value === {NASTY:?} && o.textContent.startsWith({NASTY:?}))"
        ),
        true,
    )?;
    // In the zoom too: title, decision button, defect table, tag.
    page.expect(&format!("open(panels.find((p) => p.panel === {NASTY:?})) ?? null"), serde_json::Value::Null)?;
    page.expect("byId('zoom-title').textContent", NASTY)?;
    page.expect(
        &format!("[...document.querySelectorAll('#facts td')].some((td) => td.textContent === {NASTY:?})"),
        true,
    )?;
    page.expect(
        &format!("[...document.querySelectorAll('.tag')].some((tag) => tag.textContent.startsWith({NASTY:?}))"),
        true,
    )?;
    page.expect("document.scripts.length", 2)
}

fn filters(page: &Page, fixture: &Fixture) -> Result<(), Failure> {
    let all = count(fixture, |_| true);
    shows(page, all)?;
    for verdict in [Verdict::Pass, Verdict::Review, Verdict::Fail] {
        let of = count(fixture, |(report, ..)| report.verdict() == verdict);
        if of == 0 || of == all {
            return Err(format!("the test needs panels of every verdict, found {of} of {verdict}").into());
        }
        let button = format!("#by-verdict [data-verdict={verdict}]");
        page.click(&button)?;
        shows(page, of)?;
        page.click(&button)?;
        shows(page, all)?;
    }
    // A kind, by keyboard as a person would; the value of a list cannot be clicked at.
    let kind = "short";
    page.value(&format!("(byId('by-kind').value = {kind:?}, byId('by-kind').dispatchEvent(new Event('change')))"))?;
    let sure = |d: &panelqc::Defect| d.kind.as_str() == kind && d.confidence.get() >= 0.38;
    shows(page, count(fixture, |(report, ..)| report.defects().iter().any(sure)))?;
    page.click("#reset")?;
    shows(page, all)?;
    page.click("#by-text")?;
    page.write("BOARD 2")?;
    shows(page, count(fixture, |(report, ..)| report.panel().contains("board 2")))?;
    page.click("#reset")?;
    page.expect("byId('by-text').value", "")?;
    page.value("(byId('by-confidence').value = 0.5, byId('by-confidence').dispatchEvent(new Event('input')))")?;
    let sure = |d: &panelqc::Defect| d.confidence.get() >= 0.5;
    shows(page, count(fixture, |(report, ..)| report.defects().iter().any(sure)))?;
    page.click("#reset")?;
    // The table of labels against verdicts leads to its panels.
    page.click("td button[title^='good, passed']")?;
    let good = |label: &Option<panelqc_report::HtmlLabel>| label.as_ref().is_some_and(|label| !label.defective);
    shows(page, count(fixture, |(report, label, _)| good(label) && report.verdict() == Verdict::Pass))?;
    // And the figures are those of the labels.
    let missed = count(fixture, |(r, l, _)| l.as_ref().is_some_and(|l| l.defective) && r.verdict() == Verdict::Pass);
    page.expect("rates.miss.count", missed)?;
    page.expect("rates.miss.of", count(fixture, |(_, l, _)| l.as_ref().is_some_and(|l| l.defective)))?;
    // The policy decides the panels that are the most certain: its dot lies on the curve.
    page.expect(DOT_ON_CURVE, true)
}

const DOT_ON_CURVE: &str = "(({ of, value }) => riskCurve().some(([x, y]) => \
     Math.hypot(x - of / labelled.length, y - 1 + value) < 1e-9))(rates.decided_right)";

fn sorting(page: &Page, fixture: &Fixture) -> Result<(), Failure> {
    let order = |by: &str| -> Result<Vec<String>, Failure> {
        page.value(&format!("(byId('sort').value = {by:?}, byId('sort').dispatchEvent(new Event('change')))"))?;
        let names = page.value("[...document.querySelectorAll('.card .name')].map((name) => name.textContent)")?;
        Ok(serde_json::from_value(names)?)
    };
    let mut expected: Vec<_> =
        fixture.panels.iter().map(|(report, ..)| (report.score(), report.panel().to_owned())).collect();
    expected.sort_by(|a, b| b.0.unwrap_or(-1.0).total_cmp(&a.0.unwrap_or(-1.0)));
    let scores: Vec<_> = expected.iter().map(|(score, _)| *score).collect();
    let score_of = |name: &String| expected.iter().find(|(_, panel)| panel == name).and_then(|(score, _)| *score);
    if order("score")?.iter().map(score_of).collect::<Vec<_>>() != scores {
        return Err("the panels are not sorted by score".into());
    }
    // What was not inspected is the least certain of all.
    let least = order("uncertainty")?;
    if least.first().and_then(score_of).is_some() {
        return Err(format!("expected the panel without a score first, found {:?}", least.first()).into());
    }
    Ok(())
}

fn zoom(page: &Page, fixture: &Fixture) -> Result<(), Failure> {
    page.click("#by-verdict [data-verdict=fail]")?;
    page.expect("byId('zoom').open", false)?;
    page.click(".card")?;
    page.expect("byId('zoom').open", true)?;
    let name = page.value("byId('zoom-title').textContent")?;
    let Some((report, ..)) = fixture.panels.iter().find(|(report, ..)| name == report.panel()) else {
        return Err(format!("no panel {name}").into());
    };
    let boxes = |least: f32| {
        report.defects().iter().filter(|d| d.confidence.get() >= least && d.frame.unwrap_or(0) == 0).count() as u64
    };
    let drawn = "document.querySelectorAll('#stage rect.line').length";
    let tags = "document.querySelectorAll('#stage .tag').length";
    page.expect(drawn, boxes(0.38))?;
    page.expect(tags, boxes(0.38))?;
    page.until("document.querySelector('#stage img').naturalWidth === 640")?;
    // A box lies where the defect is, whatever the size of the window.
    let first = report.defects()[0].bbox;
    page.expect("document.querySelector('#stage svg').getAttribute('viewBox')", "0 0 640 640")?;
    page.expect(
        &format!(
            "[...document.querySelectorAll('#stage rect.line')].some((r) => Math.abs(r.getAttribute('x') - {}) < 0.01)",
            first.x0
        ),
        true,
    )?;
    page.keys(&["b"])?;
    page.expect(drawn, 0)?;
    page.expect(tags, 0)?;
    page.keys(&["b", "l"])?;
    page.expect(drawn, boxes(0.05))?;
    page.click("#zoom-layers [data-layer=unsure]")?;
    page.expect(drawn, boxes(0.38))?;
    // Larger and back.
    let width = "document.querySelector('#stage .picture').getBoundingClientRect().width";
    let fitted = page.value(width)?.as_f64().unwrap_or_default();
    page.keys(&["+"])?;
    let larger = page.value(width)?.as_f64().unwrap_or_default();
    if (larger / fitted - 1.5).abs() > 0.01 {
        return Err(format!("+ made {fitted} px {larger} px").into());
    }
    page.keys(&["0", "ArrowRight"])?;
    page.expect("byId('zoom-place').textContent.startsWith('2 of ')", true)?;
    page.keys(&["ArrowLeft", "ArrowLeft"])?;
    page.expect("byId('zoom-title').textContent", name)?;
    page.keys(&["Escape"])?;
    page.expect("byId('zoom').open", false)?;
    // A panel of two frames shows the other one.
    page.expect("open(panels.find((p) => p.pictures.length === 2)) ?? null", serde_json::Value::Null)?;
    let first = page.value("document.querySelector('#stage img').src")?;
    page.keys(&["f"])?;
    page.expect(&format!("document.querySelector('#stage img').src !== {first}"), true)?;
    // One that was not inspected says why.
    page.expect("open(panels.find((p) => p.status !== 'ok')) ?? null", serde_json::Value::Null)?;
    page.expect("byId('stage').textContent.includes('expected a reference image')", true)?;
    page.expect("byId('errors').hidden", false)
}

fn keyboard(page: &Page, _: &Fixture) -> Result<(), Failure> {
    // By Tab alone from the start of the page to a card, and no two cards in the order.
    page.expect("document.querySelectorAll('.card[tabindex=\"0\"]').length", 1)?;
    let mut steps = 0;
    while page.value("document.activeElement.classList.contains('card')")? != true {
        page.keys(&["Tab"])?;
        steps += 1;
        if steps > 60 {
            return Err("60 times Tab do not lead to a card".into());
        }
    }
    let name = "document.activeElement.querySelector('.name').textContent";
    let first = page.value(name)?;
    page.keys(&["ArrowRight"])?;
    let second = page.value(name)?;
    page.keys(&["ArrowDown", "ArrowUp", "ArrowLeft"])?;
    page.expect(name, first.clone())?;
    page.keys(&["Enter"])?;
    page.expect("byId('zoom-title').textContent", first)?;
    page.keys(&["ArrowRight", "Escape"])?;
    page.expect(name, second)?;
    page.keys(&["/"])?;
    page.expect("document.activeElement.id", "by-text")?;
    // Letters in the text field are letters.
    page.write("g")?;
    page.expect("decisions.made.size", 0)
}

fn review(page: &Page, fixture: &Fixture) -> Result<(), Failure> {
    let waiting = count(fixture, |(report, ..)| report.verdict() == Verdict::Review);
    page.expect("byId('reviewed').textContent", format!("0 of {waiting} reviewed"))?;
    page.click("#start")?;
    let mut order = Vec::new();
    for key in ["g", "d", "1", "2"] {
        order.push(page.value("byId('zoom-title').textContent")?);
        page.keys(&[key])?;
    }
    // The last one is taken back, and decided by a button.
    page.keys(&["u"])?;
    page.expect("byId('zoom-title').textContent", order[3].clone())?;
    page.click("#decide [data-kind='2']")?;
    page.keys(&["Escape"])?;
    page.expect("byId('reviewed').textContent", format!("4 of {waiting} reviewed"))?;
    page.click("#save")?;
    let decisions = Decisions::load(page.download("decisions.json")?)?;
    let first = &fixture.panels[0].0;
    let stated = (decisions.model(), decisions.manifest(), decisions.policy(), decisions.panels());
    let expected = (&*first.trace().model, &*first.trace().manifest, first.trace().policy.as_deref());
    if stated != (Some(expected.0), Some(expected.1), expected.2, fixture.panels.len() as u64) {
        return Err(format!("the file says it is of {stated:?}").into());
    }
    let kind = |number: usize| fixture.kind(number);
    for (panel, defective, kind) in
        [(&order[0], false, None), (&order[1], true, None), (&order[2], true, kind(0)), (&order[3], true, kind(2))]
    {
        let found = decisions.iter().find(|d| *panel == d.panel.as_str());
        if found.map(|d| (d.defective, d.kind.as_ref())) != Some((defective, kind)) {
            return Err(format!("{panel}: expected {defective}, {kind:?}, found {found:?}").into());
        }
    }
    if decisions.iter().len() != 4 {
        return Err(format!("expected 4 decisions, found {}", decisions.iter().len()).into());
    }
    // They are still there when the page is opened again.
    page.value("location.reload() ?? null")?;
    page.until("document.readyState === 'complete' && byId('reviewed').textContent.startsWith('4 of')")
}

fn colours(page: &Page, _: &Fixture) -> Result<(), Failure> {
    let shade = "getComputedStyle(document.body).backgroundColor";
    page.dark(false)?;
    page.expect(shade, "rgb(244, 245, 247)")?;
    page.dark(true)?;
    page.expect(shade, "rgb(16, 19, 23)")?;
    page.click("#theme")?;
    page.expect(shade, "rgb(244, 245, 247)")?;
    page.click("#theme")?;
    page.expect(shade, "rgb(16, 19, 23)")?;
    page.value("localStorage.removeItem('panelqc:theme') ?? null")?;
    page.dark(false)
}

fn print(page: &Page, fixture: &Fixture) -> Result<(), Failure> {
    let pdf = page.print("boards")?;
    if !pdf.starts_with(b"%PDF") || pdf.len() < 50_000 {
        return Err(format!("{} bytes are no print of the page", pdf.len()).into());
    }
    // Every picture was there to be printed.
    page.expect(
        "document.querySelectorAll('.card .picture').length",
        count(fixture, |(report, _, frames)| !report.trace().version.is_empty() && !frames.is_empty()),
    )
}
