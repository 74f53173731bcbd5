// The JSON contract: what one probe found out, as `docs/tlsinspect.schema.json` describes it.
// Property names are the JSON's in camel case; every key is always there, null where there is
// nothing to say.

/// What one probe found out; there is one on success and on failure.
public struct InspectionReport: Codable, Hashable, Sendable {
    /// The name of this shape of report.
    public static let schema = "tlsinspect/1"

    /// The shape of this report: ``schema``.
    public var schema = InspectionReport.schema
    /// The command that made it, for example `probe`.
    public var command: String
    /// What was inspected; nil when the arguments do not tell.
    @EncodesNull public var target: Target?
    /// What was offered.
    @EncodesNull public var sent: Offer?
    /// What the probe came to.
    public var result: Outcome
    /// The exit code.
    public var exit: ExitStatus
    /// What was agreed on; nil without a handshake.
    @EncodesNull public var negotiated: Negotiated?
    /// What the server sent, leaf first.
    public var chain: [CertificateReport] = []
    /// The verdict on the chain and the name; nil without a certificate.
    @EncodesNull public var verify: Verdict?
    /// What the server offers for resumption; nil without a handshake.
    @EncodesNull public var session: Session?
    /// The stapled OCSP response; nil without one.
    @EncodesNull public var ocspStaple: Staple?
    /// Whether the server asked for a certificate; nil when that is not known.
    @EncodesNull public var clientCertificate: ClientCertificate?
    /// How long the steps took.
    public var timing = Timing()
    /// What went over the connection; nil without one.
    @EncodesNull public var traffic: Traffic?
    /// What is worth telling, heaviest first.
    public var findings: [Finding] = []
    /// Why there is no complete handshake; nil when there is one.
    @EncodesNull public var error: Failure?

    /// Makes a report without contents.
    ///
    /// - Parameters:
    ///   - command: The command that makes it.
    ///   - result: What it came to.
    ///   - exit: The exit code.
    public init(command: String, result: Outcome, exit: ExitStatus) {
        self.command = command
        self.result = result
        self.exit = exit
    }

    enum CodingKeys: String, CodingKey {
        case schema, command, target, sent, result, exit, negotiated, chain, verify, session
        case ocspStaple = "ocsp_staple"
        case clientCertificate = "client_certificate"
        case timing = "timing_ms"
        case traffic, findings, error
    }
}

extension InspectionReport {
    /// What a probe came to.
    public enum Outcome: String, CaseIterable, Codable, Hashable, Sendable {
        /// A handshake, a trusted chain and the right name.
        case ok
        /// A handshake, and a chain that is not trusted.
        case untrusted
        /// A handshake and a trusted chain, for another name.
        case nameMismatch = "name_mismatch"
        /// The name has no address.
        case unresolved
        /// Nobody listens.
        case refused
        /// No route to the address.
        case unreachable
        /// No connection for another reason.
        case connectionFailed = "connection_failed"
        /// Time was up; the error's phase and the exit code say for what.
        case timeout
        /// The server refused with an alert.
        case alert
        /// What answers does not speak TLS.
        case notTLS = "not_tls"
        /// The connection ended during the handshake.
        case closed
        /// The protocol in the clear did not lead to TLS.
        case starttlsRefused = "starttls_refused"
        /// The handshake failed in another way.
        case handshakeFailed = "handshake_failed"
        /// The arguments or the files they name cannot be used.
        case invalid
        /// A bug.
        case internalError = "internal_error"
    }

    /// What was inspected.
    public struct Target: Codable, Hashable, Sendable {
        /// The name or address that was asked for.
        public var name: String
        /// The address that was connected to; nil when there was none.
        @EncodesNull public var address: String?
        /// The port that was connected to.
        public var port: Int
        /// The protocol that TLS was started from; nil for TLS from the first byte.
        @EncodesNull public var starttls: String?

        /// Makes a target.
        public init(name: String, address: String?, port: Int, starttls: String? = nil) {
            self.name = name
            self.address = address
            self.port = port
            self.starttls = starttls
        }
    }

    /// What was offered to the server.
    public struct Offer: Codable, Hashable, Sendable {
        /// The servername; nil when none was sent.
        @EncodesNull public var sni: String?
        /// The application protocols, most preferred first.
        public var alpn: [String]
        /// The versions, oldest first, for example `TLS1.3`.
        public var versions: [String]
    }

    /// What was agreed on.
    public struct Negotiated: Codable, Hashable, Sendable {
        /// The version, for example `TLS1.3`.
        public var version: String
        /// The cipher suite.
        public var suite: CodePoint
        /// The group of the key exchange; nil for a key exchange without one.
        @EncodesNull public var group: CodePoint?
        /// How the server proved its certificate's key; nil when it did not have to.
        @EncodesNull public var signature: String?
        /// The application protocol; nil when the server chose none.
        @EncodesNull public var alpn: String?
        /// Whether the server acknowledged the servername; nil when none was sent.
        @EncodesNull public var servernameAccepted: Bool?
        /// Whether a session was resumed.
        public var resumed: Bool

        enum CodingKeys: String, CodingKey {
            case version, suite, group, signature, alpn
            case servernameAccepted = "sni_accepted"
            case resumed
        }
    }

    /// A value of a TLS registry.
    public struct CodePoint: Codable, Hashable, Sendable {
        /// The registered name.
        public var name: String
        /// The number on the wire, four hexadecimal digits.
        public var id: String
    }

