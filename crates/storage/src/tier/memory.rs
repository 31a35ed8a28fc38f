use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::object::{ObjectError, ObjectStore, PutError, Upload};

/// What an object store in memory does instead of what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectFault {
    /// Nobody answers.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The key is refused.
    Denied,
    /// The bucket is gone.
    NoBucket,
    /// Uploads end half-way.
    HalfUpload,
    /// Uploads are acknowledged, and another byte is stored.
    WrongUpload,
}

/// An object store in memory, with faults to order: for tests and simulation.
#[derive(Default)]
pub struct MemObjects {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    fault: Mutex<Option<ObjectFault>>,
    gets: AtomicU64,
    puts: AtomicU64,
}

impl MemObjects {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What goes wrong from now on.
    pub fn set_fault(&self, fault: Option<ObjectFault>) {
        *self.fault.lock() = fault;
    }

    /// Keys, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.objects.lock().keys().cloned().collect()
    }

    /// An object.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.objects.lock().get(key).cloned()
    }

    /// Puts an object there, or takes it away.
    pub fn set(&self, key: &str, bytes: Option<Vec<u8>>) {
        let mut objects = self.objects.lock();
        match bytes {
            Some(bytes) => objects.insert(key.to_owned(), bytes),
            None => objects.remove(key),
        };
    }

    /// How often something was read.
    #[must_use]
    pub fn gets(&self) -> u64 {
        self.gets.load(Ordering::Relaxed)
    }

    /// How often something was uploaded.
    #[must_use]
    pub fn puts(&self) -> u64 {
        self.puts.load(Ordering::Relaxed)
    }

    fn faulty(&self) -> Result<Option<ObjectFault>, ObjectError> {
        let place = self.place();
        let reason = "ordered".to_owned();
        let fault = *self.fault.lock();
        match fault {
            Some(ObjectFault::Unreachable) => Err(ObjectError::Unreachable { place, reason }),
            Some(ObjectFault::TimedOut) => Err(ObjectError::TimedOut { place, ms: 1 }),
            Some(ObjectFault::Denied) => Err(ObjectError::Denied { place, reason }),
            Some(ObjectFault::NoBucket) => Err(ObjectError::NoBucket { place }),
            other => Ok(other),
        }
    }
}

impl ObjectStore for MemObjects {
    fn put(&self, key: &str, len: u64, next: Upload<'_>) -> Result<(), PutError> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let fault = self.faulty()?;
        let mut bytes = Vec::new();
        while let Some(part) = next()? {
            bytes.extend(part);
            if fault == Some(ObjectFault::HalfUpload) {
                let (place, reason) = (self.place(), "ended half-way".to_owned());
                return Err(ObjectError::Unreachable { place, reason }.into());
            }
        }
        if bytes.len() as u64 != len {
            let (place, reason) = (self.place(), "IncompleteBody".to_owned());
            return Err(ObjectError::Failed { place, reason }.into());
        }
        if let (Some(ObjectFault::WrongUpload), Some(last)) = (fault, bytes.last_mut()) {
            *last ^= 1;
        }
        self.objects.lock().insert(key.to_owned(), bytes);
        Ok(())
    }

    fn get(&self, key: &str, offset: u64, len: usize) -> Result<Vec<u8>, ObjectError> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.faulty()?;
        let objects = self.objects.lock();
        let bytes = objects.get(key).ok_or_else(|| ObjectError::Missing {
            place: self.place(),
            key: key.to_owned(),
        })?;
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let to = from.saturating_add(len).min(bytes.len());
        Ok(bytes.get(from..to).unwrap_or_default().to_vec())
    }

    fn size(&self, key: &str) -> Result<Option<u64>, ObjectError> {
        self.faulty()?;
        Ok(self.objects.lock().get(key).map(|bytes| bytes.len() as u64))
    }

    fn place(&self) -> String {
        "in memory".to_owned()
    }
}
