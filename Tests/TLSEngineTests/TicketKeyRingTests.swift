// A ring of ticket keys by itself: what is derived, when a key seals and opens, and what is forgotten.

import Synchronization
import TLSTestKit
import Testing

@testable import TLSEngine

/// The time of a ring, set by a test.
final class RingTime: Sendable {
    private let seconds: Mutex<Int64>

    init(_ seconds: Int64 = 1_000_000) { self.seconds = Mutex(seconds) }

    var now: Int64 {
        get { seconds.withLock { $0 } }
        set { seconds.withLock { $0 = newValue } }
    }

    /// A ring with epochs of 100 s, for sessions of 300 s.
    func ring(
        _ secrets: UInt8...,
        epoch: Int64 = 100,
        maximumAge: Duration? = nil
    ) throws -> TicketKeyRing {
        let ring = try TicketKeyRing(epoch: .seconds(epoch), maximumAge: maximumAge) {
            UnixTime(seconds: self.now)
        }
        if !secrets.isEmpty { try ring.adopt(RingTime.secrets(secrets)) }
        return ring
    }

    static func secrets(_ seeds: [UInt8], dropsOthers: Bool = false) throws -> TicketSecrets {
        try TicketSecrets(seeds.map { try secret($0) }, dropsOthers: dropsOthers)
    }

    static func secret(_ seed: UInt8, from: Int64? = nil) throws -> TicketSecret {
        try TicketSecret(
            [UInt8](repeating: seed, count: 32),
            from: from.map(UnixTime.init(seconds:))
        )
    }
}

extension TicketKeyRing {
    func opens(_ key: TicketKey?) -> Bool { key.flatMap { openingKey($0.name) } != nil }
}

@Suite struct TicketKeyRingTests {
    let time = RingTime()

    // MARK: Derivation

    @Test("keys are derived as RFC 5869 says (test case 3)")
    func knownAnswer() throws {
        let even = try KeyDerivation.extract(
            SecretBytes([UInt8](repeating: 0x0B, count: 22)),
            salt: ""
        )
        #expect(bytes(even).prefix(4) == [0x19, 0xEF, 0x24, 0xA3])
        let key = try KeyDerivation.expand(even, "", count: 42)
        let expected: [UInt8] = [
            0x8D, 0xA4, 0xE7, 0x75, 0xA5, 0x63, 0xC1, 0x8F, 0x71, 0x5F, 0x80, 0x2A, 0x06, 0x3C,
            0x5A, 0x31, 0xB8, 0xA1, 0x1F, 0x5C, 0x5E, 0xE1, 0x87, 0x9E, 0xC3, 0x45, 0x4E, 0x5F,
            0x3C, 0x73, 0x8D, 0x2D, 0x9D, 0x20, 0x13, 0x95, 0xFA, 0xA4, 0xB6, 0x1A, 0x96, 0xC8,
        ]
        #expect(bytes(key) == expected)
    }

    @Test("what was forgotten cannot be derived, and what comes later is as if nothing was")
    func tree() throws {
        let root = SecretBytes([UInt8](repeating: 1, count: 32))
        let whole = TicketKeyTree(root: root)
        var tree = TicketKeyTree(root: root)
        let last = TicketKeyTree.end - 1
        for epoch: Int64 in [0, 1, 5, 493_817, 493_818, 1 << 33, last] {
            try tree.forget(before: epoch)
            #expect(tree.nodeCount <= TicketKeyTree.depth)
            for forgotten in [0, epoch / 2, epoch - 1] where forgotten < epoch && forgotten >= 0 {
                #expect(try tree.key(of: forgotten) == nil)
            }
            for later in [epoch, epoch + 1, last] where later <= last {
                let key = try tree.key(of: later)
                #expect(try key != nil && key == whole.key(of: later))
            }
        }
        #expect(try whole.key(of: -1) == nil && whole.key(of: last + 1) == nil)
        try tree.forget(before: .max)
        #expect(tree.nodeCount == 0)
        // Neighbours share nothing.
        let keys = try (0..<64).map { try whole.key(of: $0) }
        #expect(Set(keys.compactMap { $0.map(bytes) }).count == 64)
    }

