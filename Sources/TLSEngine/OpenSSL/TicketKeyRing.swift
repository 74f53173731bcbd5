// The keys that a server seals its tickets with and opens them by, shared by all processes that have
// the same secrets.
//
// Theory of operation
//
// Time is cut into epochs, which are counted from 1970 on: processes agree on their number without a
// word. Each secret has a key for each epoch (`TicketKeyTree`), whose name stands in the tickets.
//
//     epoch   n-2      n-1       n        n+1
//            ─┴────────┴────────┴────────┴─
//             opened   opened   seals    opened, by who is ahead of others
//                               now
//
// - A key seals during its epoch. It opens one epoch before, since other processes may be ahead, and
//   behind its end for as long as sessions last, and one epoch more, since others may be behind.
// - What is older than that is wiped, and cannot be derived again by what is kept.
// - A secret that the source gives no more is wiped. Its keys open until their tickets have expired.
// - What the source has not confirmed for a while does not seal any more.
// - Without a key that may seal no ticket is given, and handshakes are full ones: there is no other key.

import Synchronization

/// The keys of a server's tickets, rotated by the clock and shared by all who have the same secrets.
///
/// ```swift
/// let ring = try TicketKeyRing()
/// try ring.adopt(TicketSecrets([TicketSecret(bytes)]))
/// let context = try TLSContext(role: .server, identities: [identity], ticketKeys: ring)
/// ```
///
/// Whoever owns it calls ``rotate()`` at ``nextRotation``, which wipes old keys in time, and gives it the
/// secrets anew now and then. Usable from any thread, and by any number of contexts.
public final class TicketKeyRing: Sendable {
    /// How long one key seals.
    public let epoch: Duration
    /// How long secrets are used without being confirmed by ``adopt(_:)``; nil for ever.
    public let maximumAge: Duration?

    private let seconds: Int64
    private let clock: @Sendable () -> UnixTime
    private let state = Mutex(State())

    /// The most keys of one secret.
    static let keysMax: Int64 = 1024

    private struct State {
        var groves: [Grove] = []
        /// All keys that open, those of secrets that are no more in force too.
        var keys: [TicketKeyName: TicketKey] = [:]
        /// How long sessions last, at most.
        var lifetime = TicketKeyRing.defaultLifetime
        /// The epoch that the keys are for.
        var place: Int64?
        var confirmed: UnixTime?
    }

    /// A secret in force.
    private struct Grove {
        let identity: [UInt8]
        var from: UnixTime?
        var tree: TicketKeyTree
        var keys: [Int64: TicketKey] = [:]

        /// Since when it seals.
        var since: UnixTime { from ?? UnixTime(seconds: .min) }
    }

    /// Makes a ring without keys, which tells the time by the machine's clock.
    ///
    /// - Parameters:
    ///   - epoch: How long one key seals, 1 s to 7 days in whole seconds; the same for the whole fleet.
    ///   - maximumAge: How long secrets are used without being confirmed; nil for ever.
    /// - Throws: ``TLSError`` `.invalidPolicy` for another epoch.
    public convenience init(
        epoch: Duration = .seconds(3600),
        maximumAge: Duration? = .seconds(86400)
    ) throws(TLSError) {
        try self.init(epoch: epoch, maximumAge: maximumAge, clock: { UnixTime.now })
    }

    /// The same with a clock of one's own.
    package init(
        epoch: Duration,
        maximumAge: Duration?,
        clock: @escaping @Sendable () -> UnixTime
    ) throws(TLSError) {
        let (seconds, rest) = epoch.components
        guard (1...TLSPolicy.sessionTimeoutMax).contains(seconds), rest == 0 else {
            throw TLSError(
                .invalidPolicy,
                detail: "the epoch is \(epoch), not 1 s to 7 days in whole seconds"
            )
        }
        self.epoch = epoch
        self.seconds = seconds
        self.maximumAge = maximumAge
        self.clock = clock
    }

    // MARK: Secrets

    /// Takes the secrets that are in force, instead of those of before.
    ///
    /// - Parameter secrets: Their keys are derived; they themselves are not kept.
    /// - Throws: ``TLSError`` `.internalError` when OpenSSL fails; the ring is as it was then.
    /// - Complexity: Derives the keys that are not there yet, 0.1 ms each.
    public func adopt(_ secrets: TicketSecrets) throws(TLSError) {
        let now = clock()
        let known = state.withLock { ($0.groves, $0.lifetime) }
        var groves: [Grove] = []
        for secret in secrets.secrets {
            let grove = try grove(of: secret, known.0, window(now, lifetime: known.1), now)
            if !groves.contains(where: { $0.identity == grove.identity }) { groves.append(grove) }
        }
        state.withLock { s in
            if secrets.dropsOthers { s.keys = [:] }
            s.groves = groves
            for key in groves.flatMap(\.keys.values) { s.keys[key.name] = key }
            s.confirmed = now
            s.place = number(now)
            forgetExpired(&s, now)
        }
    }