    /// The verdict on the chain and the name.
    public struct Verdict: Codable, Hashable, Sendable {
        /// Whether the chain leads to an anchor, and every certificate on the way is in order.
        public var trusted: Bool
        /// The name the leaf must be for; nil when there is none.
        @EncodesNull public var name: String?
        /// The leaf's name that matches; nil when none does.
        @EncodesNull public var nameMatch: String?
        /// Why the chain is not trusted.
        @EncodesNull public var error: VerificationError?
        /// What the chain was judged against.
        public var anchors: AnchorSource
        /// The way from the leaf to the anchor; empty when the chain is not trusted.
        public var path: [PathStep]
        /// The anchor, when the server did not send it.
        @EncodesNull public var anchor: CertificateReport?

        enum CodingKeys: String, CodingKey {
            case trusted, name
            case nameMatch = "name_match"
            case error, anchors, path, anchor
        }
    }

    /// Why a chain is not trusted.
    public struct VerificationError: Codable, Hashable, Sendable {
        /// OpenSSL's `X509_V_ERR_…` number, or one from 1000 on for this package's own rules.
        public var code: Int
        /// Which certificate: 0 is the leaf, counted towards the anchor.
        public var depth: Int
        /// The rule that was broken.
        public var text: String
        /// What would cure it.
        @EncodesNull public var hint: String?
    }

    /// What a chain was judged against.
    public enum AnchorSource: String, CaseIterable, Codable, Hashable, Sendable {
        /// The system's store.
        case system
        /// Certificates that were given.
        case given
    }

    /// One certificate on the way to the anchor.
    public enum PathStep: Codable, Hashable, Sendable {
        /// The certificate at this place of the chain that was sent.
        case sent(Int)
        /// An intermediate that was not sent, taken from the anchors.
        case store
        /// The anchor, which was not sent.
        case root

        /// Reads a number, `store` or `root`.
        public init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let place = try? container.decode(Int.self) {
                self = .sent(place)
            } else {
                self = try container.decode(String.self) == "root" ? .root : .store
            }
        }

        /// Writes a number, `store` or `root`.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .sent(let place): try container.encode(place)
            case .store: try container.encode("store")
            case .root: try container.encode("root")
            }
        }
    }

    /// What the server offers for resumption.
    public struct Session: Codable, Hashable, Sendable {
        /// The tickets it sent, at most four of them.
        public var tickets: [Ticket]
    }

    /// What a session ticket says about itself.
    public struct Ticket: Codable, Hashable, Sendable {
        /// Its size.
        public var bytes: Int
        /// The seconds for which the server takes it.
        public var lifetime: Int
        /// The bytes of early data the server takes with it; 0 when none.
        public var earlyData: Int

        enum CodingKeys: String, CodingKey {
            case bytes
            case lifetime = "lifetime_s"
            case earlyData = "early_data_bytes"
        }
    }

    /// A stapled OCSP response.
    public struct Staple: Codable, Hashable, Sendable {
        /// Its size in DER.
        public var bytes: Int
    }

    /// How the client was authenticated.
    public struct ClientCertificate: Codable, Hashable, Sendable {
        /// Whether the server asked for a certificate.
        public var requested: Bool
        /// Whether there was one to send.
        public var sent: Bool
    }

    /// How long the steps took, in milliseconds; nil for a step that was not done.
    public struct Timing: Codable, Hashable, Sendable {
        /// Looking the name up.
        @EncodesNull public var dns: Double?
        /// Opening the TCP connection.
        @EncodesNull public var connect: Double?
        /// From the ClientHello to the server's first flight.
        @EncodesNull public var serverHello: Double?
        /// The whole handshake, from the ClientHello on.
        @EncodesNull public var handshake: Double?

        enum CodingKeys: String, CodingKey {
            case dns, connect
            case serverHello = "server_hello"
            case handshake
        }
    }

    /// What went over the connection.
    public struct Traffic: Codable, Hashable, Sendable {
        /// Flights of the handshake, both directions together.
        public var flights: Int
        /// Bytes sent, as TLS records.
        public var bytesSent: UInt64
        /// Bytes received, as TLS records.
        public var bytesReceived: UInt64

        enum CodingKeys: String, CodingKey {
            case flights
            case bytesSent = "bytes_sent"
            case bytesReceived = "bytes_received"
        }
    }

    /// Why there is no complete handshake.
    public struct Failure: Codable, Hashable, Sendable {
        /// What happened, for example `connection_refused` or `not_tls`; stable.
        public var code: String
        /// How far the probe had come, for example `server_hello`; nil before it began.
        @EncodesNull public var phase: String?
        /// The fatal alert that ended the handshake.
        @EncodesNull public var alert: AlertReport?
        /// Whether this side sent the alert; false when the server did, or there is none.
        public var sent: Bool
        /// The failure in words, which may improve.
        public var message: String
        /// What would cure it.
        @EncodesNull public var hint: String?

        /// Makes a failure.
        public init(
            code: String,
            phase: String? = nil,
            alert: AlertReport? = nil,
            sent: Bool = false,
            message: String,
            hint: String? = nil
        ) {
            self.code = code
            self.phase = phase
            self.alert = alert
            self.sent = sent
            self.message = message
            self.hint = hint
        }
    }

    /// A TLS alert (RFC 8446 §6).
    public struct AlertReport: Codable, Hashable, Sendable {
        /// Its number, for example 112.
        public var number: Int
        /// Its registered name, for example `unrecognized_name`.
        public var name: String
    }
}