    @Test("the same secret and epoch give the same keys in every process, and nothing else does")
    func agreement() throws {
        let (one, other) = (try time.ring(1), try time.ring(1))
        let key = try #require(one.sealingKey())
        let same = try #require(other.sealingKey())
        #expect(key !== same && key.name == same.name && key.nameBytes == same.nameBytes)
        #expect(key.encryption == same.encryption && key.authentication == same.authentication)
        #expect(key.sealing == same.sealing)
        #expect(key.encryption != key.authentication && key.encryption != key.sealing.secret)
        for stranger in [try time.ring(2), try time.ring(1, epoch: 50)] {
            let key = try #require(stranger.sealingKey())
            #expect(key.name != same.name && key.encryption != same.encryption)
            #expect(!one.opens(key) && !stranger.opens(same))
        }
    }

    // MARK: Time

    @Test("a key seals in its epoch, opens one before, and as long as sessions last behind")
    func windows() throws {
        let ring = try time.ring(1)
        try ring.serve(sessionsOf: .seconds(300))
        // The two hours that OpenSSL has where nothing is said.
        #expect(try time.ring().keyCount == 0)
        time.now = 1_000_050
        let key = try #require(ring.sealingKey())
        #expect(key.epoch == 10_000)
        let rows: [(Int64, seals: Bool, opens: Bool)] = [
            (1_000_000, true, true), (1_000_099, true, true), (1_000_100, false, true),
            (999_999, false, true), (999_900, false, true), (999_899, false, false),
            // Two hours and an epoch for clocks that are behind; and the rest of the epoch.
            (1_007_300, false, true), (1_007_399, false, true), (1_007_400, false, false),
        ]
        for (now, seals, opens) in rows {
            time.now = now
            let other = try time.ring(1)
            #expect((other.sealingKey()?.name == key.name) == seals, "\(now)")
            #expect(other.opens(key) == opens, "\(now)")
        }
    }

    @Test("a ring that goes through time has the keys of one that is new, and no more")
    func rotation() throws {
        let ring = try time.ring(1)
        for step: Int64 in [1, 99, 100, 1, 250, 7000, 100_000, -100, 3] {
            time.now += step
            #expect(ring.nextRotation.seconds == (time.now / 100 + 1) * 100)
            try ring.rotate()
            let fresh = try time.ring(1)
            let (key, own) = (fresh.sealingKey(), ring.sealingKey())
            #expect(key?.name == own?.name && own != nil)
            #expect(ring.opens(key) && fresh.opens(own))
            #expect(ring.keyCount <= fresh.keyCount)
        }
    }

    @Test("a handshake that comes before the rotation makes up for it")
    func late() throws {
        let (ring, fresh) = (try time.ring(1), RingTime(1_000_000))
        let old = ring.sealingKey()
        time.now += 100_000
        fresh.now = time.now + 100
        let ahead = try fresh.ring(1).sealingKey()
        #expect(ring.opens(ahead))
        #expect(!ring.opens(old))
        #expect(ring.sealingKey()?.epoch == 11_000)
        // With it come the epochs that were passed over.
        #expect(ring.keyCount == (try time.ring(1).keyCount))
    }

    @Test("a clock that was set back or forth costs tickets until the secret comes again, no more")
    func clockJumps() throws {
        let ring = try time.ring(1)
        time.now += 1_000_000_000
        #expect(ring.canSeal)
        time.now -= 1_000_000_000
        // The keys are gone for good.
        #expect(!ring.canSeal && ring.keyCount == 0)
        try ring.adopt(RingTime.secrets([1]))
        #expect(ring.canSeal)
        // A step back over an epoch's end, and forth again.
        time.now += 500
        try ring.rotate()
        time.now -= 150
        try ring.rotate()
        #expect(ring.canSeal)
        time.now += 150
        #expect(ring.canSeal)
        for now: Int64 in [0, -1, .min / 2, .max / 2] {
            time.now = now
            try ring.adopt(RingTime.secrets([1]))
            #expect(ring.canSeal)
        }
    }

    // MARK: Secrets

