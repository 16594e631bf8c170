"""What to write into the configuration of a proxy; chosen by what the header ``Server`` of its answers says."""

__all__ = ["held_requests", "sticky", "upgrades"]

NGINX_UPGRADE = """\
nginx:
  location PATH {
    proxy_pass http://backend;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  }"""

HAPROXY_UPGRADE = """\
HAProxy (mode http passes upgrades by itself; these must not be in its way):
  no option httpclose
  timeout tunnel 1h"""

APACHE_UPGRADE = """\
Apache (2.4.47 or later):
  ProxyPass PATH http://backend/PATH upgrade=websocket"""

NGINX_STICKY = """\
nginx:
  upstream backend {
    hash $remote_addr consistent;
    server 10.0.0.1:3000;
    server 10.0.0.2:3000;
  }"""

HAPROXY_STICKY = """\
HAProxy:
  backend socketio
    balance source
    hash-type consistent
    server a 10.0.0.1:3000 check
    server b 10.0.0.2:3000 check"""

NGINX_HELD = """\
nginx:
  proxy_read_timeout SECONDSs;
  proxy_buffering off;"""

HAPROXY_HELD = """\
HAProxy:
  timeout server SECONDSs
  timeout tunnel 1h"""

APACHE_HELD = """\
Apache:
  ProxyTimeout SECONDS"""


def upgrades(software: str, path: str) -> str:
    """Return how a proxy lets WebSockets through."""
    found = _choose(software, nginx=NGINX_UPGRADE, haproxy=HAPROXY_UPGRADE, apache=APACHE_UPGRADE)
    return found.replace("http://backend/PATH", f"http://backend{path}").replace("PATH", path)


def sticky(software: str) -> str:
    """Return how a proxy sends a client to the same process each time."""
    return _choose(software, nginx=NGINX_STICKY, haproxy=HAPROXY_STICKY, apache="")


def held_requests(software: str, seconds: float) -> str:
    """Return how a proxy is made to wait for a request that is held."""
    found = _choose(software, nginx=NGINX_HELD, haproxy=HAPROXY_HELD, apache=APACHE_HELD)
    return found.replace("SECONDS", f"{seconds:.0f}")


def _choose(software: str, **texts: str) -> str:
    """Return the text for the software that answers name; all of them if they name none of these."""
    for name, text in texts.items():
        if name in software.lower() and text:
            return text
    return "\n".join(filter(None, texts.values()))
