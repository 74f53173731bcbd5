// Keys, names and secrets as values: their bounds, and that nothing shows them.

import Testing

@testable import TLSEngine

@Suite struct PresharedKeyInfoTests {
    @Test(
        "a key has 16...512 bytes",
        arguments: [(15, false), (16, true), (512, true), (513, false)]
    )
    func size(_ count: Int, _ isGood: Bool) throws {
        let key = [UInt8](repeating: 1, count: count)
        for use in keyUses {
            if isGood {
                #expect(try PresharedKeyInfo(key: key, identity: "a", use: use).key.count == count)
            } else {
                #expect(throws: TLSError(.invalidPresharedKey)) {
                    try PresharedKeyInfo(key: key, identity: "a", use: use)
                }
            }
        }
    }

    @Test(
        "an identity has a byte at least, 256 at most in TLS 1.2, and there none that is 0",
        arguments: [
            ([], nil), ([1], .tls12), ([UInt8](repeating: 1, count: 256), .tls12),
            ([UInt8](repeating: 1, count: 257), .tls13), ([1, 0, 2], .tls13),
            ([UInt8](repeating: 1, count: 65535), .tls13),
            ([UInt8](repeating: 1, count: 65536), nil),
        ] as [([UInt8], ProtocolVersion?)]
    )
    func identity(_ bytes: [UInt8], _ oldest: ProtocolVersion?) throws {
        let key = [UInt8](repeating: 1, count: 32)
        let identity = PresharedKeyIdentity(bytes: bytes)
        for (use, version) in [
            (PresharedKeyInfo.Use.tls12, ProtocolVersion.tls12), (.tls13(.sha256), .tls13),
        ] {
            let info = try? PresharedKeyInfo(key: key, identity: identity, use: use)
            #expect((info != nil) == (oldest.map { $0 <= version } ?? false))
            #expect(info?.identity.bytes ?? bytes == bytes)
        }
    }

    @Test("a key is for TLS 1.3 with SHA-256, and for one role, unless it says otherwise")
    func defaults() throws {
        let info = try PresharedKeyInfo(key: [UInt8](repeating: 1, count: 16), identity: "a")
        #expect(info.use == .tls13(.sha256))
        #expect(info.roles == .one)
    }

    @Test("a name shows as text, or in hexadecimal digits when it cannot be printed")
    func names() {
        #expect(PresharedKeyIdentity("zähler 1").description == "zähler 1")
        #expect(PresharedKeyIdentity("zähler 1").text == "zähler 1")
        #expect(PresharedKeyIdentity(bytes: [0xff, 0x0a]).description == "0xff0a")
        #expect(PresharedKeyIdentity(bytes: [0xff]).text == nil)
        #expect(PresharedKeyIdentity("a\nlog line").description == "0x610a6c6f67206c696e65")
        #expect(PresharedKeyIdentity("a") == PresharedKeyIdentity(bytes: [97]))
    }

    @Test("nothing that holds a key shows it: descriptions, mirrors, dumps, errors")
    func redacted() throws {
        let text = "quite secret, and not for the log"
        let info = try PresharedKeyInfo(key: Array(text.utf8), identity: "meter 4711")
        let answer = TLSAnswer.presharedKey(info)
        var shown: [String] = []
        for value in [info, info.key, answer, [info.identity: info]] as [Any] {
            var dumped = ""
            dump(value, to: &dumped)
            shown += ["\(value)", String(reflecting: value), dumped]
        }
        let bytes = Array(text.utf8).map(String.init).joined(separator: ", ").prefix(20)
        #expect(shown.allSatisfy { !$0.contains("secret") && !$0.contains(bytes) })
        #expect("\(info.key)" == "<redacted>")
        #expect("\(info)" == "meter 4711, TLS 1.3 with sha256, key <redacted>")
    }

    @Test("secret bytes are what was put in, compare by value, and hash to nothing that tells")
    func secretBytes() throws {
        let secret = SecretBytes([1, 2, 3])
        #expect(
            secret
                == SecretBytes(capacity: 8) {
                    $0.append(1); $0.append(2); $0.append(3)
                }
        )
        #expect(secret != SecretBytes([1, 2, 4]))
        #expect(secret != SecretBytes([1, 2]))
        #expect(secret.hashValue == SecretBytes([9, 9, 9]).hashValue)
        #expect(secret.withBytes { $0[0] + $0[1] + $0[2] } == 6)
        #expect(SecretBytes([]).count == 0)
        #expect(
            SecretBytes(capacity: 3) { $0.append(repeating: 5, count: 3) }
                == SecretBytes([5, 5, 5])
        )
        #expect(throws: TLSError.self) {
            try SecretBytes(capacity: 8) { output throws(TLSError) in
                output.append(1)
                throw TLSError(.internalError)
            }
        }
        #expect(try SecretBytes.random(count: 32) != SecretBytes.random(count: 32))
    }

    // MARK: The ledger

    private func key(_ use: PresharedKeyInfo.Use, _ roles: PresharedKeyInfo.Roles, _ seed: [UInt8])
        throws -> PresharedKeyInfo
    {
        try PresharedKeyInfo(key: seed, identity: "a", use: use, roles: roles)
    }

    @Test("a key has one use: another version or hash is refused, in any role")
    func oneUse() throws {
        for first in keyUses {
            let seed = try SecretBytes.random(count: 32).withBytes { bytes in
                bytes.indices.map { bytes[$0] }
            }
            try PresharedKeyLedger.enter(key(first, .one, seed), as: .client)
            try PresharedKeyLedger.enter(key(first, .one, seed), as: .client)
            for other in keyUses where other != first {
                #expect(throws: TLSError(.presharedKeyReused)) {
                    try PresharedKeyLedger.enter(
                        key(other, .both(because: "test"), seed),
                        as: .client
                    )
                }
            }
        }
    }

    @Test("a key has one role, unless its owner says why both are right")
    func oneRole() throws {
        let seed = try SecretBytes.random(count: 32).withBytes { bytes in
            bytes.indices.map { bytes[$0] }
        }
        try PresharedKeyLedger.enter(key(.tls12, .one, seed), as: .server)
        #expect(throws: TLSError(.presharedKeyReused)) {
            try PresharedKeyLedger.enter(key(.tls12, .one, seed), as: .client)
        }
        try PresharedKeyLedger.enter(key(.tls12, .both(because: "test"), seed), as: .client)
    }

    // MARK: Names in a ClientHello

    /// The contents of a `pre_shared_key` extension.
    static func offer(_ names: [[UInt8]]) -> [UInt8] {
        func vector(_ bytes: [UInt8]) -> [UInt8] {
            [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
        }
        var list: [UInt8] = []
        var binders: [UInt8] = []
        for name in names {
            list += vector(name) + [0, 0, 0, 0]
            binders += [32] + [UInt8](repeating: 0, count: 32)
        }
        return vector(list) + vector(binders)
    }

    @Test("the names of a ClientHello are read in order, and cut anywhere without a trap")
    func offered() {
        let contents = Self.offer([[1], [2, 3], [UInt8](repeating: 4, count: 300)])
        let names = OfferedKeys.identities(contents)
        #expect(names.map(\.bytes) == [[1], [2, 3], [UInt8](repeating: 4, count: 300)])
        for count in contents.indices {
            let cut = OfferedKeys.identities(Array(contents.prefix(count)))
            #expect(cut.count == 0 || cut == names)
        }
        #expect(OfferedKeys.identities([0, 7, 0, 0, 0, 0, 0, 0, 0]) == [])
        #expect(OfferedKeys.identities([0, 6, 0, 200, 1, 0, 0, 0]) == [])
    }
}
