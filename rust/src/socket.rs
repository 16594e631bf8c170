//! Sending on a socket that somebody else owns.
//!
//! An event loop's `write` costs more than the system call below it. What a connection has to send leaves by that call alone,
//! and only what the kernel does not take goes through the loop.

use std::os::raw::c_int;

/// Send what the kernel takes at once on a non-blocking socket; return how many bytes that are.
///
/// Whatever keeps it from taking any is 0: a full buffer, and equally an error, which the event loop meets when it sends the
/// rest. The caller owns the socket, through its event loop, and names it no more once that has closed it.
#[cfg(unix)]
#[expect(
    unsafe_code,
    reason = "the one place where a number from Python becomes a socket"
)]
pub fn send_some(fd: c_int, bytes: &[u8]) -> usize {
    use rustix::fd::BorrowedFd;
    use rustix::net::{SendFlags, send};

    if fd < 0 {
        return 0;
    }
    // SAFETY: it is not -1. That it is open is not guaranteed by anything: a number that names nothing is the error `EBADF`,
    // and that it names nothing else is the caller's promise above.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    #[cfg(not(target_vendor = "apple"))]
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    #[cfg(target_vendor = "apple")] // has no flag for it; CPython ignores the signal
    let flags = SendFlags::DONTWAIT;
    send(socket, bytes, flags).unwrap_or(0)
}

/// Send nothing: everything goes through the event loop.
#[cfg(not(unix))]
pub fn send_some(_fd: c_int, _bytes: &[u8]) -> usize {
    0
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_arrive_until_the_buffer_is_full() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let piece = [7; 4096];
        let mut sent = 0;
        loop {
            let taken = send_some(ours.as_raw_fd(), &piece);
            sent += taken;
            if taken < piece.len() {
                break;
            }
        }
        assert_eq!(send_some(ours.as_raw_fd(), &piece), 0);
        drop(ours);
        let mut received = Vec::new();
        theirs.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), sent);
        assert!(received.iter().all(|&byte| byte == 7));
    }

    #[test]
    fn errors_send_nothing() {
        assert_eq!(send_some(-1, b"x"), 0);
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(send_some(ours.as_raw_fd(), b"x"), 0);
    }
}
