import Sockets
import TLSTestKit
import Testing

@testable import TLSInspection

/// One certificate, and what a report says about it.
struct CertificateCase: Sendable, CustomTestStringConvertible {
    var title: String
    var recipe: CertificateRecipe
    var result: InspectionReport.Outcome
    var findings: [String]
    var isTrusted: Bool
    var match: String? = "a.test"

    var testDescription: String { title }

    static let all: [CertificateCase] = [
        Self(
            title: "in order",
            recipe: .server(["a.test"]),
            result: .ok,
            findings: ["no-staple"],
            isTrusted: true
        ),
        Self(
            title: "a wildcard",
            recipe: .server(["*.test", "x.test"]),
            result: .nameMismatch,
            findings: ["name-mismatch", "no-staple"],
            isTrusted: true,
            match: nil
        ),
        Self(
            title: "expired",
            recipe: .expired("a.test"),
            result: .untrusted,
            findings: ["expired", "no-staple"],
            isTrusted: false
        ),
        Self(
            title: "not yet valid",
            recipe: .notYetValid("a.test"),
            result: .untrusted,
            findings: ["not-yet-valid", "no-staple"],
            isTrusted: false
        ),
        Self(
            title: "wrong name",
            recipe: .wrongHost("a.test"),
            result: .nameMismatch,
            findings: ["name-mismatch", "no-staple"],
            isTrusted: true,
            match: nil
        ),
        Self(
            title: "only a common name",
            recipe: .noSAN("a.test"),
            result: .nameMismatch,
            findings: ["name-mismatch", "no-staple"],
            isTrusted: true,
            match: nil
        ),
        Self(
            title: "self-signed",
            recipe: .selfSigned("a.test"),
            result: .untrusted,
            findings: ["self-signed", "no-staple"],
            isTrusted: false
        ),
        Self(
            title: "for clients",
            recipe: .wrongEKU("a.test"),
            result: .untrusted,
            findings: ["untrusted", "no-staple"],
            isTrusted: false
        ),
        Self(
            title: "expired and for another name",
            recipe: bent(.expired("b.test")),
            result: .untrusted,
            findings: ["expired", "name-mismatch", "no-staple"],
            isTrusted: false,
            match: nil
        ),
        Self(
            title: "ten days left of seventy",
            recipe: bent(.server(["a.test"])) { $0.validity = .days(-60...10) },
            result: .ok,
            findings: ["expires-soon", "no-staple"],
            isTrusted: true
        ),
        Self(
            title: "a third of a short life left",
            recipe: bent(.server(["a.test"])) { $0.validity = .hours(-8...16) },
            result: .ok,
            findings: ["no-staple"],
            isTrusted: true
        ),
        Self(
            title: "less than a third of a short life left",
            recipe: bent(.server(["a.test"])) { $0.validity = .hours(-17...7) },
            result: .ok,
            findings: ["expires-soon", "no-staple"],
            isTrusted: true
        ),
    ]

    private static func bent(
        _ recipe: CertificateRecipe,
        _ change: (inout CertificateRecipe) -> Void = { _ in }
    ) -> CertificateRecipe {
        var recipe = recipe
        change(&recipe)
        return recipe
    }
}

@Suite(.timeLimit(.minutes(1)))
struct InspectorTests {
    let bench: TestBench

    init() throws { bench = try TestBench() }

    @Test(
        "a certificate is judged by chain, dates and name, each apart",
        arguments: CertificateCase.all
    )
    func certificates(_ row: CertificateCase) async throws {
        let options = try bench.listener(row.recipe)
        for versions in [ProtocolVersion.tls12 ... .tls12, .tls13 ... .tls13] {
            let report = try await bench.inspect(options) { $0.versions = versions }
            #expect(report.result == row.result)
            #expect(report.exit == (row.result == .ok ? .clean : .untrusted))
            #expect(report.findingIDs == row.findings)
            #expect(report.verify?.trusted == row.isTrusted)
            #expect((report.verify?.error == nil) == row.isTrusted)
            #expect(report.verify?.nameMatch == row.match)
            #expect(report.error == nil)
        }
    }

