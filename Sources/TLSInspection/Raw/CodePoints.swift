// What a scan asks for, by number: all suites, groups and signature schemes that somebody may speak,
// those that servers have most often in front.

import Sockets

/// The numbers that are offered.
enum CodePoints {
    /// The versions, oldest first.
    static let versions: [ProtocolVersion] = [.ssl3, .tls10, .tls11, .tls12, .tls13]

    /// The suites of TLS 1.3, most common first.
    static let suitesOfTLS13: [UInt16] = [
        0x1301, 0x1302, 0x1303, 0x1304, 0x1305, 0x1306, 0x1307, 0x00c6, 0x00c7, 0xc0b4, 0xc0b5,
        0xc103, 0xc104, 0xc105, 0xc106,
    ]

    /// The names of all suites: what the registry has but signals and no suite.
    static let suiteNames: [UInt16: String] = {
        let signals: [UInt16] = [0x0000, 0x00ff, 0x5600]
        // Numbers of drafts that were deployed before there were registered ones.
        var names: [UInt16: String] = [
            0xcc13: "OLD_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            0xcc14: "OLD_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            0xcc15: "OLD_TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        ]
        for number in UInt16.min...UInt16.max where !GREASE.contains(number) {
            guard !signals.contains(number) else { continue }
            if let name = CipherSuite.registeredName(of: number) { names[number] = name }
        }
        return names
    }()

    /// The suites of TLS 1.2, most common first.
    static let suitesOfTLS12: [UInt16] = suiteNames.keys
        .filter { !suitesOfTLS13.contains($0) }
        .sorted { (Suite($0).rarity, $0) < (Suite($1).rarity, $1) }

    /// The suites of older versions, most common first: those that need no hash or cipher of TLS 1.2.
    static let suitesOfOldVersions = suitesOfTLS12.filter { !Suite($0).needsTLS12 }

    /// The suites to ask for in a version.
    static func suites(of version: ProtocolVersion) -> [UInt16] {
        switch version {
        case .tls13: suitesOfTLS13
        case .tls12: suitesOfTLS12
        default: suitesOfOldVersions
        }
    }

    /// The groups to ask for in a version, most common first.
    static func groups(of version: ProtocolVersion) -> [UInt16] {
        version == .tls13
            ? [
                0x001d, 0x0017, 0x11ec, 0x0018, 0x001e, 0x0019, 0x0100, 0x0101, 0x11eb, 0x11ed,
                0x0102, 0x0103, 0x0104, 0x6399, 0x001f, 0x0020, 0x0021, 0x0200, 0x0201, 0x0202,
                0x0029, 0x0016, 0x0022, 0x0023, 0x0024, 0x0025, 0x0026, 0x0027, 0x0028,
            ]
            : [0x001d, 0x0017, 0x0018, 0x001e, 0x0019, 0x001a, 0x001b, 0x001c] + Array(1...0x16)
    }

    /// The signature schemes, most common first.
    static let schemes: [UInt16] = [
        0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0603, 0x0806, 0x0601, 0x0807, 0x0808,
        0x0809, 0x080a, 0x080b, 0x0203, 0x0201, 0x0303, 0x0301, 0x0402, 0x0502, 0x0602, 0x0302,
        0x0202, 0x0101, 0x081a, 0x081b, 0x081c, 0x0708, 0x0904, 0x0905, 0x0906,
    ]

    /// The signature schemes of TLS 1.3, in sets of which a server has one or none as a rule.
    static let schemeSetsOfTLS13: [[UInt16]] = [
        [0x0403, 0x0503, 0x0603], [0x0804, 0x0805, 0x0806],
        [
            0x0807, 0x0808, 0x0809, 0x080a, 0x080b, 0x081a, 0x081b, 0x081c, 0x0708, 0x0904, 0x0905,
            0x0906,
        ],
    ]

    /// The bytes of a key share of a group (RFC 8446 §4.2.8), as clients send it.
    static func shareSize(_ group: UInt16) -> Int {
        switch group {
        case 0x0017, 0x001a, 0x001f: 65
        case 0x0018, 0x001b, 0x0020: 97
        case 0x0019: 133
        case 0x001c, 0x0021: 129
        case 0x001e: 56
        case 0x0100: 256
        case 0x0101: 384
        case 0x0102: 512
        case 0x0103: 768
        case 0x0104: 1024
        case 0x11eb: 65 + 1184
        case 0x11ec, 0x6399: 1184 + 32
        case 0x11ed: 97 + 1568
        default: 32
        }
    }

    /// Whether a group withstands a quantum computer.
    static func isPostQuantum(_ group: UInt16) -> Bool {
        [0x11eb, 0x11ec, 0x11ed, 0x6399, 0x0200, 0x0201, 0x0202].contains(group)
    }

    /// A group's name; what is unknown by number.
    static func groupName(_ group: UInt16) -> String { NamedGroup(rawValue: group).description }

    /// A signature scheme's name; what is unknown by number.
    static func schemeName(_ scheme: UInt16) -> String {
        SignatureScheme(rawValue: scheme).description
    }
}

/// A cipher suite by its number: what its name tells.
struct Suite: Hashable, Sendable {
    /// How a suite is judged.
    enum Grade: String, Sendable {
        /// What everybody should offer.
        case ok
        /// Nothing wrong, and seldom seen.
        case odd
        /// Without forward secrecy, or in a mode that was attacked time and again.
        case weak
        /// Broken: no encryption, no authentication, or a key that can be searched.
        case bad
    }

