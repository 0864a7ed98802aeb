//! The address of the client: of the peer, or what declared proxies say.

use std::net::IpAddr;

use crate::keys::Secrets;

/// Networks whose machines are believed when they say for whom they forward a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<Network>);

#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Proxies {
    /// Adds an address or a network (`10.0.0.0/8`, `fd00::/8`); says whether it is one.
    pub(crate) fn add(&mut self, text: &str) -> bool {
        let network = Network::parse(text);
        self.0.extend(network);
        network.is_some()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The client of a request that came from `peer` with these `X-Forwarded-For` headers.
    ///
    /// Each proxy appends the address it was called from, so only the end of the list can be
    /// believed: as far back as the addresses are those of declared proxies, and one further.
    /// A request without a peer came over a local socket; then a proxy is in front if any is declared.
    pub(crate) fn client(&self, peer: Option<IpAddr>, forwarded: &[&[u8]]) -> Option<IpAddr> {
        let mut client = peer.map(|peer| peer.to_canonical());
        if self.0.is_empty() || client.is_some_and(|peer| !self.contains(peer)) {
            return client;
        }
        let hops = forwarded.iter().rev().flat_map(|header| header.rsplit(|byte| *byte == b','));
        for hop in hops {
            let Some(hop) = parse_hop(hop) else { break };
            client = Some(hop);
            if !self.contains(hop) {
                break;
            }
        }
        client
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        (prefix <= longest).then_some(Self { address, prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

/// An address as proxies write it: some add the port, some the brackets of a URL.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip());
    let address: IpAddr = hop.parse().ok().or_else(with_port).or_else(bare)?;
    Some(address.to_canonical())
}

/// Binds tickets and seals to the address of the client, as a keyed hash: the cookie does not show it.
pub(crate) struct Binder(Vec<[u8; 32]>);

impl Binder {
    pub(crate) fn new(secrets: &Secrets, namespace: &str) -> Self {
        Self(secrets.derive(PURPOSE, namespace))
    }

    /// What the cookie carries for a client at this address.
    pub(crate) fn bind(&self, client: Option<IpAddr>) -> Binding {
        self.0.first().map(|key| hash(key, client)).unwrap_or_default()
    }

    /// Whether `binding` was made for a client at this address, with whichever key.
    pub(crate) fn is_bound(&self, binding: &[u8], client: Option<IpAddr>) -> bool {
        // What is bound was authenticated before: nothing is learned from the time this takes.
        self.0.iter().any(|key| hash(key, client) == binding)
    }
}

/// A keyed hash of an address.
pub(crate) type Binding = [u8; 16];

/// A client with IPv6 changes its address within its network every few hours, on purpose; the
/// first 64 bits are the network.
fn hash(key: &[u8; 32], client: Option<IpAddr>) -> Binding {
    let mut hasher = blake3::Hasher::new_keyed(key);
    match client {
        None => hasher.update(b""),
        Some(IpAddr::V4(address)) => hasher.update(&address.octets()),
        Some(IpAddr::V6(address)) => hasher.update(&(address.to_bits() >> 64).to_be_bytes()),
    };
    let [a @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *hasher.finalize().as_bytes();
    a
}

const PURPOSE: &str = "cloakroom-web 2026-11-20 client address";

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn client(proxies: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let mut declared = Proxies::default();
        assert!(proxies.iter().all(|proxy| declared.add(proxy)));
        let forwarded: Vec<&[u8]> = forwarded.iter().map(|header| header.as_bytes()).collect();
        declared
            .client(peer.parse().ok(), &forwarded)
            .map_or_else(|| "nobody".to_owned(), |client| client.to_string())
    }

    #[test]
    fn what_an_undeclared_proxy_says_is_ignored() {
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn of_what_declared_proxies_say_only_the_end_is_believed() {
        let proxies = ["10.0.0.0/8", "2001:db8::/32"];
        let ask = |forwarded: &[&str]| client(&proxies, "10.0.0.1", forwarded);
        assert_eq!(ask(&["198.51.100.7"]), "198.51.100.7");
        assert_eq!(ask(&["203.0.113.66, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(ask(&["203.0.113.66", "198.51.100.7, 10.2.3.4"]), "198.51.100.7");
        assert_eq!(ask(&["198.51.100.7,[2001:db8::1]:443"]), "198.51.100.7");
        assert_eq!(ask(&["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(ask(&["::ffff:198.51.100.7"]), "198.51.100.7");
        assert_eq!(ask(&["10.9.9.9"]), "10.9.9.9");
        assert_eq!(ask(&[]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_address_ends_the_list() {
        for nonsense in
            ["unknown", "", "198.51.100.7, \u{1f9e5}", "1.2.3", "198.51.100.7, 10.1.1.1, _x"]
        {
            assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &[nonsense]), "10.0.0.1", "{nonsense}");
        }
    }

    #[test]
    fn over_a_local_socket_the_declared_proxy_is_believed_and_nobody_else() {
        assert_eq!(client(&["10.0.0.0/8"], "", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(&[], "", &["198.51.100.7"]), "nobody");
    }

    #[test]
    fn networks_are_parsed_or_refused() {
        for good in ["10.0.0.0/8", "0.0.0.0/0", "::1", "fd00::/8", "::/0", "192.0.2.1/32"] {
            assert!(Proxies::default().add(good), "{good}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0", "::/129", "10.0.0.0/-1", "proxy.example", "/8"] {
            assert!(!Proxies::default().add(bad), "{bad}");
        }
    }

    #[test]
    fn a_binding_holds_for_its_address_or_its_network_of_ipv6_and_for_every_key() {
        let secrets = |keys: &[u8]| Secrets {
            keys: keys.iter().map(|byte| vec![*byte; 32].into()).collect(),
        };
        let old = Binder::new(&secrets(&[1]), "");
        let new = Binder::new(&secrets(&[2, 1]), "");
        let at = |text: &str| Some(text.parse().unwrap());
        let bound = old.bind(at("192.0.2.1"));
        assert!(new.is_bound(&bound, at("192.0.2.1")));
        assert!(!new.is_bound(&bound, at("192.0.2.2")));
        assert!(!new.is_bound(&bound, None));
        assert!(!Binder::new(&secrets(&[2]), "").is_bound(&bound, at("192.0.2.1")));
        let bound = old.bind(at("2001:db8::1"));
        assert!(old.is_bound(&bound, at("2001:db8::ffff:2")));
        assert!(!old.is_bound(&bound, at("2001:db8:0:1::1")));
    }
}
