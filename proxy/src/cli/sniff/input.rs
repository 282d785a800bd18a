//! Where frames come from: a file, a pipe, or interfaces; each goes through the printer, in order.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Read, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anabranch_kernel::packet::ring::PacketRing;
use anabranch_kernel::packet::wait_readable;
use anabranch_sniffer::pcap::{Capture, Frame, Writer};
use anabranch_sniffer::wire::LinkType;

use super::SniffError;
use super::print::Printer;
use crate::capture::{Merge, Seen, open_ring};

/// How often progress is told, and what a live capture prints is handed on.
const BEAT: Duration = Duration::from_millis(250);

/// Blocks of each ring taken before the clock is looked at again.
const TURN: usize = 64;

/// Reads a capture to its end.
pub(super) fn read(file: &Path, mut printer: Printer, write: Option<&Path>) -> Result<(), SniffError> {
    let fail = |source| SniffError::File { path: file.to_owned(), source };
    let (reader, size): (Box<dyn Read>, _) = if file == Path::new("-") {
        (Box::new(io::stdin().lock()), None)
    } else {
        let opened = File::open(file).map_err(fail)?;
        let size = opened.metadata().ok().filter(std::fs::Metadata::is_file).map(|about| about.len());
        (Box::new(opened), size)
    };
    let broken = |source| SniffError::Capture { path: file.to_owned(), source };
    let mut capture = Capture::open(reader).map_err(broken)?;
    let mut copy = Copy::new(write);
    let mut progress = Progress::new(size);
    let end = loop {
        match capture.next_frame() {
            Ok(Some(frame)) => {
                if printer.frame(&frame) {
                    copy.keep(&frame)?;
                }
                if frame.number.is_multiple_of(4096) {
                    let number = frame.number;
                    progress.tell(number, capture.bytes_read());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(broken(error)),
        }
        if printer.reader_is_gone() {
            break Ok(());
        }
    };
    progress.clear();
    // What was whole is told, also of a capture that breaks off.
    printer.finish(0);
    copy.finish()?;
    end
}

/// Watches interfaces until Ctrl-C.
pub(super) fn watch(interfaces: &[String], mut printer: Printer, write: Option<&Path>) -> Result<(), SniffError> {
    let stop = stop_on_interrupt()?;
    let mut rings = Vec::new();
    for interface in interfaces {
        // A copy is for other programs, which want the payload too.
        let payload = if write.is_some() { u32::from(u16::MAX) } else { 0 };
        rings.push(open_ring(interface, payload)?.ok_or_else(|| SniffError::Framing(interface.clone()))?);
    }
    let names = interfaces.join(", ");
    super::complain(&format!("watching {names}; Ctrl-C ends it and tells each connection's story"));
    let mut copy = Copy::new(write);
    let (mut number, mut dropped, mut beat, mut merge) = (0, 0, Instant::now(), Merge::default());
    let mut take = |printer: &mut Printer, (link, at, captured, wire_len): Seen<'_>| {
        number += 1;
        let frame = Frame { number, at, link: Some(link), captured, wire_len };
        if printer.frame(&frame) { copy.keep(&frame) } else { Ok(()) }
    };
    while !stop.load(Ordering::Relaxed) && !printer.reader_is_gone() {
        let sockets: Vec<&PacketRing> = rings.iter().map(|(ring, _)| ring).collect();
        wait_readable(&sockets, merge.wait(BEAT)).map_err(|source| SniffError::Os { what: "poll", source })?;
        for _ in 0..TURN {
            if !merge.take(rings.iter_mut().map(Some), crate::steer::now(), &mut |seen| take(&mut printer, seen))? {
                break;
            }
        }
        if beat.elapsed() >= BEAT {
            beat = Instant::now();
            printer.beat(crate::steer::now());
            for (ring, _) in &rings {
                dropped += u64::from(ring.take_statistics()?.drops);
            }
        }
    }
    merge.finish(&mut |seen| take(&mut printer, seen))?;
    for (ring, _) in &rings {
        dropped += u64::from(ring.take_statistics()?.drops);
    }
    printer.finish(dropped);
    copy.finish()
}

fn stop_on_interrupt() -> Result<Arc<AtomicBool>, SniffError> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| SniffError::Os { what: "epoll_create", source })?;
    let flag = stop.clone();
    let wait = move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        });
        flag.store(true, Ordering::Relaxed);
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(wait)
        .map_err(|source| SniffError::Os { what: "clone", source })?;
    Ok(stop)
}

/// Frames that pass the filter, on their way into a file that begins with the first of them.
struct Copy<'a> {
    path: Option<&'a Path>,
    writer: Option<(Writer<BufWriter<File>>, LinkType)>,
}

impl<'a> Copy<'a> {
    const fn new(path: Option<&'a Path>) -> Self {
        Self { path, writer: None }
    }

    fn keep(&mut self, frame: &Frame<'_>) -> Result<(), SniffError> {
        let (Some(path), Some(link)) = (self.path, frame.link) else { return Ok(()) };
        let fail = |source| SniffError::File { path: path.to_owned(), source };
        if self.writer.is_none() {
            let file = BufWriter::new(File::create(path).map_err(fail)?);
            self.writer = Some((Writer::new(file, link).map_err(fail)?, link));
        }
        let Some((writer, first)) = &mut self.writer else { return Ok(()) };
        if *first != link {
            let kinds = "frames of two link types do not fit into one pcap file; watch or filter one interface";
            return Err(fail(io::Error::other(kinds)));
        }
        writer.write(frame.at, frame.captured, frame.wire_len).map_err(fail)
    }

    fn finish(mut self) -> Result<(), SniffError> {
        let Some(path) = self.path else { return Ok(()) };
        let fail = |source| SniffError::File { path: path.to_owned(), source };
        match &mut self.writer {
            Some((writer, _)) => writer.flush().map_err(fail),
            // Nothing passed: an empty capture says so better than the file of an earlier run.
            None => Writer::new(File::create(path).map_err(fail)?, LinkType::Ethernet).map(drop).map_err(fail),
        }
    }
}

/// A line that says how far a long file has been read, for who watches a terminal.
struct Progress {
    size: Option<u64>,
    shown: bool,
    due: Instant,
}

impl Progress {
    fn new(size: Option<u64>) -> Self {
        Self { size, shown: false, due: Instant::now() + BEAT }
    }

    fn tell(&mut self, frames: u64, bytes: u64) {
        // What is printed to a terminal shows progress by itself.
        if Instant::now() < self.due || io::stdout().is_terminal() || !io::stderr().is_terminal() {
            return;
        }
        self.due = Instant::now() + BEAT;
        self.shown = true;
        let mib = bytes / (1024 * 1024);
        let share = self.size.map_or_else(String::new, |size| format!(", {} %", bytes * 100 / size.max(1)));
        drop(write!(io::stderr(), "\r{frames} packets, {mib} MiB{share} \x1b[K"));
    }

    fn clear(&self) {
        if self.shown {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}
