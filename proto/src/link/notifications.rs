//! Notifications of sessions, as columns.

use gomera_cluster::identity::{ConnectionId, Generation, Term};
use gomera_cluster::message::connection_point::{Batch, Gap, GapRange, Item, Notification};
use gomera_cluster::position::{LaneId, Number, Position};

use super::columns::{self, Places, Steps};
use super::satisfaction::{self, Columns};
use super::tables::count;
use super::{LinkError, parts, v1};

pub fn to_batch(batch: &Batch) -> v1::SessionBatch {
    let items = batch.items.len();
    let mut wire = v1::SessionBatch {
        session: parts::to_session(batch.session),
        slice: u32::from(batch.slice.0),
        term: batch.term.0,
        connection: batch.connection.0,
        generation: batch.generation.0,
        items: Vec::with_capacity(items),
        lanes: Vec::with_capacity(items),
        steps: Vec::with_capacity(items),
        costs: Vec::with_capacity(items),
        handles_each: Vec::with_capacity(items),
        handles: Vec::with_capacity(items),
        ..v1::SessionBatch::default()
    };
    let mut steps = Steps::from(0);
    for item in &batch.items {
        match item {
            Item::Notification(notification) => {
                wire.items.push(notification.publication + 1);
                put(&mut wire, notification, steps.to(notification.position.number.0));
            }
            Item::Gap(gap) => {
                wire.items.push(0);
                wire.gaps.push(to_gap(gap));
            }
        }
    }
    wire
}

fn put(wire: &mut v1::SessionBatch, notification: &Notification, step: u64) {
    let place = count(wire.lanes.len());
    wire.lanes.push(notification.position.lane.0);
    wire.steps.push(step);
    wire.costs.push(notification.cost);
    let v1::SessionBatch { handles_each, handles, counted, .. } = wire;
    satisfaction::put(Columns { handles_each, handles, counted }, place, &notification.satisfied);
    if notification.redelivered {
        wire.redelivered.push(place);
    }
    for position in &notification.merged {
        wire.raised.push(place);
        wire.raised_lanes.push(position.lane.0);
        wire.raised_numbers.push(position.number.0);
    }
}

/// `publications` is how many the frame has.
pub fn batch(wire: v1::SessionBatch, publications: usize) -> Result<Batch, LinkError> {
    Ok(Batch {
        session: parts::session(wire.session)?,
        slice: parts::session_slice(wire.slice)?,
        term: Term(wire.term),
        connection: ConnectionId(wire.connection),
        generation: Generation(wire.generation),
        items: items(&wire, publications)?,
    })
}

fn items(wire: &v1::SessionBatch, publications: usize) -> Result<Vec<Item>, LinkError> {
    let notifications = wire.lanes.len();
    if [wire.steps.len(), wire.costs.len(), wire.handles_each.len()] != [notifications; 3]
        || [wire.raised_lanes.len(), wire.raised_numbers.len()] != [wire.raised.len(); 2]
    {
        return Err(LinkError::new("notifications", "have columns of different lengths"));
    }
    let mut columns = wire.lanes.iter().zip(&wire.steps).zip(&wire.costs).zip(&wire.handles_each).zip(0_u32..);
    let mut steps = Steps::from(0);
    let mut handles = &wire.handles[..];
    let mut redelivered = Places::new(&wire.redelivered);
    let mut counted = Places::new(&wire.counted);
    let mut raised = wire.raised.iter().zip(wire.raised_lanes.iter().zip(&wire.raised_numbers)).peekable();
    let mut notification = |publication: u32| {
        if usize::try_from(publication).map_or(true, |index| index >= publications) {
            return Err(LinkError::new("publication", "is not in the frame"));
        }
        let fewer = || LinkError::new("notifications", "are fewer than said");
        let ((((&lane, &step), &cost), &each), place) = columns.next().ok_or_else(fewer)?;
        let handles = columns::take(&mut handles, each).ok_or_else(fewer)?;
        let satisfied = satisfaction::read(counted.has_next(), handles)?;
        let mut merged = Vec::new();
        while let Some((_, (&lane, &number))) = raised.next_if(|&(&at, _)| at == place) {
            merged.push(Position { lane: LaneId(lane), number: Number(number) });
        }
        let position = Position { lane: LaneId(lane), number: Number(steps.by(step)) };
        Ok(Notification { publication, position, satisfied, merged, redelivered: redelivered.has_next(), cost })
    };
    let mut gaps = wire.gaps.iter();
    let item = |&item: &u32| {
        Ok(match item.checked_sub(1) {
            Some(publication) => Item::Notification(notification(publication)?),
            None => Item::Gap(gap(gaps.next().ok_or_else(|| LinkError::missing("gap"))?)),
        })
    };
    let items = wire.items.iter().map(item).collect::<Result<_, _>>()?;
    redelivered.end()?;
    counted.end()?;
    columns::end(columns.next().is_none() && handles.is_empty() && raised.next().is_none() && gaps.next().is_none())?;
    Ok(items)
}

pub fn to_gap(gap: &Gap) -> v1::Gap {
    let range = |range: &GapRange| v1::GapRange { lane: range.lane.0, first: range.first.0, last: range.last.0 };
    v1::Gap { ranges: gap.ranges.iter().map(range).collect(), dropped: gap.dropped }
}

pub fn gap(wire: &v1::Gap) -> Gap {
    let range =
        |wire: &v1::GapRange| GapRange { lane: LaneId(wire.lane), first: Number(wire.first), last: Number(wire.last) };
    Gap { ranges: wire.ranges.iter().map(range).collect(), dropped: wire.dropped }
}
