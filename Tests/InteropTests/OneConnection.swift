// One connection of a client of others with a listener of ours, and the settings of both.

import Sockets
import TLSTestKit
import Testing

extension ServerSettings {
    /// What a server needs for a row of data.
    init(_ row: EchoRow, _ directory: borrowing TemporaryDirectory) throws {
        let handshake = HandshakeRow(version: row.version, key: row.key)
        self.init(
            directory: directory.path,
            certificate: try Authorities.shared.get().serverCertificate(handshake)
                .write(to: directory.path),
            version: row.version,
            protocols: [],
            clients: .none,
            clientRoot: nil
        )
    }
}

/// Listens for one connection.
///
/// - Parameters:
///   - row: Its version and key.
///   - ticketCount: Session tickets to send. A client that dies and has not read one is a reset, and
///     no cut.
///   - body: Starts a client with the settings, and gets the socket from the closure.
/// - Throws: What the closure throws, and when there is no certificate or no connection.
func withOneConnection(
    _ row: EchoRow,
    ticketCount: Int = 1,
    _ body: @Sendable (ClientSettings, () async throws -> Socket) async throws -> Void
) async throws {
    let directory = try TemporaryDirectory()
    let handshake = HandshakeRow(version: row.version, key: row.key)
    let certificate = try Authorities.shared.get().serverCertificate(handshake)
    let files = try certificate.write(to: directory.path)
    let options = try SocketListenerInit(
        type: .tls,
        local: .init("127.0.0.1", port: 0),
        identity: certificate.identity()
    ) {
        $0.ticketCount = ticketCount
    }
    try await withListener(options) { listener in
        let settings = ClientSettings(
            directory: directory.path,
            address: listener.localAddress,
            root: files.root,
            version: row.version
        )
        try await body(settings) {
            var events = listener.makeAsyncIterator()
            return try #require(await events.next()).socket
        }
    }
}

extension ForeignProcess {
    /// Writes what a row says to its standard input, and ends that.
    func writeAndEnd(_ row: EchoRow) async throws {
        var left = row.count
        while left > 0 {
            let count = min(left, mebibyte.count)
            try await write(Array(mebibyte.prefix(count)))
            left -= count
        }
        closeInput()
    }
}