    @Test("without a secret, or behind the age that one may have, nothing is sealed")
    func maximumAge() throws {
        let empty = try time.ring()
        #expect(!empty.canSeal && empty.keyCount == 0)
        try empty.rotate()
        #expect(!empty.canSeal)
        let ring = try time.ring(1, maximumAge: .seconds(150))
        let key = ring.sealingKey()
        time.now += 149
        #expect(ring.canSeal)
        time.now += 1
        #expect(!ring.canSeal && ring.opens(key))
        try ring.rotate()
        #expect(!ring.canSeal && ring.opens(key))
        time.now += 7600
        #expect(ring.keyCount == 0 && !ring.opens(key))
        try ring.adopt(RingTime.secrets([1]))
        #expect(ring.canSeal)
    }

    @Test("a secret that is replaced opens what it sealed, unless it is to be dropped")
    func replaced() throws {
        let ring = try time.ring(1)
        let old = ring.sealingKey()
        try ring.adopt(RingTime.secrets([2]))
        #expect(ring.sealingKey()?.name != old?.name && ring.opens(old))
        // It cannot go on by itself: the secret is gone.
        time.now += 200
        let later = try RingTime(time.now).ring(1).sealingKey()
        #expect(ring.opens(old) && !ring.opens(later))
        time.now += 7300
        #expect(!ring.opens(old))

        let dropping = try time.ring(1)
        let leaked = dropping.sealingKey()
        try dropping.adopt(RingTime.secrets([2], dropsOthers: true))
        #expect(!dropping.opens(leaked) && dropping.canSeal)
        dropping.forgetAll()
        #expect(!dropping.canSeal && dropping.keyCount == 0)
    }

    @Test("of several secrets the latest that has come seals, and all open")
    func overlap() throws {
        let now = time.now
        let rows: [([TicketSecret], Int)] = try [
            ([RingTime.secret(1), RingTime.secret(2)], 0),
            ([RingTime.secret(1), RingTime.secret(2, from: now)], 1),
            ([RingTime.secret(1), RingTime.secret(2, from: now + 1)], 0),
            ([RingTime.secret(1, from: 5), RingTime.secret(2, from: 4), RingTime.secret(3)], 0),
            ([RingTime.secret(1, from: 5), RingTime.secret(2, from: 6)], 1),
            ([RingTime.secret(1), RingTime.secret(1), RingTime.secret(2)], 0),
        ]
        for (secrets, place) in rows {
            let ring = try time.ring()
            try ring.adopt(TicketSecrets(secrets))
            let alone = try secrets.map { secret in
                let ring = try time.ring()
                try ring.adopt(TicketSecrets([TicketSecret(secret.secret)]))
                return ring.sealingKey()
            }
            #expect(ring.sealingKey()?.name == alone[place]?.name)
            for key in alone { #expect(ring.opens(key)) }
        }
        let ring = try time.ring()
        try ring.adopt(TicketSecrets([RingTime.secret(1, from: now + 10)]))
        #expect(!ring.canSeal && ring.keyCount > 0)
        time.now += 10
        #expect(ring.canSeal)
    }

    @Test("an epoch has whole seconds, 1 s to 7 days, and is not too short for the sessions")
    func limits() throws {
        for epoch in [Duration.seconds(1), .seconds(604_800)] {
            _ = try TicketKeyRing(epoch: epoch)
        }
        for epoch in [Duration.zero, .milliseconds(1500), .seconds(604_801), .seconds(-1)] {
            #expect(throws: TLSError(.invalidPolicy)) { try TicketKeyRing(epoch: epoch) }
        }
        let fixtures = try Fixtures.shared()
        for (timeout, isTaken): (Int64, Bool) in [(1020, true), (1021, false)] {
            let ring = try TicketKeyRing(epoch: .seconds(1))
            let make = {
                try TLSContext(
                    role: .server,
                    policy: TLSPolicy { $0.sessionTimeout = .seconds(timeout) },
                    identities: [fixtures.serverIdentity()],
                    ticketKeys: ring
                )
            }
            if isTaken {
                #expect(try make().sharesSessions)
            } else {
                #expect(throws: TLSError(.invalidPolicy), performing: make)
            }
        }
    }

    private func bytes(_ secret: SecretBytes) -> [UInt8] {
        secret.withBytes { bytes in bytes.indices.map { bytes[$0] } }
    }
}
