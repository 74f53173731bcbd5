// Key shares that are none: points of small order, and numbers outside their group. OpenSSL notices when
// it derives the secret, and calls it an internal error; it is the peer's.

import TLSEngine
import TLSTestKit
import Testing

@Suite struct KeyShareTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// A group, and a share in it that no peer may use.
    struct BadShare: Sendable, CustomTestStringConvertible {
        let group: String
        /// What stands before the share in a ClientHello and in a ServerHello.
        let beginning: [UInt8]
        let share: [UInt8]
        var testDescription: String { "\(group) \(share.last ?? 0)" }
    }

    static let shares: [BadShare] = [
        BadShare(group: "X25519", beginning: [0, 0x1d, 0, 32], share: number(0, in: 32)),
        BadShare(group: "ffdhe2048", beginning: [1, 0, 1, 0], share: number(0, in: 256)),
        BadShare(group: "ffdhe2048", beginning: [1, 0, 1, 0], share: number(1, in: 256)),
        // Within the field, and outside of its subgroup.
        BadShare(group: "ffdhe2048", beginning: [1, 0, 1, 0], share: number(11, in: 256)),
        BadShare(
            group: "ffdhe2048",
            beginning: [1, 0, 1, 0],
            share: [UInt8](repeating: 255, count: 256)
        ),
    ]

    private static func number(_ last: UInt8, in count: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: count - 1) + [last]
    }

    @Test("a bad share is the peer's fault", arguments: shares, [TLSRole.client, .server])
    func refused(_ bad: BadShare, by role: TLSRole) throws {
        let sender: TLSRole = role == .client ? .server : .client
        var isReplaced = false
        let pair = try EnginePair(
            client: fixtures.client { $0.groups = [bad.group] },
            server: fixtures.server { $0.groups = [bad.group] }
        ) { from, chunk in
            guard from == sender, !isReplaced else { return chunk }
            var chunk = chunk
            isReplaced = chunk.replace(behind: bad.beginning, with: bad.share)
            return chunk
        }
        #expect(throws: TLSError.self) { try pair.handshake() }
        #expect(isReplaced)
        let error = try #require(pair.errors[role])
        #expect(error.code == .protocolViolation)
        #expect(error.phase == (role == .client ? .certificate : .clientHello))
        #expect(error.category == .peer)
    }

    @Test("so is one of TLS 1.2", arguments: shares)
    func refusedBefore(_ bad: BadShare) throws {
        let isField = bad.group == "ffdhe2048"
        var isReplaced = false
        let pair = try EnginePair(
            client: fixtures.client {
                $0.allowOnly(.tls12)
                if isField {
                    $0.cipherAlgorithms = ["DHE-RSA-AES128-GCM-SHA256"]
                } else {
                    $0.groups = [bad.group]
                }
            },
            server: fixtures.server(.rsa2048) { $0.allowOnly(.tls12) }
        ) { from, chunk in
            guard from == .client, !isReplaced else { return chunk }
            var chunk = chunk
            // A ClientKeyExchange: its length, and that of the number or of the point.
            let beginning: [UInt8] = isField ? [16, 0, 1, 2, 1, 0] : [16, 0, 0, 33, 32]
            isReplaced = chunk.replace(behind: beginning, with: bad.share)
            return chunk
        }
        #expect(throws: TLSError.self) { try pair.handshake() }
        #expect(isReplaced)
        let error = try #require(pair.errors[.server])
        #expect(error.code == .protocolViolation)
        #expect(error.category == .peer)
        #expect(error.phase == .keyExchange)
    }
}

extension [UInt8] {
    /// Writes over what stands behind a run of bytes; false without such a run.
    fileprivate mutating func replace(behind run: [UInt8], with bytes: [UInt8]) -> Bool {
        guard count >= run.count + bytes.count else { return false }
        for start in 0...(count - run.count - bytes.count)
        where Array(self[start..<(start + run.count)]) == run {
            let place = start + run.count
            replaceSubrange(place..<(place + bytes.count), with: bytes)
            return true
        }
        return false
    }
}