    /// Forgets all keys and secrets at once: no ticket is given or opened until others are adopted.
    public func forgetAll() {
        state.withLock { s in
            s.groves = []
            s.keys = [:]
            s.confirmed = nil
        }
    }

    private func grove(
        of secret: TicketSecret,
        _ known: [Grove],
        _ window: ClosedRange<Int64>,
        _ now: UnixTime
    ) throws(TLSError) -> Grove {
        let even = try KeyDerivation.extract(secret.secret, salt: "swift-sockets ticket keys 1")
        let root = try KeyDerivation.expand(even, "epochs of \(seconds) s")
        let identity = try KeyDerivation.expand(root, "identity", count: 16).publicBytes
        var grove =
            known.first { $0.identity == identity }
            ?? Grove(identity: identity, tree: TicketKeyTree(root: root))
        grove.from = secret.from
        let missing = window.filter { grove.keys[$0] == nil }
        guard !missing.isEmpty else { return grove }
        var tree = TicketKeyTree(root: root)
        for number in missing {
            guard let leaf = try tree.key(of: number) else { continue }
            grove.keys[number] = try TicketKey(leaf, epoch: number)
        }
        try tree.forget(before: window.upperBound + 1)
        grove.tree = tree
        return grove
    }

    // MARK: Time

    /// When ``rotate()`` has something to do next.
    public var nextRotation: UnixTime { start(number(clock()) + 1) }

