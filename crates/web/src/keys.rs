//! Keys for each purpose, derived from the secret keys of the settings.

/// The secret keys of an application: the first signs and seals, all verify and open.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    pub(crate) keys: Vec<Box<[u8]>>,
}

impl Secrets {
    /// A key for this purpose from each secret key, in their order.
    ///
    /// BLAKE3 derives independent keys for different purposes, so what one of them signs is worth
    /// nothing to another. A namespace is part of the purpose: an application that shares the secret
    /// but not the namespace accepts no cookie of this one.
    pub(crate) fn derive(&self, purpose: &str, namespace: &str) -> Vec<[u8; 32]> {
        let derive = |secret: &[u8]| {
            let mut hasher = blake3::Hasher::new_derive_key(purpose);
            hasher.update(&(secret.len() as u64).to_le_bytes());
            hasher.update(secret);
            hasher.update(namespace.as_bytes());
            *hasher.finalize().as_bytes()
        };
        self.keys.iter().map(|secret| derive(secret)).collect()
    }
}
