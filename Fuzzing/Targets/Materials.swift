// What inputs share: an authority, certificates and keys, made when the process begins. No private
// key is stored anywhere; with the generator of CFuzzSupport they are the same in every run.

import CFuzzSupport
import TLSEngine
import TLSTestKit

struct Materials: Sendable {
    /// The instant at which everything is valid.
    static let now: Int64 = 1_800_000_000

    let ca: TestCA
    let intermediate: TestCA
    let leaf: IssuedCertificate
    let rsaLeaf: IssuedCertificate
    let alice: IssuedCertificate
    let root: Certificate

    private static let made = Result { try Materials() }

    static func shared() throws -> Materials { try made.get() }

    private init() throws {
        fuzz_random_restart(0)
        ca = try TestCA(now: { Materials.now })
        intermediate = try ca.intermediate(pathLength: 1)
        leaf = try intermediate.issue("localhost", "127.0.0.1", "*.a.test")
        rsaLeaf = try ca.issue("localhost", key: .rsa2048)
        alice = try intermediate.issueClient("alice")
        root = try Certificate(der: ca.rootDER)
    }

    var trust: TrustPolicy {
        var trust = TrustPolicy(anchors: [root])
        trust.verificationTime = UnixTime(seconds: Materials.now)
        return trust
    }

    func identity(_ issued: IssuedCertificate) throws -> TLSIdentity {
        try TLSIdentity(
            certificate: Array(issued.chainPEM.utf8),
            privateKey: try issued.privateKeyDER
        )
    }
}
