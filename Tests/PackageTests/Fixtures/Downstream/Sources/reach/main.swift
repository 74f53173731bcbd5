// What a user reaches with `import Sockets` and nothing else, with member imports made visible: it
// compiles, or a member is out of reach.

import Sockets

/// Every way to ask for something in a client's dictionary.
func clientOptions(_ identity: TLSIdentity, _ root: Certificate) throws -> SocketInit {
    let address = try SocketAddress(parsing: "[::1]:443")
    return SocketInit(type: .tls, remote: address) {
        $0.local = SocketAddress("::1", port: 0)
        $0.alpn = ["h2", "http/1.1"]
        $0.servername = "example.com"
        $0.identity = identity
        $0.minimumVersion = .tls13
        $0.maximumVersion = .tls13
        $0.cipherAlgorithms = ["TLS_AES_128_GCM_SHA256"]
        $0.trust = TrustPolicy {
            $0.anchors = .certificates([root])
            $0.name = .name("example.com")
            $0.verificationTime = UnixTime(seconds: 0)
            $0.strictness = .lenient(because: "an old device")
        }
        $0.tls.limits.clientHelloBytes = 16384
        $0.limits.handshake = .seconds(3)
        $0.signal = AbortSignal.timeout(.seconds(3))
        $0.group = EventLoopGroup(loopCount: 1)
        $0.body = .sequence(AsyncStream { $0.finish() })
    }
}

/// Every fact of a connection.
func facts(_ socket: Socket) async throws(SocketError) -> String {
    let info = try await socket.ready
    let report = info.report
    let chain = report?.peerChain.map(\.shortName) ?? []
    let names = report?.peerChain.first?.subjectAlternativeNames.map(\.description) ?? []
    let phase = report?.phase == .open ? "open" : report?.phase.description
    return """
        \(info.remote.address) \(info.local.port) \(info.alpn ?? "none") \(info.servername ?? "")
        \(info.cipher?.standardName ?? "") \(info.ephemeralKey?.size ?? 0) \(chain) \(names)
        \(info.version == .tls13) \(report?.group == .x25519) \(phase ?? "")
        \(report?.alertReceived?.name ?? "") \(info.timings.handshake ?? .zero)
        """
}

/// Every part of an error.
func explain(_ error: SocketError) -> String {
    switch (error.category, error.code) {
    case (.tls, .certificateRejected):
        let failure = error.tls?.verification
        return failure?.code == .hostnameMismatch
            ? "another name" : failure?.certificate?.subject ?? "no certificate"
    case (.tls, _) where error.tls?.alert == .noApplicationProtocol: return "no protocol"
    case (.network, .connectionRefused): return error.address?.description ?? ""
    default: return "\(error.phase == .serverHello) \(error.hint ?? "")"
    }
}

/// A listener, both ways to take its connections.
func listen(_ options: SocketListenerInit) async throws {
    try await withListener(options) { listener in
        for try await event in listener {
            try event.respondWith(SocketResponse(body: try event.socket.stream()))
        }
    }
    let listener = try SocketListener(options)
    try await listener.serve(maxConcurrent: 10, onError: { error, from in print(error, from) }) {
        var buffer = [UInt8](repeating: 0, count: 16)
        let count = try await $0.read(into: &buffer)
        try await $0.write(buffer.span.extracting(..<count))
        try await $0.shutdownWrite()
        print($0.stats.bytesSent, await $0.closed)
    }
}

// Run, it shows the first thing that goes wrong, which every program meets.
do {
    _ = try TLSIdentity(certificateFile: "/nonexistent", privateKeyFile: "/nonexistent")
} catch {
    print(error.code == .systemCallFailed ? "reached" : "\(error)")
}
