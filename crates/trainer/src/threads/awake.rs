//! The other threads of a pool, kept awake while a run lasts.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::halves::help;

/// For how long a thread without work looks for some all the time: longer than what one thread does alone in a step.
const EAGER: Duration = Duration::from_millis(1);

/// How often it looks after that: an evaluation or a checkpoint may take seconds.
const DROWSY: Duration = Duration::from_micros(50);

/// Runs `work` with all other threads of the pool looking for pieces of it.
///
/// rayon's threads fall asleep after some 20 microseconds without work, and to wake one takes about as long again: much
/// of a step of a small net, whose threads are needed several times in a few hundred microseconds. rayon cannot be told
/// otherwise, so each of them is given a task that asks for other tasks, until `work` returns.
pub(super) fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let is_over = AtomicBool::new(false);
    let own = rayon::current_thread_index();
    rayon::scope(|scope| {
        scope.spawn_broadcast(|_, context| {
            if Some(context.index()) != own {
                look_for_work(&is_over);
            }
        });
        let _over = SetOver(&is_over);
        work()
    })
}

fn look_for_work(is_over: &AtomicBool) {
    let (mut idle, mut since) = (0, None);
    while !is_over.load(Relaxed) {
        idle = help(idle);
        if idle == 0 {
            since = None;
        } else if since.get_or_insert_with(Instant::now).elapsed() > EAGER {
            std::thread::sleep(DROWSY);
        }
    }
}

/// Lets all threads go when it goes, also if the work panics: or the pool would never end.
struct SetOver<'a>(&'a AtomicBool);

impl Drop for SetOver<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
