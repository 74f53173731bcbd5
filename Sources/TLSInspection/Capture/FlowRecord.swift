// What is told of one flow of a capture: what `listen` tells of a connection, under the same keys, and behind
// it the answer, the alert that ended it, and what is amiss.

import Sockets

/// What came of one flow.
public struct FlowRecord: Codable, Hashable, Sendable {
    /// What a server answered to a ClientHello, as far as it is not encrypted.
    public struct Answer: Codable, Hashable, Sendable {
        /// What it was.
        public enum Outcome: String, CaseIterable, Codable, Hashable, Sendable {
            /// A ServerHello.
            case chosen
            /// An alert.
            case alert
            /// Something else than TLS.
            case notTLS = "not_tls"
            /// What begins like TLS and is none.
            case malformed
            /// The end of the connection.
            case closed
            /// Nothing, as far as the capture goes.
            case nothing = "none"
        }

        /// What it was.
        public var result: Outcome
        /// The version that was chosen.
        @EncodesNull public var version: String? = nil
        /// The suite that was chosen.
        @EncodesNull public var suite: InspectionReport.CodePoint? = nil
        /// The group of the key exchange; nil without one, or when it is not told.
        @EncodesNull public var group: InspectionReport.CodePoint? = nil
        /// The scheme by which the server proved its key, in TLS 1.2.
        @EncodesNull public var signature: String? = nil
        /// The application protocol, up to TLS 1.2; nil when none was chosen, or it is encrypted.
        @EncodesNull public var alpn: String? = nil
        /// The certificates, leaf first, up to TLS 1.2.
        public var certificates: [CertificateNote] = []
        /// Whether a certificate was asked for, up to TLS 1.2.
        public var requestsCertificate = false
        /// What is wrong with what came.
        @EncodesNull public var error: String? = nil

        private enum CodingKeys: String, CodingKey {
            case result, version, suite, group, signature, alpn, certificates
            case requestsCertificate = "requests_certificate"
            case error
        }
    }

    /// What is told of a certificate.
    public struct CertificateNote: Codable, Hashable, Sendable {
        /// A short name; of what cannot be read, nothing but the digest is told.
        @EncodesNull public var name: String?
        /// The DNS names and IP addresses it is for; the first 64.
        public var names: [String]
        /// The last second of its validity.
        @EncodesNull public var notAfter: String?
        /// The SHA-256 digest of the DER, in hexadecimal.
        public var sha256: String

        private enum CodingKeys: String, CodingKey {
            case name, names
            case notAfter = "not_after"
            case sha256
        }
    }

    /// A fatal alert that was sent in clear.
    public struct AlertNote: Codable, Hashable, Sendable {
        /// The two sides.
        public enum Side: String, CaseIterable, Codable, Hashable, Sendable { case client, server }

        /// Who sent it.
        public var from: Side
        /// Its number.
        public var number: Int
        /// Its registered name.
        public var name: String
    }

    /// What the client said: what `listen` tells of a connection, with the server as its backend.
    public var hello: HelloRecord
    /// Whether its first segment is in the capture.
    public var isWhole: Bool
    /// How many segments were looked at.
    public var packets: Int
    /// The group that was asked for by a HelloRetryRequest; nil without one.
    @EncodesNull public var retry: InspectionReport.CodePoint?
    /// What the server answered; nil without a hello.
    @EncodesNull public var answer: Answer?
    /// The fatal alert that ended it; nil when there was none in clear.
    @EncodesNull public var alert: AlertNote?
    /// What is amiss.
    public var findings: [Finding]

    private enum CodingKeys: String, CodingKey {
        case isWhole = "from_start"
        case packets, retry, answer, alert, findings
    }

    /// Reads one, with the keys of both.
    public init(from decoder: any Decoder) throws {
        hello = try HelloRecord(from: decoder)
        let values = try decoder.container(keyedBy: CodingKeys.self)
        isWhole = try values.decode(Bool.self, forKey: .isWhole)
        packets = try values.decode(Int.self, forKey: .packets)
        retry = try values.decode(InspectionReport.CodePoint?.self, forKey: .retry)
        answer = try values.decode(Answer?.self, forKey: .answer)
        alert = try values.decode(AlertNote?.self, forKey: .alert)
        findings = try values.decode([Finding].self, forKey: .findings)
    }

    /// Writes one, with the keys of both in one object.
    public func encode(to encoder: any Encoder) throws {
        try hello.encode(to: encoder)
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(isWhole, forKey: .isWhole)
        try values.encode(packets, forKey: .packets)
        try values.encode(retry, forKey: .retry)
        try values.encode(answer, forKey: .answer)
        try values.encode(alert, forKey: .alert)
        try values.encode(findings, forKey: .findings)
    }
}

extension FlowRecord {
    /// Whether it has to do with TLS.
    public var isTLS: Bool {
        switch hello.result {
        case .tls, .malformed, .tooLarge: true
        case .notTLS, .closed, .timeout: answer.map { $0.result == .chosen } ?? false
        }
    }

