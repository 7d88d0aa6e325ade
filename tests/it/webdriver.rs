//! A real browser: headless Chromium, driven over the WebDriver protocol of chromedriver.

use crate::harness::{wait, wait_in_vain};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// The name under which WebDriver answers an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A running chromedriver; killed when dropped, its browsers with it.
pub struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    /// Starts it. `None`, with a line that says so, if the browser is not wanted or not here; on
    /// the build machine (`CI=true`) it has to be here.
    pub fn start() -> Option<Self> {
        if std::env::var_os("FARTHING_SKIP_BROWSER").is_some() {
            println!("skipped: FARTHING_SKIP_BROWSER is set");
            return None;
        }
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
                assert!(!must, "chromedriver could not be started: {error}");
                println!("skipped: chromedriver could not be started: {error}");
                return None;
            }
        };
        let (found, port) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    // The receiver has what it waited for once the port is sent.
                    let _ = found.send(port.trim_end_matches('.').parse());
                }
            }
        });
        let port = port.recv_timeout(Duration::from_secs(60)).expect("chromedriver says its port");
        Some(Self { child, port: port.expect("a port") })
    }

    /// A browser of its own, with no history, on an empty page.
    pub fn browser(&self) -> Page {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let downloads = profile.path().join("downloads");
        std::fs::create_dir(&downloads).expect("a directory");
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--no-first-run".to_owned(),
            "--window-size=1280,900".to_owned(),
            "--lang=en".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": {"download": {"default_directory": downloads, "prompt_for_download": false}},
            },
        }}});
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(120)))
            .proxy(None);
        let agent: ureq::Agent = config.build().into();
        let base = format!("http://127.0.0.1:{}/session", self.port);
        let session = call(&agent, "POST", &base, &wanted).expect("a browser");
        let base = format!("{base}/{}", session["sessionId"].as_str().expect("a session"));
        Page { agent, base, profile }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One WebDriver call; its value, or its error as the driver names it.
fn call(agent: &ureq::Agent, method: &str, url: &str, body: &Value) -> Result<Value, String> {
    let request = ureq::http::Request::builder().method(method).uri(url);
    let answer = match method {
        "POST" => agent.run(
            request
                .header("content-type", "application/json")
                .body(body.to_string())
                .expect("a request"),
        ),
        _ => agent.run(request.body(()).expect("a request")),
    };
    let mut answer = answer.unwrap_or_else(|error| panic!("chromedriver: {url}: {error}"));
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().expect("UTF-8");
    let answered: Value = serde_json::from_str(&text).expect("JSON");
    let value = &answered["value"];
    match value["error"].as_str() {
        Some(error) => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default())),
        None => Ok(value.clone()),
    }
}

/// A page in a browser. Elements are named by their CSS selectors.
pub struct Page {
    agent: ureq::Agent,
    base: String,
    profile: TempDir,
}

impl Page {
    fn post(&self, what: &str, body: &Value) -> Result<Value, String> {
        call(&self.agent, "POST", &format!("{}/{what}", self.base), body)
    }

    /// Opens an address.
    pub fn open(&self, url: &str) {
        self.post("url", &json!({"url": url})).expect("the page opens");
    }

