//! `Load`: a load on a server, run without the interpreter, and looked at from another thread.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::load::{self, Counts, Failure, Mark, Phase, Plan, Progress, Usage, Workload};

/// Half, nine of ten, ninety-nine of a hundred, and all of the times are not longer than these seconds.
type Quantiles = (f64, f64, f64, f64);

/// Seconds from the start; received; bytes in and out; own processor time; the server's, and its memory.
type MarkTuple = (f64, u64, u64, u64, Option<f64>, Option<f64>, Option<u64>);

/// Start; connected; begin; end.
type MarkTuples = (
    Option<MarkTuple>,
    Option<MarkTuple>,
    Option<MarkTuple>,
    Option<MarkTuple>,
);

/// The kind and the words.
type FailureTuple = (&'static str, String);

/// Marks; latencies and times of whole broadcasts while it was measured; why it ended early; why a connection was lost.
type ReportTuple = (
    MarkTuples,
    Option<Quantiles>,
    Option<Quantiles>,
    Option<FailureTuple>,
    Option<FailureTuple>,
);

/// Phase; ready; received; bytes in and out; lost; wrong; surplus; other; pings; latencies since the last look.
type SnapshotTuple = (
    &'static str,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    Option<Quantiles>,
);

#[pyclass(frozen, module = "roomcast._core")]
#[derive(Debug)]
pub(super) struct Load {
    plan: Plan,
    progress: Progress,
    /// The latencies at the last look.
    seen: Mutex<Option<Counts>>,
    has_run: AtomicBool,
}

/// A time as seconds.
fn seconds(value: f64, name: &str) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

fn address<T: std::str::FromStr<Err = std::net::AddrParseError>>(text: &str) -> PyResult<T> {
    text.parse()
        .map_err(|error| PyValueError::new_err(format!("{text}: {error}")))
}

fn workload(name: &str, amount: u32) -> PyResult<Workload> {
    Ok(match name {
        "broadcast" => Workload::Broadcast { burst: amount },
        "echo" => Workload::Echo { depth: amount },
        "ack" => Workload::Ack { depth: amount },
        "binary" => Workload::Binary { depth: amount },
        "idle" => Workload::Idle,
        _ => return Err(PyValueError::new_err(format!("no such workload: {name}"))),
    })
}

fn quantiles(counts: &Counts) -> Option<Quantiles> {
    let of = |thousandths| {
        let time = counts.quantile(thousandths)?;
        Some(Duration::from_nanos(time).as_secs_f64())
    };
    Some((of(500)?, of(900)?, of(990)?, of(1_000)?))
}

fn mark_tuple(mark: &Mark) -> MarkTuple {
    let server = mark.server.as_ref();
    (
        mark.at.as_secs_f64(),
        mark.received,
        mark.bytes_in,
        mark.bytes_out,
        mark.own_cpu.map(|time| time.as_secs_f64()),
        server.map(|Usage { cpu, .. }| cpu.as_secs_f64()),
        server.map(|usage| usage.memory),
    )
}

fn failure_tuple(failure: Failure) -> FailureTuple {
    (failure.kind.as_str(), failure.detail)
}

#[pymethods]
impl Load {
    #[new]
    #[pyo3(signature = (workload, amount, *, address, sources, request, nsp, auth, event, reply, size, connections, connecting, patience, warming, measuring, pid))]
    #[expect(clippy::too_many_arguments, reason = "they are named at the call")]
    fn new(
        workload: &str,
        amount: u32,
        address: &str,
        sources: Vec<String>,
        request: Vec<u8>,
        nsp: String,
        auth: String,
        event: String,
        reply: String,
        size: usize,
        connections: usize,
        connecting: usize,
        patience: f64,
        warming: f64,
        measuring: f64,
        pid: Option<u32>,
    ) -> PyResult<Self> {
        let sources: PyResult<Vec<IpAddr>> =
            sources.iter().map(|text| self::address(text)).collect();
        Ok(Self {
            plan: Plan {
                address: self::address::<SocketAddr>(address)?,
                sources: sources?,
                request,
                nsp,
                auth,
                workload: self::workload(workload, amount)?,
                event,
                reply,
                size,
                connections,
                connecting,
                patience: seconds(patience, "patience")?,
                warming: seconds(warming, "warming")?,
                measuring: seconds(measuring, "measuring")?,
                pid,
            },
            progress: Progress::default(),
            seen: Mutex::default(),
            has_run: AtomicBool::new(false),
        })
    }

    fn run(&self, py: Python<'_>) -> PyResult<ReportTuple> {
        if self.has_run.swap(true, Ordering::Relaxed) {
            return Err(PyRuntimeError::new_err("a load runs once"));
        }
        let report = py.detach(|| load::run(&self.plan, &self.progress));
        let measured = report.begin.as_ref().zip(report.end.as_ref());
        let latency = measured.map(|(begin, end)| end.latency.since(&begin.latency));
        let finish = measured.map(|(begin, end)| end.finish.since(&begin.finish));
        let mark = |mark: Option<Mark>| mark.as_ref().map(mark_tuple);
        Ok((
            (
                mark(report.start),
                mark(report.connected),
                mark(report.begin),
                mark(report.end),
            ),
            latency.as_ref().and_then(quantiles),
            finish.as_ref().and_then(quantiles),
            report.failure.map(failure_tuple),
            report.loss.map(failure_tuple),
        ))
    }

    fn snapshot(&self) -> SnapshotTuple {
        let progress = &self.progress;
        let counts = progress.latency.counts();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = match seen.as_ref() {
            Some(seen) => quantiles(&counts.since(seen)),
            None => quantiles(&counts),
        };
        *seen = Some(counts);
        let phase = match progress.phase() {
            Phase::Connecting => "connecting",
            Phase::Warming => "warming",
            Phase::Measuring => "measuring",
            Phase::Closing => "closing",
        };
        (
            phase,
            progress.ready.get(),
            progress.received.get(),
            progress.bytes_in.get(),
            progress.bytes_out.get(),
            progress.lost.get(),
            progress.wrong.get(),
            progress.surplus.get(),
            progress.other.get(),
            progress.pings.get(),
            latency,
        )
    }

    fn stop(&self) {
        self.progress.stop();
    }
}
