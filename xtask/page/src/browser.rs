use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use headless_chrome::browser::default_executable;
use headless_chrome::protocol::cdp::types::Event;
use headless_chrome::protocol::cdp::{Browser as Cdp, Emulation, Page as CdpPage};
use headless_chrome::{Browser, LaunchOptions, Tab};
use serde_json::Value;

pub(crate) type Failure = Box<dyn Error>;

const NO_BROWSER: &str = "\
expected Chromium or Chrome, found none. Install it (Debian and Ubuntu: apt-get install chromium; others: \
https://www.google.com/chrome/), or set CHROME to the program.";

/// A page in a real browser without a window, and what it did that it should not.
pub(crate) struct Page {
    tab: Arc<Tab>,
    problems: Arc<Mutex<Vec<String>>>,
    pictures: PathBuf,
    /// Where downloads go; also holds the browser's profile.
    folder: tempfile::TempDir,
    /// Ends with the last of the page.
    _browser: Browser,
}

impl Page {
    /// Starts the browser. Screenshots go into `pictures`.
    pub(crate) fn start(pictures: &Path) -> Result<Self, Failure> {
        let path = default_executable().map_err(|_| NO_BROWSER)?;
        let folder = tempfile::tempdir()?;
        let options = LaunchOptions {
            path: Some(path),
            // Chromium refuses its sandbox to root, as which containers run.
            sandbox: false,
            user_data_dir: Some(folder.path().join("profile")),
            args: ["--disable-quic", "--disable-component-update", "--hide-scrollbars"].map(OsStr::new).to_vec(),
            idle_browser_timeout: Duration::from_secs(120),
            ..LaunchOptions::default()
        };
        let browser = Browser::new(options).map_err(|e| format!("the browser does not start: {e}"))?;
        let tab = browser.new_tab()?;
        let problems = Arc::new(Mutex::new(Vec::new()));
        let page = Page { tab, problems, pictures: pictures.to_path_buf(), folder, _browser: browser };
        page.watch()?;
        Ok(page)
    }

    /// Notes errors, messages of the console, and every request but for the page itself and the data in it.
    fn watch(&self) -> Result<(), Failure> {
        let problems = Arc::clone(&self.problems);
        self.tab.enable_log()?;
        self.tab.enable_runtime()?;
        self.tab.call_method(headless_chrome::protocol::cdp::Network::Enable {
            max_total_buffer_size: None,
            max_resource_buffer_size: None,
            max_post_data_size: None,
            report_direct_socket_traffic: None,
            enable_durable_messages: None,
        })?;
        self.tab.call_method(Cdp::SetDownloadBehavior {
            behavior: Cdp::SetDownloadBehaviorBehaviorOption::Allow,
            browser_context_id: None,
            download_path: Some(self.folder.path().display().to_string()),
            events_enabled: None,
        })?;
        self.tab.add_event_listener(Arc::new(move |event: &Event| {
            let problem = match event {
                Event::RuntimeExceptionThrown(e) => format!("exception: {:?}", e.params.exception_details),
                Event::RuntimeConsoleAPICalled(e) => format!("console: {:?}", e.params.args),
                Event::LogEntryAdded(e) => format!("log: {}", e.params.entry.text),
                Event::PageJavascriptDialogOpening(e) => format!("dialog: {}", e.params.message),
                Event::NetworkRequestWillBeSent(e) => {
                    let url = &e.params.request.url;
                    if ["file:", "data:", "blob:"].iter().any(|own| url.starts_with(own)) {
                        return;
                    }
                    format!("request: {url}")
                }
                _ => return,
            };
            if let Ok(mut problems) = problems.lock() {
                problems.push(problem);
            }
        }))?;
        Ok(())
    }

    /// Loads a file and waits until its script has run.
    pub(crate) fn open(&self, file: &Path) -> Result<(), Failure> {
        self.tab.navigate_to(&format!("file://{}", fs::canonicalize(file)?.display()))?.wait_until_navigated()?;
        self.until("document.getElementById('count').textContent !== ''")
    }

