// How much a finding weighs, and what that makes of a run as a whole.

/// How much a finding weighs.
public enum Severity: String, CaseIterable, Codable, Hashable, Comparable, Sendable {
    /// Worth knowing, nothing to do.
    case info
    /// Could be better.
    case note
    /// Should be changed.
    case warn
    /// Must be changed.
    case bad

    /// Orders severities, `info` first.
    public static func < (left: Severity, right: Severity) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .info: 0
        case .note: 1
        case .warn: 2
        case .bad: 3
        }
    }
}

/// What a run came to, as the exit code of the tool.
///
/// Codes are the same for all commands, and stable.
public enum ExitStatus: Int, CaseIterable, Codable, Hashable, Sendable {
    /// Done, and no finding weighs as much as was asked for.
    case clean = 0
    /// Done, with findings.
    case findings = 1
    /// Wrong usage, or a file that cannot be read.
    case usage = 2
    /// No TCP connection.
    case noConnection = 3
    /// A TCP connection, and no TLS handshake.
    case noHandshake = 4
    /// A handshake, and a certificate that is not trusted or for another name.
    case untrusted = 5
    /// A bug.
    case internalError = 70
}

/// Something worth telling about what was inspected.
public struct Finding: Codable, Hashable, Sendable {
    /// The kind of finding, for example `no-staple`; stable.
    public var id: String
    /// How much it weighs.
    public var severity: Severity
    /// The place in the chain of the certificate it is about; nil when it is about none.
    @EncodesNull public var certificate: Int?
    /// The finding in words, which may improve.
    public var text: String

    /// Makes a finding.
    public init(_ id: String, _ severity: Severity, certificate: Int? = nil, _ text: String) {
        self.id = id
        self.severity = severity
        self.certificate = certificate
        self.text = text
    }
}