    /// Tells of a conversation that is closed.
    init(_ conversation: Conversation) {
        hello = conversation.record
        isWhole = !conversation.beginsInTheMiddle
        packets = conversation.packets
        (retry, answer, alert, findings) = (nil, nil, nil, [])
        let server = conversation.serverSide
        if let group = server.retry?.group { retry = InspectionReport.CodePoint(group: group) }
        if hello.result == .tls || conversation.beginsInTheMiddle, let found = server.answer {
            answer = Answer(found)
        }
        if let found = server.alert {
            alert = AlertNote(.server, found)
        } else if let found = conversation.clientSide.alert, found.level == .fatal {
            alert = AlertNote(.client, found)
        }
        if conversation.hasGap, conversation.record.result == .closed {
            hello.error = "bytes are missing in front of what came"
        }
        if hello.result == .closed, !isWhole {
            hello.error = "it began before the capture"
        }
        findings = findings(in: conversation)
    }

    private func findings(in conversation: Conversation) -> [Finding] {
        var found: [Finding] = []
        if hello.result == .malformed || hello.result == .tooLarge {
            let reason = hello.error ?? ""
            found.append(
                Finding("malformed-hello", .bad, "a ClientHello cannot be read: \(reason)")
            )
        }
        if let alert {
            let text = "the \(alert.from.rawValue) sent alert \(alert.number) \(alert.name)"
            found.append(Finding("fatal-alert", .bad, text))
        }
        if let answer {
            found += answer.findings
            let isSilent = answer.result == .nothing || answer.result == .closed
            if isSilent, hello.result == .tls, alert == nil {
                let end = answer.result == .closed ? "the connection ended" : "no answer came"
                found.append(Finding("unanswered", .note, "\(end) behind a ClientHello"))
            }
        }
        if conversation.disagrees {
            let text = "bytes were sent again and were not the same; the first count"
            found.append(Finding("segments-disagree", .warn, text))
        }
        if conversation.hasGap {
            found.append(
                Finding("missing-bytes", .note, "bytes of the flow are not in the capture")
            )
        }
        return found.filter { $0.severity == .bad } + found.filter { $0.severity != .bad }
    }
}

extension FlowRecord.Answer {
    init(_ answer: RawAnswer) {
        switch answer {
        case .flight(let flight): self.init(flight)
        case .alert: self.init(result: .alert)
        case .notTLS: self.init(result: .notTLS)
        case .malformed(let reason): self.init(result: .malformed, error: reason)
        case .closed: self.init(result: .closed)
        case .silence, .clear, .unconnected: self.init(result: .nothing)
        }
    }

    private init(_ flight: ServerFlight) {
        self.init(result: .chosen)
        version = shortName(flight.version)
        suite = InspectionReport.CodePoint(
            name: Suite(flight.suite).name,
            id: wireForm(flight.suite)
        )
        group = flight.group.map { InspectionReport.CodePoint(group: $0) }
        signature = flight.scheme.map(CodePoints.schemeName)
        alpn = flight.alpn
        certificates = flight.certificates.map { FlowRecord.CertificateNote($0) }
        requestsCertificate = flight.requestsCertificate
    }

    /// What is amiss with what was chosen.
    fileprivate var findings: [Finding] {
        var found: [Finding] = []
        if result == .malformed || result == .notTLS {
            let reason = error.map { ": \($0)" } ?? ", but something else than TLS"
            found.append(Finding("malformed-answer", .bad, "the answer is no ServerHello\(reason)"))
        }
        if let version, ["SSL3.0", "TLS1.0", "TLS1.1"].contains(version) {
            let severity: Severity = version == "SSL3.0" ? .bad : .warn
            found.append(Finding("old-version", severity, "\(version) was chosen"))
        }
        if let suite, let number = UInt16(suite.id, radix: 16) {
            switch Suite(number).grade {
            case .bad: found.append(Finding("broken-suite", .bad, "\(suite.name) was chosen"))
            case .weak: found.append(Finding("weak-suite", .warn, "\(suite.name) was chosen"))
            case .ok, .odd: break
            }
        }
        return found
    }
}

extension FlowRecord.AlertNote {
    init(_ side: Side, _ alert: Alert) {
        self.init(from: side, number: Int(alert.code), name: alert.name)
    }
}

extension FlowRecord.CertificateNote {
    /// Tells of a certificate in DER, which may be anything.
    init(_ der: [UInt8]) {
        guard let certificate = try? Certificate(der: der) else {
            self.init(
                name: nil,
                names: [],
                notAfter: nil,
                sha256: hexadecimal(OpenSSLLibrary.sha256(der))
            )
            return
        }
        let names = certificate.subjectAlternativeNames.compactMap { name -> String? in
            switch name {
            case .dns(let text), .ipAddress(let text): text
            case .email, .uri, .other: nil
            }
        }
        self.init(
            name: String(certificate.shortName.prefix(CaptureLimits.nameLength)),
            names: names.prefix(HelloRecord.valuesMax)
                .map { String($0.prefix(CaptureLimits.nameLength)) },
            notAfter: certificate.notAfter.description,
            sha256: hexadecimal(certificate.sha256Fingerprint)
        )
    }
}

extension InspectionReport.CodePoint {
    /// A group.
    init(group: UInt16) { self.init(name: CodePoints.groupName(group), id: wireForm(group)) }
}