    /// The value of an expression.
    pub(crate) fn value(&self, expression: &str) -> Result<Value, Failure> {
        let made = self.tab.evaluate(&format!("JSON.stringify({expression})"), false)?;
        match made.value {
            Some(Value::String(text)) => Ok(serde_json::from_str(&text)?),
            other => Err(format!("{expression}: no value, {other:?} {:?}", made.description).into()),
        }
    }

    /// Fails unless the expression is `expected`.
    pub(crate) fn expect(&self, expression: &str, expected: impl Into<Value>) -> Result<(), Failure> {
        let (found, expected) = (self.value(expression)?, expected.into());
        if found == expected {
            return Ok(());
        }
        Err(format!("{expression}: expected {expected}, found {found}").into())
    }

    /// Waits until the expression is true.
    pub(crate) fn until(&self, expression: &str) -> Result<(), Failure> {
        let start = Instant::now();
        while self.value(&format!("Boolean({expression})"))? != true {
            if start.elapsed() > Duration::from_secs(20) {
                return Err(format!("waited in vain for {expression}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A real click in the middle of the first element that fits.
    pub(crate) fn click(&self, selector: &str) -> Result<(), Failure> {
        // In the middle of the window, so that the header, which stays at its top, does not lie over it.
        self.tab.evaluate(
            &format!("document.querySelector({selector:?}).scrollIntoView({{block: 'center', behavior: 'instant'}})"),
            false,
        )?;
        let failed = |e| format!("clicking on {selector}: {e}");
        self.tab.find_element(selector).map_err(failed)?.click().map_err(failed)?;
        Ok(())
    }

    /// Presses keys, one after the other.
    pub(crate) fn keys(&self, keys: &[&str]) -> Result<(), Failure> {
        for key in keys {
            self.tab.press_key(key)?;
        }
        Ok(())
    }

    /// Types into the field that has the focus.
    pub(crate) fn write(&self, text: &str) -> Result<(), Failure> {
        self.tab.type_str(text)?;
        Ok(())
    }

    /// Sets the size of the window.
    pub(crate) fn size(&self, width: u32, height: u32) -> Result<(), Failure> {
        self.tab.call_method(Emulation::SetDeviceMetricsOverride {
            width,
            height,
            device_scale_factor: 1.0,
            mobile: false,
            scale: None,
            screen_width: None,
            screen_height: None,
            position_x: None,
            position_y: None,
            dont_set_visible_size: None,
            screen_orientation: None,
            viewport: None,
            display_feature: None,
            device_posture: None,
        })?;
        Ok(())
    }

    /// Makes the system's colours dark or light.
    pub(crate) fn dark(&self, dark: bool) -> Result<(), Failure> {
        let value = if dark { "dark" } else { "light" }.to_owned();
        let feature = Emulation::MediaFeature { name: "prefers-color-scheme".to_owned(), value };
        self.tab.call_method(Emulation::SetEmulatedMedia { media: None, features: Some(vec![feature]) })?;
        Ok(())
    }

    /// Saves what the window shows as PNG, when all pictures in it are there.
    pub(crate) fn shot(&self, name: &str) -> Result<(), Failure> {
        self.until("[...document.images].every((image) => image.complete)")?;
        std::thread::sleep(Duration::from_millis(150));
        let png = self.tab.capture_screenshot(CdpPage::CaptureScreenshotFormatOption::Png, None, None, true)?;
        Ok(fs::write(self.pictures.join(format!("{name}.png")), png)?)
    }

    /// Prints into a PDF file; gives its bytes.
    pub(crate) fn print(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let pdf = self.tab.print_to_pdf(None)?;
        fs::write(self.pictures.join(format!("{name}.pdf")), &pdf)?;
        Ok(pdf)
    }

    /// Waits for a downloaded file.
    pub(crate) fn download(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.folder.path().join(name);
        let start = Instant::now();
        while !path.is_file() {
            if start.elapsed() > Duration::from_secs(20) {
                return Err(format!("{name} was not saved").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(path)
    }

    /// Fails when anything was noted since the start.
    pub(crate) fn quiet(&self) -> Result<(), Failure> {
        match self.problems.lock().map_err(|e| e.to_string())?.as_slice() {
            [] => Ok(()),
            problems => Err(problems.join("\n").into()),
        }
    }
}
