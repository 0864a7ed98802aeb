//! What the lab's page relies on.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::server::Server;

const CALLS: u64 = 10;

/// The stores and ways that the server offers: store, way, whether it writes.
fn offered(server: &Server) -> Vec<(String, String, bool)> {
    let setup = Browser::new().get(server, "/lab/setup").json();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let accesses = setup["accesses"].as_array().unwrap();
    let writes =
        |id: &Value| accesses.iter().find(|access| access["id"] == *id).unwrap()["writes"] == true;
    let mut offered = Vec::new();
    for store in setup["stores"].as_array().unwrap() {
        for access in store["accesses"].as_array().unwrap() {
            offered.push((text(&store["id"]), text(access), writes(access)));
        }
    }
    offered
}

/// Fires the calls of a page at once; what they answered, and the counter after.
fn fire(
    server: &Server,
    browser: &Browser,
    store: &str,
    way: &str,
    writes: bool,
) -> (Vec<Value>, u64) {
    let count = |answer: Value| answer["count"].as_u64().unwrap();
    assert_eq!(
        browser.post(server, &format!("/lab/{store}/begin"), "").json(),
        json!({"count": 0})
    );
    let method: &[&str] = if writes { &["--request", "POST"] } else { &[] };
    let asked: Vec<_> = (1..=CALLS)
        .map(|call| browser.start(server, &format!("/lab/{store}/{way}?ms=20&call={call}"), method))
        .collect();
    let answers = asked.into_iter().map(|asked| asked.answer().json()).collect();
    (answers, count(browser.get(server, &format!("/lab/{store}/count")).json()))
}

#[test]
fn every_way_of_every_store_counts_as_promised() {
    let server = Server::start("file:", &[]);
    let offered = offered(&server);
    assert_eq!(offered.len(), 6 + 3 + 6 + 2);
    let browser = Browser::new();
    for (store, way, writes) in offered {
        let (answers, count) = fire(&server, &browser, &store, &way, writes);
        let what = format!("{store}, {way}: {answers:?}, then {count}");
        let calls: Vec<_> = answers.iter().map(|answer| answer["call"].as_u64().unwrap()).collect();
        assert_eq!(calls, (1..=CALLS).collect::<Vec<_>>(), "{what}");
        let mut counts: Vec<_> =
            answers.iter().map(|answer| answer["count"].as_u64().unwrap()).collect();
        counts.sort_unstable();
        for answer in &answers {
            assert!(answer["worked_ms"].as_f64().unwrap() >= 20.0, "{what}");
            assert!(answer["waited_ms"].as_f64().unwrap() >= 0.0, "{what}");
            let (tries, redone) = (&answer["tries"], answer["redone_ms"].as_f64().unwrap());
            assert!(if *tries == 1 { redone == 0.0 } else { redone >= 20.0 }, "{what}");
            assert!(way == "optimistic" || *tries == 1, "{what}");
        }
        match (way.as_str(), store.as_str()) {
            ("exclusive" | "released" | "optimistic", _) => {
                assert_eq!(counts, (1..=CALLS).collect::<Vec<_>>(), "{what}");
                assert_eq!(count, CALLS, "{what}");
            }
            // The cookies of these answers were not kept.
            ("last-write-wins", "cookie") => assert_eq!((counts[0], counts[9], count), (1, 1, 0)),
            ("last-write-wins", _) => {
                assert!((1..=CALLS).contains(&count), "{what}");
                assert!(counts.iter().all(|count| (1..=CALLS).contains(count)), "{what}");
            }
            _ => assert_eq!((counts[0], counts[9], count), (0, 0, 0), "{what}"),
        }
    }
}

#[test]
fn the_setup_is_that_of_the_contract() {
    let server = Server::start("map:", &[]);
    let setup = Browser::new().get(&server, "/lab/setup").json();
    let ids = |list: &Value| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
    };
    assert_eq!(ids(&setup["stores"]), ["file", "map", "memory", "cookie"]);
    let all = ["exclusive", "released", "shared", "snapshot", "optimistic", "last-write-wins"];
    assert_eq!(ids(&setup["accesses"]), all);
    assert_eq!(setup["stores"][0]["accesses"], json!(all));
    assert_eq!(
        setup["stores"][1]["accesses"],
        json!(["snapshot", "optimistic", "last-write-wins"])
    );
    assert_eq!(setup["stores"][2]["accesses"], json!(all));
    assert_eq!(setup["stores"][3]["accesses"], json!(["snapshot", "last-write-wins"]));
    assert_eq!((&setup["calls_max"], &setup["handler_ms_max"]), (&json!(40), &json!(5000)));
}

#[test]
fn a_store_and_its_cookie_are_apart_from_the_others_and_from_the_pages() {
    let home = crate::server::Home::new();
    let server = Server::start(&home.store("map"), &[]);
    let browser = Browser::new();
    for store in ["file", "map", "memory", "cookie"] {
        let answer = browser.post(&server, &format!("/lab/{store}/begin"), "");
        let cookies = answer.headers("set-cookie");
        assert_eq!(cookies.len(), 1);
        assert!(cookies[0].starts_with(&format!("lab_{store}=")), "{cookies:?}");
        assert!(cookies[0].contains(&format!("; Path=/lab/{store};")), "{cookies:?}");
    }
    browser.post(&server, "/lab/map/optimistic", "");
    let count =
        |store| browser.get(&server, &format!("/lab/{store}/count")).json()["count"].clone();
    assert_eq!(["file", "map", "memory", "cookie"].map(count), [0, 1, 0, 0]);
    assert_eq!(browser.text(&server, "/count"), "1");
    // The store that was asked for holds those of its kind.
    assert_eq!(crate::common::sessions(&home.store("map")), 2);
}

#[test]
fn parameters_out_of_range_are_refused_in_a_sentence() {
    let server = Server::start("memory:", &[]);
    let browser = Browser::new();
    browser.post(&server, "/lab/memory/begin", "").json();
    for query in [
        "ms=5001",
        "ms=-1",
        "ms=many",
        "ms=",
        "ms=1&call=41",
        "call=1.5",
        "ms=99999999999999999999",
    ] {
        let answer = browser.post(&server, &format!("/lab/memory/exclusive?{query}"), "");
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.body.contains("must be a whole number from 0 to"), "{}", answer.body);
    }
    assert_eq!(browser.get(&server, "/lab/memory/count").json()["count"], 0);
    for (method, path, status) in [
        ("GET", "/lab/memory/exclusive", 405),
        ("POST", "/lab/memory/snapshot", 405),
        ("POST", "/lab/map/exclusive", 404),
        ("POST", "/lab/cookie/optimistic", 404),
        ("POST", "/lab/redis/begin", 404),
    ] {
        let asked = browser.start(&server, path, &["--request", method]);
        assert_eq!(asked.answer().status, status, "{method} {path}");
    }
}