    @Test("a report of a good server tells what was agreed on")
    func good() async throws {
        let report = try await bench.inspect(try bench.listener())
        let negotiated = try #require(report.negotiated)
        #expect(negotiated.version == "TLS1.3")
        #expect(negotiated.suite.name == "TLS_AES_256_GCM_SHA384")
        #expect(negotiated.suite.id == "1302")
        #expect(negotiated.group?.name == "x25519")
        #expect(negotiated.group?.id == "001d")
        #expect(negotiated.signature == "ecdsa_secp256r1_sha256")
        #expect(negotiated.alpn == "h2")
        #expect(negotiated.servernameAccepted == true)
        #expect(!negotiated.resumed)
        #expect(report.sent?.sni == "a.test")
        #expect(report.sent?.alpn == ["h2", "http/1.1"])
        #expect(report.sent?.versions == ["TLS1.2", "TLS1.3"])
        #expect(report.target?.name == "a.test")
        #expect(report.target?.address == "127.0.0.1")
        #expect(report.clientCertificate?.requested == false)
        #expect(report.traffic?.flights == 3)
        #expect(report.session?.tickets.count == 1)
        #expect(report.session?.tickets.first?.lifetime == 7200)
        #expect(report.timing.dns == nil)
        let handshake = try #require(report.timing.handshake)
        #expect(try #require(report.timing.serverHello) <= handshake)
    }

