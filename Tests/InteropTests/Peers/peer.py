# TLS by Python's ssl. Reads commands from standard input, one a line, and reports in lines of JSON;
# the commands, the reports and their words are described in README.md beside this file.
#
# The TLS object works on two buffers in memory, so that what goes over TCP is decided here: a
# close_notify that is not waited for, and an end of TCP without one.

import base64
import hashlib
import json
import platform
import socket
import ssl
import sys
import threading

printing = threading.Lock()


def report(command, event, **facts):
    with printing:
        print(json.dumps({"id": int(command["id"]), "event": event, **facts}), flush=True)


def context(command):
    is_server = command["role"] == "server"
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    version = ssl.TLSVersion.TLSv1_2 if command["version"] == "1.2" else ssl.TLSVersion.TLSv1_3
    made.minimum_version = made.maximum_version = version
    if "chain" in command:
        made.load_cert_chain(command["chain"], command["key"])
    if "late" in command:
        made.post_handshake_auth = True
    if "roots" in command:
        made.load_verify_locations(command["roots"])
    if "alpn" in command:
        made.set_alpn_protocols(command["alpn"].split(","))
    if is_server:
        made.verify_mode = {
            "none": ssl.CERT_NONE, "request": ssl.CERT_OPTIONAL, "require": ssl.CERT_REQUIRED,
        }[command["clients"]]
        made.sni_callback = lambda object, name, _: setattr(object, "asked_for", name)
    elif "servername" not in command:
        made.check_hostname = False
    return made


class Stream:
    """TLS over a blocking socket."""

    def __init__(self, command, tcp):
        self.tcp = tcp
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context(command).wrap_bio(
            self.incoming, self.outgoing,
            server_side=command["role"] == "server",
            server_hostname=command.get("servername"),
        )
        self.step(self.tls.do_handshake)

    def flush(self):
        if self.outgoing.pending:
            self.tcp.sendall(self.outgoing.read())

    def step(self, call, *arguments):
        while True:
            try:
                return call(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                received = self.tcp.recv(1 << 16)
                self.incoming.write(received) if received else self.incoming.write_eof()
            finally:
                self.flush()

    def chunks(self, seen):
        """What comes; at the end, how it ended is in `seen`."""
        try:
            while chunk := self.step(self.tls.read, 1 << 16):
                yield chunk
            seen["end"] = "clean"
        except ssl.SSLZeroReturnError:
            seen["end"] = "clean"
        except ssl.SSLEOFError:
            seen["end"] = "cut"

    def write(self, chunk):
        self.step(self.tls.write, chunk)

    def end(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # The close_notify is made; the peer's comes in its own time.
        self.flush()
        self.tcp.shutdown(socket.SHUT_WR)


def read(stream, use=lambda chunk: None):
    seen, digest, head = {"bytes": 0}, hashlib.sha256(), b""
    for chunk in stream.chunks(seen):
        digest.update(chunk)
        head = head if len(head) >= 4096 else (head + chunk)[:4096]
        seen["bytes"] += len(chunk)
        use(chunk)
    return {**seen, "sha256": digest.hexdigest(), "head": base64.b64encode(head).decode()}


def echo(command, stream):
    def back(chunk):
        size = int(command.get("piece", len(chunk)))
        for start in range(0, len(chunk), size):
            stream.write(chunk[start:start + size])
    seen = read(stream, back)
    stream.end()
    return seen


def answer(command, stream):
    seen = read(stream)
    stream.write(seen["sha256"].encode())
    stream.end()
    return seen


def greet(command, stream):
    stream.write(b"greeting")
    stream.end()
    return read(stream)


def cut(command, stream):
    for chunk in stream.chunks({}):
        stream.write(b"hello")
        return {"bytes": len(chunk)}


def authenticate(command, stream):
    chunks = stream.chunks({})
    next(chunks)
    stream.tls.verify_client_post_handshake()
    stream.write(b"asked")
    next(chunks)
    stream.write((subject(stream) or "nobody").encode())
    stream.end()
    return {}


def request(command, stream):
    with open(command["send"], "rb") as file:
        stream.write(file.read())
    return read(stream)


def subject(stream):
    parts = (stream.tls.getpeercert() or {}).get("subject", ())
    return next((value for part in parts for name, value in part if name == "commonName"), None)


def run(command):
    try:
        is_server = command["role"] == "server"
        if is_server:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                report(command, "listening", port=listener.getsockname()[1])
                tcp, _ = listener.accept()
        else:
            tcp = socket.create_connection(("127.0.0.1", int(command["port"])))
        with tcp:
            stream = Stream(command, tcp)
            report(
                command, "ready",
                version=stream.tls.version(),
                cipher=stream.tls.cipher()[0],
                alpn=stream.tls.selected_alpn_protocol(),
                servername=getattr(stream.tls, "asked_for", None),
                client=subject(stream) if is_server else None,
                unique=base64.b64encode(stream.tls.get_channel_binding() or b"").decode(),
            )
            seen = globals()[command["act"]](command, stream)
        report(command, "done", **seen)
    except Exception as error:
        report(command, "failed", error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    version = f"Python {platform.python_version()}, {' '.join(ssl.OPENSSL_VERSION.split()[:2])}"
    print(json.dumps({"event": "started", "version": version}), flush=True)
    for line in sys.stdin:
        fields = dict(field.split("=", 1) for field in line.rstrip("\n").split("\t"))
        threading.Thread(target=run, args=(fields,), daemon=True).start()