    /// How a suite's keys are exchanged.
    enum Exchange: Sendable {
        /// A curve, signed up to TLS 1.2.
        case curve(isSigned: Bool)
        /// A finite field, signed up to TLS 1.2.
        case field(isSigned: Bool)
        /// Nothing that a server's message would show.
        case hidden
    }

    let number: UInt16

    init(_ number: UInt16) { self.number = number }

    /// The registered name, or the number.
    var name: String { CodePoints.suiteNames[number] ?? "suite 0x" + wireForm(number) }

    /// How keys are exchanged.
    var exchange: Exchange {
        let name = name
        if name.contains("_PSK_") {
            if name.contains("ECDHE_") { return .curve(isSigned: false) }
            return name.contains("DHE_") ? .field(isSigned: false) : .hidden
        }
        if name.contains("ECDHE_") { return .curve(isSigned: true) }
        if name.contains("ECDH_anon") { return .curve(isSigned: false) }
        if name.contains("DHE_") { return .field(isSigned: true) }
        return name.contains("DH_anon") ? .field(isSigned: false) : .hidden
    }

    /// Whether a preshared key comes first in the server's message.
    var hasHint: Bool { name.contains("_PSK_") }

    /// Whether versions before TLS 1.2 lack what it is made of.
    var needsTLS12: Bool {
        let name = name
        let isNew = ["_GCM_", "_CCM", "POLY1305", "SM3", "OMAC", "MGM", "IMIT"].contains {
            name.contains($0)
        }
        return isNew || name.hasSuffix("_SHA256") || name.hasSuffix("_SHA384")
    }

    /// How it is judged.
    var grade: Grade {
        let name = name
        let broken = [
            "NULL", "_anon_", "EXPORT", "RC4", "_DES_", "DES40", "RC2", "_MD5", "KRB5", "OLD_",
        ]
        if CodePoints.suitesOfTLS13.contains(number) {
            return (0x1301...0x1303).contains(number) ? .ok : .odd
        }
        if broken.contains(where: name.contains) { return .bad }
        if ["CBC", "3DES", "IDEA", "SEED"].contains(where: name.contains) { return .weak }
        let isEphemeral = name.contains("ECDHE_") || name.contains("_DHE_")
        guard isEphemeral else { return .weak }
        return ScanPolicy.intermediate.suites.contains(name) ? .ok : .odd
    }

    /// How seldom it is seen: 0 most often.
    var rarity: Int {
        let name = name
        let exchanges = ["TLS_ECDHE_ECDSA_", "TLS_ECDHE_RSA_", "TLS_DHE_RSA_", "TLS_RSA_WITH_"]
        let exchange = exchanges.firstIndex(where: name.hasPrefix) ?? 6
        let ciphers = [["AES_128_GCM", "AES_256_GCM", "CHACHA20"], ["AES"], ["CAMELLIA", "ARIA"]]
        let cipher = ciphers.firstIndex { $0.contains(where: name.contains) } ?? 4
        return 10 * exchange + cipher + (name.contains("CCM") ? 1 : 0)
    }
}
