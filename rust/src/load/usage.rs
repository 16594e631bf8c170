//! What processes have used, as Linux tells it under `/proc`; elsewhere nothing is known.

use std::fs;
use std::io;
use std::time::Duration;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Processor time of all its threads.
    pub cpu: Duration,
    /// Bytes that it holds resident.
    pub memory: u64,
}

/// The processor time at the front of a `schedstat`: exact, where `stat` counts ticks of 10 ms.
fn run_time(schedstat: &str) -> Option<Duration> {
    let nanoseconds = schedstat.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// The resident bytes in a `status`.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

/// What a process has used.
///
/// # Errors
///
/// If there is no such process, or this one may not look.
pub(super) fn of_process(pid: u32) -> io::Result<Usage> {
    let memory = resident(&fs::read_to_string(format!("/proc/{pid}/status"))?).unwrap_or(0);
    let mut cpu = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while this looks.
        if let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) {
            cpu = cpu.saturating_add(run_time(&text).unwrap_or_default());
        }
    }
    Ok(Usage { cpu, memory })
}

/// The processor time of the thread that asks.
pub(super) fn of_this_thread() -> Option<Duration> {
    run_time(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc_are_read() {
        assert_eq!(
            run_time("1234567 89 10\n"),
            Some(Duration::from_nanos(1_234_567))
        );
        assert_eq!(run_time(""), None);
        assert_eq!(
            resident("Name:\tx\nVmRSS:\t   20 kB\nThreads:\t1\n"),
            Some(20_480)
        );
        assert_eq!(resident("Name:\tx\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_seen() {
        let usage = of_process(std::process::id()).unwrap();
        assert!(usage.memory > 100_000);
        assert!(of_this_thread().is_some());
        assert!(of_process(u32::MAX).is_err());
    }
}
