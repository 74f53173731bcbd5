import TLSTestKit
import Testing

/// One row of the table of what the authority can issue.
struct Issuance: Sendable, CustomTestStringConvertible {
    let authorityKey: TestKey
    let leafKey: TestKey
    let depth: Int
    var testDescription: String { "\(authorityKey) issues \(leafKey), \(depth) intermediates" }

    static let table: [Issuance] = [.p256, .p384, .ed25519, .rsa2048, .rsaPSS2048].flatMap { key in
        [
            Issuance(authorityKey: key, leafKey: .p256, depth: 0),
            Issuance(authorityKey: .p256, leafKey: key, depth: 0),
            Issuance(authorityKey: key, leafKey: key, depth: 1),
            Issuance(authorityKey: key, leafKey: key, depth: 3),
        ]
    }

    /// Makes the authority that signs leaves.
    func makeAuthority(_ clock: ManualClock) throws -> TestCA {
        var authority = try TestCA(key: authorityKey, clock: clock)
        for level in 0..<depth {
            authority = try authority.intermediate(
                name: "Level \(level)",
                pathLength: depth - level - 1,
                key: authorityKey
            )
        }
        return authority
    }
}

@Suite(.timeLimit(.minutes(1)))
struct TestCATests {
    let clock = ManualClock()

    /// Verifies in process, strictly, at the clock's time.
    func verdict(
        _ certificate: IssuedCertificate,
        _ purpose: ChainVerification.Purpose = .server,
        host: String? = nil,
        address: String? = nil,
        email: String? = nil
    ) throws -> ChainVerification.Verdict {
        var verification = ChainVerification(
            anchors: [certificate.rootDER],
            unixSeconds: clock.unixSeconds
        )
        verification.purpose = purpose
        verification.host = host
        verification.address = address
        verification.email = email
        return try verification.verify(certificate.chainDER)
    }

    @Test("every kind of key signs and is signed at every depth", arguments: Issuance.table)
    func keysAndDepths(_ row: Issuance) throws {
        let authority = try row.makeAuthority(clock)
        let leaf = try authority.issue("a.test", key: row.leafKey, profile: .peer)
        #expect(leaf.chainDER.count == row.depth + 1)
        #expect(try verdict(leaf, .server, host: "a.test").code == 0)
        #expect(try verdict(leaf, .client, host: "a.test").code == 0)
        #expect(
            try verdict(leaf, .server, host: "b.test").code == CertificateFault.wrongHost.verifyCode
        )

