//! Which settings make sense together.

use std::time::Duration;

use cloakroom::{Access, Unsupported};

use super::{Settings, SettingsError};
use crate::cookie::{Attributes, SameSite, Template};
use crate::limits;

impl Settings {
    /// The cookie that these settings describe.
    ///
    /// # Errors
    ///
    /// They make no sense.
    pub(crate) fn template(&self) -> Result<Template, SettingsError> {
        self.check_keys()?;
        self.check_durations()?;
        if let Some(proxy) = &self.wrong_proxy {
            return Err(SettingsError::Proxy(proxy.clone()));
        }
        if self.same_site == SameSite::None && !self.secure {
            return Err(SettingsError::InsecureNone);
        }
        let name = self.checked_name()?;
        let domain = self.checked_domain()?;
        self.check_path()?;
        self.check_prefix(&name)?;
        let attributes = Attributes {
            domain,
            path: &self.cookie_path,
            secure: self.secure,
            http_only: self.http_only,
            same_site: self.same_site,
            max_age: self.max_age,
        };
        let template = Template::new(name, &attributes);
        if template.size(template.name.len(), SIGNED_ID) > limits::COOKIE_MAX {
            let (setting, reason) = ("cookie_name", "leaves no room for a value");
            return Err(wrong(setting, &self.cookie_name, reason));
        }
        Ok(template)
    }

    /// The access of requests whose route names none, of those that a store offers.
    ///
    /// # Errors
    ///
    /// It is not among them.
    pub(crate) fn default_access(
        &self,
        store: &'static str,
        offers: &'static [Access],
    ) -> Result<Access, SettingsError> {
        match self.access {
            Some(access) if offers.contains(&access) => Ok(access),
            Some(access) => Err(Unsupported { store, access, offers }.into()),
            None if offers.contains(&Access::Exclusive) => Ok(Access::Exclusive),
            None => Ok(Access::Optimistic),
        }
    }

    /// # Errors
    ///
    /// A setting is only for sessions sealed in the cookie, or out of its bounds.
    pub(crate) fn check_stored(&self) -> Result<(), SettingsError> {
        if self.renew_grace > cloakroom::limits::GRACE_MAX {
            let (setting, must) = ("renew_grace", "10 minutes at most");
            return Err(SettingsError::Range { setting, must });
        }
        match self {
            Self { compression_level: Some(_), .. } => {
                Err(SettingsError::SealedOnly("compression_level"))
            }
            Self { split: true, .. } => Err(SettingsError::SealedOnly("split")),
            _ => Ok(()),
        }
    }

    /// # Errors
    ///
    /// A setting is only for sessions in a store, or out of its bounds.
    pub(crate) fn check_sealed(&self) -> Result<(), SettingsError> {
        if self.renew_grace > Duration::ZERO {
            return Err(SettingsError::StoredOnly("renew_grace"));
        }
        if self.compression_level.is_some_and(|level| !(1..=10).contains(&level)) {
            let (setting, must) = ("compression_level", "1 to 10");
            return Err(SettingsError::Range { setting, must });
        }
        Ok(())
    }

    fn check_keys(&self) -> Result<(), SettingsError> {
        for key in &self.secrets.keys {
            let mut seen = [false; 256];
            for byte in key {
                if let Some(seen) = seen.get_mut(usize::from(*byte)) {
                    *seen = true;
                }
            }
            let (bytes, different) = (key.len(), seen.iter().filter(|seen| **seen).count());
            if bytes < limits::SECRET_KEY_MIN || different < limits::SECRET_KEY_VARIETY {
                return Err(SettingsError::SecretKey { bytes, different });
            }
        }
        Ok(())
    }

    fn check_durations(&self) -> Result<(), SettingsError> {
        let durations = [
            ("timeout", self.lifetime.idle, Duration::from_millis(1), "a millisecond at least"),
            (
                "absolute_timeout",
                self.lifetime.absolute,
                Duration::from_millis(1),
                "a millisecond at least",
            ),
            ("max_age", self.max_age, Duration::from_secs(1), "a second at least"),
        ];
        for (setting, duration, least, must) in durations {
            if duration.is_some_and(|duration| duration < least) {
                return Err(SettingsError::Range { setting, must });
            }
        }
        Ok(())
    }

    /// The name, with its prefix.
    fn checked_name(&self) -> Result<String, SettingsError> {
        let name = &self.cookie_name;
        // A token of RFC 9110.
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            let reason = "must be one or more letters, digits, or some of !#$%&'*+-.^_`|~";
            return Err(wrong("cookie_name", name, reason));
        }
        let prefix = if self.host_prefix && !has_prefix(name, HOST) { HOST } else { "" };
        Ok(format!("{prefix}{name}"))
    }

    fn checked_domain(&self) -> Result<Option<&str>, SettingsError> {
        let Some(domain) = &self.cookie_domain else { return Ok(None) };
        // Browsers ignore a leading dot.
        let bare = domain.strip_prefix('.').unwrap_or(domain);
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !bare.split('.').all(label) {
            let reason = "must be a host name in ASCII, as `example.com`";
            return Err(wrong("cookie_domain", domain, reason));
        }
        Ok(Some(bare))
    }

    fn check_path(&self) -> Result<(), SettingsError> {
        let path = &self.cookie_path;
        let printable = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b';';
        if !path.starts_with('/') || !path.bytes().all(printable) {
            let reason = "must begin with `/` and have neither `;` nor what is not printable ASCII";
            return Err(wrong("cookie_path", path, reason));
        }
        Ok(())
    }

    fn check_prefix(&self, name: &str) -> Result<(), SettingsError> {
        let refuse = |condition, remedy| {
            Err(SettingsError::Prefix { name: name.to_owned(), condition, remedy })
        };
        let host = has_prefix(name, HOST);
        if (host || has_prefix(name, "__Secure-")) && !self.secure {
            return refuse("if it is Secure", "leave `secure` on, or set `plain_http()`");
        }
        if host && self.cookie_domain.is_some() {
            return refuse(
                "without a domain",
                "leave out `cookie_domain`, or set `host_prefix(false)`",
            );
        }
        if host && self.cookie_path != "/" {
            return refuse(
                "for the path `/`",
                "leave out `cookie_path`, or set `host_prefix(false)`",
            );
        }
        Ok(())
    }
}

/// Browsers compare prefixes without regard to case.
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn wrong(setting: &'static str, value: &str, reason: &'static str) -> SettingsError {
    SettingsError::Cookie { setting, value: value.to_owned(), reason }
}

const HOST: &str = "__Host-";

/// The bytes of the longest ticket.
const SIGNED_ID: usize = 64 + 1 + 22 + 1 + 43;
