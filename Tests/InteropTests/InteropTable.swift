// What is shown against whom: the table of docs/INTEROP.md, made of the lists that the tests take
// their arguments from. The tally of a run is held against it, and the document too, so neither goes
// stale.

import TLSTestKit

/// Which of the two sides is this package's.
enum Side: String, Sendable, CaseIterable, CustomStringConvertible {
    case client = "our client"
    case listener = "our listener"

    var description: String { rawValue }
}

/// What a row shows; the columns of the table.
enum InteropFeature: String, Sendable, CaseIterable {
    case negotiation = "Version, key, ALPN"
    case refusal = "Bad certificates"
    case clientCertificate = "Client certificates"
    case servername = "No servername"
    case transfer = "1 MiB both ways"
    case bulk = "100 MiB both ways"
    case pieces = "Writes of 1 byte, 16 KiB ± 1"
    case halfClose = "Half-close"
    case end = "Clean ends"
    case cut = "Cuts"
    case fingerprints = "Fingerprints"
    case finiteField = "Finite fields"
    case resumption = "Resumption"
    case staple = "Staples"
    case hosts = "Virtual hosts"
    case decisions = "Decisions"
    case presharedKeys = "Preshared keys"
    case keyLog = "Key log"
    case facts = "Keying material"
    case keyUpdates = "New keys"
    case lateCertificates = "Late certificates"
    case earlyData = "Early data"
    case externalKeys = "Keys elsewhere"
    case upgrade = "STARTTLS"
    case other = "Its own"
}

/// A cell of the table.
struct InteropCell: Hashable, Sendable, CustomStringConvertible {
    let peer: String
    let side: Side
    let feature: InteropFeature

    var description: String { "\(side), \(peer): \(feature.rawValue)" }
}

/// A line of the table: one program, one side.
struct InteropLine: Sendable {
    typealias Counts = [InteropFeature: Int]

    let peer: String
    let side: Side
    /// How many rows show what; nothing is shown of what is missing.
    let counts: Counts

    init(_ peer: String, _ side: Side, _ counts: Counts...) {
        self.peer = peer
        self.side = side
        self.counts = counts.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
    }

    private static let handshakes = tally(HandshakeRow.all.map(\.feature))
    private static let data = tally(EchoRow.all.map(\.feature))
    /// One row a version.
    private static let once = HandshakeRow.versions.count

    /// One that matches and one that does not, a version.
    private static let pins: Counts = [.fingerprints: 2 * once]
    private static let staples: Counts = [.staple: StapleRow.all.count]

    /// Each kind of host a version.
    private static let hosts: Counts = [.hosts: HostRow.Answer.allCases.count * once]

    /// Each form of exchange, with the same key and another.
    private static let keys: Counts = [.presharedKeys: KeyRow.all.count]

    private static func tally(_ features: [InteropFeature]) -> Counts {
        Dictionary(features.map { ($0, 1) }, uniquingKeysWith: +)
    }