    /// Runs a function body with these arguments and gives what it returns.
    pub fn run(&self, script: &str, arguments: &Value) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": arguments}))
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// A command of the browser's own protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn element(&self, css: &str) -> Result<String, String> {
        let found = self.post("element", &json!({"using": "css selector", "value": css}))?;
        Ok(found[ELEMENT].as_str().expect("an element").to_owned())
    }

    /// Does something to an element as soon as the browser lets a person do it.
    fn act(&self, css: &str, action: &str, body: &Value) {
        let mut why = String::new();
        let done = wait_in_vain(|| {
            let element = self.element(css);
            let acted =
                element.and_then(|element| self.post(&format!("element/{element}/{action}"), body));
            acted.map_err(|error| why = error).ok()
        });
        assert!(done.is_some(), "{action} on {css}: {why}");
    }

    /// Clicks with the mouse.
    pub fn click(&self, css: &str) {
        self.act(css, "click", &json!({}));
    }

    /// Types into an element, after what is there.
    pub fn keys(&self, css: &str, text: &str) {
        self.act(css, "value", &json!({"text": text}));
    }

    /// Types in place of what is in a field, which keeps the focus meanwhile.
    pub fn fill(&self, css: &str, text: &str) {
        let (select_all, backspace) = ("\u{e009}a\u{e000}", "\u{e003}");
        self.keys(css, &format!("{select_all}{}", if text.is_empty() { backspace } else { text }));
    }

    /// What an element says, `""` if it is not there.
    pub fn text(&self, css: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.textContent ?? ''";
        self.run(script, &json!([css])).as_str().expect("a text").trim().to_owned()
    }

    /// An attribute, `""` without it.
    pub fn attribute(&self, css: &str, name: &str) -> String {
        let script =
            "return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? ''";
        self.run(script, &json!([css, name])).as_str().expect("a text").to_owned()
    }

    /// How many elements there are.
    pub fn count(&self, css: &str) -> u64 {
        let count =
            self.run("return document.querySelectorAll(arguments[0]).length", &json!([css]));
        count.as_u64().expect("a number")
    }

    /// Whether an element is there to be seen.
    pub fn sees(&self, css: &str) -> bool {
        let script = "return document.querySelector(arguments[0])?.checkVisibility() ?? false";
        self.run(script, &json!([css])) == true
    }

    /// Waits until an element can be seen.
    pub fn see(&self, css: &str) {
        self.until(css, |page| page.sees(css));
    }

    /// Waits until an element is gone or hidden.
    pub fn see_no(&self, css: &str) {
        self.until(css, |page| !page.sees(css));
    }

    /// Waits until what an element says contains `part`, and gives all of it.
    pub fn read(&self, css: &str, part: &str) -> String {
        let mut text = String::new();
        self.until(&format!("{part:?} in {css}"), |page| {
            text = page.text(css);
            page.sees(css) && text.contains(part)
        });
        text
    }

    /// Waits until a condition on the page holds; if it never does, tells what the page shows.
    pub fn until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        if wait_in_vain(|| condition(self).then_some(())).is_none() {
            let body = self.run("return document.body.innerText", &json!([]));
            panic!("waited in vain for {what}; the page: {}", body.as_str().unwrap_or_default());
        }
    }

    /// What lies on the clipboard.
    pub fn clipboard(&self) -> String {
        let script =
            "navigator.clipboard.readText().then(arguments[0], (e) => arguments[0]('' + e))";
        let text = self.post("execute/async", &json!({"script": script, "args": []}));
        text.expect("an answer").as_str().expect("a text").to_owned()
    }

    /// Lets the page of this origin use the clipboard without asking.
    pub fn allow_clipboard(&self, origin: &str) {
        let permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"];
        let grant = json!({"origin": origin, "permissions": permissions});
        self.devtools("Browser.grantPermissions", &grant);
    }

    /// The text of the one file that was downloaded.
    pub fn download(&self) -> String {
        let dir = self.profile.path().join("downloads");
        wait("a download", || {
            let entry = std::fs::read_dir(&dir).expect("a directory").next()?.expect("an entry");
            let is_whole = entry.path().extension().is_some_and(|extension| extension == "txt");
            let text = is_whole.then(|| std::fs::read_to_string(entry.path()).expect("a text"))?;
            (!text.is_empty()).then_some(text)
        })
    }

    /// Shows the page as on a screen of this size.
    pub fn resize(&self, width: u32, height: u32, scale: u32) {
        let mobile = width < 600;
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Shows the page as for someone who prefers `dark` or `light`.
    pub fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Writes a picture of what is on the screen.
    pub fn picture(&self, file: &Path) {
        let shot = self.devtools("Page.captureScreenshot", &json!({"format": "png"}));
        let bytes = from_base64(shot["data"].as_str().expect("a picture"));
        std::fs::write(file, bytes).expect("the picture can be written");
    }

    /// What the page has said on its console since the last look, warnings and errors alone. That
    /// a request was refused the browser says by itself; whether it should have been is not judged
    /// here.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({"type": "browser"})).expect("a log");
        let is_bad = |entry: &&Value| {
            let level = entry["level"].as_str().unwrap_or_default();
            matches!(level, "SEVERE" | "WARNING") && entry["source"] != "network"
        };
        let entries = entries.as_array().expect("an array");
        entries.iter().filter(is_bad).map(Value::to_string).collect()
    }

    /// How far the page can be scrolled to the side, or something stands out of its card, in
    /// pixels.
    pub fn overhang(&self) -> f64 {
        let script = "
            const root = document.scrollingElement;
            let most = root.scrollWidth - innerWidth;
            for (const card of document.querySelectorAll('.card, .purse, dialog[open], header')) {
                if (!card.checkVisibility()) continue;
                const edge = card.getBoundingClientRect().right;
                for (const one of card.querySelectorAll('*:not(.unseen)')) {
                    if (!one.checkVisibility()) continue;
                    most = Math.max(most, one.getBoundingClientRect().right - edge - 0.5);
                }
            }
            return most";
        self.run(script, &json!([])).as_f64().expect("a number")
    }

    /// Waits until nothing moves or fades any more.
    pub fn settle(&self) {
        let script = "return document.getAnimations().length";
        self.until("the end of all animations", |page| page.run(script, &json!([])) == 0);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // A browser that has crashed ends with its driver.
        let _ = self.agent.delete(&self.base).call();
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() * 3 / 4), 0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let digit = digits.iter().position(|digit| *digit == byte).expect("base64");
        bits = bits << 6 | u32::try_from(digit).expect("below 64");
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held).expect("eight bits"));
            bits &= (1 << held) - 1;
        }
    }
    bytes
}