        let command = try verifyByCommand(
            leaf,
            options: ["-purpose", "sslserver", "-verify_hostname", "a.test"],
            at: clock.unixSeconds
        )
        #expect(command.exitCode == 0, "\(command.output)")
    }

    @Test(
        "a profile allows its purposes and no other",
        arguments: TestKey.affordable,
        LeafProfile.allCases
    )
    func profiles(_ key: TestKey, _ profile: LeafProfile) throws {
        let leaf = try TestCA(clock: clock).issue("a.test", key: key, profile: profile)
        #expect(try verdict(leaf, .server).isTrusted == (profile != .client))
        #expect(try verdict(leaf, .client).isTrusted == (profile != .server))
    }

    @Test("the slow RSA sizes work like the others", arguments: [TestKey.rsa3072, .rsa4096])
    func slowKeys(_ key: TestKey) throws {
        let leaf = try TestCA(clock: clock).issue("a.test", key: key)
        #expect(try verdict(leaf, host: "a.test").code == 0)
    }

    @Test("a root is strictly correct as its own anchor", arguments: TestKey.affordable)
    func rootItself(_ key: TestKey) throws {
        let root = try TestCA(name: "Some Root", key: key, clock: clock)
        #expect(root.rootDER == root.certificateDER)
        #expect(try verdict(root.identity, .any).code == 0)
        let command = try verifyByCommand(root.identity, at: clock.unixSeconds)
        #expect(command.exitCode == 0, "\(command.output)")
    }

    @Test("names of every kind match what they name and nothing else")
    func names() throws {
        let leaf = try TestCA(clock: clock).issue(
            "a.test",
            "*.b.test",
            "127.0.0.1",
            "::1",
            .ip("2001:db8::7"),
            .email("x@a.test"),
            .uri("spiffe://a.test/x")
        )
        for host in ["a.test", "A.TEST", "x.b.test"] {
            #expect(try verdict(leaf, host: host).code == 0)
        }
        for host in ["b.test", "x.y.b.test", "127.0.0.1"] {
            #expect(try verdict(leaf, host: host).code == 62)
        }
        for address in ["127.0.0.1", "::1", "2001:db8::7"] {
            #expect(try verdict(leaf, address: address).code == 0)
        }
        #expect(try verdict(leaf, address: "127.0.0.2").code == 64)
        #expect(try verdict(leaf, email: "x@a.test").code == 0)
        #expect(try verdict(leaf, email: "y@a.test").code == 63)
        let text = try OpenSSLCommand(
            "x509",
            "-noout",
            "-ext",
            "subjectAltName",
            input: leaf.certificatePEM
        )
        #expect(text.output.contains("URI:spiffe://a.test/x"))
    }

    @Test(
        "a first name too long for a common name empties the subject and makes the names critical"
    )
    func emptySubject() throws {
        let name = String(repeating: "a", count: 60) + ".test"
        let leaf = try TestCA(clock: clock).issue(.dns(name))
        #expect(leaf.subject == [])
        #expect(try verdict(leaf, host: name).code == 0)
        let text = try OpenSSLCommand("x509", "-noout", "-text", input: leaf.certificatePEM).output
        #expect(text.contains("X509v3 Subject Alternative Name: critical"))
        let longest = try TestCA(clock: clock).issue(.dns(String(name.dropFirst())))
        #expect(longest.subject == .commonName(String(name.dropFirst())))
    }

    @Test("a client certificate names its client and serves no server")
    func clients() throws {
        let alice = try TestCA(clock: clock).issueClient("alice", .email("alice@a.test"))
        #expect(alice.subject == .commonName("alice"))
        #expect(try verdict(alice, .client, email: "alice@a.test").code == 0)
        #expect(try verdict(alice, .server).code == CertificateFault.wrongEKU.verifyCode)
    }

    @Test("certificates follow the authority's clock")
    func manualClock() throws {
        let authority = try TestCA(clock: clock)
        let first = try authority.issue("a.test")
        #expect(try verdict(first).code == 0)
        clock.advance(by: .seconds(24 * 3600 - 1))
        #expect(try verdict(first).code == 0)
        clock.advance(by: .seconds(1))
        #expect(try verdict(first).code == CertificateFault.expired.verifyCode)
        #expect(try verdict(authority.issue("a.test")).code == 0)
        let below = try authority.intermediate()
        clock.advance(by: .seconds(3 * 86_400))
        #expect(try verdict(below.issue("a.test")).code == 0)
    }

    @Test("validities before 1950 and after 2049 are encoded as RFC 5280 wants")
    func farValidities() throws {
        let far = Validity.absolute(unixSeconds: -2_000_000_000...253_402_300_799)
        let authority = try TestCA(validity: far, clock: clock)
        let leaf = try authority.issue("a.test", validity: far)
        #expect(try verdict(leaf).code == 0)
        let dates = try OpenSSLCommand("x509", "-noout", "-dates", input: leaf.certificatePEM)
        #expect(
            dates.output
                == "notBefore=Aug 16 20:26:40 1906 GMT\nnotAfter=Dec 31 23:59:59 9999 GMT\n"
        )
    }

    @Test("a validity outside four-digit years is refused, not trapped on")
    func impossibleValidity() throws {
        let authority = try TestCA(clock: clock)
        for validity in [Validity.days(0...Int.max), .seconds(Int.min...0), .days(0...3_000_000)] {
            let error = #expect(throws: TestKitError.self) {
                try authority.issue("a.test", validity: validity)
            }
            #expect(error?.code == .invalidValidity)
        }
    }

    @Test("names that cannot be encoded are refused")
    func impossibleNames() throws {
        let authority = try TestCA(clock: clock)
        for name in [SubjectName.ip("a.test"), .ip("127.0.0.1\0"), .raw(tag: 9, contents: [])] {
            let error = #expect(throws: TestKitError.self) { try authority.issue(name) }
            #expect(error?.code == .invalidName)
        }
        let error = #expect(throws: TestKitError.self) { try authority.issue() }
        #expect(error?.code == .invalidRecipe)
    }

    @Test("serial numbers are positive, 159 bits wide and never the same")
    func serials() throws {
        let authority = try TestCA(clock: clock)
        let serials = try (0..<64).map { _ in try authority.issue("a.test").serial }
        #expect(Set(serials).count == 64)
        for serial in serials {
            #expect(serial.count <= 20)
            #expect((serial.first ?? 0xFF) < 0x80)
        }
        // Each of the 159 bits is set at least once; missing one has a chance of 2^-56.
        let union = serials.filter { $0.count == 20 }.reduce([UInt8](repeating: 0, count: 20)) {
            zip($0, $1).map { $0 | $1 }
        }
        #expect(union == [0x7F] + [UInt8](repeating: 0xFF, count: 19))
    }

    @Test("a chain of RSA certificates has three different keys, taken from the pool")
    func pooledKeys() throws {
        let root = try TestCA(key: .rsa2048, clock: clock)
        let middle = try root.intermediate(key: .rsa2048)
        let leaf = try middle.issue("a.test", key: .rsa2048)
        let keys = try [root.identity, middle.identity, leaf].map { try $0.privateKeyDER }
        #expect(Set(keys).count == 3)
        let other = try TestCA(name: "Other", key: .rsa2048, clock: clock)
        #expect(try keys.contains(other.identity.privateKeyDER))
        let fresh = try (0..<2).map { _ in try root.issue("a.test").privateKeyDER }
        #expect(fresh[0] != fresh[1], "an ECDSA key is made for each certificate")
    }

    @Test("many tasks may issue from one authority at once")
    func concurrentIssuing() async throws {
        let authority = try TestCA(key: .rsa2048, clock: clock)
        let leaves = try await withThrowingTaskGroup(of: IssuedCertificate.self) { group in
            for number in 0..<32 {
                let key: TestKey = number.isMultiple(of: 2) ? .rsa2048 : .p256
                group.addTask { try authority.issue("a.test", key: key) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for leaf in leaves { #expect(try verdict(leaf, host: "a.test").code == 0) }
    }

    @Test("the wall clock is the default")
    func wallClock() throws {
        let before = TestCA.wallClock()
        let leaf = try TestCA().issue("a.test")
        let verification = ChainVerification(anchors: [leaf.rootDER], unixSeconds: before)
        #expect(try verification.verify(leaf.chainDER).code == 0)
        #expect(before > 1_700_000_000)
    }
}

extension TestKey {
    /// The kinds whose keys take less than half a second to make.
    static let affordable: [TestKey] = [.p256, .p384, .ed25519, .rsa2048, .rsaPSS2048]
}
