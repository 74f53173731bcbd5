// Every extension that has a form for clients: what is read of it, and what is refused.

import TLSEngine
import Testing

/// What the form of the DNSSEC chain says; no port of ours.
private let https: UInt16 = 443

@Suite struct ClientHelloExtensionTests {
    typealias Value = ClientHello.Extension.Value

    /// An extension's number, contents octets, and what they say.
    struct Form: CustomTestStringConvertible, Sendable {
        let number: UInt16
        let contents: [UInt8]
        let value: Value

        init(_ number: UInt16, _ contents: [UInt8], _ value: Value) {
            (self.number, self.contents, self.value) = (number, contents, value)
        }

        var testDescription: String { "\(ExtensionType(rawValue: number)) \(contents.count)" }
    }

    static let forms: [Form] = [
        Form(0, long([0] + long(Array("a.test".utf8))), .servername("a.test")),
        Form(1, [1], .maximumFragmentLength(512)), Form(1, [4], .maximumFragmentLength(4096)),
        Form(2, [], .present),
        Form(
            3,
            long([0] + [1] + pattern(20) + [2] + long([0x30, 0]) + [3] + pattern(20)),
            .trustedAuthorities([
                .init(type: 0, identifier: []), .init(type: 1, identifier: pattern(20)),
                .init(type: 2, identifier: [0x30, 0]), .init(type: 3, identifier: pattern(20)),
            ])
        ),
        Form(3, long([]), .trustedAuthorities([])), Form(4, [], .present),
        Form(
            5,
            [1, 0, 0, 0, 0],
            .statusRequests([.init(type: 1, responders: [], requestExtensions: [])])
        ),
        Form(
            5,
            [1] + long(long([0x30, 0])) + long([0x30, 1]),
            .statusRequests([
                .init(type: 1, responders: [[0x30, 0]], requestExtensions: [0x30, 1])
            ])
        ),
        Form(5, [9, 1, 2, 3], .raw), Form(6, [1, 64], .codes([64])), Form(7, [1, 0], .codes([0])),
        Form(8, [1, 0], .codes([0])), Form(9, [2, 0, 1], .codes([0, 1])),
        Form(10, long([0x0a, 0x0a, 0, 29]), .groups([.init(rawValue: 0x0a0a), .x25519])),
        Form(11, [3, 0, 1, 2], .pointFormats([0, 1, 2])),
        Form(12, short([1, 2]), .opaque([1, 2])),
        Form(13, long([4, 3]), .signatureAlgorithms([.init(rawValue: 0x0403)])),
        Form(
            14,
            long([0, 1, 0, 7]) + [1, 9],
            .srtp(profiles: [1, 7], masterKeyIdentifier: [9])
        ),
        Form(15, [1], .heartbeat(isWelcome: true)), Form(15, [2], .heartbeat(isWelcome: false)),
        Form(
            16,
            long(short(Array("h2".utf8)) + short([0xff])),
            .applicationProtocols([Array("h2".utf8), [0xff]])
        ),
        Form(
            17,
            long([2] + long([0, 0, 0, 0]) + [7] + long([1])),
            .statusRequests([
                .init(type: 2, responders: [], requestExtensions: []),
                .init(type: 7, responders: [], requestExtensions: []),
            ])
        ),
        Form(18, [], .present), Form(19, [1, 2], .codes([2])),
        Form(20, [2, 2, 0], .codes([2, 0])),
        Form(21, [], .padding(0)), Form(21, [0, 0, 0], .padding(3)), Form(22, [], .present),
        Form(23, [], .present),
        Form(24, [1, 0, 1, 2], .tokenBinding(version: 0x0100, keyParameters: [2])),
        Form(25, long([1] + short([5, 6])), .cachedObjects([.init(type: 1, digest: [5, 6])])),
        Form(26, [1, 2], .raw), Form(27, [2, 0, 2], .certificateCompression([2])),
        Form(28, [0x40, 1], .recordSizeLimit(16385)), Form(29, short([7]), .opaque([7])),
        Form(30, short([7]), .opaque([7])), Form(33, [], .present),
        Form(34, long([4, 3]), .signatureAlgorithms([.init(rawValue: 0x0403)])),
        Form(35, [], .sessionTicket(byteCount: 0)), Form(35, [1, 2], .sessionTicket(byteCount: 2)),
        Form(39, [1, 1], .codes([1])), Form(42, [], .present),
        Form(43, short([3, 4, 3, 3]), .versions([.tls13, .tls12])),
        Form(44, long([1]), .opaque([1])), Form(45, [2, 1, 0], .keyExchangeModes([1, 0])),
        Form(47, long(long([0x30, 0])), .certificateAuthorities([[0x30, 0]])), Form(48, [1], .raw),
        Form(49, [], .present),
        Form(50, long([8, 4]), .signatureAlgorithms([.init(rawValue: 0x0804)])),
        Form(
            51,
            long([0x1a, 0x1a] + long([0]) + big(29) + long(pattern(32))),
            .keyShares([
                .init(group: .init(rawValue: 0x1a1a), keyExchange: [0]),
                .init(group: .x25519, keyExchange: pattern(32)),
            ])
        ),
        Form(51, long([]), .keyShares([])), Form(52, [], .present), Form(54, [0], .opaque([])),
        Form(54, short([1, 2]), .opaque([1, 2])),
        Form(55, short(pattern(32)), .opaque(pattern(32))),
        Form(56, short(pattern(20)), .opaque(pattern(20))), Form(57, [4, 1, 9], .raw),
        Form(58, [2, 1], .ticketRequest(new: 2, resumed: 1)),
        Form(59, [1, 0xbb], .dnssecChain(port: https)), Form(61, [], .present),
        Form(62, [1, 1], .opaque([1])), Form(2570, [1, 2, 3], .grease), Form(0xfafa, [], .grease),
        Form(13172, [], .present),
        Form(17513, long(short(Array("h2".utf8))), .applicationProtocols([Array("h2".utf8)])),
        Form(17613, long(short(Array("h2".utf8))), .applicationProtocols([Array("h2".utf8)])),
        Form(17613, [1, 2, 3], .raw), Form(30032, [], .present),
        Form(
            65037,
            [0, 0, 1, 0, 1, 0xab] + long(pattern(32)) + long(pattern(144)),
            .encryptedClientHello(
                .init(
                    keyDerivation: 1,
                    cipher: 1,
                    configuration: 0xab,
                    encapsulatedKey: pattern(32),
                    payloadByteCount: 144
                )
            )
        ),
        Form(65037, [1], .raw), Form(65281, [0], .opaque([])), Form(65281, [1, 5], .opaque([5])),
        Form(0x1234, [1, 2, 3], .raw),
    ]

