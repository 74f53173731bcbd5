// The server of `tlsinspect serve`: remembers what a client said until its handshake is done, and answers
// one request of HTTP/1.1 with it.

import Sockets
import Synchronization
import TLSInspection
import Tooling

/// Serves clients what they said.
final class HelloDesk: Sendable {
    private let root: String?
    private let hellos = Mutex(Hellos())

    /// Hellos whose handshakes are not done, the oldest in front; handshakes that fail leave theirs.
    private struct Hellos {
        var byClient: [SocketAddress: ClientHello] = [:]
        var order: [SocketAddress] = []
    }

    /// Makes a desk.
    ///
    /// - Parameter root: What it gives at `/root.pem`; nil has none.
    init(root: String?) { self.root = root }

    /// Serves while a closure runs.
    func serve<Result: Sendable>(
        at address: SocketAddress,
        _ identity: TLSIdentity,
        _ body: (SocketAddress) async throws -> Result
    ) async throws -> Result {
        let options = SocketListenerInit(type: .tls, local: address, identity: identity) {
            $0.alpn = ["http/1.1"]
            $0.idleTimeout = DeskLimits.idle
            $0.admission.connections = DeskLimits.connections
            $0.admit = { [self] hello, remote in
                remember(hello, remote)
                return .accept
            }
        }
        return try await withListener(options) { listener in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [self] in
                    try await listener.serve { [self] in try await answer($0) }
                }
                let result = try await body(listener.localAddress)
                await listener.close()
                try await group.waitForAll()
                return result
            }
        }
    }

    private func remember(_ hello: ClientHello, _ remote: SocketAddress) {
        hellos.withLock { hellos in
            if hellos.byClient.updateValue(hello, forKey: remote) == nil {
                hellos.order.append(remote)
            }
            guard hellos.order.count > DeskLimits.hellos else { return }
            hellos.byClient[hellos.order.removeFirst()] = nil
        }
    }

    private func recall(_ remote: SocketAddress?) -> ClientHello? {
        guard let remote else { return nil }
        return hellos.withLock { hellos in
            hellos.order.removeAll { $0 == remote }
            return hellos.byClient.removeValue(forKey: remote)
        }
    }

    private func answer(_ socket: Socket) async throws {
        _ = try await socket.ready
        let hello = recall(socket.remoteAddress)
        var request: [UInt8] = []
        while !HelloDesk.isWhole(request) {
            guard let bytes = try await socket.read() else { return }
            request += bytes
            guard request.count <= DeskLimits.requestBytes else { return }
        }
        let words = String(decoding: request.prefix { $0 != 13 }, as: UTF8.self).split(
            separator: " "
        )
        let (isHead, target) = (
            words.first == "HEAD", words.dropFirst().first.map(String.init) ?? ""
        )
        var page = Page(
            status: "404 Not Found",
            type: "text/plain; charset=utf-8",
            text: "not here\n"
        )
        if words.first != "GET", !isHead {
            page.status = "405 Method Not Allowed"
        } else if let hello, let found = self.page(target, HelloReport(hello, socket.report)) {
            page = found
        }
        let body = Array(page.text.utf8)
        let head = """
            HTTP/1.1 \(page.status)\r
            Content-Type: \(page.type)\r
            Content-Length: \(body.count)\r
            Cache-Control: no-store\r
            Content-Security-Policy: \(PageFrame.policy)\r
            X-Content-Type-Options: nosniff\r
            Connection: close\r
            \r

            """
        try await socket.write(Array(head.utf8) + (isHead ? [] : body))
        try await socket.close()
    }

    private struct Page {
        var status = "200 OK"
        var type: String
        var text: String
    }

    private func page(_ target: String, _ report: HelloReport) -> Page? {
        switch target.prefix(while: { $0 != "?" }) {
        case "/": Page(type: "text/html; charset=utf-8", text: HelloPage(report).text)
        case "/json": Page(type: "application/json", text: JSONLine.text(of: report))
        case "/root.pem": root.map { Page(type: "application/x-pem-file", text: $0) }
        default: nil
        }
    }

    /// Whether a request is at its end; none that is answered has a body.
    private static func isWhole(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 4
            && (4...bytes.count).contains { bytes[($0 - 4)..<$0].elementsEqual([13, 10, 13, 10]) }
    }
}

/// What clients may cost.
enum DeskLimits {
    /// How long a client may be silent.
    static let idle = Duration.seconds(15)
    /// Connections at once.
    static let connections = 1024
    /// Hellos that are remembered: more than there are connections.
    static let hellos = 2048
    /// Bytes of a request.
    static let requestBytes = 16 << 10
}
