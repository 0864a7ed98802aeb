//! Going through all sessions, part by part of all keys, so that a rewrite of the index on the way loses
//! none; and through the cells, for what a killed process left.

use super::format::{self, Reading};
use super::keys::RoomKey;
use super::rebuild::HEAP;
use super::room::Room;
use super::size::{Class, Extent, UNIT};
use super::word::Place;
use crate::access::Calling;
use crate::error::OpenError;
use crate::id::Key;
use crate::inventory::{Depth, Found, Summary, Walk};

/// A walk over the sessions of a [`MapStore`](super::MapStore).
///
/// # Cancel safety
///
/// A cancelled `next` loses nothing.
pub struct MapWalk {
    room: RoomKey,
    depth: Depth,
    calling: Calling,
    stage: Stage,
    /// Found and not handed out yet, last first.
    ready: Vec<Found>,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Stage {
    /// The sessions whose keys are from this position on.
    Sessions(u64),
    /// The cells of this extent.
    Cells(u32),
    Over,
}

/// What was read at a place.
struct Read {
    key: Key,
    place: Place,
    reading: Reading,
}

impl MapWalk {
    pub(super) const fn new(room: RoomKey, depth: Depth, calling: Calling) -> Self {
        Self { room, depth, calling, stage: Stage::Sessions(0), ready: Vec::new() }
    }
}

impl Walk for MapWalk {
    async fn next(&mut self, limit: usize, found: &mut Vec<Found>) -> Result<(), OpenError> {
        self.room.check_process()?;
        while self.ready.is_empty() {
            let (stage, depth) = (self.stage, self.depth);
            let step = move |room: &Room| room.step(stage, depth);
            let (next, ready) = match stage {
                Stage::Over => return Ok(()),
                _ => self.room.off_thread(self.calling, step).await??,
            };
            (self.stage, self.ready) = (next, ready);
        }
        let kept = self.ready.len().saturating_sub(limit);
        found.extend(self.ready.drain(kept..).rev());
        Ok(())
    }
}

impl Room {
    /// Does one part of a walk; what comes after it.
    fn step(&self, stage: Stage, depth: Depth) -> Result<(Stage, Vec<Found>), OpenError> {
        match stage {
            Stage::Sessions(position) => {
                let (end, found) = self.sessions_from(position)?;
                let next = match (end, depth) {
                    (Some(end), _) => Stage::Sessions(end),
                    (None, Depth::Whole) => Stage::Cells(0),
                    (None, Depth::Current) => Stage::Over,
                };
                Ok((next, found))
            }
            Stage::Cells(number) if number < self.heap.extents() => {
                Ok((Stage::Cells(number + 1), self.leftovers_in(Extent(number))?))
            }
            Stage::Cells(_) | Stage::Over => Ok((Stage::Over, Vec::new())),
        }
    }

    fn sessions_from(&self, position: u64) -> Result<(Option<u64>, Vec<Found>), OpenError> {
        let mut read = Vec::new();
        let end = self.index.visit(position, SLOTS, |place| self.read_at(place), &mut read);
        let end = end.map_err(|error| self.io_error("read", error))?;
        let mut read: Vec<Read> = read.into_iter().flatten().collect();
        read.retain(|Read { key, reading, .. }| {
            let at = format::hash(key).position;
            // The key of a damaged record may be the damage.
            let damaged = matches!(reading, Reading::Damaged);
            damaged || at >= position && end.is_none_or(|end| at < end)
        });
        // A session that was moved meanwhile came twice; the later version is the truth.
        read.sort_by_key(|Read { key, reading, .. }| (*key, std::cmp::Reverse(version(reading))));
        read.dedup_by_key(|read| read.key);
        Ok((end, read.iter().map(|read| self.find_of(read)).collect()))
    }

    fn read_at(&self, place: Place) -> Option<Read> {
        let (key, reading) = format::read_any(&self.heap, place, self.seed)?;
        Some(Read { key, place, reading })
    }

    fn find_of(&self, Read { key, place, reading }: &Read) -> Found {
        match reading {
            Reading::Damaged => Found::Damaged {
                key: *key,
                place: self.root_path.join(HEAP),
                reason: format!("the record at unit {place} fails its check"),
            },
            Reading::Whole(stored) => Found::Session(Summary {
                key: *key,
                record: stored.record,
                payload: stored.payload.len() as u64,
                stored: self.heap.class_of(Extent::of(*place)).map_or(0, bytes),
                expired: stored.record.is_expired(self.clock.now()),
            }),
        }
    }

    /// The cells of an extent that the sweep would give back.
    fn leftovers_in(&self, extent: Extent) -> Result<Vec<Found>, OpenError> {
        let Some(class) = self.heap.class_of(extent) else { return Ok(Vec::new()) };
        let places = self.leftovers(extent.places(class))?;
        let leftover = |place| Found::Leftover {
            place: self.root_path.join(format!("{HEAP}, unit {place}")),
            stored: bytes(class),
        };
        Ok(places.into_iter().map(leftover).collect())
    }
}

fn version(reading: &Reading) -> u64 {
    match reading {
        Reading::Whole(stored) => stored.record.version,
        Reading::Damaged => 0,
    }
}

/// Bytes of a cell.
fn bytes(class: Class) -> u64 {
    (class.units() * UNIT * size_of::<u64>()) as u64
}

/// Slots that a walk looks at in one go.
const SLOTS: usize = 1_024;
