//! Who a lane is for, as one word: a row that has it alone as its number, so that such targets can be given out as they are;
//! others have a bit set that rows do not.

use super::RowId;

/// Who a lane is for: a row, or a crowd of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target(pub u32);

/// Set in targets that are marked.
const CROWD: u32 = 1 << 31;

/// Set in targets that are rows with several lanes.
const SEVERAL: u32 = 1 << 30;

/// Rows are numbered below this.
pub const ROWS_END: u32 = SEVERAL;

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A row that has this lane alone.
    Row(RowId),
    /// A row that has other lanes too: it must not be given twice.
    RowOfSeveral(RowId),
    /// A crowd.
    Crowd(u32),
}

impl Target {
    /// A crowd.
    pub fn crowd(number: u32) -> Self {
        Self(number | CROWD)
    }

    /// A row with several lanes.
    pub fn several(row: RowId) -> Self {
        Self(row.0 | SEVERAL)
    }

    /// What it is.
    #[inline]
    pub fn role(self) -> Role {
        if self.0 & CROWD != 0 {
            Role::Crowd(self.0 & !CROWD)
        } else if self.0 & SEVERAL != 0 {
            Role::RowOfSeveral(RowId(self.0 & !SEVERAL))
        } else {
            Role::Row(RowId(self.0))
        }
    }

    /// Whether it is anything but a row that has the lane alone.
    pub fn is_marked(self) -> bool {
        self.0 & (CROWD | SEVERAL) != 0
    }
}
