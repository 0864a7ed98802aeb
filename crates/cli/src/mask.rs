//! Hiding the values whose names look like secrets.

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

/// What names are hidden.
pub struct Mask<'a> {
    usual: Option<Regex>,
    more: &'a [Regex],
}

impl<'a> Mask<'a> {
    /// The usual ones, and more.
    pub fn new(more: &'a [Regex]) -> Self {
        // The expression is a constant, and a test compiles it.
        Self { usual: RegexBuilder::new(USUAL).case_insensitive(true).build().ok(), more }
    }

    /// Hides values, at any depth, and adds their names to `hidden`.
    pub fn hide(&self, values: &mut Map<String, Value>, hidden: &mut Vec<String>) {
        self.hide_below("", values, hidden);
    }

    fn hide_below(&self, path: &str, values: &mut Map<String, Value>, hidden: &mut Vec<String>) {
        for (name, value) in values {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if self.usual.iter().chain(self.more).any(|mask| mask.is_match(name)) {
                *value = Value::String(HIDDEN.to_owned());
                hidden.push(path);
            } else {
                self.hide_in(&path, value, hidden);
            }
        }
    }

    fn hide_in(&self, path: &str, value: &mut Value, hidden: &mut Vec<String>) {
        match value {
            Value::Object(values) => self.hide_below(path, values, hidden),
            Value::Array(values) => {
                for (place, value) in values.iter_mut().enumerate() {
                    self.hide_in(&format!("{path}[{place}]"), value, hidden);
                }
            }
            _ => {}
        }
    }
}

const USUAL: &str = r"passw|passphrase|\bpwd\b|secret|token|csrf|xsrf|nonce|otp\b|api_?key|private_?key|credential|authorization|signature|cookie|session_?id";

/// What stands in the place of a hidden value.
const HIDDEN: &str = "(hidden)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_at_any_depth_and_named() {
        let masks = [Regex::new("^email$").unwrap_or_else(|_| unreachable!())];
        let mask = Mask::new(&masks);
        assert!(mask.usual.is_some());
        let mut values = serde_json::json!({
            "cart": ["shoes", {"apiKey": 7, "size": 42}],
            "csrfToken": "x",
            "email": "ada@example.org",
            "password_hash": {"deep": 1},
            "user": {"name": "ada", "Password": "x"},
        });
        let mut hidden = Vec::new();
        if let Value::Object(values) = &mut values {
            mask.hide(values, &mut hidden);
        }
        let expected = serde_json::json!({
            "cart": ["shoes", {"apiKey": HIDDEN, "size": 42}],
            "csrfToken": HIDDEN,
            "email": HIDDEN,
            "password_hash": HIDDEN,
            "user": {"name": "ada", "Password": HIDDEN},
        });
        assert_eq!(values, expected);
        let names = ["cart[1].apiKey", "csrfToken", "email", "password_hash", "user.Password"];
        assert_eq!(hidden, names);
    }
}
