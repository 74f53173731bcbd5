// Alerts: the one sentence a TLS peer says before it hangs up (RFC 8446 §6).

/// A TLS alert: how bad, and what (RFC 8446 §6).
public struct Alert: Hashable, Sendable {
    /// How bad an alert is (RFC 8446 §6).
    public enum Level: UInt8, Sendable {
        /// The connection may go on, or ends in good order.
        case warning = 1
        /// The connection ends here.
        case fatal = 2
    }

    /// How bad.
    public var level: Level
    /// What: the alert's number in the registry, for example 112.
    public var code: UInt8

    /// Makes an alert from its number.
    public init(_ code: UInt8, level: Level = .fatal) {
        self.code = code
        self.level = level
    }

    /// The registered name, for example `unrecognized_name`, or `alert 200` for an unknown number.
    public var name: String {
        Alert.names[code] ?? "alert \(code)"
    }

    /// End of the sender's data (RFC 8446 §6.1).
    public static let closeNotify = Alert(0, level: .warning)
    /// A message that does not belong here.
    public static let unexpectedMessage = Alert(10)
    /// A record that could not be authenticated.
    public static let badRecordMAC = Alert(20)
    /// A record larger than the protocol allows.
    public static let recordOverflow = Alert(22)
    /// No parameters that both sides accept.
    public static let handshakeFailure = Alert(40)
    /// A certificate that could not be read or verified.
    public static let badCertificate = Alert(42)
    /// A certificate outside its validity.
    public static let certificateExpired = Alert(45)
    /// A certificate refused for another reason.
    public static let certificateUnknown = Alert(46)
    /// A chain that ends at no trusted anchor.
    public static let unknownCA = Alert(48)
    /// A certificate is in order, and its holder does not come in.
    public static let accessDenied = Alert(49)
    /// A message that could not be read.
    public static let decodeError = Alert(50)
    /// A signature or another proof of the handshake that is wrong.
    public static let decryptError = Alert(51)
    /// No common protocol version.
    public static let protocolVersion = Alert(70)
    /// Something went wrong at the sender, not the peer.
    public static let internalError = Alert(80)
    /// No host of this name here (RFC 6066 §3).
    public static let unrecognizedName = Alert(112)
    /// A preshared key of a name that the server does not know.
    public static let unknownPSKIdentity = Alert(115)
    /// A client certificate is demanded.
    public static let certificateRequired = Alert(116)
    /// The stapled OCSP response does not do (RFC 6066 §8).
    public static let badCertificateStatusResponse = Alert(113)
    /// No common application protocol (RFC 7301 §3.2).
    public static let noApplicationProtocol = Alert(120)

    /// True for the alerts that judge a certificate of the side that receives them.
    package var judgesCertificate: Bool {
        switch code {
        case 41...49, 51, 113, 114, 116: true
        default: false
        }
    }

    private static let names: [UInt8: String] = [
        0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed",
        22: "record_overflow", 30: "decompression_failure", 40: "handshake_failure",
        41: "no_certificate", 42: "bad_certificate", 43: "unsupported_certificate",
        44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
        47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
        51: "decrypt_error", 60: "export_restriction", 70: "protocol_version",
        71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback",
        90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
        110: "unsupported_extension", 111: "certificate_unobtainable", 112: "unrecognized_name",
        113: "bad_certificate_status_response", 114: "bad_certificate_hash_value",
        115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol",
    ]
}

extension Alert: CustomStringConvertible {
    /// The name and the number, for example `unrecognized_name (112)`.
    public var description: String {
        Alert.names[code].map { "\($0) (\(code))" } ?? "alert \(code)"
    }
}
