"""Name, port, certificate: what has to be there before a word of HTTP."""

import asyncio
import socket
import ssl
import time
from dataclasses import replace
from typing import Final

from roomcast.cli.bench.units import plural, seconds
from roomcast.cli.doctor.examination import Examination
from roomcast.cli.doctor.http import dial
from roomcast.cli.text import clean

__all__ = ["reach"]

MOST_ADDRESSES: Final = 8
"""Addresses of a name that are tried."""

SOON: Final = 14
"""Days before the end of a certificate at which it is said."""


async def reach(seen: Examination) -> bool:
    """Look whether the server can be reached at all."""
    addresses = await _resolve(seen)
    if not addresses or not await _connect(seen, addresses):
        return False
    return not seen.to.address.secure or await _secure(seen)


async def _resolve(seen: Examination) -> list[str]:
    host, port = seen.to.address.host, seen.to.address.port
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        seen.report.fail(
            "name",
            f"{host} is unknown: {why}",
            "Look for a typing mistake in the host. If it is right, its DNS record is missing, or this machine has no DNS.",
        )
        return []
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))[:MOST_ADDRESSES]
    if addresses != [host]:
        seen.report.ok("name", f"{host} is {', '.join(addresses)}")
    return addresses


async def _connect(seen: Examination, addresses: list[str]) -> bool:
    to, report = seen.to, seen.report
    took: list[float] = []
    failures: dict[str, OSError] = {}
    for address in addresses:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(min(to.timeout, 5.0)):
                _, writer = await asyncio.open_connection(address, to.address.port)
        except OSError as error:
            failures[address] = error
        else:
            took.append(time.monotonic() - begun)
            writer.transport.abort()
    where = f"port {to.address.port}"
    if not took:
        first = next(iter(failures.values()))
        if isinstance(first, ConnectionRefusedError):
            report.fail(
                "connection",
                f"connection refused: nobody listens on {where} of {to.address.host}",
                "Start the server, or correct the port. A server in a container or on another machine has to listen on 0.0.0.0, "
                "not on 127.0.0.1, and the port to be published.",
            )
        elif isinstance(first, TimeoutError):
            report.fail(
                "connection",
                f"{where} of {to.address.host} does not answer",
                "Something in between drops the packets: open the port in the firewall or the security group, or correct the host.",
            )
        else:
            report.fail(
                "connection",
                f"no connection with {where} of {to.address.host}: {first.strerror or first}",
                "See to it that this machine has a way to that address.",
            )
        return False
    if failures:
        refused = ", ".join(failures)
        report.warn(
            "connection",
            f"{where} answers, but not at {refused}",
            f"Clients that try {refused} first lose time there: let the server listen on that address too (:: is all of both kinds), "
            f"or take it out of the DNS.",
        )
    else:
        report.ok(
            "connection",
            f"{where} answers in {seconds(min(took))}, at {plural(len(took), 'address', 'addresses')}",
        )
    return True


async def _secure(seen: Examination) -> bool:
    to, report = seen.to, seen.report
    begun = time.monotonic()
    try:
        async with asyncio.timeout(to.timeout):
            _, writer = await dial(to)
    except ssl.SSLCertVerificationError as error:
        report.fail("TLS", f"the certificate is no good: {error.verify_message}", _remedy(error))
        seen.to = replace(to, verified=False)
        return True
    except ssl.SSLError as error:
        words = (error.reason or str(error)).lower().replace("_", " ")
        report.fail(
            "TLS",
            f"port {to.address.port} does not speak TLS: {words}",
            f"Take http:// in place of https://, or let a proxy with a certificate (nginx, HAProxy, Caddy) stand on port {to.address.port}.",
        )
        return False
    except OSError as error:
        report.fail(
            "TLS",
            f"the handshake of TLS fails: {clean(error) or 'no answer'}",
            "Take http:// in place of https://, or look into the log of what stands on this port.",
        )
        return False
    took = time.monotonic() - begun
    tls = writer.get_extra_info("ssl_object")
    version, certificate = tls.version(), tls.getpeercert()
    writer.transport.abort()
    if not to.verified:
        report.note("TLS", f"{version} in {seconds(took)}; the certificate was not looked at")
        return True
    days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86_400
    if days < SOON:
        report.warn(
            "TLS",
            f"{version} in {seconds(took)}; the certificate ends in {days:.0f} days",
            "Renew the certificate, and see why that did not happen by itself.",
        )
    else:
        report.ok(
            "TLS", f"{version} in {seconds(took)}, the certificate is good for {days:.0f} days"
        )
    return True


def _remedy(error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message.lower()
    if "expired" in message:
        return "Renew the certificate."
    if "hostname" in message or "ip address" in message:
        return "Connect to a name that stands in the certificate, or get one for this name."
    if "not yet valid" in message:
        return "Set the clocks of this machine and of the server: one of them is wrong."
    return (
        "Get a certificate of a public authority, and let the server send the whole chain (fullchain.pem). With an authority of your own, "
        "give clients its certificate: ssl=ssl.create_default_context(cafile=…), in Node.js ca: …; browsers need it in their store."
    )
