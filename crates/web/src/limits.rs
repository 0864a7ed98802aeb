//! Every limit of this package, in one place.

/// The fewest bytes of a secret key: 256 bits, if they are random.
pub const SECRET_KEY_MIN: usize = 32;

/// The fewest different bytes in a secret key; fewer are a placeholder and no secret.
pub const SECRET_KEY_VARIETY: usize = 8;

/// What browsers keep of one cookie at least: name, value and attributes together (RFC 6265, 6.1).
pub const COOKIE_MAX: usize = 4_096;

/// What all pieces of a session may add to a request, as its `Cookie` header has them. Many servers
/// take no longer header line.
pub const PIECES_MAX: usize = 8_192;

/// The most pieces that [`PIECES_MAX`] allows for, with room to spare.
pub(crate) const PIECES: usize = 9;

/// How many session cookies of one request are looked at. A browser sends several of one name if
/// they were set for several paths or domains.
pub(crate) const CANDIDATES: usize = 16;

/// The largest session that is unpacked from a seal; a bound for what a small cookie may grow to.
pub(crate) const UNPACKED_MAX: usize = 1 << 20;

// One cookie takes at most a line, and a line a few cookies.
const _: () = assert!(COOKIE_MAX <= PIECES_MAX && PIECES * COOKIE_MAX > 2 * PIECES_MAX);