    @Test("what is said is read", arguments: forms)
    func read(_ form: Form) throws {
        let recipe = HelloRecipe(extensions: [(form.number, form.contents)])
        let read = try #require(try recipe.read()?.extensions.first)
        #expect(read.value == form.value)
        #expect(read.contents == form.contents)
        #expect(read.number == form.number)
    }

    @Test("the offer of a preshared key is read without its name and proof")
    func presharedKey() throws {
        let recipe = HelloRecipe(
            extensions: [Self.offer([(pattern(100), 7), (pattern(5), 0)], [32, 48])]
        )
        let hello = try #require(try recipe.read())
        #expect(
            hello.presharedKeys == [
                .init(identityByteCount: 100, obfuscatedTicketAge: 7, binderByteCount: 32),
                .init(identityByteCount: 5, obfuscatedTicketAge: 0, binderByteCount: 48),
            ]
        )
        #expect(hello.first(.presharedKey)?.value == .presharedKeys(hello.presharedKeys))
    }

    private static func offer(
        _ identities: [(name: [UInt8], age: UInt16)],
        _ binders: [Int]
    ) -> HelloRecipe.Part {
        let names = identities.flatMap { one -> [UInt8] in long(one.name) + [0, 0] + big(one.age) }
        let proofs = binders.flatMap { count -> [UInt8] in short(pattern(count)) }
        return (41, long(names) + long(proofs))
    }

    // MARK: Refusals

    /// One length too long, one byte too many, or a list below its least size.
    static let malformed: [(UInt16, [UInt8])] = [
        (0, []), (0, [0, 0]), (0, long([0] + long([]))), (0, long([1] + long([65]))),
        (0, long([0] + long([65])) + [0]), (0, long([0] + long([65]) + [0])),
        (0, long([0] + long([65, 0, 66]))), (0, long([0] + long(pattern(256)))),
        (0, [0, 9, 0, 0, 1, 65]), (1, []), (1, [0]), (1, [5]), (1, [1, 1]), (2, [0]),
        (3, long([4])), (3, long([1] + pattern(19))), (4, [0]), (5, []), (5, [1, 0, 0]),
        (5, [1, 0, 0, 0, 0, 0]), (5, [1, 0, 1, 0, 0, 0]), (6, [0]), (10, [0, 0]), (10, [0, 1, 0]),
        (10, [0, 4, 0, 29]), (10, long([0, 29]) + [0]), (11, [0]), (11, [2, 0]), (11, [1, 0, 0]),
        (12, [0]), (13, [0, 0]), (13, [0, 3, 4, 3, 4]), (14, [0, 0, 0]), (14, long([0, 1])),
        (15, [0]), (15, [3]), (15, [1, 1]), (16, [0, 0]), (16, long([0])), (16, long([2, 65])),
        (16, long(short([65])) + [0]), (17, [0, 0]), (17, long([1] + long([0]))), (18, [0]),
        (19, [0]), (20, [2, 0]), (22, [0]), (23, [1]), (24, [1, 0]), (24, [1, 0, 0]),
        (25, [0, 0]), (25, long([1, 0])), (27, [0]), (27, [1, 0]), (27, [2, 0]), (28, [0, 63]),
        (28, [64]), (28, [0, 64, 0]), (34, [0, 0]), (42, [0]), (43, [0]), (43, [3, 3, 4, 3]),
        (43, [2, 3, 4, 0]), (44, [0, 0]), (44, []), (45, [0]), (45, [1]), (47, [0, 0]),
        (47, long([0, 0, 0, 0])), (47, long([0, 1])), (49, [0]), (50, [0, 0]), (51, [0, 1, 0]),
        (51, long([0, 29, 0, 0])), (51, long([0, 29, 0, 2, 1])), (51, long([]) + [0]), (54, []),
        (58, [1]), (58, [1, 1, 1]), (59, [1]), (65281, []), (65281, [1]), (65281, [0, 0]),
        (41, [0, 0, 0, 0]), (41, long(long([1]) + [0, 0, 0, 0])),
        (41, long(long([]) + [0, 0, 0, 0]) + long(short(pattern(32)))),
        (41, long(long([1, 2]) + [0, 0, 0, 0]) + long(short(pattern(31)) + [0, 0])),
        (41, long(long([1]) + [0, 0, 0, 0]) + long(short(pattern(32)) + short(pattern(32)))),
        (41, long(long([1]) + [0, 0, 0, 0]) + long(short(pattern(32))) + [0]),
    ]

    @Test("an extension that has not its form is refused", arguments: malformed.indices)
    func refused(place: Int) throws {
        let (number, contents) = Self.malformed[place]
        let recipe = HelloRecipe(extensions: [(number, contents)])
        let error = #expect(throws: TLSError.self) { try recipe.read() }
        let type = ExtensionType(rawValue: number)
        #expect(error?.code == .protocolViolation)
        #expect(error?.detail == "the ClientHello: \(type) has not its form")
    }

    @Test("no extension comes twice, not even an unknown one")
    func duplicates() throws {
        for number in [0x1234, 23, 0x0a0a] as [UInt16] {
            let recipe = HelloRecipe(extensions: [(number, []), (0x4321, []), (number, [])])
            let error = #expect(throws: TLSError.self) { try recipe.read() }
            let type = ExtensionType(rawValue: number)
            #expect(error?.detail == "the ClientHello: \(type) comes twice")
        }
    }

    @Test("the preshared keys are the last extension")
    func order() throws {
        let offer = Self.offer([([1], 0)], [32])
        #expect(try HelloRecipe(extensions: [(23, []), offer]).read() != nil)
        let error = #expect(throws: TLSError.self) {
            try HelloRecipe(extensions: [offer, (23, [])]).read()
        }
        #expect(error?.detail == "the ClientHello: pre_shared_key is not the last extension")
    }

    @Test("a message whose lengths lie is refused")
    func lengths() throws {
        let good = HelloRecipe(sessionID: pattern(32), extensions: [(23, [])])
        #expect(try good.read()?.sessionID == pattern(32))
        #expect(try good.read()?.compressionMethods == [0])
        var bodies = [
            good.body + [0], Array(good.body.dropLast()), HelloRecipe(suites: []).body,
            HelloRecipe(compression: []).body, HelloRecipe(sessionID: pattern(33)).body,
        ]
        // An odd number of bytes of suites, and an extension that is longer than the block.
        bodies.append(big(0x0303) + pattern(32) + [0] + [0, 3, 0x13, 1, 0] + [1, 0])
        bodies.append(HelloRecipe(extensions: nil).body + long([0, 23, 0, 1]))
        bodies.append(HelloRecipe(extensions: nil).body + long([0, 23, 0]))
        for body in bodies {
            let error = #expect(throws: TLSError.self) {
                try ClientHello(reading: record(message(body)))
            }
            #expect(error?.code == .protocolViolation)
        }
    }

    @Test("a message without records is read as well")
    func bare() throws {
        let recipe = FingerprintTests.example
        let whole = message(recipe.body)
        let hello = try ClientHello(message: whole)
        #expect(hello.records.isEmpty)
        #expect(hello.message == whole)
        #expect(try hello.ja4 == recipe.read()?.ja4)
        for bytes in [[], [1, 0, 0], [2, 0, 0, 0], whole + [0], Array(whole.dropLast())] {
            let error = #expect(throws: TLSError.self) { try ClientHello(message: bytes) }
            #expect(error?.code == .protocolViolation)
        }
    }

    // MARK: Names

    @Test("extensions, suites, groups and algorithms have the names of their registries")
    func names() {
        #expect(ExtensionType.keyShare.description == "key_share")
        #expect(ExtensionType(rawValue: 0x1a1a).description == "GREASE")
        #expect(ExtensionType(rawValue: 0x1234).description == "extension 0x1234")
        #expect(ExtensionType(rawValue: 0x1234).name == nil)
        #expect(CipherSuite.registeredName(of: 0x1301) == "TLS_AES_128_GCM_SHA256")
        #expect(CipherSuite.registeredName(of: 0x00ff) == "TLS_EMPTY_RENEGOTIATION_INFO_SCSV")
        #expect(CipherSuite.registeredName(of: 0x2a2a) == "GREASE")
        #expect(CipherSuite.registeredName(of: 0x1234) == nil)
        #expect(NamedGroup(rawValue: 0x6399).description == "X25519Kyber768Draft00")
        #expect(SignatureScheme(rawValue: 0x0905).description == "mldsa65")
        #expect(NamedGroup(rawValue: 0x0a0a).isGREASE && !NamedGroup.x25519.isGREASE)
        #expect(SignatureScheme(rawValue: 0x0a0a).isGREASE)
        #expect(ProtocolVersion(rawValue: 0x0a0a).isGREASE && !ProtocolVersion.tls13.isGREASE)
    }
}
