//! Streams that carry as much as they can, until they are told to stop.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anabranch_lab::client;
use anabranch_lab::stream;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::{CHUNK, Meter, WITHOUT_END, Way, drain_into, runtime};

/// Opens `count` tunnels by `way` and lets each carry, until the other end of `stop` is dropped.
///
/// Shape: a download is counted in `meter`; an upload where it arrives, at the origin.
/// Errors: of the first tunnel that failed before it was told to stop.
pub fn run(
    way: Way,
    count: usize,
    direction: client::Way,
    meter: &Arc<Meter>,
    stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    runtime()?.block_on(async {
        let local = LocalSet::new();
        let failed: Rc<std::cell::RefCell<Option<io::Error>>> = Rc::default();
        for _ in 0..count {
            let (meter, failed) = (Arc::clone(meter), Rc::clone(&failed));
            local.spawn_local(async move {
                let carried = carry(way, direction, &meter).await;
                // How a stream ends once all is over says nothing about it.
                if let Err(error) = carried
                    && !meter.is_ending()
                {
                    meter.errors.fetch_add(1, Ordering::Relaxed);
                    failed.borrow_mut().get_or_insert(error);
                }
            });
        }
        drop(local.run_until(stop).await);
        meter.end(local).await;
        failed.take().map_or(Ok(()), Err)
    })
}

async fn carry(way: Way, direction: client::Way, meter: &Meter) -> io::Result<()> {
    let mut stream = way.tunnel().await?;
    match direction {
        client::Way::Download => {
            stream.write_all(way.request(WITHOUT_END, false, false).as_bytes()).await?;
            drain_into(&stream, meter).await
        }
        client::Way::Upload => {
            let origin = way.origin;
            let head = format!("PUT /sink HTTP/1.1\r\nHost: {origin}\r\nContent-Length: {WITHOUT_END}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            send(&mut stream, meter).await
        }
    }
}

async fn send(stream: &mut TcpStream, meter: &Meter) -> io::Result<()> {
    let piece = stream::window(0, CHUNK);
    while !meter.is_ending() {
        stream.write_all(piece).await?;
    }
    stream.shutdown().await?;
    // The origin's own end: all has arrived.
    drain_into(stream, &Meter::default()).await
}
