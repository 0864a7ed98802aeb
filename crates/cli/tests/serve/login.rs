//! The login.

use crate::browser::Browser;
use crate::server::{Home, Server};

#[test]
fn who_logs_in_is_known_until_the_logout() {
    for kind in ["file", "map", "memory"] {
        let home = Home::new();
        let server = Server::start(&home.store(kind), &[]);
        for (user, passwd, privilege) in [("ada", "lovelace", 2), ("bob", "builder", 1)] {
            let browser = Browser::new();
            assert!(browser.text(&server, "/login").contains("name=\"passwd\""));
            let answer = browser.post(&server, "/login", &format!("user={user}&passwd={passwd}"));
            assert_eq!((answer.status, answer.headers("location")), (303, vec!["/login"]));
            let page = browser.text(&server, "/login");
            assert!(page.contains(&format!("<strong>{user}</strong> with privilege {privilege}")));
            assert!(browser.text(&server, "/logout").contains("<button>"));
            assert!(browser.text(&server, "/login").contains(user), "a link does not log out");
            let answer = browser.post(&server, "/logout", "");
            assert_eq!((answer.status, answer.headers("location")), (303, vec!["/login"]));
            assert_eq!(browser.cookie("session_id"), None);
            assert!(browser.text(&server, "/login").contains("name=\"passwd\""));
        }
    }
}

#[test]
fn a_wrong_login_is_refused_alike_whatever_is_wrong_and_ends_the_one_before() {
    let server = Server::start("memory:", &[]);
    let browser = Browser::new();
    let forms = ["user=ada&passwd=builder", "user=eve&passwd=lovelace", "user=ada", "", "x=%00"];
    let refusals = forms.map(|form| browser.post(&server, "/login", form));
    for (refusal, form) in refusals.iter().zip(forms) {
        assert_eq!(refusal.status, 401, "{form}");
        assert_eq!(refusal.body, refusals[0].body, "{form}");
        assert!(refusal.body.contains("role=\"alert\""));
    }
    // A guess begins no session.
    assert_eq!(browser.cookie("session_id"), None);
    browser.post(&server, "/login", "user=ada&passwd=lovelace");
    assert!(browser.text(&server, "/login").contains("ada</strong>"));
    assert_eq!(browser.post(&server, "/login", "user=ada&passwd=x").status, 401);
    assert!(browser.text(&server, "/login").contains("name=\"passwd\""));
    let session = browser.text(&server, "/session");
    assert!(session.contains("&quot;login&quot;: 0"), "{session}");
}

#[test]
fn a_login_keeps_the_session_and_makes_the_id_before_worthless() {
    for kind in ["file", "map", "memory"] {
        let home = Home::new();
        let server = Server::start(&home.store(kind), &[]);
        let browser = Browser::new();
        assert_eq!(browser.text(&server, "/count"), "1");
        let before = browser.cookie("session_id").unwrap();
        browser.post(&server, "/login", "user=ada&passwd=lovelace");
        assert_ne!(browser.cookie("session_id").unwrap(), before);
        assert_eq!(browser.text(&server, "/count"), "2", "{kind}");
        let thief = format!("session_id={before}");
        let stolen =
            Browser::new().start(&server, "/login", &["--header", &format!("Cookie: {thief}")]);
        assert!(stolen.answer().body.contains("name=\"passwd\""), "{kind}");
    }
}

#[test]
fn a_body_that_is_too_long_or_no_form_is_refused() {
    let server = Server::start("memory:", &[]);
    let browser = Browser::new();
    let long = format!("user={}", "a".repeat(70_000));
    assert_eq!(browser.post(&server, "/login", &long).status, 413);
    for (bytes, kind) in
        [("user=%FF&passwd=%", "application/x-www-form-urlencoded"), ("{}", "application/json")]
    {
        let header = format!("Content-Type: {kind}");
        let asked = browser.start(&server, "/login", &["--data", bytes, "--header", &header]);
        let status = asked.answer().status;
        assert!((400..500).contains(&status), "{bytes}: {status}");
    }
}
