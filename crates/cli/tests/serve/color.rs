//! The plain cookie.

use crate::browser::Browser;
use crate::server::Server;

#[test]
fn a_favorite_color_is_kept_without_a_session() {
    let server = Server::start("memory:", &[]);
    let browser = Browser::new();
    assert_eq!(browser.text(&server, "/favorite_color"), "no favorite color");
    let answer = browser.get(&server, "/favorite_color/blue");
    assert_eq!(answer.body, "blue");
    let cookie = "favorite_color=blue; Path=/favorite_color; Max-Age=3600; SameSite=Lax";
    assert_eq!(answer.headers("set-cookie"), [cookie]);
    assert_eq!(browser.text(&server, "/favorite_color"), "blue");
    assert_eq!(browser.cookie("session_id"), None);
}

#[test]
fn what_is_no_color_is_neither_set_nor_shown() {
    let server = Server::start("memory:", &[]);
    let long = "a".repeat(33);
    let wrong = ["7", "%0d%0aSet-Cookie:%20x=y", "a%3Bb", "%FF", "%3Cb%3E", "bl%C3%A4u", &long];
    for color in wrong {
        let answer = Browser::new().get(&server, &format!("/favorite_color/{color}"));
        assert_eq!(answer.status, 400, "{color}");
        assert!(answer.headers("set-cookie").is_empty(), "{color}");
        let cookie = format!("Cookie: favorite_color={color}");
        let asked = Browser::new().start(&server, "/favorite_color", &["--header", &cookie]);
        assert_eq!(asked.answer().body, "no favorite color", "{color}");
    }
}
