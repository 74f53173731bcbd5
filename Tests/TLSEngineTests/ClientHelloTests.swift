import TLSEngine
import TLSTestKit
import Testing

@Suite struct ClientHelloTests {
    /// What an engine says first.
    private func hello(
        _ configure: (inout TLSPolicy) -> Void = { _ in }
    ) throws -> [UInt8] {
        let anchor = try Certificate(der: TestCA().certificateDER)
        let context = try TLSContext(
            role: .client,
            policy: TLSPolicy(configure),
            trust: TrustPolicy(anchors: [anchor])
        )
        var engine = try TLSEngine(context, remoteName: "a.test")
        return try [UInt8](capacity: 65536) { output throws(TLSError) in
            _ = try engine.handshake(consuming: Span(), producing: &output)
        }
    }

    @Test("servername, protocols, versions and records are read")
    func fields() throws {
        let bytes = try hello { $0.alpn = ["h2", "http/1.1"] }
        let read = try #require(try ClientHello(reading: bytes + [23, 3, 3]))
        #expect(read.records == bytes)
        #expect(read.message == Array(bytes.dropFirst(5)))
        #expect(read.servername == "a.test")
        #expect(read.alpn == ["h2", "http/1.1"])
        #expect(read.offers(.tls13) && read.offers(.tls12))
        #expect(read.random.count == 32)
        #expect(read.cipherSuites.contains(0x1301))
        #expect(read.extensions.contains { $0.number == 10 })
    }

    @Test("a client of TLS 1.2 alone offers that")
    func old() throws {
        let bytes = try hello { $0.maximumVersion = .tls12 }
        let read = try #require(try ClientHello(reading: bytes))
        #expect(read.offers(.tls12) && !read.offers(.tls13))
        #expect(read.alpn == [])
    }

    @Test("every cut of it wants more, and every cut into records gives the same")
    func cuts() throws {
        let bytes = try hello()
        let whole = try #require(try ClientHello(reading: bytes))
        for count in 0..<bytes.count {
            #expect(try ClientHello(reading: Array(bytes.prefix(count))) == nil)
        }
        for size in [1, 2, 3, 100] {
            var pieces: [UInt8] = []
            for start in stride(from: 0, to: whole.message.count, by: size) {
                let piece = whole.message[start..<min(start + size, whole.message.count)]
                pieces += [22, 3, 1, 0, UInt8(piece.count)] + piece
            }
            let read = try #require(try ClientHello(reading: pieces))
            #expect(read.message == whole.message)
            #expect(read.records == pieces)
        }
    }

    @Test(
        "what is no ClientHello is refused",
        arguments: [
            (Array("GET / HTTP/1.1\r\n\r\n".utf8), .notTLS),
            ([21, 3, 3, 0, 2, 2, 40], .notTLS),
            ([22, 3, 1, 0, 0], .notTLS),
            ([22, 3, 1, 0x40, 1], .notTLS),
            ([22, 5, 1, 0, 1], .notTLS),
            ([22, 3, 3, 0, 5, 2, 0, 0, 1, 0], .protocolViolation),
            ([22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3], .protocolViolation),
            ([22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff], .clientHelloTooLarge),
        ] as [([UInt8], TLSError.Code)]
    )
    func garbage(bytes: [UInt8], code: TLSError.Code) {
        let filled = bytes + (code == .clientHelloTooLarge ? pattern(90_000) : [])
        let error = #expect(throws: TLSError.self) { try ClientHello(reading: filled) }
        #expect(error?.code == code)
        #expect(error?.phase == .clientHello)
    }

    @Test("groups and signature algorithms are read in order")
    func lists() throws {
        let bytes = try hello {
            $0.groups = ["P-384", "x25519"]
            $0.signatureAlgorithms = ["ed25519", "ecdsa_secp256r1_sha256"]
        }
        let read = try #require(try ClientHello(reading: bytes))
        #expect(read.groups == [.secp384r1, .x25519])
        #expect(read.signatureAlgorithms.map(\.rawValue) == [0x0807, 0x0403])
    }

    @Test("no change of one byte makes it read past the message")
    func changes() throws {
        let bytes = try hello { $0.alpn = ["h2"] }
        for place in bytes.indices {
            for value in [0, 0x7f, 0xff] as [UInt8] {
                var changed = bytes
                changed[place] = value
                let read = try? ClientHello(reading: changed)
                #expect((read?.records.count ?? 0) <= changed.count)
            }
        }
    }
}
