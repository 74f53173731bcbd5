// Where TLS 1.2 says which preshared key is meant. Its messages up to the key exchange are plaintext,
// and OpenSSL asks for the key in the middle of reading them, so they are looked at before OpenSSL gets
// them: the last byte of the message that makes it ask is held back until the key is there.
//
//     client   ServerHello (which suite?), ServerKeyExchange (hint), held at ServerHelloDone
//     server   ClientKeyExchange (identity), held there
//
// Rule 1: records may be split and joined anywhere, and messages over records. Nothing is kept but the
// place in them and the few bytes that matter.
// Rule 2: it never refuses. What does not look as it should ends the scan, and is OpenSSL's to judge; a
// key that OpenSSL then asks for is not there, and the handshake fails.
// Rule 3: it does not look behind a ChangeCipherSpec, a suite without preshared key, or another version.

/// Follows the plaintext of a TLS 1.2 handshake up to the key exchange, byte by byte (RFC 5246 §7.4,
/// RFC 4279 §2).
struct KeyExchangeScanner {
    /// What was found.
    enum Finding: Equatable {
        /// Nothing so far, or nothing that matters.
        case none
        /// A client: the server's flight is complete but for one byte; nil without a hint.
        case hint([UInt8]?)
        /// A server: the client's name for the key; the message is complete but for one byte.
        case identity([UInt8])
    }

    /// What was found behind the bytes that were let through.
    private(set) var finding = Finding.none
    /// The scan is over, and no byte is held back any more.
    private(set) var isOver = false

    private let role: TLSRole
    /// The numbers of the suites with preshared keys.
    private let suites: Set<UInt16>
    /// The most bytes of hint or identity.
    private let limit: Int

    // The record.
    private var recordHeader: [UInt8] = []
    private var recordLeft = 0

    // The message.
    private var messageHeader: [UInt8] = []
    private var messageLeft = 0
    /// What is kept of its body.
    private var body: [UInt8] = []
    private var hint: [UInt8]?
    /// The server has chosen a suite with preshared keys.
    private var hasChosen = false

    /// Makes a scanner of what one side receives.
    ///
    /// - Parameters:
    ///   - role: Who receives.
    ///   - suites: The numbers of the suites with preshared keys.
    ///   - limit: The most bytes of hint or identity; longer ones end the scan.
    init(role: TLSRole, suites: Set<UInt16>, limit: Int) {
        self.role = role
        self.suites = suites
        self.limit = limit
    }

    /// Looks at the next bytes.
    ///
    /// - Parameter bytes: What follows what was let through before.
    /// - Returns: How many of them OpenSSL may have.
    mutating func scan(_ bytes: Span<UInt8>) -> Int {
        for place in bytes.indices {
            guard !isOver else { return bytes.count }
            guard finding == .none, !holds(bytes[place]) else { return place }
            take(bytes[place])
        }
        return bytes.count
    }

    /// Lets the byte through that was held back.
    mutating func release() {
        isOver = true
        finding = .none
    }

    // MARK: Records

    private mutating func take(_ byte: UInt8) {
        guard recordLeft == 0 else {
            recordLeft -= 1
            // Alerts that warn may stand before and between the messages.
            if recordHeader[0] == RecordType.handshake { takeHandshake(byte) }
            if recordLeft == 0 { recordHeader.removeAll(keepingCapacity: true) }
            return
        }
        recordHeader.append(byte)
        guard recordHeader.count == 5 else { return }
        recordLeft = Int(recordHeader[3]) << 8 | Int(recordHeader[4])
        let isPlain =
            recordHeader[0] == RecordType.handshake || recordHeader[0] == RecordType.alert
        guard isPlain, recordLeft <= KeyExchangeScanner.recordMax else { return end() }
        if recordLeft == 0 { recordHeader.removeAll(keepingCapacity: true) }
    }

    private mutating func end() { isOver = true }

    // MARK: Messages

    /// Whether a byte is the last of the message that makes OpenSSL ask.
    private mutating func holds(_ byte: UInt8) -> Bool {
        guard recordLeft > 0, recordHeader[0] == RecordType.handshake else { return false }
        switch role {
        case .client:
            guard hasChosen, messageHeader.count == 3,
                messageHeader[0] == MessageType.serverHelloDone,
                messageHeader[1] == 0, messageHeader[2] == 0, byte == 0
            else { return false }
            finding = .hint(hint)
            return true
        case .server:
            guard messageHeader.count == 4, messageHeader[0] == MessageType.clientKeyExchange,
                messageLeft == 1
            else { return false }
            var whole = self
            whole.keep(byte)
            guard let identity = whole.vector else {
                end()
                return false
            }
            finding = .identity(identity)
            return true
        }
    }

    private mutating func takeHandshake(_ byte: UInt8) {
        guard messageHeader.count == 4 else {
            messageHeader.append(byte)
            guard messageHeader.count == 4 else { return }
            messageLeft = messageHeader.dropFirst().reduce(0) { $0 << 8 | Int($1) }
            body.removeAll(keepingCapacity: true)
            return endMessage()
        }
        keep(byte)
        messageLeft -= 1
        endMessage()
    }

    private mutating func endMessage() {
        guard messageLeft == 0 else { return }
        read(messageHeader[0])
        messageHeader.removeAll(keepingCapacity: true)
    }

    /// Adds a byte to the body, as far as it matters.
    private mutating func keep(_ byte: UInt8) {
        let most =
            switch messageHeader[0] {
            case MessageType.serverHello: KeyExchangeScanner.suiteEndMax
            case MessageType.serverKeyExchange, MessageType.clientKeyExchange: 2 + limit
            default: 0
            }
        if body.count < most { body.append(byte) }
    }

    /// A message is complete.
    private mutating func read(_ type: UInt8) {
        guard role == .client else { return }
        switch type {
        case MessageType.serverHello:
            // Version (2), random (32), session id, suite (RFC 5246 §7.4.1.3).
            guard body.count > 34, body.count >= 37 + Int(body[34]) else { return end() }
            let start = 35 + Int(body[34])
            let suite = UInt16(body[start]) << 8 | UInt16(body[start + 1])
            hasChosen = suites.contains(suite)
            if !hasChosen { end() }
        case MessageType.serverKeyExchange:
            guard let found = vector else { return end() }
            hint = found.isEmpty ? nil : found
        default: break
        }
    }

    /// The vector with a length of two bytes at the front of the body; nil when it is longer than the
    /// body, or than the limit.
    private var vector: [UInt8]? {
        guard body.count >= 2 else { return nil }
        let count = Int(body[0]) << 8 | Int(body[1])
        guard count <= limit, body.count >= 2 + count else { return nil }
        return Array(body[2..<(2 + count)])
    }

    /// The most bytes of a record that holds plaintext (RFC 5246 §6.2.1).
    private static let recordMax = 16384
    /// Where the suite of a ServerHello ends at the latest.
    private static let suiteEndMax = 2 + 32 + 1 + 32 + 2

    private enum RecordType {
        static let alert: UInt8 = 21
        static let handshake: UInt8 = 22
    }

    private enum MessageType {
        static let serverHello: UInt8 = 2
        static let serverKeyExchange: UInt8 = 12
        static let serverHelloDone: UInt8 = 14
        static let clientKeyExchange: UInt8 = 16
    }
}
