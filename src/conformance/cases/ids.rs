//! Any string is an id, and namespaces keep apart what is not shared.

use std::collections::HashSet;

use crate::access::Access;
use crate::conformance::stage::{Stage, key, number, to_number};
use crate::id::{Key, SessionId};
use crate::sessions::Sessions;
use crate::store::Store;

pub(in super::super) fn any_bytes_are_an_id_and_different_bytes_are_different_sessions<S: Store>(
    stage: &Stage<S>,
) {
    let long = "x".repeat(1 << 20);
    let ids: Vec<SessionId> = [
        "",
        " ",
        ".",
        "..",
        "../..",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b/c",
        "a\\b",
        "nul\0",
        "nul",
        "\0",
        "line\r\nbreak",
        "line\nbreak",
        "line",
        "%2e%2e%2f",
        "'; DROP TABLE sessions; --",
        "{hash}tag",
        "*",
        "?",
        // The same letter, composed and decomposed.
        "caf\u{e9}",
        "cafe\u{301}",
        "CAF\u{c9}",
        // Case, width and look-alikes.
        "id",
        "ID",
        "\u{ff49}\u{ff44}",
        "\u{131}d",
        "\u{202e}di",
        &long,
        &long[1..],
    ]
    .into_iter()
    .map(SessionId::from)
    .chain([&b"\xff"[..], b"\xff\xfe", b"\xc3", b"\xed\xa0\x80"].map(SessionId::from))
    .collect();
    let keys: Vec<Key> = ids.iter().map(|id| Key::new("", id)).collect();
    for (index, key) in (1..).zip(&keys) {
        stage.assert_absent(key, "no other id leads to it");
        stage.put(key, &number(index));
    }
    for (index, key) in (1..).zip(&keys) {
        let (record, payload) = stage.seen(key).expect("each one is there");
        assert_eq!((record.version, to_number(&payload)), (1, index), "and is nobody else's");
    }
    stage.destroy_key(&keys[0]);
    assert!(keys.iter().skip(1).all(|key| stage.seen(key).is_some()), "the others live on");
}

pub(in super::super) fn ten_thousand_ids_are_ten_thousand_keys<S: Store>(stage: &Stage<S>) {
    let name = |index: u64| SessionId::from(format!("{index}"));
    let keys: HashSet<Key> = (0..10_000).map(|index| Key::new("", &name(index))).collect();
    assert_eq!(keys.len(), 10_000);
    // Sessions of their own, too: every tenth is stored.
    for index in (0..10_000).step_by(10) {
        stage.put(&Key::new("", &name(index)), &number(index));
    }
    for index in 0..10_000 {
        let payload = stage.payload(&Key::new("", &name(index)));
        let expected = index.is_multiple_of(10).then_some(index);
        assert_eq!(payload.as_deref().map(to_number), expected, "session {index}");
    }
}

pub(in super::super) fn two_namespaces_share_no_session_and_a_shared_one_is_shared<S: Store>(
    stage: &Stage<S>,
) {
    let sessions = |namespace: &str| {
        Sessions::builder(stage.shared())
            .namespace(namespace)
            .calling(stage.calling)
            .clock(stage.clock.clone())
            .build()
    };
    let [shop, admin, shop_again] = ["shop", "admin", "shop"].map(sessions);
    let id = SessionId::from("the ticket");
    for (sessions, value) in [(&shop, "coat"), (&admin, "key")] {
        stage.wait(async {
            let mut session = sessions.open(&id, stage.writers()[0]).await.expect("it is free");
            assert!(session.is_new(), "another namespace's session is not seen");
            session.insert("value", value).expect("it may be written");
            session.commit().await.expect("it is ours");
        });
    }
    for (sessions, value) in [(&shop, "coat"), (&admin, "key"), (&shop_again, "coat")] {
        let session = stage.wait(sessions.open(&id, Access::Snapshot)).expect("it never waits");
        assert_eq!(session.get::<String>("value").expect("it is text").as_deref(), Some(value));
    }
    stage.wait(shop.destroy(&id)).expect("it is nobody's");
    let session = stage.wait(admin.open(&id, Access::Snapshot)).expect("it never waits");
    assert!(!session.is_new(), "a logout in one namespace is none in the other");
    let session = stage.wait(shop_again.open(&id, Access::Snapshot)).expect("it never waits");
    assert!(session.is_new(), "a logout in a namespace is one for everybody who shares it");
}

pub(in super::super) fn parts_of_a_key_do_not_run_together<S: Store>(stage: &Stage<S>) {
    let pairs = [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", ""), ("a\0", "bc"), ("a", "\0bc")];
    let keys = pairs.map(|(namespace, id)| Key::new(namespace, &SessionId::from(id)));
    for (index, key) in (1..).zip(&keys) {
        stage.put(key, &number(index));
    }
    for (index, key) in (1..).zip(&keys) {
        assert_eq!(stage.payload(key).as_deref().map(to_number), Some(index));
    }
    stage.assert_absent(&key("abc"), "nor does a namespace that was not named");
}
