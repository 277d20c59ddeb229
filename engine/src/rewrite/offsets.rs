//! Where the instructions of a rewritten module were in the original.

use super::edit::put_unsigned;
use super::side::{Damaged, Input};

/// Maps offsets in the rewritten file to offsets in the original file. Made for offsets of instructions; others come out near to where they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetMap {
    /// Sorted by `new`, strictly. By `old` too, up to where copies begin of what was there before.
    points: Vec<Point>,
}

/// What holds from one offset on, up to the next point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    new: u32,
    old: u32,
    /// Everything came out of the one instruction at `old`. Otherwise offsets go on from there side by side.
    replaced: bool,
}

impl OffsetMap {
    /// The offset in the original file. Any thread.
    pub fn original(&self, new: u64) -> u64 {
        let after = self.points.partition_point(|point| u64::from(point.new) <= new);
        let Some(point) = after.checked_sub(1).map(|index| self.points[index]) else {
            return new;
        };
        if point.replaced {
            return point.old.into();
        }
        let old = u64::from(point.old) + (new - u64::from(point.new));
        match self.points.get(after) {
            // Within an instruction that grew. What was put behind an instruction has its offset.
            Some(next) if next.old >= point.old => {
                let end = next.old.saturating_sub(u32::from(!next.replaced));
                old.min(end.max(point.old).into())
            }
            _ => old,
        }
    }

    /// The offset in the rewritten file of what was at `old`, if there are no copies.
    pub(super) fn rewritten(&self, old: u32) -> u32 {
        let after = self.points.partition_point(|point| point.old <= old);
        match after.checked_sub(1).map(|index| self.points[index]) {
            None => old,
            Some(point) if point.replaced => point.new,
            Some(point) => point.new.saturating_add(old - point.old),
        }
    }

    /// From here on offsets go side by side.
    pub(crate) fn go_on(&mut self, new: u32, old: u32) {
        let delta = |point: &Point| i64::from(point.new) - i64::from(point.old);
        let point = Point { new, old, replaced: false };
        if self.points.last().is_none_or(|last| last.replaced || delta(last) != delta(&point)) {
            self.push(point);
        }
    }

    /// From here on everything came out of the instruction at `old`.
    pub(crate) fn replaced(&mut self, new: u32, old: u32) {
        self.push(Point { new, old, replaced: true });
    }

    fn push(&mut self, point: Point) {
        // Nothing was between the last change and this one.
        if self.points.last().is_some_and(|last| last.new == point.new) {
            self.points.pop();
        }
        self.points.push(point);
    }

    /// Appends the points of a part that begins at `new` and `old`.
    pub(crate) fn append(&mut self, part: &OffsetMap, new: u32, old: u32) {
        self.go_on(new, old);
        for point in &part.points {
            let (new, old) = (new + point.new, old + point.old);
            match point.replaced {
                true => self.replaced(new, old),
                false => self.go_on(new, old),
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.points.clear();
    }

    /// Moves the rewritten side of all points up by `by`.
    pub(super) fn shift(&mut self, by: u32) {
        for point in &mut self.points {
            point.new += by;
        }
    }

    #[cfg(test)]
    pub(super) fn points(&self) -> usize {
        self.points.len()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_unsigned(out, self.points.len() as u64);
        let (mut new, mut old) = (0, 0);
        for point in &self.points {
            put_unsigned(out, (point.new - new).into());
            let step = i64::from(point.old) - i64::from(old);
            let backwards = u64::from(step < 0);
            put_unsigned(out, step.unsigned_abs() << 2 | backwards << 1 | u64::from(point.replaced));
            (new, old) = (point.new, point.old);
        }
    }

    pub(crate) fn decode(input: &mut Input<'_>) -> Result<OffsetMap, Damaged> {
        let count = input.unsigned()?;
        let mut points = Vec::new();
        let (mut new, mut old) = (0u32, 0u32);
        for index in 0..count {
            let step = input.u32()?;
            if step == 0 && index > 0 {
                return Err(Damaged);
            }
            let word = input.unsigned()?;
            new = step.checked_add(new).ok_or(Damaged)?;
            let step = u32::try_from(word >> 2).map_err(|_| Damaged)?;
            old = if word & 2 == 0 { old.checked_add(step) } else { old.checked_sub(step) }.ok_or(Damaged)?;
            points.push(Point { new, old, replaced: word & 1 == 1 });
        }
        Ok(OffsetMap { points })
    }
}
