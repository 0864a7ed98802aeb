//! The commands that the operator's pages show work as they stand there.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use cloakroom::blocking::Sessions;
use cloakroom::{Access, FileStore, SessionId};
use common::run;
use tempfile::TempDir;

/// The pages, each with its commands in the order they are shown.
fn pages() -> Vec<(PathBuf, Vec<String>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating");
    let mut pages: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            (path, commands(&text))
        })
        .collect();
    pages.sort();
    pages
}

/// The lines of all shell blocks, and the commands in the first table.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut in_shell = false;
    for line in text.lines() {
        match line {
            "```sh" => in_shell = true,
            _ if line.starts_with("```") => in_shell = false,
            _ if in_shell => commands.push(line.to_owned()),
            _ if line.starts_with('|') => {
                commands.extend(
                    line.split('`')
                        .filter(|part| part.starts_with("cloakroom "))
                        .map(str::to_owned),
                );
            }
            _ => {}
        }
    }
    commands
}

/// A store in the place of `/srv/sessions`, with a session of the key that is returned.
fn machine() -> (TempDir, String) {
    let directory = TempDir::new().unwrap();
    fs::create_dir_all(directory.path().join("srv")).unwrap();
    let sessions = Sessions::new(FileStore::open(directory.path().join("srv/sessions")).unwrap());
    let mut key = String::new();
    for number in 0..20 {
        let id = SessionId::from(format!("id {number}"));
        let mut session = sessions.open(&id, Access::Exclusive).unwrap();
        session.insert("number", number).unwrap();
        session.commit().unwrap();
        key = session.key().to_string();
    }
    let line = |second: u32| {
        format!(
            "192.0.2.{} - - [02/Jan/2026:03:04:{second:02} +0000] \"GET /cart HTTP/1.1\" 200 12 \"-\" \"A\"\n",
            second % 3
        )
    };
    let log: String = (0..20).map(line).collect();
    fs::write(directory.path().join("access.log"), log).unwrap();
    // A backup made before, for the pages that restore one.
    fs::create_dir_all(directory.path().join("backup")).unwrap();
    (directory, key)
}

#[test]
fn the_commands_of_every_page_work_in_their_order() {
    let mut count = 0;
    for (page, commands) in pages() {
        let (directory, key) = machine();
        let here = directory.path().to_str().unwrap();
        for command in commands {
            let line = command
                .replace("/srv/", &format!("{here}/srv/"))
                .replace("/backup/", &format!("{here}/backup/"))
                .replace("access.log", &format!("{here}/access.log"))
                .replace("KEY", &key);
            let mut words = line.split_whitespace();
            assert_eq!(words.next(), Some("cloakroom"), "{}: {command}", page.display());
            let ended = run(words);
            assert_eq!(ended.code, Some(0), "{}: {command}: {}", page.display(), ended.stderr);
            count += 1;
        }
    }
    assert!(count > 15, "only {count} commands were found");
}

#[test]
fn every_page_is_in_the_list_of_pages() {
    let pages = pages();
    let list = pages.iter().find(|(path, _)| path.ends_with("README.md")).unwrap();
    let list = fs::read_to_string(&list.0).unwrap();
    for (path, _) in pages {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || list.contains(&format!("({name})")), "{name} is not listed");
    }
}
