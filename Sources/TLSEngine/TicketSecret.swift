// The secrets that the processes of a fleet share. Everybody who has the same ones derives the same
// ticket keys, without a word between them: see `TicketKeyRing`.

/// A secret that the processes of a fleet share, for their ticket keys to be derived from.
///
/// Whoever has it can open every ticket of its epochs, and make tickets: keep it where the private
/// keys are, and replace it now and then.
public struct TicketSecret: Hashable, Sendable {
    /// The fewest bytes of a secret.
    public static let byteCountMin = 32
    /// The most bytes of a secret.
    public static let byteCountMax = 1024

    /// The secret itself.
    public let secret: SecretBytes
    /// Since when new tickets are sealed by it; nil for always.
    ///
    /// Until then it opens tickets only: processes that have it already understand those that tell
    /// the time a little differently.
    public let from: UnixTime?

    /// Takes a secret.
    ///
    /// - Parameters:
    ///   - secret: 32...1,024 bytes that nobody can guess.
    ///   - from: Since when new tickets are sealed by it; nil for always.
    /// - Throws: ``TLSError`` `.invalidTicketSecret` for another number of bytes.
    public init(_ secret: SecretBytes, from: UnixTime? = nil) throws(TLSError) {
        guard (TicketSecret.byteCountMin...TicketSecret.byteCountMax).contains(secret.count) else {
            throw TLSError(
                .invalidTicketSecret,
                detail: "it has \(secret.count) bytes, not \(TicketSecret.byteCountMin) or more",
                hint: "Make one with: openssl rand -hex 32"
            )
        }
        self.secret = secret
        self.from = from
    }

    /// Takes a secret from bytes, which are the caller's to wipe.
    ///
    /// - Throws: ``TLSError`` `.invalidTicketSecret` for another number of bytes than 32...1,024.
    public init(_ bytes: [UInt8], from: UnixTime? = nil) throws(TLSError) {
        try self.init(SecretBytes(bytes), from: from)
    }
}

/// What a source of ticket keys gives: the secrets that are in force.
///
/// New tickets are sealed by the one whose ``TicketSecret/from`` is the latest that has come; the first
/// of several. Tickets of all of them are opened.
public struct TicketSecrets: Hashable, Sendable {
    /// The most secrets in force.
    public static let countMax = 16
    /// The most bytes of a text.
    public static let textBytesMax = 64 << 10

    /// The secrets in force, at least one.
    public let secrets: [TicketSecret]
    /// Whether tickets of secrets that are not among these are refused from now on; otherwise they are
    /// opened until they have expired, and only the secret itself is forgotten.
    ///
    /// For a secret that somebody else may have got.
    public let dropsOthers: Bool

    /// Takes secrets.
    ///
    /// - Parameters:
    ///   - secrets: 1...16 of them.
    ///   - dropsOthers: Whether tickets of other secrets are refused from now on.
    /// - Throws: ``TLSError`` `.invalidTicketSecret` for another number of them.
    public init(_ secrets: [TicketSecret], dropsOthers: Bool = false) throws(TLSError) {
        guard (1...TicketSecrets.countMax).contains(secrets.count) else {
            throw TLSError(
                .invalidTicketSecret,
                detail: "there are \(secrets.count) secrets, not 1...\(TicketSecrets.countMax)"
            )
        }
        self.secrets = secrets
        self.dropsOthers = dropsOthers
    }

    /// Reads the form of a file.
    ///
    /// A line is a secret in hexadecimal, and behind a space since when it seals, in seconds since
    /// 1970; or `drop-others`; or a comment behind `#`; or empty.
    ///
    /// - Parameter text: At most 64 KiB, which are copied to memory that is wiped only.
    /// - Throws: ``TLSError`` `.invalidTicketSecret`, which names the line and nothing of it.
    public init(reading text: SecretBytes) throws(TLSError) {
        guard text.count <= TicketSecrets.textBytesMax else {
            throw TLSError(.invalidTicketSecret, detail: "the text has \(text.count) bytes")
        }
        var found: [TicketSecret] = []
        var dropsOthers = false
        try text.withBytes { (bytes: Span<UInt8>) throws(TLSError) in
            var start = 0
            var number = 0
            while start < bytes.count {
                var end = start
                while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
                number += 1
                switch try TicketSecretLine(bytes.extracting(start..<end), number) {
                case .nothing: break
                case .dropsOthers: dropsOthers = true
                case .secret(let secret): found.append(secret)
                }
                start = end + 1
            }
        }
        try self.init(found, dropsOthers: dropsOthers)
    }
}

/// What a line of the text says.
private enum TicketSecretLine {
    case nothing
    case dropsOthers
    case secret(TicketSecret)

    private static let word = Array("drop-others".utf8)

    init(_ line: Span<UInt8>, _ number: Int) throws(TLSError) {
        var end = 0
        while end < line.count, line[end] != UInt8(ascii: "#") { end += 1 }
        let words = TicketSecretLine.words(line.extracting(0..<end))
        guard let first = words.first else {
            self = .nothing
            return
        }
        let isWord =
            first.count == TicketSecretLine.word.count
            && first.indices.allSatisfy { line[$0] == TicketSecretLine.word[$0 - first.lowerBound] }
        guard !isWord || words.count > 1 else {
            self = .dropsOthers
            return
        }
        guard words.count <= 2, first.count.isMultiple(of: 2) else {
            throw TicketSecretLine.problem(number)
        }
        var isSound = true
        let secret = SecretBytes(capacity: first.count / 2) { output in
            for place in stride(from: first.lowerBound, to: first.upperBound, by: 2) {
                let (high, low) = (hexDigit(line[place]), hexDigit(line[place + 1]))
                isSound = isSound && high != nil && low != nil
                output.append((high ?? 0) << 4 | (low ?? 0))
            }
        }
        var from: UnixTime?
        if words.count == 2 {
            let digits = words[1].map { line[$0] }
            guard digits.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
                let seconds = Int64(String(decoding: digits, as: UTF8.self))
            else { throw TicketSecretLine.problem(number) }
            from = UnixTime(seconds: seconds)
        }
        guard isSound, let made = try? TicketSecret(secret, from: from) else {
            throw TicketSecretLine.problem(number)
        }
        self = .secret(made)
    }

    /// Where the words of a line stand.
    private static func words(_ line: Span<UInt8>) -> [Range<Int>] {
        var words: [Range<Int>] = []
        var start: Int?
        for place in 0...line.count {
            let isGap = place == line.count || [9, 13, 32].contains(line[place])
            if isGap, let begun = start {
                words.append(begun..<place)
                start = nil
            } else if !isGap, start == nil {
                start = place
            }
        }
        return words
    }

    private static func problem(_ number: Int) -> TLSError {
        TLSError(
            .invalidTicketSecret,
            detail: "line \(number) is no secret of 32 bytes or more in hexadecimal",
            hint: "Make one with: openssl rand -hex 32"
        )
    }
}

private func hexDigit(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    default: nil
    }
}
