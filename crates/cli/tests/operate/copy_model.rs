//! `copy` against a model: whatever happens in both stores between two copies, each session is in the
//! copy as the rules say.

use std::path::Path;

use cloakroom::SessionId;
use cloakroom::blocking::Sessions;
use cloakroom::seams::OsClock;

use crate::common::run;
use crate::copy::over_pairs;
use crate::store::{TestStore, TestedStore, get, put, url};

over_pairs! {
    whatever_happens_in_both_stores_each_copy_leaves_what_the_rules_say,
}

/// A state of a session: which life, and how often it was committed since.
type State = (u64, u64);

/// One session in both stores.
#[derive(Clone, Copy, Debug, Default)]
struct Model {
    from: Option<State>,
    to: Option<State>,
    copied: Copied,
}

/// What the copy did last.
#[derive(Clone, Copy, Debug, Default)]
enum Copied {
    #[default]
    Nothing,
    /// It stored this state.
    Stored(State),
    /// It is done with this life.
    Ended(u64),
}

impl Model {
    /// The rules, in the words of the manual.
    fn copy(&mut self) {
        if let Copied::Stored((life, _)) = self.copied
            && self.from.is_none_or(|(from, _)| from != life)
        {
            // What ended in FROM ends in TO.
            self.to = self.to.filter(|(to, _)| *to != life);
            self.copied = Copied::Ended(life);
        }
        let Some((life, commits)) = self.from else { return };
        match (self.to, self.copied) {
            (_, Copied::Ended(ended)) if ended == life => {}
            // What was ended in TO never comes back.
            (None, Copied::Stored(_)) => self.copied = Copied::Ended(life),
            // What TO has under that key of its own stays.
            (Some((to, _)), _) if to != life => self.copied = Copied::Ended(life),
            // What goes on in TO is never overwritten.
            (Some(to), Copied::Stored(stored)) if to != stored => {}
            _ => {
                self.to = self.from;
                self.copied = Copied::Stored((life, commits));
            }
        }
    }
}

/// Commits a session once more, or begins another life.
fn commit<S: TestedStore>(
    sessions: &Sessions<S>,
    id: &str,
    state: &mut Option<State>,
    lives: &mut u64,
) {
    let (life, commits) = state.unwrap_or_else(|| {
        *lives += 1;
        (*lives, 0)
    });
    *state = Some((life, commits + 1));
    put(sessions, id, "state", (life, commits + 1));
}

fn end<S: TestedStore>(sessions: &Sessions<S>, id: &str, state: &mut Option<State>) {
    sessions.destroy(&SessionId::from(id)).unwrap();
    *state = None;
}

fn stored<S: TestedStore>(directory: &Path, id: &str) -> Option<State> {
    get::<S>(directory, id, "state").map(|value| serde_json::from_value(value).unwrap())
}

fn whatever_happens_in_both_stores_each_copy_leaves_what_the_rules_say<
    F: TestedStore,
    T: TestedStore,
>(
    store: &TestStore<F>,
) {
    let directory = store.beside("copy").0;
    let url = url::<T>(&directory);
    assert_eq!(run(["copy", &store.url(), &url]).code, Some(0));
    let from = store.sessions();
    let to = Sessions::new(T::in_directory(&directory, OsClock));
    let mut models = vec![Model::default(); 24];
    let (mut lives, mut random) = (0, 0x9e37_79b9_7f4a_7c15_u64);
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    let (mut copied, mut kept) = (0, 0);
    for round in 0..30 {
        for _ in 0..draw(40) {
            let place = usize::try_from(draw(models.len() as u64)).unwrap();
            let (id, model) = (format!("s{place}"), &mut models[place]);
            match draw(8) {
                0..4 => commit(&from, &id, &mut model.from, &mut lives),
                4 => end(&from, &id, &mut model.from),
                5 => end(&to, &id, &mut model.to),
                _ => commit(&to, &id, &mut model.to, &mut lives),
            }
        }
        models.iter_mut().for_each(Model::copy);
        let ended = run(["copy", &store.url(), &url, "--passes", "1"]);
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        for (place, model) in models.iter().enumerate() {
            let id = format!("s{place}");
            assert_eq!(stored::<F>(&store.directory, &id), model.from, "round {round}, {id}, FROM");
            assert_eq!(stored::<T>(&directory, &id), model.to, "round {round}, {id}: {model:?}");
            copied += u32::from(model.to.is_some() && model.to == model.from);
            kept += u32::from(model.to.is_some() && model.to != model.from);
        }
    }
    assert!(copied > 100 && kept > 100, "both happened: {copied} {kept}");
}
