//! The Rust peer of the loads: `socketioxide-server`. It prints its port.
//!
//! One thread, as it has one core. Values are of the type that its documentation gives for binary data.

use std::io::{self, Write};

use axum::Router;
use axum::serve::ListenerExt;
use rmpv::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use tokio::net::TcpSocket;

const BACKLOG: u32 = 4096;

async fn connection(socket: SocketRef) {
    socket.on("echo", async |socket: SocketRef, Data::<Value>(value)| {
        _ = socket.emit("echo", &value);
    });
    socket.on("ack", async |Data::<Value>(value), ack: AckSender| {
        _ = ack.send(&value);
    });
    socket.on(
        "go",
        async |Data::<(usize, usize)>((number, size)), io: SocketIo| {
            for _ in 0..number {
                _ = io.emit("b", &"x".repeat(size)).await;
            }
        },
    );
}

async fn serve() -> io::Result<()> {
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", connection);
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    axum::serve(listener, Router::new().layer(layer)).await
}

fn main() -> io::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(serve())
}
