// What a server should speak. Two policies are Mozilla's recommendations, version 5.7; others are read
// from files of the same form.

import Sockets

/// What a server may speak, and what it must.
public struct ScanPolicy: Codable, Hashable, Sendable {
    /// The policy's name.
    public var name: String
    /// The versions that may be spoken, for example `TLS1.2`.
    public var versions: [String]
    /// The versions that must be spoken.
    public var required: [String]
    /// The suites that may be spoken, by registered name.
    public var suites: [String]
    /// The groups that may be spoken, by registered name; empty allows all.
    public var groups: [String]
    /// The least bits of a prime for Diffie-Hellman.
    public var primeBits: Int

    /// Makes a policy.
    ///
    /// - Parameters:
    ///   - name: Its name.
    ///   - versions: The versions that may be spoken.
    ///   - required: The versions that must be spoken.
    ///   - suites: The suites that may be spoken.
    ///   - groups: The groups that may be spoken; empty allows all.
    ///   - primeBits: The least bits of a prime.
    public init(
        name: String,
        versions: [String],
        required: [String] = [],
        suites: [String],
        groups: [String] = [],
        primeBits: Int = 2048
    ) {
        self.name = name
        self.versions = versions
        self.required = required
        self.suites = suites
        self.groups = groups
        self.primeBits = primeBits
    }

    enum CodingKeys: String, CodingKey {
        case name, versions, required, suites, groups
        case primeBits = "dh_prime_bits"
    }

    /// Reads a policy; `required`, `groups` and `dh_prime_bits` may be left out.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        versions = try container.decode([String].self, forKey: .versions)
        required = try container.decodeIfPresent([String].self, forKey: .required) ?? []
        suites = try container.decode([String].self, forKey: .suites)
        groups = try container.decodeIfPresent([String].self, forKey: .groups) ?? []
        primeBits = try container.decodeIfPresent(Int.self, forKey: .primeBits) ?? 2048
    }

    /// Names in the policy that no registry has: a policy with one means something else than it says.
    public var unknownNames: [String] {
        let suiteNames = Set(CodePoints.suiteNames.values)
        let allGroups = CodePoints.groups(of: .tls12) + CodePoints.groups(of: .tls13)
        let groupNames = Set(allGroups.map(CodePoints.groupName))
        let versionNames = Set(CodePoints.versions.map(shortName))
        var unknown = (versions + required).filter { !versionNames.contains($0) }
        unknown += suites.filter { !suiteNames.contains($0) }
        unknown += groups.filter { !groupNames.contains($0) }
        return unknown
    }

    private static let suitesOfTLS13 = [
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
    ]
    private static let usualGroups = [
        "X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "x25519", "secp256r1",
        "secp384r1",
    ]

    /// Mozilla's “modern”: TLS 1.3 alone.
    public static let modern = ScanPolicy(
        name: "modern",
        versions: ["TLS1.3"],
        required: ["TLS1.3"],
        suites: suitesOfTLS13,
        groups: usualGroups
    )

    /// Mozilla's “intermediate”: TLS 1.2 with forward secrecy, and TLS 1.3.
    public static let intermediate = ScanPolicy(
        name: "intermediate",
        versions: ["TLS1.2", "TLS1.3"],
        required: ["TLS1.2", "TLS1.3"],
        suites: suitesOfTLS13 + [
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        ],
        groups: usualGroups
    )

    /// What a scan shows that the policy does not want.
    func violations(of report: ScanReport) -> [String] {
        var found: [String] = []
        for version in report.versions {
            if version.supported, !versions.contains(version.version) {
                found.append("\(version.version) is spoken")
            } else if !version.supported, required.contains(version.version) {
                found.append("\(version.version) is not spoken")
            }
        }
        for entry in report.suites {
            // Of a version that should not be spoken nothing more need be said.
            guard versions.contains(entry.version) else { continue }
            found += entry.suites.filter { !suites.contains($0.name) }
                .map { "\(entry.version) takes \($0.name)" }
        }
        for entry in report.groups where !groups.isEmpty && versions.contains(entry.version) {
            found += entry.groups.filter { !groups.contains($0.name) }
                .map { "\(entry.version) takes \($0.name)" }
        }
        if let bits = report.primeBits, bits < primeBits {
            found.append("a prime for Diffie-Hellman has \(bits) bits, less than \(primeBits)")
        }
        return found
    }
}