    @Test("the chain is told certificate by certificate, and the anchor beside it")
    func chain() async throws {
        let report = try await bench.inspect(try bench.listener())
        #expect(report.chain.map(\.position) == [.leaf, .intermediate])
        #expect(report.chain.map(\.name) == ["a.test", "Test Intermediate"])
        try #require(report.chain.count > 1)
        #expect(
            report.chain[0].san == .init(dns: ["a.test", "*.b.test"], ip: ["127.0.0.1", "::1"])
        )
        #expect(report.chain[0].key == .init(type: "EC", bits: 256, curve: "P-256"))
        #expect(report.chain[0].signature == "ecdsa-sha256")
        #expect(report.chain[0].daysLeft == 1)
        #expect(report.chain[1].daysLeft == 400)
        #expect(report.verify?.path == [.sent(0), .sent(1), .root])
        #expect(report.verify?.anchor?.pem == bench.root.certificatePEM)
        #expect(report.verify?.anchors == .given)
    }

    @Test("an anchor that signed nothing does not make a chain trusted")
    func strangeAnchor() async throws {
        let stranger = try TestBench()
        let report = try await bench.inspect(try bench.listener()) {
            $0.anchors = try stranger.anchors
        }
        #expect(report.exit == .untrusted)
        #expect(report.findingIDs == ["untrusted", "no-staple"])
        #expect(report.verify?.error?.code == 20)
        #expect(report.verify?.path == [])
    }

    @Test("without anchors nothing is trusted, and everything else is told")
    func noAnchors() async throws {
        let report = try await bench.inspect(try bench.listener()) {
            $0.anchors = .certificates([])
        }
        #expect(report.exit == .untrusted)
        #expect(report.findingIDs == ["untrusted", "no-staple"])
        #expect(report.chain.count == 2)
    }

    @Test("a self-signed certificate that is the anchor is trusted")
    func selfSignedAnchor() async throws {
        let options = try bench.listener(.selfSigned("a.test"))
        let report = try await bench.inspect(options) {
            $0.anchors = .certificates([try #require(options.tls.identity?.certificate)])
        }
        #expect(report.result == .ok)
        #expect(report.findingIDs == ["no-staple", "self-signed"])
        #expect(report.verify?.path == [.sent(0)])
    }

    @Test("certificates that need not be sent are told")
    func superfluous() async throws {
        let stranger = try TestBench()
        let options = try bench.listener {
            $0.identity = try bench.identity(
                .server(["a.test"]),
                alsoSending: [bench.root, stranger.intermediate]
            )
        }
        let report = try await bench.inspect(options)
        #expect(report.result == .ok)
        #expect(report.findingIDs == ["no-staple", "unused-certificate", "root-sent"].sortedAsTold)
        #expect(report.findings.first { $0.id == "root-sent" }?.certificate == 2)
        #expect(report.findings.first { $0.id == "unused-certificate" }?.certificate == 3)
        #expect(report.verify?.anchor == nil)
    }

    @Test("a server without TLS 1.3 is told only when TLS 1.3 was offered")
    func oldVersion() async throws {
        let options = try bench.listener { $0.maximumVersion = .tls12 }
        let report = try await bench.inspect(options)
        #expect(report.negotiated?.version == "TLS1.2")
        #expect(report.result == .ok)
        #expect(report.findingIDs.contains("tls12-only"))
        let asked = try await bench.inspect(options) { $0.versions = .tls12 ... .tls12 }
        #expect(!asked.findingIDs.contains("tls12-only"))
    }

    @Test("an ALPN offer without an answer is told, and no offer is not")
    func alpn() async throws {
        let options = try bench.listener { $0.alpn = [] }
        let unanswered = try await bench.inspect(options)
        #expect(unanswered.negotiated?.alpn == nil)
        #expect(unanswered.findingIDs == ["no-alpn-answer", "no-staple"])
        let unasked = try await bench.inspect(options) { $0.alpn = [] }
        #expect(unasked.findingIDs == ["no-staple"])
    }

    @Test("a server without tickets offers no resumption", arguments: [ProtocolVersion.tls13])
    func noTickets(_ version: ProtocolVersion) async throws {
        let options = try bench.listener { $0.ticketCount = 0 }
        let report = try await bench.inspect(options) { $0.versions = version...version }
        #expect(report.session?.tickets == [])
        #expect(report.findingIDs == ["no-staple", "no-tickets"])
    }

    @Test("tickets are counted, in both versions", arguments: [ProtocolVersion.tls12, .tls13])
    func tickets(_ version: ProtocolVersion) async throws {
        let options = try bench.listener { $0.ticketCount = 3 }
        let report = try await bench.inspect(options) { $0.versions = version...version }
        #expect(report.session?.tickets.count == (version == .tls12 ? 1 : 3))
    }

    @Test("a finding as heavy as the threshold makes exit 1", arguments: Severity.allCases)
    func threshold(_ failOn: Severity) async throws {
        let report = try await bench.inspect(try bench.listener(), failOn: failOn)
        #expect(report.findings.map(\.severity) == [.note])
        #expect(report.exit == (failOn <= .note ? .findings : .clean))
        #expect(report.result == .ok)
    }

    @Test(
        "the servername is decoupled from the address",
        arguments: [
            (Probe.Servername.target, "a.test", "a.test", "a.test"),
            (.none, "a.test", nil, "a.test"),
            (.name("x.b.test"), "a.test", "x.b.test", "*.b.test"),
            (.target, "127.0.0.1", nil, "127.0.0.1"),
            (.name("a.test"), "127.0.0.1", "a.test", "a.test"),
            (.target, "c.test", "c.test", nil),
        ] as [(Probe.Servername, String, String?, String?)]
    )
    func servername(
        _ servername: Probe.Servername,
        _ target: String,
        _ sent: String?,
        _ match: String?
    ) async throws {
        let report = try await bench.inspect(try bench.listener(), as: target) {
            $0.servername = servername
        }
        #expect(report.sent?.sni == sent)
        #expect((report.negotiated?.servernameAccepted == nil) == (sent == nil))
        #expect(report.verify?.nameMatch == match)
        #expect(report.result == (match == nil ? .nameMismatch : .ok))
    }

    @Test("IPv6 is inspected without a servername")
    func ipv6() async throws {
        let report = try await bench.inspect(try bench.listener(local: "::1"), as: "::1") {
            $0.addressFamily = .ipv6
        }
        #expect(report.result == .ok)
        #expect(report.target?.address == "::1")
        #expect(report.verify?.nameMatch == "::1")
        #expect(report.sent?.sni == nil)
    }

    @Test("a server that speaks first is inspected like any other")
    func banner() async throws {
        let options = try bench.listener()
        let report = try await withServer(options) { socket in
            try await socket.write("220 mail.test ready\r\n")
            try await readToEnd(socket)
        } _: { address in
            let probe = try Probe(SocketAddress("a.test", port: address.port)) {
                $0.timeout = .seconds(60)
                $0.connect = address
                $0.anchors = try bench.anchors
            }
            return try checked(await Inspector(now: bench.now).run(probe))
        }
        #expect(report.findingIDs == ["no-staple"])
    }

    @Test(
        "a client certificate that is asked for is told",
        arguments: [ProtocolVersion.tls12, .tls13]
    )
    func clientCertificate(_ newest: ProtocolVersion) async throws {
        let asking = try bench.demandingListener(.request, newest: newest)
        let without = try await bench.inspect(asking)
        #expect(without.result == .ok)
        #expect(without.clientCertificate == .init(requested: true, sent: false))
        #expect(without.findingIDs.contains("client-certificate"))

        let demanding = try bench.demandingListener(newest: newest)
        let with = try await bench.inspect(demanding) { probe in
            probe.identity = try bench.identity(.client("alice"))
        }
        #expect(with.result == .ok)
        #expect(with.clientCertificate == .init(requested: true, sent: true))
    }
}

extension [String] {
    /// Notes before infos, as reports sort them.
    fileprivate var sortedAsTold: [String] {
        ["unused-certificate", "no-staple", "root-sent"].filter(contains)
    }
}
