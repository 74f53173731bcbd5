// The server that the benchmarks measure. Its handler is what a user of the library would write: the
// public API, no knobs.
//
// The first byte of a connection says what follows: `E` echo everything after it, `S` discard
// everything, `G` and an 8-byte big-endian count: send that many bytes, then close.

import ArgumentParser
import Glibc
import Sockets

@main
struct BenchServer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sockets-bench-server",
        abstract: "Echo, discard or send bytes over TLS or TCP, on 127.0.0.1."
    )

    @Option(help: "The port to listen on; 0 has the system choose.")
    var port: UInt16 = 0
    @Option(help: "A certificate chain in PEM.")
    var cert: String?
    @Option(help: "The certificate's key in PEM.")
    var key: String?
    @Flag(help: "Plain TCP instead of TLS.")
    var plain = false
    @Option(help: "Event loops.")
    var threads = 1

    mutating func validate() throws {
        guard plain || (cert != nil && key != nil) else {
            throw ValidationError("Give --cert and --key, or --plain.")
        }
        guard threads > 0 else { throw ValidationError("--threads is at least 1.") }
    }

    func run() async throws {
        let local = SocketAddress("127.0.0.1", port: port)
        var options = SocketListenerInit(type: plain ? .tcp : .tls, local: local)
        if let cert, let key, !plain {
            options.identity = try TLSIdentity(certificateFile: cert, privateKeyFile: key)
        }
        options.group = EventLoopGroup(loopCount: threads)
        let listener = try SocketListener(options)
        print("listening on \(listener.localAddress)")
        fflush(nil)  // whoever started this reads the port there
        try await listener.serve(maxConcurrent: 100_000, serve)
    }
}

@Sendable
func serve(_ socket: Socket) async throws {
    guard let first = try await socket.read() else { return }
    switch first[0] {
    case UInt8(ascii: "E"): try await echo(socket, first.dropFirst())
    case UInt8(ascii: "S"): try await discard(socket)
    case UInt8(ascii: "G"): try await send(to: socket, header: Array(first.dropFirst()))
    default: return
    }
}

/// The sizes of a connection's buffer: small while its messages are.
let bufferSizes = (least: 2 << 10, most: 64 << 10)

func echo(_ socket: Socket, _ first: ArraySlice<UInt8>) async throws {
    try await socket.write(Array(first))
    var buffer = [UInt8](repeating: 0, count: bufferSizes.least)
    while true {
        let count = try await socket.read(into: &buffer)
        guard count > 0 else { return }
        try await socket.write(buffer.span.extracting(0..<count))
        if count == buffer.count, count < bufferSizes.most {
            buffer = [UInt8](repeating: 0, count: count * 4)
        }
    }
}

func discard(_ socket: Socket) async throws {
    var buffer = [UInt8](repeating: 0, count: bufferSizes.most)
    while try await socket.read(into: &buffer) > 0 { continue }
}

/// Sends as many bytes as the header's count says.
func send(to socket: Socket, header: [UInt8]) async throws {
    var header = header
    while header.count < 8 {
        guard let more = try await socket.read(upTo: 8 - header.count) else { return }
        header += more
    }
    var remaining = header.reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    let chunk = [UInt8](repeating: UInt8(ascii: "g"), count: 64 << 10)
    while remaining > 0 {
        let count = Int(min(UInt64(chunk.count), remaining))
        try await socket.write(chunk.span.extracting(0..<count))
        remaining -= UInt64(count)
    }
}
