//! `completions` and `man`.

use std::process::Command;

use tempfile::TempDir;

use crate::common::run;

#[test]
fn every_shell_has_completions_that_know_the_tools() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(["completions", shell]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        for word in ["verify", "--dry-run", "--layout"] {
            assert!(ended.stdout.contains(word.trim_start_matches('-')), "{shell} lacks {word}");
        }
    }
    run(["completions", "nosuchshell"]).refused_with(2, &["bash"]);
}

#[test]
fn bash_takes_the_completions() {
    let script = run(["completions", "bash"]).stdout;
    let test = format!(
        "{script}\nCOMP_WORDS=(cloakroom ver); COMP_CWORD=1; _cloakroom cloakroom ver cloakroom; \
         printf '%s ' \"${{COMPREPLY[@]}}\""
    );
    let Ok(output) = Command::new("bash").args(["-c", &test]).output() else {
        eprintln!("skipped: there is no bash");
        return;
    };
    let replies = String::from_utf8_lossy(&output.stdout);
    assert_eq!(replies.trim(), "verify", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn there_is_a_page_for_each_command() {
    let directory = TempDir::new().unwrap();
    let pages = directory.path().join("man1");
    let ended = run(["man", pages.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    for page in ["cloakroom.1", "cloakroom-ls.1", "cloakroom-copy.1", "cloakroom-replay.1"] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
    assert!(!pages.join("cloakroom-worker.1").exists(), "the hidden command has no page");
    assert!(run(["man"]).stdout.contains("cloakroom\\-ls"));
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    run(["man", "/dev/null/man1"]).refused_with(1, &["failed to write", "/dev/null/man1"]);
}
