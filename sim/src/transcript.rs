//! What happened, line by line. A swarm keeps nothing; a determinism test keeps a hash; a script and the repetition of a
//! failure keep the lines. Lines are only rendered where somebody wants them.

use std::collections::BTreeSet;

use gomera_cluster::time::Instant;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How much of a transcript is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: the swarm.
    Nothing,
    /// A hash over all lines.
    Hash,
    /// All lines.
    Lines,
    /// All lines, printed as they come: a machine that panics does not take them with it.
    Printed,
}

/// The lines so far.
#[derive(Debug)]
pub struct Transcript {
    keep: Keep,
    hash: u64,
    lines: Vec<String>,
}

impl Transcript {
    /// An empty transcript.
    #[must_use]
    pub const fn new(keep: Keep) -> Self {
        Self { keep, hash: 0, lines: Vec::new() }
    }

    /// Adds a line, rendered only if wanted.
    pub fn note(&mut self, now: Instant, line: impl FnOnce() -> String) {
        if self.keep == Keep::Nothing {
            return;
        }
        let micros = now.since_start().as_micros();
        let line = format!("{:>6}.{:03} {}", micros / 1000, micros % 1000, line());
        self.hash = xxh3_64_with_seed(line.as_bytes(), self.hash);
        match self.keep {
            Keep::Nothing | Keep::Hash => {}
            Keep::Lines => self.lines.push(line),
            Keep::Printed => println!("{line}"),
        }
    }

    /// Whether lines are rendered at all.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.keep != Keep::Nothing
    }

    /// The hash of all lines.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// All lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The last lines, and before them those that mention one of `subjects`: all of the first subject (within reason), fewer of
    /// the others.
    #[must_use]
    pub fn excerpt(&self, subjects: &[String]) -> Vec<&str> {
        const LAST: usize = 20;
        const OF_FIRST: usize = 80;
        const OF_OTHERS: usize = 40;
        let tail = self.lines.len().saturating_sub(LAST);
        let mut chosen = BTreeSet::new();
        for (rank, subject) in subjects.iter().enumerate() {
            let most = if rank == 0 { OF_FIRST } else { OF_OTHERS };
            let about = (0..tail).rev().filter(|&index| mentions(&self.lines[index], subject));
            chosen.extend(about.take(most));
        }
        chosen.extend(tail..self.lines.len());
        chosen.into_iter().map(|index| self.lines[index].as_str()).collect()
    }
}

/// Whether `line` names `subject` as a whole word.
fn mentions(line: &str, subject: &str) -> bool {
    line.match_indices(subject).any(|(at, _)| {
        let word = |character: char| character.is_alphanumeric() || character == '-';
        !line[..at].ends_with(word) && !line[at + subject.len()..].starts_with(word)
    })
}
