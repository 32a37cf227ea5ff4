//! What happened, line by line. A swarm keeps nothing; a determinism test keeps a hash; a script and the repetition of a
//! failure keep the lines. Lines are only rendered where somebody wants them.

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
        if self.keep == Keep::Lines {
            self.lines.push(line);
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

    /// The last lines, and before them those that mention one of `subjects`.
    #[must_use]
    pub fn excerpt(&self, subjects: &[String]) -> Vec<&str> {
        const LAST: usize = 20;
        const MENTIONING: usize = 80;
        let tail = self.lines.len().saturating_sub(LAST);
        let mentions = |line: &&String| subjects.iter().any(|subject| mentions(line, subject));
        let about = self.lines[..tail].iter().filter(mentions).collect::<Vec<_>>();
        let skipped = about.len().saturating_sub(MENTIONING);
        about[skipped..].iter().map(|line| line.as_str()).chain(self.lines[tail..].iter().map(String::as_str)).collect()
    }
}

/// Whether `line` names `subject` as a whole word.
fn mentions(line: &str, subject: &str) -> bool {
    line.match_indices(subject).any(|(at, _)| {
        let word = |character: char| character.is_alphanumeric() || character == '-';
        !line[..at].ends_with(word) && !line[at + subject.len()..].starts_with(word)
    })
}
