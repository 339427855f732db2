//! SIGINT and SIGTERM: the first asks a run to store its state and end, a second ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether, and by which signal, the process was asked to end.
#[derive(Clone, Debug)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Hears nothing: for who is not a program of its own.
    pub fn never() -> Self {
        Self { requested: Arc::new(AtomicBool::new(false)), signal: Arc::new(AtomicUsize::new(0)) }
    }

    /// Listens from now on. Once a process; before, a signal ends it as usual, and nothing has been written yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self::never();
        for signal in [SIGINT, SIGTERM] {
            // Runs before the flag is set, so not for the first signal.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&interrupt.requested))?;
            // Positive: signals are small numbers.
            flag::register_usize(signal, Arc::clone(&interrupt.signal), signal.unsigned_abs() as usize)?;
            flag::register(signal, Arc::clone(&interrupt.requested))?;
        }
        Ok(interrupt)
    }

    /// Becomes true with the first signal.
    pub fn requested(&self) -> &AtomicBool {
        &self.requested
    }

    /// The number of the signal; that of SIGINT, before there is one.
    pub fn signal(&self) -> u8 {
        match self.signal.load(Ordering::Relaxed) {
            0 => SIGINT.unsigned_abs() as u8,
            signal => u8::try_from(signal).unwrap_or(u8::MAX),
        }
    }
}
