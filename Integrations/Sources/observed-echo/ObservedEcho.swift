// An echo service that is logged, counted and traced, and drains on SIGTERM: the program of the article
// "Logs, metrics, traces", run by the tests with `--once`.

import Logging
import ServiceLifecycle
import Sockets
import SocketsLifecycle
import SocketsLogging
import SocketsMetrics
import SocketsTracing
import TLSTestKit
import UnixSignals

@main struct ObservedEcho {
    static func main() async throws {
        let authority = try TestCA()
        let leaf = try authority.issue("localhost", "127.0.0.1")
        let identity = try TLSIdentity(
            certificate: Array(leaf.chainPEM.utf8),
            privateKey: Array(leaf.privateKeyPEM.utf8)
        )
        let listener = try SocketListener(
            SocketListenerInit(
                type: .tls,
                local: SocketAddress("127.0.0.1", port: 0),
                identity: identity
            )
        )
        var logger = Logger(label: "echo")
        logger.logLevel = .debug
        let service = ObservedListener(listener: listener, logger: logger)
        let group = ServiceGroup(
            services: [service],
            gracefulShutdownSignals: [.sigterm],
            logger: logger
        )
        guard CommandLine.arguments.contains("--once") else { return try await group.run() }
        async let running: Void = group.run()
        var options = SocketInit(type: .tls, remote: listener.localAddress)
        options.trust = TrustPolicy(anchors: try Certificate.read(Array(authority.rootPEM.utf8)))
        let socket = try await ConnectionTracer().connect(options)
        try await socket.write("hello")
        print(try await socket.read()?.count ?? 0)
        try await socket.close()
        await group.triggerGracefulShutdown()
        try await running
    }
}

/// A listener with all that tells of it.
struct ObservedListener: Service {
    let listener: SocketListener
    let logger: Logger

    func run() async throws {
        // Taken here, so that nothing is missed.
        let (events, counted, traffic) = (listener.events, listener.events, listener.traffic)
        async let logging: Void = EventLogger(logger).follow(events)
        async let counting: Void = SocketMetrics().follow(counted, traffic, of: listener)
        try await ListenerService(listener, drain: .seconds(20)) { socket in
            try await ConnectionTracer().handle(socket) { _ in
                for try await chunk in try socket.stream() { try await socket.write(chunk) }
            }
        }
        .run()
        _ = await (logging, counting)
    }
}
