//! One Chromium with an empty profile.

use std::ops::Deref;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// For anything that happens soon. A test that passes never waits so long.
const SOON: Duration = Duration::from_secs(30);
const PERIOD: Duration = Duration::from_millis(20);

/// The driver's client, with the words of these tests added.
pub struct Browser {
    client: Client,
    site: String,
    directory: PathBuf,
}

impl Deref for Browser {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Browser {
    pub async fn open(driver: &str, site: &str, directory: PathBuf) -> Self {
        let profile = directory.join("profile");
        let downloads = directory.join("downloads");
        std::fs::create_dir_all(&downloads).expect("a directory for downloads");
        let capabilities = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": {
                "args": [
                    "--headless",
                    "--no-sandbox", // Chromium has none for root
                    "--disable-gpu",
                    "--disable-quic",
                    "--no-first-run",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--window-size=1280,900",
                    format!("--user-data-dir={}", profile.display()),
                ],
                "prefs": {
                    "download.default_directory": downloads,
                    "download.prompt_for_download": false,
                },
            },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(driver)
            .await
            .expect("a session of the browser");
        Self { client, site: site.to_owned(), directory }
    }

    /// Opens a path of the server.
    pub async fn visit(&self, path: &str) {
        self.goto(&format!("{}{path}", self.site)).await.expect("the page opens");
    }

    pub fn downloads(&self) -> PathBuf {
        self.directory.join("downloads")
    }

    pub fn site(&self) -> &str {
        &self.site
    }

    /// Opens a tab and works in it from now on.
    pub async fn open_tab(&self) {
        let tab = self.new_window(true).await.expect("a tab");
        self.switch_to_window(tab.handle).await.expect("the tab is there");
    }

    /// What a reader sees of the page.
    pub async fn text(&self) -> String {
        self.element("body").await.text().await.expect("a text").trim().to_owned()
    }

    /// The first element that `css` selects, as soon as there is one.
    pub async fn element(&self, css: &str) -> Element {
        let wait = self.wait().at_most(SOON).every(PERIOD);
        match wait.for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => {
                let source = self.source().await.unwrap_or_default();
                panic!("no {css:?} appeared: {error}; the page is\n{source}")
            }
        }
    }

    pub async fn count(&self, css: &str) -> usize {
        self.find_all(Locator::Css(css)).await.expect("a selector").len()
    }

    pub async fn click(&self, css: &str) {
        self.element(css).await.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Replaces what stands in a field.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.element(css).await;
        field.clear().await.expect("a field that can be cleared");
        field.send_keys(text).await.expect("a field that can be typed into");
    }

    /// What `script` returns in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.execute(script, Vec::new()).await.expect("a script that runs")
    }
}

/// Asks again until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begin.elapsed() < SOON, "not within {SOON:?}: {what}");
        tokio::time::sleep(PERIOD).await;
    }
}