    /// Derives the next epoch's keys, and wipes those of epochs whose tickets have expired.
    ///
    /// A handshake that finds it late does it by itself.
    ///
    /// - Throws: ``TLSError`` `.internalError` when OpenSSL fails.
    public func rotate() throws(TLSError) {
        let now = clock()
        let failure = state.withLock { s -> TLSError? in
            do throws(TLSError) {
                try rotate(&s, now)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }

    private func rotate(_ s: inout State, _ now: UnixTime) throws(TLSError) {
        forgetExpired(&s, now)
        let number = number(now)
        // Those that were passed over too, as far as they can be derived: others have tickets of them.
        let window = window(now, lifetime: s.lifetime)
        for place in s.groves.indices {
            for next in window where s.groves[place].keys[next] == nil {
                guard let leaf = try s.groves[place].tree.key(of: next) else { continue }
                let key = try TicketKey(leaf, epoch: next)
                s.groves[place].keys[next] = key
                s.keys[key.name] = key
            }
            try s.groves[place].tree.forget(before: number + 2)
        }
        s.place = number
    }

    private func forgetExpired(_ s: inout State, _ now: UnixTime) {
        if let maximumAge, let confirmed = s.confirmed, confirmed.adding(maximumAge) <= now {
            s.groves = []
            s.confirmed = nil
        }
        // Not those that lie ahead: a clock that was set back comes to them again.
        let oldest = window(now, lifetime: s.lifetime).lowerBound
        s.keys = s.keys.filter { $0.value.epoch >= oldest }
        for place in s.groves.indices {
            s.groves[place].keys = s.groves[place].keys.filter { $0.key >= oldest }
        }
    }

    /// Whether tickets of a key count, by the epochs alone.
    private func isOpening(_ key: TicketKey, _ now: UnixTime, _ lifetime: Int64) -> Bool {
        window(now, lifetime: lifetime).contains(key.epoch)
    }

    /// The epochs whose tickets are opened at a time.
    private func window(_ now: UnixTime, lifetime: Int64) -> ClosedRange<Int64> {
        let number = number(now)
        // An epoch and the lifetime behind its end, and one more for clocks that are behind.
        let oldest = (now.seconds - lifetime).quotient(seconds) - 1
        return max(0, min(oldest, number))...(number + 1)
    }

    /// The number of the epoch of a time; those before 1970 count as the first, and those that are beyond
    /// all epochs as the last.
    private func number(_ time: UnixTime) -> Int64 {
        min(max(0, time.seconds.quotient(seconds)), TicketKeyTree.end - 3)
    }

    private func start(_ number: Int64) -> UnixTime { UnixTime(seconds: number * seconds) }

    // MARK: Use

    /// Whether tickets are given now.
    public var canSeal: Bool { sealingKey() != nil }

    /// Keys that open tickets now.
    public var keyCount: Int {
        let now = clock()
        return state.withLock { s in
            s.keys.values.count { isOpening($0, now, s.lifetime) }
        }
    }

    /// Has keys open as long as the sessions of a context last.
    ///
    /// - Throws: ``TLSError`` `.invalidPolicy` when that would take more than 1,024 keys.
    func serve(sessionsOf timeout: Duration?) throws(TLSError) {
        let lifetime = timeout?.components.seconds ?? TicketKeyRing.defaultLifetime
        guard lifetime / seconds + 4 <= TicketKeyRing.keysMax else {
            throw TLSError(
                .invalidPolicy,
                detail: "epochs of \(epoch) are too short for sessions of \(lifetime) s",
                hint: "An epoch is a thousandth of sessionTimeout, or longer"
            )
        }
        state.withLock { $0.lifetime = max($0.lifetime, lifetime) }
    }

    /// The key for new tickets; nil when there is none that may be used.
    func sealingKey() -> TicketKey? {
        let now = clock()
        return state.withLock { s in
            let number = catchUp(&s, now)
            guard let confirmed = s.confirmed,
                maximumAge.map({ confirmed.adding($0) > now }) ?? true
            else { return nil }
            var chosen: Grove?
            for grove in s.groves where grove.since <= now {
                if let best = chosen, grove.since <= best.since { continue }
                chosen = grove
            }
            return chosen?.keys[number]
        }
    }

    /// The key of a ticket; nil when there is none, or none any more.
    func openingKey(_ name: TicketKeyName) -> TicketKey? {
        let now = clock()
        return state.withLock { s in
            catchUp(&s, now)
            guard let key = s.keys[name], isOpening(key, now, s.lifetime) else { return nil }
            return key
        }
    }

    /// The key that a session was sealed with; nil when there is none, or none any more.
    func openingKey(sealedBy identifier: ArraySlice<UInt8>) -> TicketKey? {
        let now = clock()
        return state.withLock { s in
            catchUp(&s, now)
            return s.keys.values.first {
                $0.sealing.identifier[...] == identifier && isOpening($0, now, s.lifetime)
            }
        }
    }

    /// Rotates when nobody has; the keys that there are count, whatever becomes of it.
    @discardableResult
    private func catchUp(_ s: inout State, _ now: UnixTime) -> Int64 {
        let number = number(now)
        if s.place != number { try? rotate(&s, now) }
        return number
    }

    /// OpenSSL's own, where a policy says nothing: two hours.
    static let defaultLifetime: Int64 = 7200
}

/// What a ticket says of its key: 16 bytes that tell nothing else (RFC 5077 §4).
struct TicketKeyName: Hashable {
    static let byteCount = 16
    private let words: (UInt64, UInt64)

    /// Reads the first 16 of some bytes; nil when there are fewer.
    init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count >= TicketKeyName.byteCount else { return nil }
        var words: (UInt64, UInt64) = (0, 0)
        for byte in bytes.prefix(8) { words.0 = words.0 << 8 | UInt64(byte) }
        for byte in bytes.dropFirst(8).prefix(8) { words.1 = words.1 << 8 | UInt64(byte) }
        self.words = words
    }

    static func == (left: TicketKeyName, right: TicketKeyName) -> Bool {
        left.words == right.words
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}

/// One epoch's key of one secret.
final class TicketKey: Sendable {
    let epoch: Int64
    let nameBytes: [UInt8]
    let name: TicketKeyName
    /// For AES-256.
    let encryption: SecretBytes
    /// For HMAC with SHA-256.
    let authentication: SecretBytes
    /// For sessions that somebody else keeps.
    let sealing: SessionKey

    init(_ leaf: SecretBytes, epoch: Int64) throws(TLSError) {
        self.epoch = epoch
        nameBytes = try KeyDerivation.expand(leaf, "name", count: TicketKeyName.byteCount)
            .publicBytes
        guard let name = TicketKeyName(nameBytes) else { throw TLSError(.internalError) }
        self.name = name
        encryption = try KeyDerivation.expand(leaf, "encryption")
        authentication = try KeyDerivation.expand(leaf, "authentication")
        sealing = SessionKey(try KeyDerivation.expand(leaf, "sealing"))
    }
}

extension SecretBytes {
    /// A copy, of what is no secret.
    fileprivate var publicBytes: [UInt8] {
        withBytes { bytes in bytes.indices.map { bytes[$0] } }
    }
}

extension Int64 {
    /// The quotient, rounded down.
    fileprivate func quotient(_ divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
