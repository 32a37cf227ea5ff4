//! Which subscriptions a notification satisfied, in the columns of frames: how many handles each has, the handles of all, and the places of
//! those that have a count instead.

use std::sync::Arc;

use gomera_cluster::identity::Handle;
use gomera_cluster::message::connection_point::Satisfied;

use super::LinkError;
use super::tables::count;

/// The columns while they are written.
#[derive(Debug)]
pub struct Columns<'wire> {
    pub handles_each: &'wire mut Vec<u32>,
    pub handles: &'wire mut Vec<u64>,
    pub counted: &'wire mut Vec<u32>,
}

/// Adds what stands at `place`.
pub fn put(columns: Columns<'_>, place: u32, satisfied: &Satisfied) {
    let Columns { handles_each, handles, counted } = columns;
    match satisfied {
        Satisfied::One(handle) => {
            handles_each.push(1);
            handles.push(handle.0);
        }
        Satisfied::Many(all) => {
            handles_each.push(count(all.len()));
            handles.extend(all.iter().map(|handle| handle.0));
        }
        Satisfied::Count(number) => {
            handles_each.push(1);
            handles.push(u64::from(*number));
            counted.push(place);
        }
    }
}

/// What stands at one place: its part of the handles, and whether the place is among the counted ones.
pub fn read(is_counted: bool, handles: &[u64]) -> Result<Satisfied, LinkError> {
    Ok(match (is_counted, handles) {
        (true, &[count]) => {
            Satisfied::Count(u32::try_from(count).map_err(|_| LinkError::new("count", "is above 4294967295"))?)
        }
        (true, _) => return Err(LinkError::new("count", "is not one number")),
        (false, &[handle]) => Satisfied::One(Handle(handle)),
        (false, handles) => Satisfied::Many(handles.iter().copied().map(Handle).collect::<Arc<[_]>>()),
    })
}
