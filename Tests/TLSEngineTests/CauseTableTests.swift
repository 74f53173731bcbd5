// One table of what can end a handshake over identity, revocation, keys and the application's word, and
// what the report of the side that refuses says of each: who must act, what, where, how deep, and a cure.

import TLSEngine
import TLSTestKit
import Testing

/// One cause, and what the report must say.
struct Cause: Sendable, CustomTestStringConvertible {
    let testDescription: String
    /// Whose report tells.
    let role: TLSRole
    let code: TLSError.Code
    let category: TLSError.Category
    /// Where it shows in TLS 1.2 and in TLS 1.3.
    let phases: (HandshakePhase, HandshakePhase)
    /// The rule that a certificate broke, and its place in the chain.
    var rule: (code: VerificationCode, depth: Int)?
    /// The alert that the peer gets in TLS 1.2 and in TLS 1.3.
    let alerts: (UInt8, UInt8)
    /// Where it can be: in TLS 1.2 a client that insists on a key offers no suite without.
    var versions: [ProtocolVersion] = [.tls12, .tls13]
    /// Makes the two sides of one version.
    let stage: @Sendable (Fixtures, ProtocolVersion) throws -> EnginePair
}

extension Cause {
    static let all = identities + decisions + keys

    private static let identities = [
        Cause(
            testDescription: "no pin matches",
            role: .client,
            code: .certificateRejected,
            category: .policy,
            phases: (.certificate, .certificate),
            rule: (.pinMismatch, 0),
            alerts: (42, 42)
        ) { fixtures, version in
            var trust = TrustPolicy(anchors: [fixtures.root])
            let other = CertificatePin.certificate(
                fixtures.clientIdentity.certificate.fingerprint()
            )
            trust.pins = CertificatePins([other], mode: .add)
            return try pair(fixtures, version, trust: trust)
        },
        Cause(
            testDescription: "no evidence of revocation where it is required",
            role: .client,
            code: .certificateRejected,
            category: .policy,
            phases: (.certificate, .certificate),
            rule: (.revocationUnknown, 0),
            alerts: (113, 113)
        ) { fixtures, version in
            var trust = TrustPolicy(anchors: [fixtures.root])
            trust.revocation = .require
            return try pair(fixtures, version, trust: trust)
        },
        Cause(
            testDescription: "an intermediate that has expired",
            role: .client,
            code: .certificateRejected,
            category: .policy,
            phases: (.certificate, .certificate),
            rule: (.expired, 1),
            alerts: (45, 45)
        ) { fixtures, version in
            let between = try fixtures.ca.intermediate(validity: .days(-10 ... -1))
            let identity = try TLSIdentity(between.issue("localhost"))
            return try pair(fixtures, version, identities: [identity])
        },
        Cause(
            testDescription: "a client without the certificate that is required",
            role: .server,
            code: .peerCertificateMissing,
            category: .policy,
            phases: (.clientAuthentication, .clientAuthentication),
            alerts: (40, 116)
        ) { fixtures, version in
            try pair(fixtures, version) { $0.clientAuthentication = .require }
        },
    ]

    private static let decisions = [
        Cause(
            testDescription: "the application refuses the server",
            role: .client,
            code: .refusedByApplication,
            category: .policy,
            phases: (.certificate, .certificate),
            alerts: (46, 46)
        ) { fixtures, version in
            let pair = try EnginePair(
                client: fixtures.client {
                    $0.allowOnly(version)
                    $0.decisions = .serverIdentity
                },
                server: fixtures.server()
            )
            pair.decide = { _, _ in .refuse(TLSRefusal("not today")) }
            return pair
        }
    ]

    private static let keys = [
        Cause(
            testDescription:
                "a server that takes a certificate where a preshared key is insisted on",
            role: .client,
            code: .presharedKeyUnused,
            category: .policy,
            phases: (.certificate, .certificate),
            alerts: (40, 40),
            versions: [.tls13]
        ) { fixtures, version in
            let key = try PresharedKeyInfo.made(for: .tls13(.sha256))
            let pair = try EnginePair(
                client: fixtures.client {
                    $0.decisions = .presharedKey
                    $0.presharedKeyDemand = .always
                    $0.allowOnly(version)
                },
                server: fixtures.server()
            )
            pair.decide = { _, _ in .presharedKey(key) }
            return pair
        }
    ]

    private static func pair(
        _ fixtures: Fixtures,
        _ version: ProtocolVersion,
        trust: TrustPolicy? = nil,
        identities: [TLSIdentity]? = nil,
        server: (inout TLSPolicy) -> Void = { _ in }
    ) throws -> EnginePair {
        try EnginePair(
            client: fixtures.client(trust: trust) { $0.allowOnly(version) },
            server: fixtures.server(identities: identities, server)
        )
    }
}

@Suite(.timeLimit(.minutes(1)))
struct CauseTableTests {
    @Test(
        "the report says who must act, what, where, how deep, and what cures it",
        arguments: Cause.all
    )
    func cause(_ cause: Cause) throws {
        for version in cause.versions { try expect(cause, version) }
    }

    private func expect(_ cause: Cause, _ version: ProtocolVersion) throws {
        let pair = try cause.stage(.shared(), version)
        pair.settle()
        let report = pair.facts(cause.role).report
        let error = try #require(report.error)
        #expect(error.code == cause.code)
        #expect(error.category == cause.category)
        #expect(error.phase == (version == .tls12 ? cause.phases.0 : cause.phases.1))
        #expect(error.verification?.code == cause.rule?.code)
        #expect(error.verification?.depth == cause.rule?.depth)
        #expect(report.alertSent?.code == (version == .tls12 ? cause.alerts.0 : cause.alerts.1))
        let cure = try #require(report.hint)
        #expect(cure.first?.isUppercase == true && !cure.hasSuffix("."))
        #expect(!report.isPeerTrusted)
        #expect(report.phase == error.phase)
    }
}

@Suite struct VerificationCodeTests {
    @Test("a pin that does not match is told from revocation that is not known")
    func numbers() {
        #expect(VerificationCode.pinMismatch != .revocationUnknown)
        #expect(VerificationCode.pinMismatch.rawValue >= 1000)
    }
}