    static let all =
        [
            InteropLine(
                "openssl s_server",
                .client,
                handshakes,
                data,
                [.end: 2 * once, .cut: once],
                pins,
                staples,
                [.finiteField: FieldRow.all.count, .resumption: 4 * once],
                [.decisions: 4 * once],
                [.facts: once, .keyUpdates: 1, .lateCertificates: 1, .earlyData: 1],
                keys
            ),
            InteropLine(
                "nginx",
                .client,
                handshakes,
                data,
                [.cut: once, .other: 4 * once, .resumption: 4 * once],
                pins,
                staples
            ),
            InteropLine("haproxy", .client, handshakes, data, [.halfClose: 2 * once, .cut: once]),
            InteropLine(
                "gnutls-serv",
                .client,
                handshakes,
                data,
                [.cut: once],
                pins,
                staples,
                [.finiteField: FieldRow.all.count, .resumption: 2 * once, .keyUpdates: 1],
                keys
            ),
            InteropLine("tshark", .client, [.keyLog: once]),
        ] + scripted(.client) + [
            InteropLine(
                "openssl s_client",
                .listener,
                handshakes,
                data,
                [.end: 2 * once, .cut: once, .other: once + 3, .resumption: 2 * once],
                staples,
                hosts,
                [.hosts: once, .decisions: 2 * once],
                [.facts: once, .keyUpdates: 1, .lateCertificates: 3, .earlyData: 2],
                // With a key in a token.
                [.externalKeys: 2 * once],
                keys,
                [.upgrade: UpgradeRow.openssl.count]
            ),
            InteropLine(
                "curl",
                .listener,
                handshakes,
                data,
                [.cut: once, .lateCertificates: 1],
                hosts,
                staples,
                [.upgrade: UpgradeRow.curl.count]
            ),
            InteropLine(
                "gnutls-cli",
                .listener,
                handshakes,
                data,
                [.halfClose: once, .cut: once, .resumption: 2 * once, .facts: once],
                hosts,
                staples,
                keys,
                [.upgrade: UpgradeRow.gnutls.count]
            ),
            InteropLine("tshark", .listener, [.keyLog: once]),
        ] + scripted(.listener) + [
            InteropLine("exim", .client, [.upgrade: once, .refusal: 3 * once]),
            InteropLine(
                "PostgreSQL",
                .client,
                [.upgrade: once, .clientCertificate: 2 * once, .refusal: once]
            ),
            InteropLine("psql", .listener, [.upgrade: 2 * once, .refusal: once]),
        ]

    private static func scripted(_ side: Side) -> [InteropLine] {
        ScriptedLanguage.allCases.map {
            InteropLine(
                $0.rawValue,
                side,
                handshakes,
                data,
                [.halfClose: 2 * once, .cut: once],
                side == .client ? pins : hosts,
                $0 == .node ? [.resumption: once] : [:],
                $0 == .node ? keys : [:],
                $0 == .node ? staples : [:],
                $0 == .node ? [.facts: once] : [:],
                $0 == .python ? [.facts: 1, .lateCertificates: 1] : [:],
                $0 == .python && side == .listener ? [.upgrade: UpgradeRow.python.count] : [:]
            )
        }
    }

    /// What differs with a program, and is held by rows.
    static let differences = [
        "OpenSSL's client, and so ours, sends an alert about a certificate in TLS 1.3 unencrypted: it"
            + " takes its keys into use with the server's Finished (openssl/openssl#27809). Servers on"
            + " OpenSSL read it; Java and GnuTLS see a record they cannot decrypt. Both end there.",
        "Node judges certificates when the handshake is done, and goes without an alert or a"
            + " close_notify: our side reports a cut, or an end during the handshake. Where it asks without"
            + " demanding, it lets a stranger in.",
        "Node does not tell an end from a cut; what it says about our ends is not looked at.",
        "Python's server lets a client in that offers none of its application protocols; so does"
            + " haproxy. No protocol is chosen then.",
        "Java's client shows no certificate of an authority that the server does not name. Its server"
            + " says bad_certificate to who has none, and certificate_unknown to a stranger.",
        "Java answers an end in TLS 1.2 with its own at once (RFC 5246 §7.2.1), so nothing comes behind"
            + " our end; in TLS 1.3 it does.",
        "gnutls-serv answers line by line. It says decode_error to a TLS 1.2"
            + " client without a certificate, and access_denied to a stranger.",
        "gnutls-cli does not read while it sends, and writes each byte by itself: it sends 100 MiB, and"
            + " receives 1 MiB before.",
        "gnutls-cli 3.7.9 breaks down when it is about to describe a handshake with a preshared key in"
            + " TLS 1.2, which is complete by then: our listener reports the key, and a cut.",
        "nginx takes the client without a certificate, and refuses its request.",
        "Programs without half-close rows offer no way to ask for one; programs without rows for clean"
            + " ends have them in every transfer.",
    ]
}
