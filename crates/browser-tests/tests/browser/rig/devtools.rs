//! Commands of chromedriver beyond those that the client has by name.

use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use http::Method;
use serde_json::{Value, json};
use url::{ParseError, Url};

use super::Browser;

impl Browser {
    /// A command of the DevTools protocol.
    pub async fn devtools(&self, method: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": method, "params": parameters });
        self.command(Method::POST, "goog/cdp/execute", Some(body)).await
    }

    /// All cookies of the browser, with every attribute, of every path.
    pub async fn cookie_jar(&self) -> Vec<Value> {
        match self.devtools("Network.getAllCookies", json!({})).await["cookies"].take() {
            Value::Array(cookies) => cookies,
            other => panic!("no cookies but {other}"),
        }
    }

    /// The one cookie of this name.
    pub async fn cookie(&self, name: &str) -> Value {
        let jar = self.cookie_jar().await;
        let mut found = jar.iter().filter(|cookie| cookie["name"] == name);
        match (found.next(), found.next()) {
            (Some(cookie), None) => cookie.clone(),
            _ => panic!("not one cookie {name} in {jar:?}"),
        }
    }

    /// Puts a cookie as the browser once stored it into the place of the one it has now.
    pub async fn put_cookie(&self, cookie: &Value) {
        let known = ["name", "value", "domain", "path", "httpOnly", "secure", "sameSite"];
        let parameters = known.into_iter().map(|key| (key.to_owned(), cookie[key].clone()));
        let answer = self.devtools("Network.setCookie", parameters.collect()).await;
        assert_eq!(answer["success"], true, "{cookie}");
    }

    /// Shows pages in this width, as high as they are; of a phone, if `mobile`.
    pub async fn resize(&self, width: u32, height: u32, mobile: bool) {
        let parameters =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.devtools("Emulation.setDeviceMetricsOverride", parameters).await;
    }

    /// Shows pages as to somebody who prefers `light` or `dark`.
    pub async fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [feature] })).await;
        // Colours may take their time to change.
        let settled =
            "return Promise.allSettled(document.getAnimations().map((each) => each.finished))";
        self.run(settled).await;
    }

    /// What the console shows as an error or a warning, since it was last asked. Violations of the
    /// content security policy are among it.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.command(Method::POST, "se/log", Some(json!({ "type": "browser" }))).await;
        let entries = log.as_array().expect("a list of entries");
        let bad = entries
            .iter()
            .filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")));
        bad.map(|entry| entry["message"].to_string()).collect()
    }

    /// The name that a screen reader says.
    pub async fn label(&self, element: &Element) -> String {
        let path = format!("element/{}/computedlabel", &*element.element_id());
        let label = self.command(Method::GET, &path, None).await;
        label.as_str().expect("a label").to_owned()
    }

    async fn command(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let command = Command { method, path: path.to_owned(), body };
        self.issue_cmd(command).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

#[derive(Debug)]
struct Command {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (self.method.clone(), self.body.as_ref().map(Value::to_string))
    }
}
