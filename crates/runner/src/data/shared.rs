//! Data that several experiments of one process have in common, read, split and digested once.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chainrule_core::Float;

use super::{Prepared, Raw};

/// The newest data of a process. What differs from them is read anew and takes their place, so that no more is kept than
/// one run needs.
#[derive(Default)]
pub(crate) struct SharedData {
    raw: Slot<Raw>,
    prepared: Slot<dyn Any + Send + Sync>,
    reads: AtomicUsize,
    preparations: AtomicUsize,
}

/// A value and what it was made from. Who wants the same waits until it is made.
type Slot<T> = Mutex<Option<(String, Arc<T>)>>;

impl SharedData {
    /// The raw samples that are read from what `key` says.
    pub(crate) fn raw<E>(
        &self,
        key: &str,
        read: impl FnOnce() -> Result<Arc<Raw>, E>,
    ) -> Result<Arc<Raw>, E> {
        let mut slot = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, raw)) = slot.as_ref().filter(|(known, _)| known == key) {
            return Ok(Arc::clone(raw));
        }
        // What is there is gone before other data take their room.
        *slot = None;
        let raw = read()?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        *slot = Some((key.to_owned(), Arc::clone(&raw)));
        Ok(raw)
    }

    /// The data sets that are made of what `key` says.
    pub(crate) fn prepared<F: Float, E>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<Arc<Prepared<F>>, E>,
    ) -> Result<Arc<Prepared<F>>, E> {
        let mut slot = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let there = slot.as_ref().filter(|(known, _)| known == key);
        if let Some(data) = there.and_then(|(_, data)| Arc::clone(data).downcast::<Prepared<F>>().ok()) {
            return Ok(data);
        }
        *slot = None;
        let data = make()?;
        self.preparations.fetch_add(1, Ordering::Relaxed);
        *slot = Some((key.to_owned(), Arc::clone(&data) as Arc<dyn Any + Send + Sync>));
        Ok(data)
    }

    /// Whether everybody had the same data so far.
    pub(crate) fn are_the_same(&self) -> bool {
        self.preparations.load(Ordering::Relaxed) <= 1
    }
}

impl fmt::Debug for SharedData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = (self.reads.load(Ordering::Relaxed), self.preparations.load(Ordering::Relaxed));
        formatter.debug_tuple("SharedData").field(&counts).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::RawTargets;

    fn raw(value: f64) -> Result<Arc<Raw>, ()> {
        let y = RawTargets::Values { data: vec![value], width: 1 };
        Ok(Arc::new(Raw::of_rows(vec![value], 1, y)))
    }

    #[test]
    fn the_same_is_read_once_and_of_others_the_newest_is_kept() {
        let shared = SharedData::default();
        let first = shared.raw("a", || raw(1.0)).unwrap();
        assert!(Arc::ptr_eq(&first, &shared.raw("a", || Err(())).unwrap()));
        let other = shared.raw("b", || raw(2.0)).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        assert!(shared.raw("a", || Err(())).is_err());
        assert_eq!(format!("{shared:?}"), "SharedData((2, 0))");
    }
}
