//! What a visitor does in the lab, and what it shows.

use serde_json::Value;

use crate::rig::Browser;

pub const STORES: [&str; 4] = ["file", "map", "memory", "cookie"];

/// The page, open and ready.
pub struct Lab<'b> {
    pub browser: &'b Browser,
}

/// The totals of the last run, and how many calls are drawn.
#[derive(Debug)]
pub struct Shown {
    pub time_ms: f64,
    pub waited_ms: f64,
    /// Nothing, if the page could not find out.
    pub lost: Option<f64>,
    pub again: f64,
    pub failed: f64,
    pub drawn: usize,
}

impl<'b> Lab<'b> {
    pub async fn open(browser: &'b Browser) -> Self {
        browser.visit("/lab").await;
        browser.element(r#"body[data-state="idle"] #fire:enabled"#).await;
        Self { browser }
    }

    pub async fn choose(&self, store: &str, access: &str) {
        self.choose_store(store).await;
        self.browser.click(&radio(access)).await;
    }

    pub async fn choose_store(&self, store: &str) {
        let select = self.browser.element("#store").await;
        select.select_by_value(store).await.expect("the store is offered");
    }

    pub async fn size(&self, calls: u32, handler_ms: u32) {
        self.browser.fill("#calls", &calls.to_string()).await;
        self.browser.fill("#handler-ms", &handler_ms.to_string()).await;
    }

    /// The accesses that the chosen store offers.
    pub async fn offered(&self) -> Vec<String> {
        let script = r#"
            const radios = document.querySelectorAll('input[name="access"]:enabled');
            return [...radios].map(({ value }) => value);
        "#;
        serde_json::from_value(self.browser.run(script).await).expect("a list of values")
    }

    pub async fn fire(&self) -> Shown {
        self.finish(1, async || self.browser.click("#fire").await).await
    }

    /// Waits until what `begin` begins has finished this many more runs.
    pub async fn finish(&self, runs: u64, begin: impl AsyncFnOnce()) -> Shown {
        let runs = self.runs().await + runs;
        begin().await;
        self.browser.element(&format!(r#"body[data-state="idle"][data-runs="{runs}"]"#)).await;
        self.shown().await
    }

    pub async fn shown(&self) -> Shown {
        Shown {
            time_ms: self.figure("#total-time", "ms").await,
            waited_ms: self.figure("#total-waited", "ms").await,
            lost: self
                .data("#total-lost", "count")
                .await
                .map(|count| number("#total-lost", &count)),
            again: self.figure("#total-again", "count").await,
            failed: self.figure("#total-failed", "count").await,
            drawn: self.browser.count("#waterfall svg .call").await,
        }
    }

    pub async fn runs(&self) -> u64 {
        self.figure("body", "runs").await as u64
    }

    pub async fn state(&self) -> String {
        self.data("body", "state").await.expect("a state")
    }

    pub async fn status(&self) -> String {
        self.browser.element("#status").await.text().await.expect("a text")
    }

    /// A number that the page keeps beside what it shows.
    pub async fn figure(&self, css: &str, key: &str) -> f64 {
        let value = self.data(css, key).await.unwrap_or_else(|| panic!("{css} has no data-{key}"));
        number(css, &value)
    }

    /// How many requests went to the server because of runs since the page was opened.
    pub async fn requests(&self) -> Value {
        let script = r#"
            return performance.getEntriesByType("resource")
                .filter(({ name }) => /[/]lab[/](file|map|memory|cookie)[/]/.test(name)).length;
        "#;
        self.browser.run(script).await
    }

    async fn data(&self, css: &str, key: &str) -> Option<String> {
        let element = self.browser.element(css).await;
        element.attr(&format!("data-{key}")).await.expect("it is still there")
    }
}

fn number(css: &str, text: &str) -> f64 {
    text.parse().unwrap_or_else(|error| panic!("{css} says {text:?}: {error}"))
}

pub fn radio(access: &str) -> String {
    format!(r#"input[name="access"][value="{access}"]"#)
}
