// A handshake on real sockets, cut at every boundary of its records, one byte before and one after, by
// a wire in the middle, with a FIN and with a reset, against both roles.

import Synchronization
import TLSEngine
import Testing

@testable import Sockets

/// Where and how a wire is cut.
private struct Cut: Sendable {
    enum Ending: CaseIterable, Sendable {
        case fin, reset
    }

    /// The record at whose end the wire is cut, counted from 0.
    let record: Int
    /// Bytes past that end.
    let delta: Int
    let ending: Ending

    /// The place, once enough bytes are known.
    func place(in bytes: [UInt8]) -> Int? {
        ends(of: bytes).dropFirst(record).first.map { $0 + delta }
    }
}

/// Where the records end whose headers are known.
private func ends(of bytes: [UInt8]) -> [Int] {
    var ends: [Int] = []
    var end = 0
    while bytes.count >= end + 5 {
        end += 5 + Int(bytes[end + 3]) << 8 + Int(bytes[end + 4])
        ends.append(end)
    }
    return ends
}

/// A TLS connection through a wire of which one direction can be cut.
private struct CutConnection: Sendable {
    let client: Socket
    let listener: SocketListener
    let failures = Log<SocketError>()
    let accepted = Log<Socket>()
    /// What has come from the side that is not the victim.
    let traffic = Log<[UInt8]>()
    private let ends: [Socket]
    private let pumps: [Task<Void, Never>]

    init(_ wire: Wire, victim: TLSRole, _ cut: Cut?) async throws {
        let (failures, accepted, traffic) = (failures, accepted, traffic)
        listener = try makeListener(wire)
        try listener.onSocket { error, _ in
            if let error = error as? SocketError { failures.append(error) }
        } _: { event in
            accepted.append(event.socket)
        }
        let middle = try RawServer()
        client = try makeClient(wire, to: middle.address) { $0.servername = "localhost" }
        let inner = try await middle.accept()
        let outer = try makeClient(.tcp, to: listener.localAddress)
        let (source, sink) = victim == .client ? (outer, inner) : (inner, outer)
        pumps = [
            Task {
                while let bytes = try? await sink.read() {
                    guard (try? await source.write(bytes)) != nil else { break }
                }
            },
            Task {
                var seen: [UInt8] = []
                var sent = 0
                while let bytes = try? await source.read() {
                    seen += bytes
                    traffic.append(bytes)
                    let place = cut?.place(in: seen) ?? .max
                    let end = min(place, seen.count)
                    try? await sink.write(Array(seen[min(sent, end)..<end]))
                    sent = end
                    guard seen.count >= place else { continue }
                    switch cut?.ending {
                    case .reset: sink.abort()
                    case .fin, nil: try? await sink.shutdownWrite()
                    }
                    break
                }
            },
        ]
        ends = [inner, outer]
    }

    /// Breaks everything off, and waits until nothing is left.
    func end() async {
        client.abort()
        for end in ends { end.abort() }
        for socket in accepted.all { socket.abort() }
        for pump in pumps { await pump.value }
        await until { listener.core.aliveCount == 0 }
    }
}

@Suite(.timeLimit(.minutes(1))) struct CutHandshakeTests {
    /// The records that one side sends until the other is done.
    private func recordCount(_ wire: Wire, victim: TLSRole) async throws -> Int {
        let connection = try await CutConnection(wire, victim: victim, nil)
        _ = try await connection.client.ready
        await until { connection.accepted.count == 1 }
        try await connection.accepted.all[0].write("x")
        #expect(try await connection.client.read() == [120])
        let count = ends(of: connection.traffic.all.flatMap(\.self)).count
        await connection.end()
        // The last of a server's is the letter above.
        return victim == .client ? count - 1 : count
    }

    @Test(
        "a handshake that is cut anywhere ends with a code and a phase",
        arguments: Wire.secure,
        [TLSRole.client, .server]
    )
    func everyBoundary(wire: Wire, victim: TLSRole) async throws {
        let count = try await recordCount(wire, victim: victim)
        #expect(count >= 3)
        for ending in Cut.Ending.allCases {
            for record in 0..<count {
                for delta in [-1, 0, 1] where record < count - 1 || delta <= 0 {
                    let cut = Cut(record: record, delta: delta, ending: ending)
                    let connection = try await CutConnection(wire, victim: victim, cut)
                    let error = await failure(of: connection, victim)
                    #expect(error?.phase != nil, "\(cut)")
                    switch ending {
                    case .reset: #expect(error?.code == .peerReset, "\(cut)")
                    case .fin where error?.code == .truncated:
                        #expect(error?.phase == .open, "\(cut)")
                    case .fin:
                        #expect(error?.code == .handshakeFailed, "\(cut)")
                        #expect(error?.tls?.code == .closedDuringHandshake, "\(cut)")
                        #expect(error?.phase != .open, "\(cut)")
                    }
                    await connection.end()
                }
            }
        }
    }

    /// What the victim is told: by its handshake, or by the first read behind it.
    private func failure(of connection: CutConnection, _ victim: TLSRole) async -> SocketError? {
        switch victim {
        case .client:
            let error = await thrown { _ = try await readAll(from: connection.client) }
            #expect(await connection.client.closed.error?.code == error?.code)
            return error
        case .server:
            await until { connection.failures.count + connection.accepted.count == 1 }
            guard let socket = connection.accepted.all.first else {
                return connection.failures.all.first
            }
            return await thrown { _ = try await readAll(from: socket) }
        }
    }
}
