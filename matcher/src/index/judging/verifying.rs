//! What comparing has left, publication by publication: targets that are not simply rows, and lanes that their programs decide.

use gomera_cluster::pages::Pages;

use super::super::arena::Arena;
use super::super::blocks::{Role, Target};
use super::super::crowds::Crowd;
use super::super::program::View;
use super::super::scratch::Paper;
use super::super::store::Record;
use super::super::{Contexts, Output, RowId, Slices};
use super::AHEAD;
use crate::kernel::prefetch;

/// One publication's turn.
pub struct Verifying<'a> {
    pub programs: &'a Arena<u32>,
    pub records: &'a Pages<Record>,
    pub crowds: &'a mut Pages<Crowd>,
    pub satisfied: &'a mut Vec<u64>,
    pub several: &'a mut Vec<u32>,
    pub refused: &'a mut Vec<u64>,
    pub refusals: &'a mut Vec<u32>,
    pub slices: Slices<'a>,
    /// The publication's number.
    pub epoch: u32,
    /// Rows of crowds that were given out.
    pub given: usize,
}

impl Verifying<'_> {
    /// Gives targets out that are not simply rows.
    pub fn give_marked(&mut self, publication: usize, paper: &mut Paper, output: &mut (impl Output + ?Sized)) {
        let Paper { marked, singles, .. } = paper;
        for (index, &target) in marked.iter().enumerate() {
            if let Some(next) = marked.get(index + AHEAD)
                && let Role::Crowd(number) = Target(next.0).role()
            {
                prefetch(&self.crowds[number]);
            }
            self.satisfied(publication, Target(target.0), singles, output);
        }
    }

    #[inline]
    fn satisfied(
        &mut self,
        publication: usize,
        target: Target,
        singles: &mut Vec<RowId>,
        output: &mut (impl Output + ?Sized),
    ) {
        match target.role() {
            Role::Row(row) => singles.push(row),
            Role::RowOfSeveral(row) => {
                let (word, bit) = (row.index() / 64, 1 << (row.0 % 64));
                if word >= self.satisfied.len() {
                    self.satisfied.resize(self.records.len().div_ceil(64), 0);
                }
                if self.satisfied[word] & bit == 0 {
                    self.satisfied[word] |= bit;
                    self.several.push(row.0);
                    singles.push(row);
                }
            }
            Role::Crowd(number) => {
                let crowd = &mut self.crowds[number];
                if crowd.stamp == self.epoch {
                    return;
                }
                crowd.stamp = self.epoch;
                match (self.slices, crowd.rows.as_slice()) {
                    (Slices::Only(_), rows) => singles.extend_from_slice(rows),
                    (Slices::All, &[row]) => singles.push(row),
                    (Slices::All, rows) => {
                        output.rows(publication, rows);
                        self.given += rows.len();
                    }
                }
            }
        }
    }

    /// Runs the programs of what is pending, each of those with several lanes once; says how many lanes.
    pub fn verify(
        &mut self,
        publication: usize,
        (pending, pending_programs): (&[RowId], &[u32]),
        singles: &mut Vec<RowId>,
        view: &View<'_>,
        contexts: &impl Contexts,
        output: &mut (impl Output + ?Sized),
    ) -> usize {
        let programs = self.programs;
        // Without arrays hardly any program comes twice, and what is refused lies all over the memory.
        let has_arrays = !view.elements.is_empty();
        for &program in pending_programs.iter().take(AHEAD) {
            prefetch(&programs.from(program)[0]);
        }
        for (index, (&target, &program)) in pending.iter().zip(pending_programs).enumerate() {
            if let Some(&next) = pending_programs.get(index + AHEAD) {
                prefetch(&programs.from(next)[0]);
            }
            let target = Target(target.0);
            // An array may lead to all lanes of a list, which have one program.
            let (word, bit) = (program as usize / 64, 1 << (program % 64));
            let row = match target.role() {
                Role::Row(row) => row,
                Role::RowOfSeveral(_) | Role::Crowd(_)
                    if has_arrays && self.refused.get(word).is_some_and(|bits| bits & bit != 0) =>
                {
                    continue;
                }
                Role::RowOfSeveral(row) => {
                    let word = self.satisfied.get(row.index() / 64).copied().unwrap_or(0);
                    if word >> (row.0 % 64) & 1 == 1 {
                        continue;
                    }
                    row
                }
                Role::Crowd(number) if self.crowds[number].stamp == self.epoch => continue,
                Role::Crowd(number) => self.crowds[number].rows[0],
            };
            if view.satisfies(programs.from(program), || contexts.context(row)) {
                self.satisfied(publication, target, singles, output);
            } else if has_arrays && let Role::RowOfSeveral(_) | Role::Crowd(_) = target.role() {
                if word >= self.refused.len() {
                    self.refused.resize(word + 1, 0);
                }
                self.refused[word] |= bit;
                self.refusals.push(program);
            }
        }
        for program in self.refusals.drain(..) {
            self.refused[program as usize / 64] = 0;
        }
        pending.len()
    }

    /// Gives out what was collected.
    pub fn finish(&mut self, publication: usize, paper: &mut Paper, output: &mut (impl Output + ?Sized)) {
        let singles = &mut paper.singles;
        if let Slices::Only(_) = self.slices {
            let (records, slices) = (self.records, self.slices);
            singles.retain(|row| slices.contains(records[row.0].slice()));
        }
        if !singles.is_empty() {
            output.rows(publication, singles);
        }
        for row in self.several.drain(..) {
            self.satisfied[row as usize / 64] = 0;
        }
    }
}
